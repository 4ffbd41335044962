/* The records that frame a window. */
#include "collect/window.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <uthash.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "collect/attach.h"
#include "collect/calls.h"
#include "collect/modules.h"
#include "collect/patches.h"
#include "collect/resumption.h"
#include "collect/sightings.h"
#include "collect/targets.h"
#include "collect/unwind.h"

/* SHA-256 of the running program. */
static uint64_t own_digest(struct session *s)
{
	cleanup_fclose FILE *f = fopen("/proc/self/exe", "rbe");
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char digest[32];
	uint64_t id = REC_NULL;
	char part[65536];
	size_t n;

	if (f && md && EVP_DigestInit_ex(md, EVP_sha256(), NULL)) {
		while ((n = fread(part, 1, sizeof(part), f)) > 0)
			EVP_DigestUpdate(md, part, n);
		if (!ferror(f) && EVP_DigestFinal_ex(md, digest, NULL))
			id = bundle_writer_string(s->writer, digest, sizeof(digest), STRING_PUBLIC);
	}
	EVP_MD_CTX_free(md);
	return id;
}

static uint64_t boot_id(struct session *s)
{
	cleanup_fclose FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	char text[64] = "";

	if (!f || !fgets(text, sizeof(text), f))
		return REC_NULL;
	text[strcspn(text, "\n")] = '\0';
	return session_private(s, text);
}

static uint32_t describe_options(struct session *s, uint64_t *out)
{
	const struct collect_options *o = s->options;
	char text[128];
	uint32_t n = 0;

	snprintf(text, sizeof(text), "deep=%llu", (unsigned long long)o->deep);
	out[n++] = session_public(s, text);
	snprintf(text, sizeof(text), "deep-duty=%llu%%", (unsigned long long)o->deep_duty);
	out[n++] = session_public(s, text);
	snprintf(text, sizeof(text), "samples=%llu/s", (unsigned long long)o->samples);
	out[n++] = session_public(s, text);
	snprintf(text, sizeof(text), "walk-budget=%llu%%", (unsigned long long)o->walk_budget);
	out[n++] = session_public(s, text);
	if (o->syscall_phase != COLLECT_AUTO) {
		snprintf(text, sizeof(text), "syscall-phase=%llums",
			 (unsigned long long)o->syscall_phase / 1000000);
		out[n++] = session_public(s, text);
	}
	if (o->syscall_share != COLLECT_AUTO) {
		snprintf(text, sizeof(text), "syscall-duty=%llu%%",
			 (unsigned long long)o->syscall_share);
		out[n++] = session_public(s, text);
	}
	if (o->duration) {
		snprintf(text, sizeof(text), "duration=%llums",
			 (unsigned long long)o->duration / 1000000);
		out[n++] = session_public(s, text);
	}
	if (o->probes)
		out[n++] = session_public(s, "probes=own");
	return n;
}

static void put_window(struct session *s)
{
	const struct collect_options *o = s->options;
	uint64_t options[8];
	uint32_t options_count = describe_options(s, options);
	uint8_t id[16] = { 0 };
	struct utsname names;
	struct rec_window rec = { .id = bundle_writer_id(s->writer, REC_WINDOW_KIND) };

	if (getrandom(id, sizeof(id), 0) != sizeof(id) || uname(&names))
		memset(&names, 0, sizeof(names));
	rec.window = bundle_writer_string(s->writer, id, sizeof(id), STRING_PUBLIC);
	rec.challenge = o->challenge_len ? bundle_writer_string(s->writer, o->challenge,
								o->challenge_len, STRING_PUBLIC)
					 : REC_NULL;
	rec.monotonic = s->start.monotonic;
	rec.boottime = s->start.boottime;
	rec.realtime = s->start.realtime;
	rec.synced = s->start.synced;
	rec.start_reason = session_public(s, "asked");
	rec.host = session_private(s, names.nodename);
	rec.kernel = session_public(s, names.release);
	rec.boot_id = boot_id(s);
	rec.arch = session_public(s, names.machine);
	rec.version = session_public(s, DAYLIGHT_VERSION);
	rec.exe_sha256 = own_digest(s);
	rec.options = (struct rec_list){ options, options_count };
	rec.boundary_source = session_public(
		s, attach_uses_tracepoints(s->attach) ? "socket-tracepoints" : "sys-exit");
	rec.planned_end = o->until	? o->until
			  : o->duration ? s->start.realtime + o->duration
					: REC_NULL;
	bundle_writer_put(s->writer, REC_WINDOW_KIND, &rec);
	targets_records(s);
}

