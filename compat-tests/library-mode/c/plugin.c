/* SPDX-License-Identifier: LGPL-2.0-or-later */
/*
 * A third-party plugin that prints its calls. A check returns the descriptor as the state and the
 * timeout as the message id, unless the timeout is one of the values in plugin.h.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include CHECKERS_H
#include "plugin.h"

struct context {
	struct checker_context ctx;
	pthread_t thread;
	sem_t begun;
	int started;
};

#define TEN(t) t "0", t "1", t "2", t "3", t "4", t "5", t "6", t "7", t "8", t "9"
/* The longest possible table: 100 entries, and no NULL at the end. */
const char *libcheck_msgtable[] = {
	TEN(" text 0"), TEN(" text 1"), TEN(" text 2"), TEN(" text 3"), TEN(" text 4"),
	TEN(" text 5"), TEN(" text 6"), TEN(" text 7"), TEN(" text 8"), TEN(" text 9"),
};

static __attribute__((constructor)) void loaded(void)
{
	printf("other: loaded\n");
}

static __attribute__((destructor)) void unloaded(void)
{
	printf("other: unloaded\n");
}

int libcheck_init(struct checker *c)
{
	struct context *ct;

	printf("other: init, mpcontext %s\n", c->mpcontext ? "there" : "NULL");
	if (c->timeout == FAIL_INIT)
		return 1;
	ct = calloc(1, sizeof(*ct));
	ct->ctx.cls = c->cls;
	sem_init(&ct->begun, 0, 0);
	c->context = ct;
	return 0;
}

int libcheck_mp_init(struct checker *c)
{
	printf("other: mp_init\n");
	if (c->timeout == FAIL_MP_INIT)
		return 1;
	*c->mpcontext = malloc(1);
	return 0;
}

void libcheck_free(struct checker *c)
{
	struct context *ct = c->context;

	printf("other: free\n");
	if (!ct)
		return;
	if (ct->started && c->timeout == CANCEL_THREAD)
		pthread_cancel(ct->thread);
	if (!ct->started)
		free(ct);
	c->context = NULL;
}

void libcheck_reset(void)
{
	printf("other: reset\n");
}

/* Ends the thread after the host has freed the path. */
static void end_thread(void *ctx)
{
	usleep(200000);
	printf("other: thread ends\n");
	free(ctx);
}

void *libcheck_thread(struct checker_context *ctx)
{
	struct context *ct = (struct context *)ctx;
	char byte;

	printf("other: thread\n");
	sem_post(&ct->begun);
	pthread_cleanup_push(end_thread, ctx);
	/* Ended by cancellation or by a byte from the host. */
	if (read(THREAD_PIPE, &byte, 1) == 1)
		printf("other: thread goes on\n");
	pthread_cleanup_pop(1);
	return NULL;
}

int libcheck_check(struct checker *c)
{
	struct context *ct = c->context;

	printf("other: check, %s\n", checker_is_sync(c) ? "sync" : "async");
	if (c->timeout == START_THREAD || c->timeout == CANCEL_THREAD) {
		pthread_attr_t attr;

		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		ct->started = start_checker_thread(&ct->thread, &attr, &ct->ctx) == 0;
		pthread_attr_destroy(&attr);
		if (ct->started)
			sem_wait(&ct->begun);
		return ct->started ? PATH_PENDING : PATH_DOWN;
	}
	c->msgid = c->timeout;
	return c->fd;
}

#ifdef CHECKERS_LAYOUT_C
int libcheck_pending(struct checker *c)
{
	printf("other: pending\n");
	c->msgid = CHECKER_MSGID_UP;
	return PATH_UP;
}

bool libcheck_need_wait(struct checker *c)
{
	(void)c;
	printf("other: need_wait\n");
	return true;
}
#endif
