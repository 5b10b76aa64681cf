/* What the timeout of a path tells the checker in other.c. */
#define FAIL_INIT 1001
#define FAIL_MP_INIT 1002
#define START_THREAD 1003
#define CANCEL_THREAD 1004

/* The descriptor that its threads read from. */
#define THREAD_PIPE 77
