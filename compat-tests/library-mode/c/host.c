/* SPDX-License-Identifier: LGPL-2.0-or-later */
/*
 * Calls every function that a host can call, and prints a transcript. It is linked with the libmultipath
 * of a release, with one that has libcheckers.a inside, and (STANDALONE) with libcheckers.a alone; the
 * transcripts are compared.
 *
 * usage: host PLUGIN-DIRECTORY FILE
 */
#include "transcript.h"
#include <fcntl.h>
#include <sys/wait.h>
#include "plugin.h"

static void states(void)
{
	int i;

	print_section("names of states");
	for (i = -1; i <= 12; i++)
		printf("  %d %s\n", i, checker_state_name(i));
}

static void no_checker(void)
{
	struct checker c;

	print_section("without a checker");
	print_checker(NULL);
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
	print_checker(&c);
	checker_get(&c, "");
	checker_get(&c, NULL);
	print_checker(&c);
	printf("  init %d\n", checker_init(&c, NULL));
	c.disable = 1;
	check(&c, PATH_UP);
	checker_put(&c);
	printf("  fd %d\n", c.fd);
}

/* In a child: checker_check of some releases ends the process. */
static void unselected(void)
{
	struct checker c;
	int status;
	pid_t child;

	print_section("a check of a path for which no checker was selected");
	checker_clear(&c);
	printf("  selected %d, of NULL %d\n", checker_selected(&c), checker_selected(NULL));
#ifdef CHECKERS_LAYOUT_C
	c.path_state = PATH_UP;
#endif
	child = fork();
	if (child == 0) {
		check(&c, PATH_UP);
		checker_set_fd(&c, 0);
		check(&c, PATH_UP);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		exit(2);
	printf("  ends with %s\n", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "no signal");
}

static void messages(void)
{
	static const short ids[] = { -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 99, 100, 101, 199, 200, 32767 };
	struct checker c;
	unsigned int i;

	print_section("messages");
	c = select_checker("other", PATH_UP, 0);
	checker_init(&c, NULL);
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		c.timeout = (unsigned short)ids[i];
		check(&c, PATH_DOWN);
	}
	checker_clear_message(&c);
	print_checker(&c);
	checker_put(&c);
}

static void checks(void)
{
	struct checker c, d;

	print_section("checks");
	c = select_checker("other", PATH_GHOST, CHECKER_MSGID_GHOST);
	d = select_checker("other", PATH_SHAKY, 100);
	printf("  init %d %d\n", checker_init(&c, NULL), checker_init(&d, NULL));
	checker_set_async(&c);
	print_checker(&d);
	check(&c, PATH_DOWN);
	check(&d, PATH_DOWN);
	checker_disable(&c);
	print_checker(&c);
	check(&c, PATH_DOWN);
	checker_enable(&c);
	check(&c, PATH_DOWN);
	checker_set_sync(&d);
	print_checker(&c);
	checker_set_fd(&c, -1);
	check(&c, PATH_DOWN);
	checker_set_fd(&c, PATH_PENDING);
	check(&c, PATH_DOWN);
	checker_disable(&d);
	checker_set_fd(&d, PATH_PENDING);
	check(&d, PATH_DOWN);
	checker_put(&c);
	checker_put(&d);
	print_checker(&d);
}

static void map_data(void)
{
	struct checker c;
	void *map = NULL;

	print_section("what a map shares");
	c = select_checker("other", PATH_UP, 0);
	printf("  init %d", checker_init(&c, &map));
	printf(", mpcontext %d, map %d\n", c.mpcontext == &map, map != NULL);
	checker_put(&c);
	c = select_checker("other", PATH_UP, 0);
	printf("  init %d\n", checker_init(&c, &map));
	checker_put(&c);
	free(map);
	map = NULL;
	c = select_checker("other", PATH_UP, FAIL_MP_INIT);
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

	print_section("names");
	c = select_checker("none", -1, 0);
	printf("  init %d\n", checker_init(&c, NULL));
	check(&c, PATH_DELAYED);
	checker_put(&c);
	c = select_checker("nonesuch", -1, 0);
	check(&c, PATH_UP);
	checker_put(&c);
	c = select_checker("absent", -1, 0);
	checker_put(&c);
	c = select_checker("broken", -1, 0);
	checker_put(&c);
	c = select_checker("text", -1, 0);
	checker_put(&c);
	c = select_checker("other-fifteen-b-and-more", PATH_UP, 4);
	d = select_checker("other-fifteen-b-and-more", PATH_UP, 4);
	printf("  one class %d\n", c.cls == d.cls);
	printf("  init %d\n", checker_init(&c, NULL));
	check(&c, PATH_DOWN);
	checker_put(&c);
	checker_put(&d);
}

static void unnamed_state(void)
{
	struct checker c;

	print_section("a state that has no name");
	c = select_checker("other", 42, 4);
	checker_init(&c, NULL);
	check(&c, PATH_DOWN);
	checker_put(&c);
}

static void builtin(const char *name, const char *file)
{
	struct checker c;
	int fd = open(file, O_RDONLY);

	print_section(name);
	c = select_checker(name, fd, 30);
	printf("  init %d\n", checker_init(&c, NULL));
	checker_set_sync(&c);
	check(&c, PATH_DOWN);
	c.msgid = 100;
	print_checker(&c);
	checker_put(&c);
	close(fd);
}

static void threads(void)
{
	struct checker c, d;
	int ends[2];

	print_section("threads");
	if (pipe(ends) || dup2(ends[0], THREAD_PIPE) < 0)
		exit(2);
	c = select_checker("other", 0, CANCEL_THREAD);
	d = select_checker("other", 0, START_THREAD);
	checker_init(&c, NULL);
	checker_init(&d, NULL);
	check(&c, PATH_DOWN);
	checker_put(&c);
	wait_for_threads(1);
	check(&d, PATH_DOWN);
	checker_put(&d);
	reset_checker_classes();
	cleanup_checkers();
	printf("  loaded %d\n", is_loaded("other"));
	if (write(ends[1], "", 1) != 1)
		exit(2);
	wait_for_threads(2);
	printf("  loaded %d\n", is_loaded("other"));
}

static void declined(void)
{
	struct checker c;

	print_section("a path that the checker declines");
	c = select_checker("other", 0, FAIL_INIT);
	printf("  init %d\n", checker_init(&c, NULL));
	/* libmultipath's callers do the same. */
	checker_clear(&c);
	checker_put(&c);
	cleanup_checkers();
	printf("  loaded %d\n", is_loaded("other"));
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	plugin_directory = argv[1];
	setvbuf(stdout, NULL, _IONBF, 0);
	logsink = -1;
	libmp_verbosity = 2;

	states();
	no_checker();
	unselected();
	print_section("start");
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
	map_data();
	names();
	unnamed_state();
	threads();
	declined();
	printf("--- end\n");
	_exit(0);
}