/* Nothing is known of the time since the last clock record that is on disk. */
static void put_resume(struct session *s)
{
	const struct bundle_resume *bundle = resumption_bundle(s->resumption);
	struct rec_resume rec = {
		.id = bundle_writer_id(s->writer, REC_RESUME_KIND),
		.monotonic = s->start.monotonic,
		.boottime = s->start.boottime,
		.realtime = s->start.realtime,
		.synced = s->start.synced,
		.last = resumption_last(s->resumption),
		.links = bundle->links,
		.cut = bundle->cut,
		.version = session_public(s, DAYLIGHT_VERSION),
		.exe_sha256 = own_digest(s),
	};

	bundle_writer_put(s->writer, REC_RESUME_KIND, &rec);
	session_gap(s, REC_NULL, rec.last, s->start.monotonic, "interrupted: nothing was watched");
}

void window_begin(struct session *s)
{
	if (s->resumption)
		put_resume(s);
	else
		put_window(s);
	for (size_t i = 0; i < catalog_files_count(s->catalog); i++) {
		const struct catalog_file *file = catalog_file_at(s->catalog, i);
		uint8_t digest[32];
		bool known = bytes_from_hex(file->sha256, digest, sizeof(digest)) == sizeof(digest);
		struct rec_probe probe;

		if (known && s->resumption &&
		    resumption_knows(s->resumption, REC_PROBE_KIND, file->name, digest,
				     sizeof(digest)))
			continue;
		probe.id = bundle_writer_id(s->writer, REC_PROBE_KIND);
		probe.name = session_public(s, file->name);
		probe.sha256 = known ? bundle_writer_string(s->writer, digest, sizeof(digest),
							    STRING_PUBLIC)
				     : REC_NULL;
		probe.shipped = file->shipped;
		bundle_writer_put(s->writer, REC_PROBE_KIND, &probe);
	}
}

void window_programs(struct session *s)
{
	struct attach_program programs[32];
	size_t count = attach_programs(s->attach, programs, 32);

	for (size_t i = 0; i < count; i++) {
		struct rec_program rec;

		if (s->resumption && resumption_knows(s->resumption, REC_PROGRAM_KIND,
						      programs[i].name, programs[i].tag, 8))
			continue;
		rec.id = bundle_writer_id(s->writer, REC_PROGRAM_KIND);
		rec.name = session_public(s, programs[i].name);
		rec.tag = bundle_writer_string(s->writer, programs[i].tag, 8, STRING_PUBLIC);
		bundle_writer_put(s->writer, REC_PROGRAM_KIND, &rec);
	}
}

/* ---- the ledger ---- */

/*
 * The counters are read about once a second. A reading is put whole, every total that changed: when
 * something was lost, when LEDGER_NS have passed, and at the end.
 */
#define LEDGER_NS 10000000000ULL

/* Names are literals, so their addresses identify them. */
struct ledger_key {
	const char *stage, *cause;
	uint64_t class;
};

struct ledger_entry {
	struct ledger_key key;
	uint64_t before; /* the total when the window was interrupted */
	uint64_t count; /* since then, at the last reading */
	uint64_t time; /* of that reading */
	uint64_t put; /* what the bundle says */
	bool is_put;
	UT_hash_handle hh;
};

void window_lost(struct session *s,
		 void (*each)(const char *stage, const char *cause, uint64_t count))
{
	struct ledger_entry *entry, *next;

	HASH_ITER(hh, s->ledger, entry, next)
		if (entry->key.class == LOSS_LOST && entry->before + entry->count)
			each(entry->key.stage, entry->key.cause, entry->before + entry->count);
}

void window_release(struct session *s)
{
	struct ledger_entry *entry, *next;

	HASH_ITER(hh, s->ledger, entry, next) {
		HASH_DEL(s->ledger, entry);
		free(entry);
	}
}

static void put_entry(struct session *s, const struct ledger_entry *entry, uint64_t time,
		      uint64_t count)
{
	const struct rec_loss rec = {
		.id = bundle_writer_id(s->writer, REC_LOSS_KIND),
		.time = time,
		.stage = session_public(s, entry->key.stage),
		.class = entry->key.class,
		.cause = session_public(s, entry->key.cause),
		.count = count + entry->before,
	};

	bundle_writer_put(s->writer, REC_LOSS_KIND, &rec);
}

