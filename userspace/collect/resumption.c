/* Reads an interrupted window's own records. */
#include "collect/resumption.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "collect/procfs.h"

#define ID_MAX (1ULL << 62)
#define ID32_MAX (1ULL << 31) /* kinds that the kernel side numbers with 32 bits */
#define KNOWN_MAX 1024 /* probe files and programs; more are put again */
#define TOTALS_MAX 4096 /* (stage, class, cause) */

struct known {
	enum rec_kind kind;
	char *name;
	uint8_t digest[32];
	size_t len;
};

struct total {
	char *stage, *cause;
	uint64_t class, count;
};

struct resumption {
	struct bundle_resume *bundle;
	struct collect_options options;
	char *texts[64]; /* of the targets */
	bool same[64]; /* a pid that names the same process still */
	uint64_t last;
	bool window, ended;
	char host[256], boot_id[64];
	uint64_t planned_end;
	struct known known[KNOWN_MAX];
	size_t known_count;
	struct total totals[TOTALS_MAX];
	size_t totals_count;
};

void resumption_free(struct resumption *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->options.targets_count; i++)
		free(r->texts[i]);
	for (size_t i = 0; i < r->known_count; i++)
		free(r->known[i].name);
	for (size_t i = 0; i < r->totals_count; i++) {
		free(r->totals[i].stage);
		free(r->totals[i].cause);
	}
	bundle_resume_free(r->bundle);
	free(r);
}

const struct collect_options *resumption_options(const struct resumption *r)
{
	return &r->options;
}

struct bundle_resume *resumption_bundle(struct resumption *r)
{
	return r->bundle;
}

uint64_t resumption_last(const struct resumption *r)
{
	return r->last;
}

bool resumption_knows(const struct resumption *r, enum rec_kind kind, const char *name,
		      const uint8_t *digest, size_t len)
{
	for (size_t i = 0; i < r->known_count; i++) {
		const struct known *k = &r->known[i];

		if (k->kind == kind && k->len == len && !memcmp(k->digest, digest, len) &&
		    !strcmp(k->name, name))
			return true;
	}
	return false;
}

static struct total *find_total(struct resumption *r, const char *stage, uint64_t class,
				const char *cause)
{
	for (size_t i = 0; i < r->totals_count; i++)
		if (r->totals[i].class == class && !strcmp(r->totals[i].stage, stage) &&
		    !strcmp(r->totals[i].cause, cause))
			return &r->totals[i];
	return NULL;
}

uint64_t resumption_count(const struct resumption *r, const char *stage, enum loss_class class,
			  const char *cause)
{
	const struct total *t = find_total((struct resumption *)r, stage, class, cause);

	return t ? t->count : 0;
}

uint64_t resumption_lost(const struct resumption *r)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < r->totals_count; i++)
		if (r->totals[i].class == LOSS_LOST)
			lost += r->totals[i].count;
	return lost;
}

/* ---- its records ---- */

static const char *text_of(const struct bundle_reader *reader, uint64_t id)
{
	const struct bundle_string *s = bundle_reader_string(reader, id);

	return s && !s->hidden ? (const char *)s->data : NULL;
}

static void keep_text(const struct bundle_reader *reader, uint64_t id, char *out, size_t size)
{
	const char *text = text_of(reader, id);

	snprintf(out, size, "%s", text ? text : "");
}

static int no_memory(struct resumption *r, struct err *err)
{
	return err_set(err, ERR_INCOMPLETE, "%s: out of memory", r->options.output);
}

/* One of the window's options, as window.c writes them. */
static void take_option(struct resumption *r, const char *text, bool *own_probes)
{
	struct collect_options *o = &r->options;
	unsigned long long n = 0;

	if (sscanf(text, "deep=%llu", &n) == 1)
		o->deep = n;
	else if (sscanf(text, "samples=%llu/s", &n) == 1)
		o->samples = n;
	else if (sscanf(text, "walk-budget=%llu%%", &n) == 1)
		o->walk_budget = n && n <= 100 ? n : COLLECT_WALK_BUDGET; /* it may be altered */
	else if (sscanf(text, "deep-duty=%llu%%", &n) == 1)
		o->deep_duty = n;
	else if (sscanf(text, "syscall-phase=%llums", &n) == 1)
		o->syscall_phase = n * 1000000;
	else if (sscanf(text, "syscall-duty=%llu%%", &n) == 1)
		o->syscall_share = n;
	else if (!strcmp(text, "probes=own"))
		*own_probes = true;
}

