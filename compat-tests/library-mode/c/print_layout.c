/* SPDX-License-Identifier: LGPL-2.0-or-later */
/* Prints the layout of struct checker in the checkers.h of multipath-tools. */
#include <stddef.h>
#include <stdio.h>
#include CHECKERS_H

#define MEMBER(name) printf(#name " %zu\n", offsetof(struct checker, name))

int main(void)
{
	printf("size %zu\n", sizeof(struct checker));
	MEMBER(cls);
	MEMBER(fd);
	MEMBER(timeout);
	MEMBER(disable);
#ifdef CHECKERS_LAYOUT_C
	MEMBER(path_state);
#endif
	MEMBER(msgid);
	MEMBER(context);
	MEMBER(mpcontext);
	return 0;
}
