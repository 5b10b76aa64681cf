/* SPDX-License-Identifier: LGPL-2.0-or-later */
/* Values of struct checker's timeout that tell the plugin in plugin.c what to do. */
#define FAIL_INIT 1001
#define FAIL_MP_INIT 1002
#define START_THREAD 1003
#define CANCEL_THREAD 1004

/* The descriptor that the plugin's threads read from. */
#define THREAD_PIPE 77
