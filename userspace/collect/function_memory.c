/* Reads the code objects of Python functions: a thread of its own, and once more at the end. */
#include "collect/function_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/thread.h"
#include "catalog/catalog.h"
#include "collect/processes.h"
#include "collect/procfs.h"
#include "collect/pycode.h"

#define ITEMS_MAX 131072
#define SETTLE_NS 3000000000ULL /* at the end, for what is not read yet */
#define AGAIN_NS 3000000000ULL /* for all second readings */
#define PARENTS_MAX 16
#define TRIES 8 /* to find an image's types */

/* A memory image: what its interpreter's objects are is found by the thread. */
struct image {
	uint32_t memory;
	char library[512];
	struct python_layout layout;
	uint64_t since;
	/* By the thread: */
	int tries;
	bool found;
	int optimize;
	struct pymemory_types types;
	struct image *next;
};

struct entry {
	struct function_item item; /* the texts lie behind the entry */
	struct image *image;
	pid_t pid;
	const char *why; /* not to be read; NULL: it is */
	struct function_reading reading;
	bool done;
};

struct function_memory {
	struct session *s;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	/* Guarded by lock: */
	struct entry **entries;
	size_t count, cap, next, finished;
	bool stop;
	/* The session's thread alone: */
	struct image *images;
	bool passed_over; /* nothing more was taken */
	struct function_reading *readings;
	size_t readings_count, readings_cap;
};

/* ---- reading ---- */

/* The first processes of an image may end before they are looked at. */
static void look_at_image(struct image *image, pid_t pid)
{
	uint32_t level = 0;

	if (image->found || image->tries++ == TRIES)
		return;
	image->optimize = -1;
	image->found = !pymemory_types(pid, image->library, &image->types);
	if (image->found && !procfs_memory(pid, image->types.optimize, &level, sizeof(level)) &&
	    level < 3)
		image->optimize = (int)level;
}

static void begin_reading(const struct entry *e, uint32_t process, struct function_reading *out)
{
	*out = (struct function_reading){
		.module = e->item.module,
		.function = e->item.function,
		.process = process,
		.item = &e->item,
		.when = clock_monotonic(),
	};
}

static void read_entry(const struct entry *e, pid_t pid, uint32_t process,
		       struct function_reading *out)
{
	begin_reading(e, process, out);
	out->why = e->why;
	if (!out->why)
		out->why = pymemory_supported(&e->image->layout);
	if (!out->why && !e->image->found)
		out->why = "no-types";
	if (!out->why)
		out->why = pymemory_read(pid, &e->image->layout, &e->image->types, e->item.address,
					 &e->item.expected, out->digest);
}

static void *work(void *arg)
{
	struct function_memory *f = arg;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		struct entry *e;

		while (f->next == f->count && !f->stop)
			pthread_cond_wait(&f->work, &f->lock);
		if (f->stop)
			break;
		e = f->entries[f->next++];
		pthread_mutex_unlock(&f->lock);
		look_at_image(e->image, e->pid);
		e->item.optimize = e->image->optimize;
		read_entry(e, e->pid, e->item.process, &e->reading);
		pthread_mutex_lock(&f->lock);
		e->done = true;
		f->finished++;
		if (f->finished == f->count)
			pthread_cond_broadcast(&f->idle);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

struct function_memory *function_memory_new(struct session *s, struct err *err)
{
	struct function_memory *f = calloc(1, sizeof(*f));

	if (!f) {
		err_set(err, ERR_INTERNAL, "out of memory");
		return NULL;
	}
	f->s = s;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->work, NULL);
	pthread_cond_init(&f->idle, NULL);
	f->running = !thread_start(&f->thread, work, f);
	if (!f->running) {
		err_set(err, ERR_INTERNAL, "the thread that reads code cannot be started");
		function_memory_free(f);
		return NULL;
	}
	return f;
}

static void end_thread(struct function_memory *f)
{
	if (!f->running)
		return;
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_signal(&f->work);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	f->running = false;
}