static void put_loss(struct session *s, const char *stage, enum loss_class class, const char *cause,
		     uint64_t count)
{
	struct ledger_key key = { stage, cause, class };
	struct ledger_entry *entry;

	HASH_FIND(hh, s->ledger, &key, sizeof(key), entry);
	if (!entry) {
		entry = calloc(1, sizeof(*entry));
		if (!entry)
			return;
		entry->key = key;
		if (s->resumption)
			entry->before = resumption_count(s->resumption, stage, class, cause);
		HASH_ADD(hh, s->ledger, key, sizeof(entry->key), entry);
	}
	if (class == LOSS_LOST && count != entry->count && !s->ledger_lost) {
		s->ledger_lost = true;
		/* Not lost before the reading before, which may not have been put. */
		if (s->ledger_before)
			put_entry(s, entry, s->ledger_before, entry->count);
	}
	entry->count = count;
	entry->time = s->ledger_at;
}

/* The last record of a (stage, class, cause) holds, so only what changed is put. */
static void put_reading(struct session *s)
{
	struct ledger_entry *entry, *next;

	HASH_ITER(hh, s->ledger, entry, next) {
		if (entry->is_put && entry->put == entry->count)
			continue;
		put_entry(s, entry, entry->time, entry->count);
		entry->put = entry->count;
		entry->is_put = true;
	}
	s->ledger_put = s->ledger_at;
}

/* A stage of user space: attempted = delivered + lost by one cause. */
static uint64_t put_stage(struct session *s, const char *stage, uint64_t delivered, uint64_t lost,
			  const char *cause)
{
	put_loss(s, stage, LOSS_ATTEMPTED, "", delivered + lost);
	put_loss(s, stage, LOSS_DELIVERED, "", delivered);
	if (lost)
		put_loss(s, stage, LOSS_LOST, cause, lost);
	return lost;
}

static uint64_t kernel_ledger(struct session *s)
{
#define STAGE_NAME(symbol, name) name,
#define CLASS_A LOSS_ATTEMPTED
#define CLASS_D LOSS_DELIVERED
#define CLASS_S LOSS_SKIPPED
#define CLASS_L LOSS_LOST
#define CAUSE_ROW(symbol, class, name) { CLASS_##class, name },
	static const char *const stages[] = { WIRE_STAGES(STAGE_NAME) };
	static const struct {
		enum loss_class class;
		const char *name;
	} causes[] = { WIRE_CAUSES(CAUSE_ROW) };
	uint64_t counts[WIRE_STAGE_COUNT][WIRE_CAUSE_COUNT], lost = 0;

	s->ledger_at = clock_monotonic();
	if (attach_ledger(s->attach, counts))
		return put_stage(s, "ledger", 0, 1, "unreadable");
	s->ledger_at = clock_monotonic();
	for (size_t stage = 0; stage < WIRE_STAGE_COUNT; stage++) {
		for (size_t cause = 0; cause < WIRE_CAUSE_COUNT; cause++) {
			uint64_t count = counts[stage][cause];

			if (!count && cause > WIRE_DELIVERED)
				continue;
			put_loss(s, stages[stage], causes[cause].class, causes[cause].name, count);
			if (causes[cause].class == LOSS_LOST)
				lost += count;
		}
	}
	return lost;
}

static uint64_t program_ledger(struct session *s)
{
	struct attach_program programs[32];
	size_t count = attach_programs(s->attach, programs, 32);
	uint64_t misses = 0;

	s->ledger_at = clock_monotonic();
	for (size_t i = 0; i < count; i++) {
		misses += programs[i].recursion_misses;
		if (programs[i].recursion_misses)
			put_loss(s, "programs", LOSS_LOST, programs[i].name,
				 programs[i].recursion_misses);
	}
	/* What the programs did run is counted by their own stages. */
	put_loss(s, "programs", LOSS_ATTEMPTED, "", misses);
	put_loss(s, "programs", LOSS_DELIVERED, "", 0);
	return misses;
}