static int take_window(struct resumption *r, const struct bundle_reader *reader,
		       const struct rec_window *w, struct err *err)
{
	const char *boundary = text_of(reader, w->boundary_source);
	bool own_probes = false;

	if (r->window)
		return err_set(err, ERR_USAGE, "%s holds more than one window", r->options.output);
	r->window = true;
	r->planned_end = w->planned_end;
	keep_text(reader, w->host, r->host, sizeof(r->host));
	keep_text(reader, w->boot_id, r->boot_id, sizeof(r->boot_id));
	for (uint32_t i = 0; i < w->options.count; i++) {
		const char *text = text_of(reader, w->options.items[i]);

		if (text)
			take_option(r, text, &own_probes);
	}
	r->options.boundary = boundary && !strcmp(boundary, "sys-exit") ? BOUNDARY_SYSCALLS
									: BOUNDARY_TRACEPOINTS;
	if (own_probes != (r->options.probes != NULL))
		return err_set(err, ERR_USAGE,
			       own_probes ? "%s used probe files of its own: give --probes DIR"
					  : "%s used the built-in probe files: leave out --probes",
			       r->options.output);
	return 0;
}

static int take_target(struct resumption *r, const struct bundle_reader *reader,
		       const struct rec_target *t, struct err *err)
{
	const char *how = text_of(reader, t->how), *value = text_of(reader, t->value);
	struct collect_options *o = &r->options;
	struct collect_target *target = &o->targets[o->targets_count];
	enum collect_how number = COLLECT_PID;

	while (how && number < COLLECT_COMMAND && strcmp(how, collect_how_name(number)))
		number++;
	if (!how || !value || strcmp(how, collect_how_name(number)) ||
	    o->targets_count == sizeof(o->targets) / sizeof(o->targets[0]))
		return err_set(err, ERR_USAGE, "%s: its targets cannot be read", o->output);
	if (number == COLLECT_COMMAND)
		return err_set(err, ERR_USAGE,
			       "%s is of a command, which is not started again: begin a new window",
			       o->output);
	r->texts[o->targets_count] = strdup(value);
	if (!r->texts[o->targets_count])
		return no_memory(r, err);
	*target = (struct collect_target){ number, r->texts[o->targets_count],
					   strtoull(value, NULL, 10) };
	o->targets_count++;
	return 0;
}

static int take_known(struct resumption *r, const struct bundle_reader *reader, enum rec_kind kind,
		      uint64_t name, uint64_t digest, struct err *err)
{
	const struct bundle_string *d = bundle_reader_string(reader, digest);
	const char *text = text_of(reader, name);
	struct known *k = &r->known[r->known_count];

	if (!text || !d || d->hidden || d->len > sizeof(k->digest) || r->known_count == KNOWN_MAX)
		return 0;
	k->kind = kind;
	k->len = d->len;
	memcpy(k->digest, d->data, d->len);
	k->name = strdup(text);
	if (!k->name)
		return no_memory(r, err);
	r->known_count++;
	return 0;
}

static int take_loss(struct resumption *r, const struct bundle_reader *reader,
		     const struct rec_loss *l, struct err *err)
{
	const char *stage = text_of(reader, l->stage), *cause = text_of(reader, l->cause);
	struct total *t;

	if (!stage || !cause || l->count == REC_NULL)
		return 0;
	t = find_total(r, stage, l->class, cause);
	if (t) {
		t->count = l->count;
		return 0;
	}
	t = &r->totals[r->totals_count];
	if (r->totals_count == TOTALS_MAX)
		return err_set(err, ERR_USAGE, "%s: its ledger has too many lines",
			       r->options.output);
	*t = (struct total){ strdup(stage), strdup(cause), l->class, l->count };
	r->totals_count++;
	return t->stage && t->cause ? 0 : no_memory(r, err);
}

/* A pid names the same process still when the bundle knows it with this start. */
static void take_process(struct resumption *r, const struct rec_process *p)
{
	for (size_t i = 0; i < r->options.targets_count; i++) {
		const struct collect_target *t = &r->options.targets[i];
		struct procfs_stat st;

		if (t->how == COLLECT_PID && t->number == p->pid &&
		    !procfs_stat((pid_t)p->pid, &st) && st.start == p->start)
			r->same[i] = true;
	}
}

static int take_record(void *ctx, const struct bundle_reader *reader,
		       const struct bundle_record *record, struct err *err)
{
	const union rec_any *rec = record->rec;
	struct resumption *r = ctx;

	switch (record->kind) {
	case REC_WINDOW_KIND:
		return take_window(r, reader, &rec->window, err);
	case REC_WINDOW_END_KIND:
		r->ended = true;
		return 0;
	case REC_CLOCK_KIND:
		if (rec->clock.monotonic != REC_NULL)
			r->last = rec->clock.monotonic;
		return 0;
	case REC_TARGET_KIND:
		return take_target(r, reader, &rec->target, err);
	case REC_PROBE_KIND:
		return take_known(r, reader, REC_PROBE_KIND, rec->probe.name, rec->probe.sha256,
				  err);
	case REC_PROGRAM_KIND:
		return take_known(r, reader, REC_PROGRAM_KIND, rec->program.name, rec->program.tag,
				  err);
	case REC_LOSS_KIND:
		return take_loss(r, reader, &rec->loss, err);
	case REC_PROCESS_KIND:
		take_process(r, &rec->process);
		return 0;
	default:
		return 0;
	}
}