void function_memory_free(struct function_memory *f)
{
	struct image *image, *next;

	if (!f)
		return;
	end_thread(f);
	for (size_t i = 0; i < f->count; i++)
		free(f->entries[i]);
	free(f->entries);
	for (image = f->images; image; image = next) {
		next = image->next;
		free(image);
	}
	free(f->readings);
	free(f);
}

/* ---- taking ---- */

/*
 * A process that was there before the window may share the code of a parent, which may be of the
 * same program and older: then that one's start counts.
 */
static uint64_t oldest_start(const struct session *s, const struct process *p)
{
	uint64_t since = p->image;
	struct procfs_stat st, parent;
	char own[512], exe[512];

	if (procfs_link(p->pid, "exe", own, sizeof(own)) || procfs_stat(p->pid, &st))
		return since;
	for (int i = 0; i < PARENTS_MAX && st.parent > 1; i++) {
		uint64_t start;

		if (procfs_stat(st.parent, &parent) ||
		    procfs_link(st.parent, "exe", exe, sizeof(exe)) || strcmp(own, exe) != 0)
			break;
		start = session_realtime_of_boot(s, parent.start);
		if (start < since)
			since = start;
		st = parent;
	}
	return since;
}

static struct image *image_of(struct function_memory *f, const struct process *p)
{
	struct image *image = f->images;

	while (image && image->memory != p->memory)
		image = image->next;
	if (image)
		return image;
	image = calloc(1, sizeof(*image));
	if (!image)
		return NULL;
	image->memory = p->memory;
	image->layout = p->runtime.live;
	image->since = oldest_start(f->s, p);
	snprintf(image->library, sizeof(image->library), "%s", p->runtime.library);
	image->next = f->images;
	f->images = image;
	return image;
}

/* A text of the event as UTF-8; returns its length. out has room for 4 bytes for each byte. */
static size_t utf8_of(const struct wire_text *is, const uint8_t *data, size_t max, uint8_t *out)
{
	size_t len = 0, bytes = is->bytes < max ? is->bytes : max;

	for (size_t i = 0; is->kind && i + is->kind <= bytes; i += is->kind) {
		uint32_t c = 0;

		memcpy(&c, data + i, is->kind <= 4 ? is->kind : 4);
		len += pycode_utf8(out + len, c);
	}
	return len;
}

static struct entry *entry_new(const struct wire_code *code)
{
	static const size_t room =
		4 * ((size_t)WIRE_FILENAME + (size_t)WIRE_QUALNAME + (size_t)WIRE_NAME);
	struct entry *e = calloc(1, sizeof(*e) + room), *fitted;
	struct pymemory_expected *x;
	uint8_t *text;
	size_t used;

	if (!e)
		return NULL;
	x = &e->item.expected;
	text = (uint8_t *)(e + 1);
	x->filename_len = utf8_of(&code->filename_is, code->filename, WIRE_FILENAME, text);
	used = x->filename_len;
	x->name_len = utf8_of(&code->name_is, code->name, WIRE_NAME, text + used);
	used += x->name_len;
	e->item.qualname_len =
		utf8_of(&code->qualname_is, code->qualname, WIRE_QUALNAME, text + used);
	used += e->item.qualname_len;
	fitted = realloc(e, sizeof(*e) + used + 1);
	if (fitted)
		e = fitted;
	x = &e->item.expected;
	x->filename = (const char *)(e + 1);
	x->name = x->filename + x->filename_len;
	if (code->qualname_is.kind)
		e->item.qualname = x->name + x->name_len;
	x->filename_cut = code->filename_is.cut;
	x->name_cut = code->name_is.cut;
	e->item.qualname_cut = code->qualname_is.cut;
	x->line = code->line;
	return e;
}

static int append(struct function_memory *f, struct entry *e)
{
	if (f->count == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 1024;
		struct entry **grown = realloc(f->entries, cap * sizeof(*grown));

		if (!grown)
			return -1;
		f->entries = grown;
		f->cap = cap;
	}
	f->entries[f->count++] = e;
	pthread_cond_signal(&f->work);
	return 0;
}