static uint64_t module_ledger(struct session *s)
{
	struct modules_stats stats;

	modules_stats(s->modules, &stats);
	s->ledger_at = clock_monotonic();
	put_loss(s, "modules", LOSS_ATTEMPTED, "", stats.attempted);
	put_loss(s, "modules", LOSS_DELIVERED, "", stats.delivered);
	for (size_t i = 0; i < sizeof(stats.skipped) / sizeof(stats.skipped[0]); i++)
		if (stats.skipped[i].count)
			put_loss(s, "modules", LOSS_SKIPPED, stats.skipped[i].how,
				 stats.skipped[i].count);
	if (stats.lost)
		put_loss(s, "modules", LOSS_LOST, "not-identified-in-time", stats.lost);
	return stats.lost;
}

/* What was searched for replaced functions; what could not be judged is no loss of events. */
static void patch_ledger(struct session *s, const char *stage, const struct patches_stage *counts)
{
	put_loss(s, stage, LOSS_ATTEMPTED, "", counts->attempted);
	put_loss(s, stage, LOSS_DELIVERED, "", counts->delivered);
	for (size_t i = 0; i < PATCHES_CAUSES; i++)
		if (counts->skipped[i].count)
			put_loss(s, stage, LOSS_SKIPPED, counts->skipped[i].cause,
				 counts->skipped[i].count);
}

static uint64_t native_ledger(struct session *s)
{
	struct unwind_stats stats;

	unwind_stats(s->unwind, &stats);
	s->ledger_at = clock_monotonic();
	put_loss(s, "native-stacks-resolved", LOSS_ATTEMPTED, "",
		 stats.delivered + stats.unmatched + stats.no_rows + stats.lost);
	put_loss(s, "native-stacks-resolved", LOSS_DELIVERED, "", stats.delivered);
	if (stats.unmatched)
		put_loss(s, "native-stacks-resolved", LOSS_SKIPPED, "unmatched", stats.unmatched);
	if (stats.no_rows)
		put_loss(s, "native-stacks-resolved", LOSS_SKIPPED, "no-rows", stats.no_rows);
	if (stats.lost)
		put_loss(s, "native-stacks-resolved", LOSS_LOST, "unwind", stats.lost);
	return stats.lost;
}

uint64_t window_ledger(struct session *s, bool whole)
{
	uint64_t began = clock_monotonic();
	struct patches_stats patches;
	struct bundle_writer_stats writer;
	struct sightings_stats sightings;
	struct calls_stats calls;
	uint64_t lost;

	s->ledger_lost = false;
	lost = kernel_ledger(s);
	patches_stats(s->patches, &patches);
	s->ledger_at = clock_monotonic();
	patch_ledger(s, "patch-modules", &patches.modules);
	patch_ledger(s, "patch-names", &patches.names);
	lost += program_ledger(s);
	lost += module_ledger(s);
	lost += native_ledger(s);
	sightings_stats(s->sightings, &sightings);
	calls_stats(s->calls, &calls);
	s->ledger_at = clock_monotonic();
	lost += put_stage(s, "events", calls.chunks + sightings.sightings, s->decode_errors,
			  "malformed");
	lost += put_stage(s, "decoder", calls.chunks, calls.unknown, "unknown-connection");
	lost += put_stage(s, "bindings", calls.bindings, calls.unbound_contexts, "no-memory");
	lost += put_stage(s, "stacks-resolved", sightings.stacks, sightings.lost_code,
			  "code-object-missing");
	lost += put_stage(s, "sightings-resolved", sightings.sightings - sightings.lost_stack,
			  sightings.lost_stack, "stack-missing");
	bundle_writer_stats(s->writer, &writer);
	s->ledger_at = clock_monotonic();
	lost += put_stage(s, "bundle", writer.records - writer.lost_queue - writer.lost_disk,
			  writer.lost_queue, "queue-full");
	if (writer.lost_disk)
		put_loss(s, "bundle", LOSS_LOST, "disk", writer.lost_disk);
	if (whole || s->ledger_lost || s->ledger_at - s->ledger_put >= LEDGER_NS)
		put_reading(s);
	s->ledger_before = began;
	if (s->resumption)
		lost += resumption_lost(s->resumption);
	return lost + writer.lost_disk;
}

void window_end(struct session *s, const char *reason)
{
	struct clock_triple now;
	struct rec_window_end rec = { .id = bundle_writer_id(s->writer, REC_WINDOW_END_KIND) };

	clock_read(&now);
	rec.monotonic = now.monotonic;
	rec.boottime = now.boottime;
	rec.realtime = now.realtime;
	rec.synced = now.synced;
	rec.reason = session_public(s, reason);
	bundle_writer_put(s->writer, REC_WINDOW_END_KIND, &rec);
}
