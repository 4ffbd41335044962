/* When a walk may begin, what it cost, and how it ended. Needs what stacks.bpf.c declares. */
#ifndef DAYLIGHT_BPF_PACE_H
#define DAYLIGHT_BPF_PACE_H

#define WALK_PRICE_MAX 250000 /* ns: the deepest walk, all of it new, takes less */

#define BUDGET_SAVED 10 /* slices: so much that was left over may be spent later */

/* What a walk cost. One that was interrupted for longer tells nothing about its price. */
static __always_inline wire_64 walk_price(struct scratch *s, wire_64 since)
{
	wire_64 spent = bpf_ktime_get_ns() - since, over;

	if (spent > WALK_PRICE_MAX)
		spent = WALK_PRICE_MAX;
	s->budget_spent += spent;
	if (s->budget_spent > config.budget_ns) {
		over = s->budget_spent - config.budget_ns;
		s->budget_saved = s->budget_saved > over ? s->budget_saved - over : 0;
		s->budget_spent = config.budget_ns;
	}
	return spent;
}

static __always_inline bool budget_left(struct scratch *s, wire_64 now, wire_64 limit)
{
	wire_64 past = now - s->budget_start, most = BUDGET_SAVED * config.budget_ns;

	if (past >= config.budget_slice_ns) {
		s->budget_saved += config.budget_ns - s->budget_spent;
		if (past >= BUDGET_SAVED * config.budget_slice_ns || s->budget_saved > most)
			s->budget_saved = most;
		s->budget_start = now;
		s->budget_spent = 0;
	}
	return s->budget_spent < limit;
}

/*
 * The same of walks whose stack would be lost: they may also spend what was saved. A service that
 * is met for the first time shows all its stacks at once, and few new ones later.
 */
static __always_inline bool budget_left_or_saved(struct scratch *s, wire_64 now)
{
	return budget_left(s, now, config.budget_ns) || s->budget_saved;
}

/* CPU time of the current thread, ns; as fresh as the scheduler's last look at it. */
static __always_inline wire_64 cpu_time(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return task->se.sum_exec_runtime;
}

/*
 * May a walk that can be left away begin now? Walks of a thread keep a distance, in its own CPU
 * time, of `pace` times their cost, so that they spread over a call and their share stays bounded;
 * one that sleeps most of the time is walked again after a while.
 * The first few of a context need not wait: one at once, the others by chance, else every short
 * call would show the same beginning.
 */
static __always_inline bool walk_due(struct thread_state *thread)
{
	if (thread->fresh == WALKS_AT_ONCE || cpu_time() >= thread->next_walk ||
	    bpf_ktime_get_ns() - thread->last_walk >= config.pace_wall_ns)
		return true;
	return thread->fresh && !(bpf_get_prandom_u32() & 15);
}

/*
 * The same of samples. They come by a clock, so what one of them had to wait less than its price
 * the next one waits more: their share keeps the bound, and a time without any counts little.
 */
static __always_inline bool sample_due(const struct thread_state *thread)
{
	return cpu_time() >= thread->next_sample;
}

static __always_inline void sample_spent(struct scratch *s, struct thread_state *thread,
					 wire_64 since)
{
	wire_64 now = cpu_time();

	if (thread->next_sample + config.pace_max_ns < now)
		thread->next_sample = now - config.pace_max_ns;
	thread->next_sample += walk_price(s, since) * config.pace_samples;
}

/* Books the time of a walk; returns its price. */
static __always_inline wire_64 walk_spent(struct scratch *s, struct thread_state *thread,
					  wire_64 since)
{
	/* Copies have a pace of their own; no walk shall wait for them. */
	wire_64 spent = walk_price(s, since), copying = s->copying;
	wire_64 wait = spent > copying ? (spent - copying) * config.pace : 0;

	s->copying = 0;
	if (!thread)
		return spent;
	if (thread->fresh)
		thread->fresh--;
	thread->last_walk = bpf_ktime_get_ns();
	thread->next_walk = cpu_time() + (wait < config.pace_max_ns ? wait : config.pace_max_ns);
	return spent;
}

/* Books how a walk ended. */
static __always_inline void walk_book(int result)
{
	if (result == WALK_FOUND)
		COUNT(WALK, DELIVERED);
	else if (result == WALK_NO_FRAMES)
		COUNT(WALK, SKIP_NO_FRAMES);
	else if (result == WALK_OVER_BUDGET)
		COUNT(WALK, LOST_BUDGET);
	else if (result == WALK_AMBIGUOUS)
		COUNT(WALK, LOST_AMBIGUOUS);
	else
		COUNT(WALK, LOST_PARTIAL);
}

#endif
