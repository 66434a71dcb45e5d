/* SPDX-License-Identifier: Apache-2.0 */
#include <greet.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	char text[256];

	greet_format(text, sizeof text, argc > 1 ? argv[1] : NULL);
	printf("%s From %s.\n", text, greet_machine());
	return 0;
}
