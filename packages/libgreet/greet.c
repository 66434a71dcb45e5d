/* SPDX-License-Identifier: Apache-2.0 */
#include "greet.h"

#include <stdio.h>

int greet_format(char *buffer, unsigned long size, const char *name)
{
	return snprintf(buffer, size, "Hello, %s!", name && *name ? name : "world");
}

const char *greet_machine(void)
{
#if defined(__x86_64__)
	return "x86_64";
#elif defined(__aarch64__)
	return "aarch64";
#else
	return "some other machine";
#endif
}
