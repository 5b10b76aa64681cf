/* SPDX-License-Identifier: LGPL-2.0-or-later */
/*
 * Path checkers for C programs without multipath-tools: what libcheckers.a offers.
 *
 * Names, numbers and layouts are those of multipath-tools, so that the same library serves both. A
 * program that has multipath-tools' own checkers.h includes that instead.
 *
 * Before including this file, define
 *   CHECKERS_LAYOUT_C  for a library built with --features layout-c (the form to choose), or
 *   CHECKERS_LAYOUT_B  for one built with --features layout-b.
 * With the wrong one the program does not link (undefined reference to checkers_layout_...). The
 * program also says where plugins of others are:
 *   const char checkers_plugin_directory[] = "/usr/lib/multipath";
 *
 * One path:
 *   struct checker c;
 *   checker_clear(&c);
 *   checker_get(&c, "directio");          !checker_selected(&c) if there is no such checker
 *   c.timeout = 30;
 *   checker_set_fd(&c, fd);
 *   if (checker_init(&c, NULL) == 0) {
 *           checker_set_sync(&c);         waits for the device, up to the timeout
 *           checker_check(&c, PATH_UNCHECKED);
 *           puts(checker_state_name(checker_get_state(&c)));
 *   }
 *   checker_put(&c);                      before fd is closed
 *
 * Calls for one struct must not overlap; calls for different ones may, from any threads. Lines for
 * the log go to libmultipath's, if the program has that, else to the standard error.
 */
#ifndef PATH_CHECKERS_H
#define PATH_CHECKERS_H

#if defined(CHECKERS_H_INCLUDED) || defined(_CHECKERS_H)
#error "multipath-tools' checkers.h is included already, which says the same"
#endif
#if defined(CHECKERS_LAYOUT_B) == defined(CHECKERS_LAYOUT_C)
#error "define CHECKERS_LAYOUT_B or CHECKERS_LAYOUT_C, as the library was built"
#endif

#include <pthread.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The state of a path. */
enum path_check_state {
	PATH_WILD = 0,		/* this checker does not support the device */
	PATH_UNCHECKED = 1,	/* no check was made */
	PATH_DOWN = 2,
	PATH_UP = 3,
	PATH_SHAKY = 4,		/* responds, but is not for normal operation */
	PATH_GHOST = 5,		/* passive: works after a failover */
	PATH_PENDING = 6,	/* the check is in flight */
	PATH_TIMEOUT = 7,	/* the check did not end in time */
	PATH_REMOVED = 8,	/* no checker says so */
	PATH_DELAYED = 9,	/* no checker says so */
	PATH_DISCONNECTED = 10	/* the target no longer maps the unit; --features disconnected only */
};

/* Messages that every checker may give (msgid); its own begin with CHECKER_FIRST_MSGID. */
enum {
	CHECKER_MSGID_NONE = 0,
	CHECKER_MSGID_DISABLED = 1,
	CHECKER_MSGID_NO_FD = 2,
	CHECKER_MSGID_INVALID = 3,
	CHECKER_MSGID_UP = 4,
	CHECKER_MSGID_DOWN = 5,
	CHECKER_MSGID_GHOST = 6,
	CHECKER_MSGID_UNSUPPORTED = 7,
	CHECKER_MSGID_DISCONNECTED = 8,	/* --features disconnected only */
	CHECKER_FIRST_MSGID = 100
};

struct checker_class;

/*
 * One path. Programs set timeout (in seconds, before checker_init); everything else is the
 * functions'.
 */
struct checker {
	struct checker_class *cls;
	int fd;
	unsigned int timeout;
	int disable;
#ifdef CHECKERS_LAYOUT_C
	int path_state;
#endif
	short msgid;
	void *context;
	void **mpcontext;
};

/* Start and end. init_checkers: 0, or 1 when the checker tur cannot be had. */
int init_checkers(void);
void cleanup_checkers(void);
void reset_checker_classes(void);

/*
 * Selecting a checker. checker_get selects one by its name in multipath.conf(5) (path_checker);
 * without memory or such a checker, checker_selected is 0 afterwards. checker_init returns 0, or 1
 * when the checker declines the path, which has no checker then. checker_mp_init returns 0, or 1
 * without memory for what the paths share.
 *
 * mpcontext is NULL, or the address of a pointer that all paths of a device share; what it is set to
 * comes from malloc() and is the program's to free.
 */
void checker_clear(struct checker *c);
void checker_get(struct checker *c, const char *name);
/* Whether there is a checker: checker_get has found one. */
static inline int checker_selected(const struct checker *c)
{
	return c && c->cls;
}
int checker_init(struct checker *c, void **mpcontext);
int checker_mp_init(struct checker *c, void **mpcontext);
void checker_put(struct checker *c);
void checker_set_fd(struct checker *c, int fd);

/*
 * Checks. "sync" belongs to all paths of a checker: they wait for their devices. "async" ones do not:
 * the state is PATH_PENDING until a later call has it. `known` is what the checker none returns. A path for
 * which no checker is selected is PATH_UNCHECKED.
 */
void checker_set_sync(struct checker *c);
void checker_set_async(struct checker *c);
int checker_is_sync(const struct checker *c);
void checker_enable(struct checker *c);
void checker_disable(struct checker *c);
#ifdef CHECKERS_LAYOUT_B
int checker_check(struct checker *c, int known);
#else
void checker_check(struct checker *c, int known);
int checker_get_state(struct checker *c);
bool checker_need_wait(struct checker *c);
#endif

/* Texts. They are constant; a plugin's stay until it is unloaded. */
const char *checker_name(const struct checker *c);
const char *checker_message(const struct checker *c);	/* to be printed after "<name> checker" */
void checker_clear_message(struct checker *c);
const char *checker_state_name(int state);

/* For plugins: a context whose first member is cls is handed to the plugin's libcheck_thread. */
struct checker_context {
	struct checker_class *cls;
};
int start_checker_thread(pthread_t *thread, const pthread_attr_t *attr, struct checker_context *ctx);

/* What the program defines. */
extern const char checkers_plugin_directory[];

/* The library has one of these names. */
#ifdef CHECKERS_LAYOUT_B
extern const char checkers_layout_b;
static const char *const checkers_layout __attribute__((used)) = &checkers_layout_b;
#else
extern const char checkers_layout_c;
static const char *const checkers_layout __attribute__((used)) = &checkers_layout_c;
#endif

#ifdef __cplusplus
}
#endif
#endif
