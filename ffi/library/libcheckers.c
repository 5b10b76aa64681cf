/* SPDX-License-Identifier: LGPL-2.0-or-later */
/*
 * What libcheckers.a needs from the libmultipath that links it: the directory of plugins, and a check
 * when compiling and linking that both have the same struct checker. scripts/patch-multipath-tools puts
 * this file beside checkers.h.
 *
 * CHECKERS_LAYOUT_B or CHECKERS_LAYOUT_C names the layout; CHECKERS_DIRECTORY_ARGUMENT and
 * CHECKERS_DISCONNECTED are set as the features of the library.
 */
#include <stddef.h>
#include "checkers.h"

#ifndef CHECKERS_DIRECTORY_ARGUMENT
const char checkers_plugin_directory[] = MULTIPATH_DIR;
#endif

#define OFFSET(member, offset) \
	_Static_assert(offsetof(struct checker, member) == (offset), "struct checker: " #member)
#define WORD ((size_t) __SIZEOF_POINTER__)

OFFSET(cls, 0);
OFFSET(fd, WORD);
OFFSET(timeout, WORD + 4);
OFFSET(disable, WORD + 8);
#ifdef CHECKERS_LAYOUT_B
OFFSET(msgid, WORD + 12);
OFFSET(context, WORD + 16);
OFFSET(mpcontext, 2 * WORD + 16);
_Static_assert(sizeof(struct checker) == 3 * WORD + 16, "struct checker: size");
extern const char checkers_layout_b;
#else
OFFSET(path_state, WORD + 12);
OFFSET(msgid, WORD + 16);
OFFSET(context, WORD == 8 ? 32 : 24);
OFFSET(mpcontext, WORD == 8 ? 40 : 28);
_Static_assert(sizeof(struct checker) == (WORD == 8 ? 48 : 32), "struct checker: size");
extern const char checkers_layout_c;
#endif
_Static_assert(offsetof(struct checker_context, cls) == 0, "struct checker_context");

#ifdef CHECKERS_DISCONNECTED
_Static_assert(PATH_MAX_STATE == 11 && CHECKER_GENERIC_MSGTABLE_SIZE == 9, "states and messages");
#else
_Static_assert(PATH_MAX_STATE == 10 && CHECKER_GENERIC_MSGTABLE_SIZE == 8, "states and messages");
#endif

/*
 * The symbols that the linker must take from the archive, including those that only other programs
 * call. The first is named after the layout: a library built for another layout does not have it, so
 * linking fails.
 */
static const void *const wanted[] __attribute__((used)) = {
#ifdef CHECKERS_LAYOUT_B
	&checkers_layout_b,
#else
	&checkers_layout_c,
	checker_get_state,
	checker_need_wait,
#endif
	init_checkers,
	cleanup_checkers,
	reset_checker_classes,
	checker_get,
	checker_put,
	checker_init,
	checker_mp_init,
	checker_check,
	checker_clear,
	checker_clear_message,
	checker_set_fd,
	checker_set_sync,
	checker_set_async,
	checker_is_sync,
	checker_enable,
	checker_disable,
	checker_name,
	checker_message,
	checker_state_name,
	start_checker_thread,
};
