/* When which process is traced function by function; see deep.h. */
#include "collect/deep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/log.h"
#include "collect/attach.h"
#include "collect/attach_uprobes.h"
#include "collect/processes.h"
#include "collect/taps.h"

#define SECOND 1000000000ULL
#define CHECK_NS (SECOND / 10)
#define HOLD_NS (10 * SECOND) /* after a call of a route that still needs deep calls */
#define FIRST_NS (60 * SECOND) /* the first calls may take so long */
#define BURST_NS (30 * SECOND) /* taps may be held for new routes so long in any case */
#define SHARE 20 /* and afterwards for one part in so many of the time */
#define DUTY_PERIOD_NS (30 * SECOND)
#define MORE_PART 10 /* a further process needs one deep call where the first needs so many */
#define ROUTES_MAX 65536 /* counted; calls of further ones need none */

/* Taps of a memory image, which forks share. */
struct image {
	uint32_t memory;
	struct taps taps;
	struct python_layout layout;
	size_t users;
	UT_hash_handle hh;
};

/* Processes that do the same work, as far as can be told. */
struct group {
	char exe[sizeof(((struct process *)0)->exe)];
	const struct service_definition *service;
	size_t users;
	size_t busy; /* of them have answered calls */
	size_t holding; /* of these hold taps for the sake of routes */
	struct group *next;
};

struct traced {
	uint32_t serial;
	pid_t pid;
	struct image *image;
	struct group *group;
	struct attach_uprobes *taps;
	bool on, refused;
	bool stepped; /* somebody's breakpoints were single-stepped before ours were set */
	uint64_t check; /* monotonic ns: when to look whether ours are; 0: done */
	uint64_t from; /* monotonic ns: taps hold since */
	const char *reason;
	uint64_t quota; /* deep calls that a route needs */
	uint64_t open_routes; /* that have had fewer */
	uint64_t calls;
	uint64_t began; /* monotonic ns: the end of its first call */
	uint64_t hold; /* monotonic ns: on until then for the routes' sake */
	uint64_t duty; /* and until then for the duty cycle's */
	uint64_t next_duty; /* monotonic ns */
	uint64_t spent; /* ns with taps, by completed spans for new routes */
	uint64_t settled; /* monotonic ns: when its taps were first detached; 0: not yet */
	UT_hash_handle hh;
};

struct route_key {
	uint32_t process, pad;
	uint64_t method, path;
};

struct route {
	struct route_key key;
	uint64_t deep;
	UT_hash_handle hh;
};

struct deep {
	struct session *s;
	struct image *images;
	struct group *groups;
	struct traced *traced;
	struct route *routes;
	uint64_t without; /* processes with a runtime that have no taps */
	bool denied; /* the kernel lets this collector set none */
};

struct deep *deep_new(struct session *s)
{
	struct deep *d = calloc(1, sizeof(*d));

	if (d)
		d->s = s;
	return d;
}

/* ---- taps ---- */

static void image_release(struct deep *d, struct image *image)
{
	if (--image->users)
		return;
	HASH_DEL(d->images, image);
	taps_release(&image->taps);
	free(image);
}

static struct image *image_of(struct deep *d, const struct process *process)
{
	struct image *image;

	HASH_FIND(hh, d->images, &process->memory, sizeof(process->memory), image);
	if (!image) {
		image = calloc(1, sizeof(*image));
		if (!image)
			return NULL;
		image->memory = process->memory;
		image->layout = process->runtime.live;
		if (!taps_find(process->pid, &process->runtime, &image->taps))
			attach_runtime_eval(d->s->attach, image->memory, image->taps.eval_start,
					    image->taps.eval_end);
		HASH_ADD(hh, d->images, memory, sizeof(image->memory), image);
	}
	image->users++;
	return image;
}

static struct group *group_of(struct deep *d, const struct process *process)
{
	struct group *group;

	for (group = d->groups; group; group = group->next)
		if (group->service == process->service && !strcmp(group->exe, process->exe))
			break;
	if (!group) {
		group = calloc(1, sizeof(*group));
		if (!group)
			return NULL;
		snprintf(group->exe, sizeof(group->exe), "%s", process->exe);
		group->service = process->service;
		group->next = d->groups;
		d->groups = group;
	}
	group->users++;
	return group;
}

static void group_release(struct deep *d, struct group *group)
{
	struct group **link = &d->groups;

	if (--group->users)
		return;
	while (*link != group)
		link = &(*link)->next;
	*link = group->next;
	free(group);
}

static void detach(struct traced *t)
{
	attach_uprobes_remove(t->taps);
	t->taps = NULL;
}

