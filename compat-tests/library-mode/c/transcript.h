/* SPDX-License-Identifier: LGPL-2.0-or-later */
/*
 * What host.c is built on: the log of a program without libmultipath, the calls of liburcu that a
 * plugin's thread makes, and functions that print the results of calls.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include CHECKERS_H

#ifdef STANDALONE
/* libmultipath's log, which libcheckers.a uses if it exists. */
int libmp_verbosity;
static int logsink;

__attribute__((format(printf, 2, 3))) void dlog(int prio, const char *format, ...)
{
	va_list arguments;

	(void)prio;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
}

const char checkers_plugin_directory[] = DIRECTORY;
#else
extern int libmp_verbosity;
extern int logsink;
#endif

static const char *plugin_directory;

#ifdef CHECKERS_DIRECTORY_ARGUMENT
#define init_checkers() init_checkers(plugin_directory)
#define checker_get(c, name) checker_get(plugin_directory, c, name)
#endif

/* The number of threads that have ended. */
static volatile int ended_threads;

/* These precede liburcu's functions in symbol lookup, call them, and print a line. */
static void forward(const char *name)
{
	void (*function)(void) = (void (*)(void))dlsym(RTLD_NEXT, name);

	if (function)
		function();
}

void urcu_memb_register_thread(void)
{
	forward(__func__);
	printf("thread registered\n");
}

void urcu_memb_unregister_thread(void)
{
	forward(__func__);
	printf("thread unregistered\n");
	ended_threads++;
}

static void wait_for_threads(int count)
{
	int i;

	for (i = 0; i < 500 && ended_threads < count; i++)
		usleep(10000);
}

static void print_section(const char *title)
{
	printf("--- %s\n", title);
}

static void print_checker(const struct checker *c)
{
	const char *name = checker_name(c);

	printf("  name %s, message \"%s\", %s\n", name ? name : "NULL", checker_message(c),
	       checker_is_sync(c) ? "sync" : "async");
}

/* Runs a check and prints its results. */
static void check(struct checker *c, int known)
{
	int state;

#ifdef CHECKERS_LAYOUT_C
	checker_check(c, known);
	printf("  stored %s, wait %d\n", checker_state_name(c->path_state), checker_need_wait(c));
	state = checker_get_state(c);
#else
	state = checker_check(c, known);
#endif
	printf("  state %s\n", checker_state_name(state));
	print_checker(c);
}

/* A path with a selected checker. */
static struct checker select_checker(const char *name, int fd, unsigned int timeout)
{
	struct checker c;

	memset(&c, 0x5a, sizeof(c));
	checker_clear(&c);
	checker_get(&c, name);
#ifdef CHECKERS_LAYOUT_C
	c.path_state = PATH_UNCHECKED;
#endif
	c.timeout = timeout;
	checker_set_fd(&c, fd);
	printf("  selected %d\n", checker_selected(&c));
	return c;
}

static int is_loaded(const char *name)
{
	char path[512];
	void *handle;

	snprintf(path, sizeof(path), "%s/libcheck%s.so", plugin_directory, name);
	handle = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
	if (handle)
		dlclose(handle);
	return handle != NULL;
}
