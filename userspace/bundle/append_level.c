/* The compression level by load. */
#include "bundle/append_level.h"

#include <time.h>

/* Each costs about twice as much as the one before. */
static const int levels[] = { 1, 3, 6, 9, 12, 16, 19 };

#define LEVELS (sizeof(levels) / sizeof(levels[0]))
#define STEP_DEFAULT 1
#define STEP_LARGE 3 /* the highest for large frames: the first one must not take long */
#define LARGE 65536
#define STALL_SHARE 10 /* more than 1/10 of a core: back to the default */
#define DOWN_SHARE 100 /* more than 1/100: a lower level */
#define UP_SHARE 400 /* less than 1/400: a higher one */

static uint64_t level_cpu(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void append_level_init(struct append_level *l, int level)
{
	*l = (struct append_level){ .fixed = level, .step = STEP_DEFAULT };
}

int append_level_start(struct append_level *l, size_t bytes)
{
	l->began = level_cpu();
	if (l->fixed)
		return l->fixed;
	return levels[bytes > LARGE && l->step > STEP_LARGE ? STEP_LARGE : l->step];
}

void append_level_adapt(struct append_level *l, uint64_t opened, size_t queued, size_t queue_max)
{
	uint64_t spent = level_cpu() - l->began, span = opened - l->opened;
	bool first = !l->opened;

	l->opened = opened;
	if (first)
		return;
	if (queued > queue_max / 4)
		l->step = 0;
	else if (spent > span / STALL_SHARE && l->step > STEP_DEFAULT)
		l->step = STEP_DEFAULT;
	else if (spent > span / DOWN_SHARE && l->step)
		l->step--;
	else if (spent < span / UP_SHARE && l->step + 1 < LEVELS)
		l->step++;
}
