/* Where an interrupted bundle can be gone on with. */
#include "bundle/resume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/verify_link.h"

void bundle_resume_free(struct bundle_resume *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		close(r->fd);
	append_index_release(&r->index);
	intern_free(r->intern);
	free(r->path);
	free(r);
}

static int resume_lock(struct bundle_resume *r, struct err *err)
{
	struct stat st;

	r->fd = open(r->path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (r->fd < 0)
		return err_errno(err, ERR_USAGE, "%s: cannot be opened for writing", r->path);
	if (fstat(r->fd, &st) || !S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE, "%s is not a regular file: name a bundle", r->path);
	if (!flock(r->fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(err, ERR_USAGE,
			       "%s is still being written: end that collector first", r->path);
	return err_errno(err, ERR_USAGE, "%s: cannot be locked", r->path);
}

/* The writer's index as if it had written these links itself. */
static int resume_index(struct bundle_resume *r, struct verify_index *from, struct err *err)
{
	for (size_t number = 1; number <= BUNDLE_KINDS_MAX; number++) {
		if (from->totals[number] && number > REC_KIND_COUNT)
			return err_set(err, ERR_USAGE,
				       "%s has records that are not known here: use the daylight "
				       "that wrote it, or a newer one",
				       r->path);
		if (number <= REC_KIND_COUNT)
			r->index.totals[number - 1] = from->totals[number];
	}
	r->position = from->position;
	r->index.strings = r->strings = from->strings;
	r->index.data_frames = from->data_frames;
	r->index.listed = from->listed;
	r->index.position = from->table_position;
	r->index.opened = from->table_opened;
	if (bytes_put(&r->index.table, from->table.data, from->table.len))
		return err_set(err, ERR_INCOMPLETE, "%s: out of memory", r->path);
	return 0;
}

/* Does a link that fits follow, somewhere behind the one that does not? 1, 0, or -1 */
static int resume_follows(struct verify_walk *w, struct chain_link *link, struct err *err)
{
	for (;;) {
		uint8_t before[BUNDLE_HASH];
		int ret;

		memcpy(before, link->stored, sizeof(before));
		ret = verify_link(w, link, before, err);
		if (ret <= 0)
			return ret;
		if (link->hashed && !memcmp(link->computed, link->stored, BUNDLE_HASH))
			return 1;
	}
}

/*
 * The links from the start, up to the first that does not fit. That may be one that was written in
 * part; but then nothing behind it fits.
 */
static int resume_walk(struct bundle_resume *r, struct verify_walk *w, struct err *err)
{
	struct verify_index before;
	struct chain_link link;
	int ret;

	for (;;) {
		before = w->index;
		r->frames = w->frames;
		r->offset = w->scan.at;
		ret = verify_link(w, &link, r->chain, err);
		if (ret <= 0 || !link.hashed || memcmp(link.computed, link.stored, BUNDLE_HASH) ||
		    link.number != r->links + 1)
			break;
		r->links = link.number;
		memcpy(r->chain, link.stored, BUNDLE_HASH);
	}
	if (ret > 0)
		ret = resume_follows(w, &link, err);
	if (ret > 0)
		return err_set(err, ERR_USAGE,
			       "%s is damaged behind byte %llu, before its end: verify it; it is "
			       "not gone on with",
			       r->path, (unsigned long long)r->offset);
	/* What the links that do not fit added to the index must go again. */
	before.table.data = w->index.table.data;
	return ret < 0 ? -1 : resume_index(r, &before, err);
}

static int resume_check(struct bundle_resume *r, struct err *err)
{
	struct verify_walk w = { .quiet = false };
	struct scan_header header;
	struct stat mine, theirs;
	int ret = -1;

	if (scan_open(&w.scan, r->path, &header, err))
		return -1;
	w.hash = EVP_MD_CTX_new();
	if (!w.hash)
		err_set(err, ERR_INCOMPLETE, "%s: out of memory", r->path);
	else if (fstat(r->fd, &mine) || fstat(w.scan.fd, &theirs) || mine.st_ino != theirs.st_ino ||
		 mine.st_dev != theirs.st_dev)
		err_set(err, ERR_USAGE, "%s was replaced just now: try again", r->path);
	else if (!resume_walk(r, &w, err) && !w.index_seen && r->links)
		ret = 0;
	else if (err->kind == ERR_NONE && w.index_seen)
		err_set(err, ERR_USAGE, "%s is sealed: its window has ended", r->path);
	else if (err->kind == ERR_NONE)
		err_set(err, ERR_USAGE,
			"%s holds no record that was written whole: begin a new window", r->path);
	r->is_signed = header.compatible & BUNDLE_FLAG_SIGNED;
	r->cut = w.scan.size - r->offset;
	verify_walk_release(&w);
	return ret;
}

struct bundle_resume *bundle_resume_open(const char *path, struct err *err)
{
	struct bundle_resume *r = calloc(1, sizeof(*r));

	if (!r) {
		err_set(err, ERR_INCOMPLETE, "%s: out of memory", path);
		return NULL;
	}
	r->fd = -1;
	r->path = strdup(path);
	r->intern = intern_new();
	if (!r->path || !r->intern) {
		err_set(err, ERR_INCOMPLETE, "%s: out of memory", path);
	} else if (!resume_lock(r, err) && !resume_check(r, err)) {
		return r;
	}
	bundle_resume_free(r);
	return NULL;
}

/* The kind that a field of this name refers to, or REC_KIND_COUNT. */
static enum rec_kind resume_refers(const struct rec_field *f)
{
	static const struct {
		const char *name;
		enum rec_kind kind;
	} others[] = {
		{ "parent", REC_PROCESS_KIND }, { "exe", REC_MODULE_KIND },
		{ "by", REC_MODULE_KIND },	{ "frames", REC_FUNCTION_KIND },
		{ "base", REC_STACK_KIND },
	};

	if (f->type != REC_TYPE_U && f->type != REC_TYPE_L)
		return REC_KIND_COUNT;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!strcmp(f->name, others[i].name))
			return others[i].kind;
	return rec_kind_find(f->name);
}

static void resume_id(struct bundle_resume *r, enum rec_kind kind, uint64_t id)
{
	if (kind < REC_KIND_COUNT && id != REC_NULL && id > r->ids[kind])
		r->ids[kind] = id;
}

/* A new record must not take an id that is spoken of already, though its record may be missing. */
static void resume_ids(struct bundle_resume *r, enum rec_kind kind, const union rec_any *rec,
		       const enum rec_kind *refers)
{
	const struct rec_schema *schema = &rec_schemas[kind];

	resume_id(r, kind, rec->id);
	for (size_t i = 1; i < schema->fields_count; i++) {
		const void *at = (const char *)rec + schema->fields[i].offset;
		const struct rec_list *list = at;

		if (refers[i] == REC_KIND_COUNT)
			continue;
		if (schema->fields[i].type == REC_TYPE_U)
			resume_id(r, refers[i], *(const uint64_t *)at);
		for (uint32_t n = 0; schema->fields[i].type == REC_TYPE_L && n < list->count; n++)
			resume_id(r, refers[i], list->items[n]);
	}
}

static void resume_strings(struct bundle_resume *r, const struct bundle_reader *reader)
{
	for (uint64_t id = 1; id <= r->strings; id++) {
		const struct bundle_string *s = bundle_reader_string(reader, id);

		if (!s || s->hidden)
			continue;
		r->text += s->len;
		intern_add(r->intern, s->data, s->len, s->class, id);
	}
}

int bundle_resume_read(struct bundle_resume *r,
		       int (*each)(void *ctx, const struct bundle_reader *reader,
				   const struct bundle_record *record, struct err *err),
		       void *ctx, struct err *err)
{
	struct bundle_reader *reader = bundle_reader_open(r->path, err);
	enum rec_kind refers[REC_KIND_COUNT][BUNDLE_FIELDS_MAX];
	struct bundle_record record;
	int ret;

	if (!reader)
		return -1;
	bundle_reader_limit(reader, SIZE_MAX); /* it is the collector's own file */
	for (size_t kind = 0; kind < REC_KIND_COUNT; kind++)
		for (size_t i = 0; i < rec_schemas[kind].fields_count; i++)
			refers[kind][i] = resume_refers(&rec_schemas[kind].fields[i]);
	while ((ret = bundle_reader_next(reader, &record, err)) > 0 && record.frame < r->frames) {
		r->records++;
		resume_ids(r, record.kind, record.rec, refers[record.kind]);
		if (each(ctx, reader, &record, err)) {
			ret = -1;
			break;
		}
	}
	if (ret >= 0)
		resume_strings(r, reader);
	bundle_reader_close(reader);
	return ret < 0 ? -1 : 0;
}