static void switch_off(struct deep *d, struct traced *t, uint64_t now)
{
	struct rec_deep rec = {
		.process = t->serial,
		.from = t->from,
		.until = now,
		.reason = session_public(d->s, t->reason),
	};

	if (!t->on)
		return;
	rec.id = bundle_writer_id(d->s->writer, REC_DEEP_KIND);
	bundle_writer_put(d->s->writer, REC_DEEP_KIND, &rec);
	detach(t);
	t->on = false;
	if (strcmp(t->reason, "duty"))
		t->spent += now - t->from;
	if (!t->settled) {
		t->settled = now;
		t->spent = 0;
	}
	log_verbose("process %u: function starts are not traced any more (%s)", t->serial,
		    t->reason);
}

/* A runtime without taps is walked all the same. */
static void without_taps(struct deep *d, uint32_t serial, const char *why)
{
	session_unsupported(d->s, serial, "function starts", why,
			    "its functions are seen on stacks alone");
}

static bool switch_on(struct deep *d, struct traced *t, const char *reason)
{
	struct err err = ERR_INIT;

	if (t->on || t->refused || d->denied)
		return t->on;
	t->stepped = taps_stepped(t->pid);
	t->taps = attach_taps_add(d->s->attach, t->pid, &t->image->taps, &t->image->layout, &err);
	if (!t->taps) {
		d->denied = errno == EACCES || errno == EPERM;
		if (d->denied) {
			d->without++;
			without_taps(
				d, t->serial,
				"the kernel refuses uprobes: run as root or with CAP_SYS_ADMIN");
		} else {
			/* It may have ended. */
			log_verbose("process %u: %s", t->serial, err.text);
		}
		return false;
	}
	t->on = true;
	t->reason = reason;
	t->from = clock_monotonic();
	t->check = t->from + CHECK_NS;
	log_verbose("process %u: function starts are traced (%s)", t->serial, reason);
	return true;
}

/* ---- processes ---- */

/* Deep calls of a route that are needed where `quota` of them were, or are, traced elsewhere. */
static uint64_t quota_of_more(uint64_t quota)
{
	return (quota + MORE_PART - 1) / MORE_PART;
}

void deep_process(struct deep *d, const struct process *process, bool forked, uint64_t since)
{
	uint64_t first = d->s->options->deep;
	struct image *image;
	struct traced *t;

	HASH_FIND(hh, d->traced, &process->serial, sizeof(process->serial), t);
	if (t || (!first && !d->s->options->deep_duty))
		return;
	image = image_of(d, process);
	if (!image)
		return;
	if (!image->taps.count) {
		if (image->users == 1) /* said once for an image */
			without_taps(d, process->serial, image->taps.why);
		d->without++;
		return;
	}
	t = calloc(1, sizeof(*t));
	if (t)
		t->group = group_of(d, process);
	if (!t || !t->group) {
		free(t);
		image_release(d, image);
		return;
	}
	/* Not all at once. */
	t->next_duty = clock_monotonic() + DUTY_PERIOD_NS / 8 * (1 + process->serial % 8);
	t->serial = process->serial;
	t->pid = process->pid;
	t->image = image;
	t->quota = forked ? quota_of_more(first) : first;
	HASH_ADD(hh, d->traced, serial, sizeof(t->serial), t);
	if (!first)
		return;
	if (!switch_on(d, t, forked ? "new-process" : "first-calls"))
		session_gap(d->s, t->serial, since, REC_NULL, "function starts not traced");
	else if (d->s->running || forked)
		session_gap(d->s, t->serial, since, t->from, "function starts not traced yet");
}

void deep_process_missed(struct deep *d, const struct process *process, uint64_t since)
{
	struct image *image;

	HASH_FIND(hh, d->images, &process->memory, sizeof(process->memory), image);
	if (d->s->options->deep && image && image->taps.count)
		session_gap(d->s, process->serial, since, REC_NULL, "function starts not traced");
}

void deep_process_ended(struct deep *d, uint32_t serial)
{
	struct traced *t;

	HASH_FIND(hh, d->traced, &serial, sizeof(serial), t);
	if (!t)
		return;
	switch_off(d, t, clock_monotonic());
	HASH_DEL(d->traced, t);
	image_release(d, t->image);
	group_release(d, t->group);
	free(t);
}

/* ---- calls ---- */

void deep_call(struct deep *d, uint32_t process, uint64_t method, uint64_t path, uint64_t start,
	       uint64_t end)
{
	struct route_key key = { process, 0, method, path };
	struct route *route;
	struct traced *t;
	bool was_open;

	HASH_FIND(hh, d->traced, &process, sizeof(process), t);
	if (!t)
		return;
	if (!t->calls++)
		t->began = end;
	HASH_FIND(hh, d->routes, &key, sizeof(key), route);
	if (!route) {
		if (HASH_COUNT(d->routes) >= ROUTES_MAX || !(route = calloc(1, sizeof(*route))))
			return;
		route->key = key;
		HASH_ADD(hh, d->routes, key, sizeof(route->key), route);
		t->open_routes += route->deep < t->quota;
	}
	was_open = route->deep < t->quota;
	route->deep += t->on && start >= t->from && end >= start;
	if (!was_open)
		return;
	if (route->deep >= t->quota)
		t->open_routes--;
	t->hold = end + HOLD_NS;
}

