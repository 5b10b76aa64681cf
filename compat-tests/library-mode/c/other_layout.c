/* SPDX-License-Identifier: LGPL-2.0-or-later */
/* Only includes the header. It must not link with a library of another layout. */
#include "path_checkers.h"

const char checkers_plugin_directory[] = "";

int main(void)
{
	struct checker c;

	checker_clear(&c);
	return c.fd != -1;
}
