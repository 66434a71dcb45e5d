/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GREET_H
#define GREET_H

#ifdef __cplusplus
extern "C" {
#endif

/* Write a greeting for `name` into `buffer`; return its length, as snprintf does. */
int greet_format(char *buffer, unsigned long size, const char *name);

/* The architecture that the library was compiled for. */
const char *greet_machine(void);

#ifdef __cplusplus
}
#endif

#endif
