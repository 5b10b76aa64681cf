/*
 * What a host can do with checkers, as a transcript. Linked with libmultipath as its release has it,
 * with one that has libcheckers.a inside, and (STANDALONE) with libcheckers.a alone; the transcripts
 * are compared.
 *
 * usage: host DIRECTORY-OF-PLUGINS FILE
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include CHECKERS_H
#include "other.h"

#ifdef STANDALONE
/* The log that libmultipath would have. */
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

static const char *directory;

#ifdef CHECKERS_DIRECTORY_ARGUMENT
#define init_checkers() init_checkers(directory)
#define checker_get(c, name) checker_get(directory, c, name)
#endif

/* Both kinds of host find liburcu's functions here first. */
static volatile int registered;

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
	registered++;
}

static void say(const struct checker *c)
{
	const char *name = checker_name(c);

	printf("  name %s, message \"%s\", %s\n", name ? name : "NULL", checker_message(c),
	       checker_is_sync(c) ? "sync" : "async");
}

static void look(struct checker *c, int known)
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
	say(c);
}

static struct checker with(const char *name, int fd, unsigned int timeout)
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

static int loaded(const char *name)
{
	char path[512];
	void *handle;

	snprintf(path, sizeof(path), "%s/libcheck%s.so", directory, name);
	handle = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
	if (handle)
		dlclose(handle);
	return handle != NULL;
}

static void part(const char *what)
{
	printf("--- %s\n", what);
}

static void states(void)
{
	int i;

	part("names of states");
	for (i = -1; i <= 12; i++)
		printf("  %d %s\n", i, checker_state_name(i));
}

static void nobody(void)
{
	struct checker c;

	part("without a checker");
	say(NULL);
	checker_set_fd(NULL, 1);
	checker_set_sync(NULL);
	checker_set_async(NULL);
	checker_enable(NULL);
	checker_disable(NULL);
	checker_clear_message(NULL);
	checker_put(NULL);
	checker_get(NULL, "other");
	printf("  init %d, mp_init %d\n", checker_init(NULL, NULL), checker_mp_init(NULL, NULL));
#ifdef CHECKERS_LAYOUT_C
	checker_check(NULL, PATH_UP);
	printf("  state %d, wait %d\n", checker_get_state(NULL), checker_need_wait(NULL));
#else
	printf("  check %d\n", checker_check(NULL, PATH_UP));
#endif
	checker_clear(&c);
	printf("  fd %d\n", c.fd);
	say(&c);
	checker_get(&c, "");
	checker_get(&c, NULL);
	say(&c);
	printf("  init %d\n", checker_init(&c, NULL));
	c.disable = 1;
	look(&c, PATH_UP);
	checker_put(&c);
	printf("  fd %d\n", c.fd);
}

/* Not every host survives it. */
static void unselected(void)
{
	struct checker c;
	int status;
	pid_t child;

	part("a check of a path for which no checker was selected");
	checker_clear(&c);
	printf("  selected %d, of NULL %d\n", checker_selected(&c), checker_selected(NULL));
#ifdef CHECKERS_LAYOUT_C
	c.path_state = PATH_UP;
#endif
	child = fork();
	if (child == 0) {
		look(&c, PATH_UP);
		checker_set_fd(&c, 0);
		look(&c, PATH_UP);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		exit(2);
	printf("  ends with %s\n", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "an answer");
}

static void messages(void)
{
	static const short ids[] = { -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 99, 100, 101, 199, 200, 32767 };
	struct checker c;
	unsigned int i;

	part("messages");
	c = with("other", PATH_UP, 0);
	checker_init(&c, NULL);
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		c.timeout = (unsigned short)ids[i];
		look(&c, PATH_DOWN);
	}
	checker_clear_message(&c);
	say(&c);
	checker_put(&c);
}

static void checks(void)
{
	struct checker c, d;

	part("checks");
	c = with("other", PATH_GHOST, CHECKER_MSGID_GHOST);
	d = with("other", PATH_SHAKY, 100);
	printf("  init %d %d\n", checker_init(&c, NULL), checker_init(&d, NULL));
	checker_set_async(&c);
	say(&d);
	look(&c, PATH_DOWN);
	look(&d, PATH_DOWN);
	checker_disable(&c);
	say(&c);
	look(&c, PATH_DOWN);
	checker_enable(&c);
	look(&c, PATH_DOWN);
	checker_set_sync(&d);
	say(&c);
	checker_set_fd(&c, -1);
	look(&c, PATH_DOWN);
	checker_set_fd(&c, PATH_PENDING);
	look(&c, PATH_DOWN);
	checker_disable(&d);
	checker_set_fd(&d, PATH_PENDING);
	look(&d, PATH_DOWN);
	checker_put(&c);
	checker_put(&d);
	say(&d);
}

