/* A program that only includes the header. With a library of another layout it must not link. */
#include "path_checkers.h"

const char checkers_plugin_directory[] = "";

int main(void)
{
	struct checker c;

	checker_clear(&c);
	return c.fd != -1;
}
