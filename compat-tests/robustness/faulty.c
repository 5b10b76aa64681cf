/* SPDX-License-Identifier: LGPL-2.0-or-later */
/*
 * A path checker with a data race and a bad access, for tools to find: without it, a tool that finds
 * nothing in the others would prove nothing.
 */
#include <stdlib.h>

static long checks;

int libcheck_init(void *checker)
{
	(void)checker;
	return 0;
}

int libcheck_check(void *checker)
{
	(void)checker;
	checks++;
	return 3;
}

void libcheck_free(void *checker)
{
	volatile char *memory = malloc(16);

	(void)checker;
	memory[16] = 1;
	free((void *)memory);
}