bool deep_rests(const struct deep *d, uint32_t process)
{
	struct traced *t;

	HASH_FIND(hh, d->traced, &process, sizeof(process), t);
	return t && !t->on && t->quota;
}

void deep_reloaded(struct deep *d, uint32_t process)
{
	struct route *route, *next;
	struct traced *t;

	HASH_FIND(hh, d->traced, &process, sizeof(process), t);
	if (!t || t->on || !t->quota)
		return;
	HASH_ITER(hh, d->routes, route, next) {
		if (route->key.process != process || route->deep < t->quota)
			continue;
		route->deep = t->quota - quota_of_more(t->quota);
		t->open_routes++;
	}
	t->hold = clock_monotonic() + HOLD_NS;
	switch_on(d, t, "new-code");
}

/* ---- time ---- */

/* May taps be held for the sake of routes? */
static bool affordable(const struct traced *t, uint64_t now)
{
	uint64_t spent = t->spent;

	if (!t->settled)
		return now < t->began + FIRST_NS;
	if (t->on)
		spent += now - t->from;
	return spent < BURST_NS + (now - t->settled) / SHARE;
}

/* A service must not be slowed down as a whole: half of its processes hold taps at a time. */
static bool has_room(const struct group *group)
{
	return group->holding < (group->busy > 1 ? group->busy / 2 : 1);
}

/* Another process has the first calls of the routes traced: this one needs less. */
static void give_way(struct deep *d, struct traced *t)
{
	uint64_t quota = quota_of_more(d->s->options->deep);
	struct route *route, *next;

	if (t->quota == quota)
		return;
	t->quota = quota;
	t->open_routes = 0;
	HASH_ITER(hh, d->routes, route, next)
		t->open_routes += route->key.process == t->serial && route->deep < t->quota;
}

/* A tap that is single-stepped would slow the service down beyond measure: none of them is. */
static void check_stepping(struct deep *d, struct traced *t, uint64_t now)
{
	t->check = 0;
	if (t->stepped || !taps_stepped(t->pid))
		return;
	t->refused = true;
	d->without++;
	switch_off(d, t, now);
	without_taps(d, t->serial, "the kernel single-steps an instruction");
}

static void tick(struct deep *d, struct traced *t, uint64_t now)
{
	if (t->on && t->check && now >= t->check)
		check_stepping(d, t, now);
	/* Until the first call comes there is nothing to be done with. */
	bool first = !t->settled && !t->calls && t->quota;
	bool routes = t->open_routes && now < t->hold && affordable(t, now);

	if (routes && !has_room(t->group)) {
		give_way(d, t);
		routes = false;
	}
	t->group->holding += routes;
	if (first || routes) {
		if (!t->on)
			switch_on(d, t, "new-route");
		else if (routes && !strcmp(t->reason, "duty"))
			t->reason = "new-route";
	} else if (now < t->duty) {
		switch_on(d, t, "duty");
	} else {
		switch_off(d, t, now);
	}
}

void deep_tick(struct deep *d, uint64_t now)
{
	uint64_t duty = DUTY_PERIOD_NS / 100 * d->s->options->deep_duty;
	struct traced *t, *next;
	struct group *group;

	for (group = d->groups; group; group = group->next)
		group->busy = group->holding = 0;
	HASH_ITER(hh, d->traced, t, next)
		t->group->busy += t->calls > 0;
	HASH_ITER(hh, d->traced, t, next) {
		if (now >= t->next_duty) {
			t->duty = now + duty;
			t->next_duty = now + DUTY_PERIOD_NS;
		}
		tick(d, t, now);
	}
}

void deep_stop(struct deep *d, uint64_t now)
{
	struct traced *t, *next;

	HASH_ITER(hh, d->traced, t, next)
		switch_off(d, t, now);
}

bool deep_covers(const struct deep *d)
{
	return d->traced && !d->without;
}

bool deep_waits(const struct deep *d)
{
	for (const struct group *group = d->groups; group; group = group->next)
		if (group->holding && group->holding < group->busy)
			return true;
	return false;
}

void deep_free(struct deep *d)
{
	struct route *route, *next_route;
	struct image *image, *next_image;
	struct traced *t;

	if (!d)
		return;
	while ((t = d->traced)) {
		detach(t);
		HASH_DEL(d->traced, t);
		group_release(d, t->group);
		free(t);
	}
	HASH_ITER(hh, d->routes, route, next_route) {
		HASH_DEL(d->routes, route);
		free(route);
	}
	HASH_ITER(hh, d->images, image, next_image) {
		HASH_DEL(d->images, image);
		taps_release(&image->taps);
		free(image);
	}
	free(d);
}