static void maps(void)
{
	struct checker c;
	void *map = NULL;

	part("what a map shares");
	c = with("other", PATH_UP, 0);
	printf("  init %d", checker_init(&c, &map));
	printf(", mpcontext %d, map %d\n", c.mpcontext == &map, map != NULL);
	checker_put(&c);
	c = with("other", PATH_UP, 0);
	printf("  init %d\n", checker_init(&c, &map));
	checker_put(&c);
	free(map);
	map = NULL;
	c = with("other", PATH_UP, FAIL_MP_INIT);
	printf("  init %d", checker_init(&c, &map));
	printf(", mpcontext %s\n", c.mpcontext ? "there" : "NULL");
	printf("  mp_init %d\n", checker_mp_init(&c, &map));
	c.timeout = 0;
	printf("  mp_init %d\n", checker_mp_init(&c, NULL));
	printf("  mp_init %d", checker_mp_init(&c, &map));
	printf(", mpcontext %d, map %d\n", c.mpcontext == &map, map != NULL);
	printf("  mp_init %d\n", checker_mp_init(&c, &map));
	checker_put(&c);
	free(map);
}

static void names(void)
{
	struct checker c, d;

	part("names");
	c = with("none", -1, 0);
	printf("  init %d\n", checker_init(&c, NULL));
	look(&c, PATH_DELAYED);
	checker_put(&c);
	c = with("nonesuch", -1, 0);
	look(&c, PATH_UP);
	checker_put(&c);
	c = with("absent", -1, 0);
	checker_put(&c);
	c = with("broken", -1, 0);
	checker_put(&c);
	c = with("text", -1, 0);
	checker_put(&c);
	c = with("other-fifteen-b-and-more", PATH_UP, 4);
	d = with("other-fifteen-b-and-more", PATH_UP, 4);
	printf("  one class %d\n", c.cls == d.cls);
	printf("  init %d\n", checker_init(&c, NULL));
	look(&c, PATH_DOWN);
	checker_put(&c);
	checker_put(&d);
}

static void strange(void)
{
	struct checker c;

	part("a state that has no name");
	c = with("other", 42, 4);
	checker_init(&c, NULL);
	look(&c, PATH_DOWN);
	checker_put(&c);
}

static void builtin(const char *name, const char *file)
{
	struct checker c;
	int fd = open(file, O_RDONLY);

	part(name);
	c = with(name, fd, 30);
	printf("  init %d\n", checker_init(&c, NULL));
	checker_set_sync(&c);
	look(&c, PATH_DOWN);
	c.msgid = 100;
	say(&c);
	checker_put(&c);
	close(fd);
}

static void await(int count)
{
	int i;

	for (i = 0; i < 500 && registered < count; i++)
		usleep(10000);
}

static void threads(void)
{
	struct checker c, d;
	int ends[2];

	part("threads");
	if (pipe(ends) || dup2(ends[0], THREAD_PIPE) < 0)
		exit(2);
	c = with("other", 0, CANCEL_THREAD);
	d = with("other", 0, START_THREAD);
	checker_init(&c, NULL);
	checker_init(&d, NULL);
	look(&c, PATH_DOWN);
	checker_put(&c);
	await(1);
	look(&d, PATH_DOWN);
	checker_put(&d);
	reset_checker_classes();
	cleanup_checkers();
	printf("  loaded %d\n", loaded("other"));
	if (write(ends[1], "", 1) != 1)
		exit(2);
	await(2);
	printf("  loaded %d\n", loaded("other"));
}

static void declined(void)
{
	struct checker c;

	part("a path that the checker declines");
	c = with("other", 0, FAIL_INIT);
	printf("  init %d\n", checker_init(&c, NULL));
	/* What libmultipath's callers do then. */
	checker_clear(&c);
	checker_put(&c);
	cleanup_checkers();
	printf("  loaded %d\n", loaded("other"));
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	directory = argv[1];
	setvbuf(stdout, NULL, _IONBF, 0);
	logsink = -1;
	libmp_verbosity = 2;

	states();
	nobody();
	unselected();
	part("start");
	printf("  init_checkers %d\n", init_checkers());
	builtin("directio", argv[2]);
	builtin("tur", argv[2]);
	builtin("readsector0", argv[2]);
	builtin("rdac", argv[2]);
	builtin("emc_clariion", argv[2]);
	builtin("hp_sw", argv[2]);
	builtin("cciss_tur", argv[2]);
	libmp_verbosity = 4;
	messages();
	checks();
	maps();
	names();
	strange();
	threads();
	declined();
	printf("--- end\n");
	_exit(0);
}