/* ---- may it be gone on with? ---- */

static int check_host(const struct resumption *r, struct err *err)
{
	cleanup_fclose FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	struct utsname names;
	char boot_id[64] = "";

	if (!f || !fgets(boot_id, sizeof(boot_id), f) || uname(&names))
		return err_set(err, ERR_MACHINE, "this host's boot id cannot be read");
	boot_id[strcspn(boot_id, "\n")] = '\0';
	if (strcmp(names.nodename, r->host))
		return err_set(err, ERR_USAGE, "%s is of another host (%s): begin a new window",
			       r->options.output, r->host);
	if (strcmp(boot_id, r->boot_id))
		return err_set(err, ERR_USAGE,
			       "%s is of another boot of this host: begin a new window",
			       r->options.output);
	return 0;
}

/*
 * The counters were read one after the other while they ran. What was attempted and had no outcome
 * yet falls into the gap, so that the sums of the whole window add up.
 */
static void settle_totals(struct resumption *r)
{
	for (size_t i = 0; i < r->totals_count; i++) {
		struct total *t = &r->totals[i];

		if (t->class != LOSS_ATTEMPTED)
			continue;
		t->count = 0;
		for (size_t n = 0; n < r->totals_count; n++)
			if (r->totals[n].class != LOSS_ATTEMPTED &&
			    !strcmp(r->totals[n].stage, t->stage))
				t->count += r->totals[n].count;
	}
}

/* Targets that were pids: only those that are the same processes still. */
static int keep_pids(struct resumption *r, struct err *err)
{
	struct collect_options *o = &r->options;
	size_t kept = 0;

	for (size_t i = 0; i < o->targets_count; i++) {
		if (o->targets[i].how == COLLECT_PID && !r->same[i]) {
			free(r->texts[i]);
			continue;
		}
		o->targets[kept] = o->targets[i];
		r->texts[kept++] = r->texts[i];
	}
	o->targets_count = kept;
	return kept ? 0
		    : err_set(err, ERR_USAGE, "%s: none of its targets is there any more",
			      o->output);
}

static int check_ids(const struct resumption *r, struct err *err)
{
	const uint64_t *ids = r->bundle->ids;
	bool bad = ids[REC_PROCESS_KIND] > ID32_MAX || ids[REC_STACK_KIND] > ID32_MAX;

	for (size_t i = 0; i < REC_KIND_COUNT; i++)
		bad |= ids[i] > ID_MAX;
	return bad ? err_set(err, ERR_USAGE, "%s: its ids are used up: begin a new window",
			     r->options.output)
		   : 0;
}

static int check(struct resumption *r, struct err *err)
{
	struct clock_triple now;
	char text[CLOCK_TEXT];

	if (!r->window)
		return err_set(err, ERR_USAGE, "%s has no window record: begin a new window",
			       r->options.output);
	if (r->ended)
		return err_set(err, ERR_USAGE,
			       "%s: its window has ended in order; only the seal "
			       "is missing",
			       r->options.output);
	clock_read(&now);
	if (r->planned_end != REC_NULL && r->planned_end <= now.realtime) {
		clock_format(r->planned_end, text);
		return err_set(err, ERR_USAGE, "%s: its window was to end at %s, which is over",
			       r->options.output, text);
	}
	settle_totals(r);
	if (r->bundle->is_signed && !r->options.sign)
		return err_set(
			err, ERR_USAGE,
			"%s is to be signed: give --sign with the key that it was begun with",
			r->options.output);
	r->options.until = r->planned_end == REC_NULL ? 0 : r->planned_end;
	return check_host(r, err) || check_ids(r, err) || keep_pids(r, err) ? -1 : 0;
}

struct resumption *resumption_open(const struct collect_options *asked, struct err *err)
{
	struct resumption *r = calloc(1, sizeof(*r));

	if (!r) {
		err_set(err, ERR_INCOMPLETE, "%s: out of memory", asked->resume);
		return NULL;
	}
	collect_options_init(&r->options);
	r->options.resume = r->options.output = asked->resume;
	r->options.probes = asked->probes;
	r->options.status_fd = asked->status_fd;
	r->options.quiet = asked->quiet;
	r->options.sign = asked->sign;
	r->bundle = bundle_resume_open(asked->resume, err);
	if (!r->bundle || bundle_resume_read(r->bundle, take_record, r, err) || check(r, err)) {
		resumption_free(r);
		return NULL;
	}
	return r;
}
