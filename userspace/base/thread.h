/* Worker threads: all signals are the main thread's. */
#ifndef DAYLIGHT_BASE_THREAD_H
#define DAYLIGHT_BASE_THREAD_H

#include <pthread.h>

/*
 * Starts a thread that no signal reaches; for it, a file size limit is an error of write(2), not a
 * death. Returns 0 or an errno value, as pthread_create(3).
 */
int thread_start(pthread_t *thread, void *(*run)(void *), void *arg);

#endif