void function_memory_add(struct function_memory *f, const struct process *p, uint64_t module,
			 uint64_t function, const struct wire_code *code)
{
	struct image *image = p->layout && p->runtime.live.name ? image_of(f, p) : NULL;
	struct entry *e = image && f->count < ITEMS_MAX ? entry_new(code) : NULL;
	int ret = -1;

	if (e) {
		e->image = image;
		e->pid = p->pid;
		e->item.module = module;
		e->item.function = function;
		e->item.process = p->serial;
		e->item.image = p->memory;
		e->item.address = code->address;
		e->item.since = image->since;
		e->item.magic = image->layout.pyc_magic;
		e->item.optimize = -1;
		/* Where it would lie is not certain: the process may have changed its folder. */
		if (e->item.expected.filename[0] != '/')
			e->why = "relative-path";
		pthread_mutex_lock(&f->lock);
		ret = append(f, e);
		pthread_mutex_unlock(&f->lock);
	}
	if (ret) {
		free(e);
		f->passed_over = true;
	}
}

/* ---- the end of the window ---- */

static void keep(struct function_memory *f, const struct function_reading *r)
{
	if (f->readings_count == f->readings_cap) {
		size_t cap = f->readings_cap ? 2 * f->readings_cap : 1024;
		struct function_reading *grown = realloc(f->readings, cap * sizeof(*grown));

		if (!grown)
			return;
		f->readings = grown;
		f->readings_cap = cap;
	}
	f->readings[f->readings_count++] = *r;
}

static void wait_idle(struct function_memory *f)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(SETTLE_NS / 1000000000ULL);
	pthread_mutex_lock(&f->lock);
	while (f->finished < f->count &&
	       pthread_cond_timedwait(&f->idle, &f->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&f->lock);
}

struct again {
	struct function_memory *f;
	uint64_t deadline;
};

/*
 * Does a second reading say more than the first one? What has gone since was there before. A fork
 * may have other code than its parent, so each process that did work has its own record.
 */
static bool is_new(const struct function_reading *first, const struct function_reading *r,
		   const struct process *p)
{
	if (r->why)
		return strcmp(r->why, "gone") != 0;
	return p->worked || first->why || memcmp(first->digest, r->digest, DIGEST_SIZE) != 0;
}

static void again_one(void *ctx, struct process *p)
{
	struct again *a = ctx;
	struct function_memory *f = a->f;

	for (size_t i = 0; i < f->count; i++) {
		const struct entry *e = f->entries[i];
		struct function_reading r;

		if (e->item.image != p->memory || !e->done || e->why || !e->image->found)
			continue;
		if (clock_monotonic() >= a->deadline) {
			session_gap(f->s, p->serial, clock_monotonic(), clock_monotonic(),
				    GAP_MEMORY "not read again at the end");
			return;
		}
		read_entry(e, p->pid, p->serial, &r);
		if (is_new(&e->reading, &r, p))
			keep(f, &r);
	}
}

void function_memory_look_again(struct function_memory *f, bool thorough)
{
	struct again a = { .f = f };

	if (thorough)
		wait_idle(f);
	end_thread(f);
	for (size_t i = 0; i < f->count; i++) {
		struct entry *e = f->entries[i];

		if (!e->done) {
			begin_reading(e, e->item.process, &e->reading);
			e->reading.why = "not-read";
		}
		keep(f, &e->reading);
	}
	a.deadline = clock_monotonic() + AGAIN_NS;
	if (thorough)
		processes_each(f->s->processes, again_one, &a);
}

void function_memory_finish(struct function_memory *f, struct module_files *files, bool thorough)
{
	uint64_t now = clock_monotonic();

	/* At a point in time: what was watched is not less for it. */
	if (f->passed_over)
		session_gap(f->s, REC_NULL, now, now, GAP_MEMORY "not all functions read");
	function_compare(f->s, files, f->readings, f->readings_count, thorough);
}
