/* The writer's front: strings and records into columns, frames onto the queue. */
#include "bundle/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "bundle/append.h"
#include "bundle/intern.h"
#include "bundle/seal_file.h"

#define FRAME_BYTES (1u << 20)
#define FRAME_BYTES_MAX (8u << 20)
#define FRAME_NS 1000000000ULL
#define STRINGS_PENDING_MAX (12u << 20) /* bytes of strings that wait for a frame */
#define SALTS 256

struct column {
	struct bytes bytes;
	uint64_t previous; /* of delta columns */
};

/* The records of a kind in the open frame. */
struct builder {
	uint64_t count;
	struct column *columns; /* one a field; NULL before the first record */
};

struct bundle_writer {
	char *path;
	const struct seal_key *key; /* NULL: it is not signed */
	struct append *append;
	struct intern *intern;
	size_t frame_bytes;
	uint64_t frame_ns;

	bool open; /* a frame is */
	uint64_t opened;
	uint64_t records; /* in the open frame */
	size_t size; /* bytes in columns */
	struct builder builders[REC_KIND_COUNT];
	enum rec_kind order[REC_KIND_COUNT]; /* kinds of the open frame, as they came */
	size_t order_count;

	struct bytes strings; /* entries that no frame holds yet */
	uint64_t strings_count;
	uint64_t strings_first; /* id of the first of them */
	uint64_t string_id; /* the next */
	uint64_t text; /* bytes of all strings */
	uint64_t ids[REC_KIND_COUNT];

	uint8_t salts[SALTS][BUNDLE_SALT];
	size_t salts_left;

	uint64_t put, lost_queue, lost_disk;
};

/* ---- the file ---- */

static int writer_sync_folder(const char *path)
{
	cleanup_free char *copy = strdup(path);
	cleanup_close int fd = -1;

	if (!copy)
		return -1;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : fsync(fd);
}

static int writer_create(const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (errno == EEXIST)
		return err_set(err, ERR_USAGE, "%s exists: name another file or pass --force",
			       path);
	return err_errno(err, ERR_USAGE,
			 "%s: cannot create the bundle (name a file in a folder that exists and "
			 "may be written)",
			 path);
}

/* A new file beside `path`; its name goes into *temporary. */
static int writer_create_beside(const char *path, char **temporary, struct err *err)
{
	struct stat st;
	int fd;

	if (!lstat(path, &st) && !S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE,
			       "%s is not a regular file and is not replaced: name another file",
			       path);
	if (asprintf(temporary, "%s.XXXXXX", path) < 0) {
		*temporary = NULL;
		return err_set(err, ERR_INCOMPLETE, "%s: out of memory", path);
	}
	fd = mkostemp(*temporary, O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, ERR_USAGE,
				 "%s: cannot create the bundle (name a file in a folder that "
				 "exists and may be written)",
				 path);
	return fd;
}

static void writer_free(struct bundle_writer *w)
{
	for (size_t k = 0; k < REC_KIND_COUNT; k++) {
		for (size_t f = 0; w->builders[k].columns && f < rec_schemas[k].fields_count; f++)
			bytes_release(&w->builders[k].columns[f].bytes);
		free(w->builders[k].columns);
	}
	bytes_release(&w->strings);
	intern_free(w->intern);
	free(w->path);
	free(w);
}

struct bundle_writer *
bundle_writer_open(const char *path, const struct bundle_writer_options *options, struct err *err)
{
	static const struct bundle_writer_options defaults;
	cleanup_free char *temporary = NULL;
	struct bundle_writer *w;
	const char *made;
	int fd;

	if (!options)
		options = &defaults;
	fd = options->force ? writer_create_beside(path, &temporary, err)
			    : writer_create(path, err);
	if (fd < 0)
		return NULL;
	made = temporary ? temporary : path;
	w = calloc(1, sizeof(*w));
	if (!w || !(w->intern = intern_new()) || !(w->path = strdup(path))) {
		err_set(err, ERR_INCOMPLETE, "%s: out of memory", path);
		close(fd);
		goto fail;
	}
	w->key = options->key;
	w->frame_bytes = options->frame_bytes ? options->frame_bytes : FRAME_BYTES;
	if (w->frame_bytes > FRAME_BYTES_MAX)
		w->frame_bytes = FRAME_BYTES_MAX;
	w->frame_ns = options->frame_ns ? options->frame_ns : FRAME_NS;
	w->string_id = w->strings_first = 1;
	w->append = append_open(fd, path, options, err);
	if (!w->append)
		goto fail;
	if (temporary && rename(temporary, path)) {
		err_errno(err, ERR_USAGE, "%s: cannot replace it (name another file)", path);
		append_close(w->append, false, 0, NULL, NULL);
		goto fail;
	}
	writer_sync_folder(path);
	return w;
fail:
	unlink(made);
	if (w)
		writer_free(w);
	return NULL;
}

/* ---- columns ---- */

static uint8_t *put_varint(uint8_t *at, uint64_t v)
{
	while (v >= 0x80) {
		*at++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*at++ = (uint8_t)v;
	return at;
}

/* Values are shifted by one, so that REC_NULL is 0. */
static int column_put(struct column *c, uint64_t value)
{
	if (bytes_reserve(&c->bytes, 10))
		return -1;
	c->bytes.len =
		(size_t)(put_varint(c->bytes.data + c->bytes.len, value + 1) - c->bytes.data);
	return 0;
}

static int column_put_delta(struct column *c, uint64_t value)
{
	uint64_t delta = value + 1 - c->previous;

	if (bytes_reserve(&c->bytes, 10))
		return -1;
	delta = delta << 1 ^ (uint64_t)((int64_t)delta >> 63);
	c->bytes.len = (size_t)(put_varint(c->bytes.data + c->bytes.len, delta) - c->bytes.data);
	if (value != REC_NULL)
		c->previous = value + 1;
	return 0;
}

static int column_put_list(struct column *c, const struct rec_list *list)
{
	uint8_t *at;

	if (list->count > BUNDLE_LIST_MAX || bytes_reserve(&c->bytes, 10 * (list->count + 1ul)))
		return -1;
	at = put_varint(c->bytes.data + c->bytes.len, list->count);
	for (uint32_t i = 0; i < list->count; i++)
		at = put_varint(at, list->items[i] + 1);
	c->bytes.len = (size_t)(at - c->bytes.data);
	return 0;
}

/* Appends a record, or leaves no trace of it. */
static int writer_add(struct bundle_writer *w, enum rec_kind kind, const void *rec)
{
	const struct rec_schema *schema = &rec_schemas[kind];
	struct builder *b = &w->builders[kind];
	size_t marks[BUNDLE_FIELDS_MAX], added = 0, f;
	uint64_t previous[BUNDLE_FIELDS_MAX];

	if (!b->columns) {
		b->columns = calloc(schema->fields_count, sizeof(*b->columns));
		if (!b->columns)
			return -1;
	}
	for (f = 0; f < schema->fields_count; f++) {
		const struct rec_field *field = &schema->fields[f];
		const void *value = (const char *)rec + field->offset;
		struct column *c = &b->columns[f];
		int ret;

		marks[f] = c->bytes.len;
		previous[f] = c->previous;
		if (field->type == REC_TYPE_L || field->type == REC_TYPE_M)
			ret = column_put_list(c, value);
		else if (!f || field->type == REC_TYPE_T || field->type == REC_TYPE_W)
			ret = column_put_delta(c, *(const uint64_t *)value);
		else
			ret = column_put(c, *(const uint64_t *)value);
		if (ret)
			goto undo;
		added += c->bytes.len - marks[f];
	}
	if (!b->count++)
		w->order[w->order_count++] = kind;
	w->records++;
	w->size += added;
	return 0;
undo:
	do {
		b->columns[f].bytes.len = marks[f];
		b->columns[f].previous = previous[f];
	} while (f--);
	return -1;
}

/* ---- frames ---- */

/* Every frame starts with the three clocks. */
static int writer_open_frame(struct bundle_writer *w)
{
	struct rec_clock clock;
	struct clock_triple now;

	if (w->open)
		return 0;
	clock_read(&now);
	clock.id = w->ids[REC_CLOCK_KIND] + 1;
	clock.monotonic = now.monotonic;
	clock.boottime = now.boottime;
	clock.realtime = now.realtime;
	clock.synced = now.synced;
	if (writer_add(w, REC_CLOCK_KIND, &clock))
		return -1;
	w->ids[REC_CLOCK_KIND]++;
	w->put++;
	w->opened = now.monotonic;
	w->open = true;
	return 0;
}

static void writer_clear_frame(struct bundle_writer *w)
{
	for (size_t i = 0; i < w->order_count; i++) {
		struct builder *b = &w->builders[w->order[i]];

		b->count = 0;
		for (size_t f = 0; f < rec_schemas[w->order[i]].fields_count; f++) {
			b->columns[f].bytes.len = 0;
			b->columns[f].previous = 0;
		}
	}
	w->order_count = 0;
	w->records = 0;
	w->size = 0;
	w->open = false;
}

/* kind, count, length, then each column: length, bytes. */
static int writer_batch(const struct bundle_writer *w, enum rec_kind kind, struct bytes *out)
{
	const struct builder *b = &w->builders[kind];
	size_t fields = rec_schemas[kind].fields_count;
	uint8_t lengths[BUNDLE_FIELDS_MAX][10];
	size_t sizes[BUNDLE_FIELDS_MAX], len = 0;

	for (size_t f = 0; f < fields; f++) {
		sizes[f] = (size_t)(put_varint(lengths[f], b->columns[f].bytes.len) - lengths[f]);
		len += sizes[f] + b->columns[f].bytes.len;
	}
	if (bytes_put_varint(out, (uint64_t)kind + 1) || bytes_put_varint(out, b->count) ||
	    bytes_put_varint(out, len))
		return -1;
	for (size_t f = 0; f < fields; f++) {
		if (bytes_put(out, lengths[f], sizes[f]) ||
		    bytes_put(out, b->columns[f].bytes.data, b->columns[f].bytes.len))
			return -1;
	}
	return 0;
}

static struct append_job *writer_job(const struct bundle_writer *w)
{
	struct append_job *job = calloc(1, sizeof(*job));

	if (!job || bytes_reserve(&job->records, w->size + 4096) ||
	    bytes_put_u8(&job->records, BUNDLE_CONTENT_RECORDS))
		goto fail;
	for (size_t i = 0; i < w->order_count; i++) {
		if (writer_batch(w, w->order[i], &job->records))
			goto fail;
		job->counts[w->order[i]] = w->builders[w->order[i]].count;
	}
	job->records_count = w->records;
	job->opened = w->opened;
	if (w->strings_count) {
		if (bytes_reserve(&job->strings, w->strings.len + 32) ||
		    bytes_put_u8(&job->strings, BUNDLE_CONTENT_STRINGS) ||
		    bytes_put_varint(&job->strings, w->strings_first) ||
		    bytes_put_varint(&job->strings, w->strings_count) ||
		    bytes_put(&job->strings, w->strings.data, w->strings.len))
			goto fail;
		job->strings_count = w->strings_count;
	}
	return job;
fail:
	append_job_free(job);
	return NULL;
}

/* must: even when the queue is full. Strings of a frame that is dropped go into the next one. */
static void writer_close_frame(struct bundle_writer *w, bool must)
{
	struct append_job *job = NULL;

	if (!w->open)
		return;
	if (must || append_has_room(w->append, w->size + w->strings.len))
		job = writer_job(w);
	if (!job) {
		w->lost_queue += w->records;
	} else {
		append_push(w->append, job);
		w->strings.len = 0;
		w->strings_count = 0;
		w->strings_first = w->string_id;
	}
	writer_clear_frame(w);
}

static void writer_close_when_full(struct bundle_writer *w)
{
	if (w->size + w->strings.len >= w->frame_bytes || w->strings_count == BUNDLE_STRINGS_MAX)
		writer_close_frame(w, false);
}

int bundle_writer_put(struct bundle_writer *w, enum rec_kind kind, const void *rec)
{
	w->put++;
	if (append_failed(w->append, NULL)) {
		w->lost_disk++;
		return -1;
	}
	if (writer_open_frame(w) || writer_add(w, kind, rec)) {
		w->lost_queue++;
		return -1;
	}
	writer_close_when_full(w);
	return 0;
}

void bundle_writer_tick(struct bundle_writer *w, uint64_t monotonic_ns)
{
	if (w->open && monotonic_ns > w->opened && monotonic_ns - w->opened >= w->frame_ns)
		writer_close_frame(w, false);
}

/* ---- strings ---- */

static const uint8_t *writer_salt(struct bundle_writer *w)
{
	if (!w->salts_left) {
		size_t at = 0;

		while (at < sizeof(w->salts)) {
			ssize_t n = getrandom((uint8_t *)w->salts + at, sizeof(w->salts) - at, 0);

			if (n < 0 && errno != EINTR)
				return NULL;
			if (n > 0)
				at += (size_t)n;
		}
		w->salts_left = SALTS;
	}
	return w->salts[--w->salts_left];
}

static int writer_add_string(struct bundle_writer *w, const void *data, size_t len,
			     enum string_class class)
{
	const uint8_t *salt = NULL;
	struct bytes *out = &w->strings;

	if (out->len + len > STRINGS_PENDING_MAX || w->strings_count >= BUNDLE_STRINGS_MAX ||
	    w->text + len > BUNDLE_TEXT_MAX)
		return -1;
	if (class == STRING_PRIVATE && !(salt = writer_salt(w)))
		return -1;
	if (bytes_reserve(out, len + 32))
		return -1;
	bytes_put_u8(out, salt ? BUNDLE_FORM_PRIVATE : BUNDLE_FORM_PUBLIC);
	if (salt)
		bytes_put(out, salt, BUNDLE_SALT);
	bytes_put_varint(out, len);
	bytes_put(out, data, len);
	w->strings_count++;
	w->text += len;
	return 0;
}

uint64_t bundle_writer_string(struct bundle_writer *w, const void *data, size_t len,
			      enum string_class class)
{
	uint64_t id;

	if (!data)
		return REC_NULL;
	if (!len)
		return REC_EMPTY;
	if (len > BUNDLE_STRING_MAX)
		len = BUNDLE_STRING_MAX;
	id = intern_find(w->intern, data, len, class);
	if (id)
		return id;
	if (append_failed(w->append, NULL) || writer_open_frame(w) ||
	    writer_add_string(w, data, len, class))
		return REC_NULL;
	id = w->string_id++;
	intern_add(w->intern, data, len, class, id);
	writer_close_when_full(w);
	return id;
}

uint64_t bundle_writer_text(struct bundle_writer *w, const char *text, enum string_class class)
{
	return bundle_writer_string(w, text, text ? strlen(text) : 0, class);
}

/* ---- the rest ---- */

uint64_t bundle_writer_id(struct bundle_writer *w, enum rec_kind kind)
{
	return ++w->ids[kind];
}

void bundle_writer_stats(struct bundle_writer *w, struct bundle_writer_stats *out)
{
	out->records = w->put;
	out->lost_queue = w->lost_queue;
	out->lost_disk = w->lost_disk + append_lost(w->append);
	out->bytes = append_bytes(w->append);
}

bool bundle_writer_failed(struct bundle_writer *w, struct err *err)
{
	return append_failed(w->append, err);
}

int bundle_writer_close(struct bundle_writer *w, struct err *err)
{
	uint8_t seal[BUNDLE_HASH];
	int ret;

	writer_close_frame(w, true);
	ret = append_close(w->append, true, clock_monotonic(), seal, err);
	if (!ret && w->key)
		ret = seal_file_sign(w->path, w->key, seal, err);
	writer_free(w);
	return ret;
}

void bundle_writer_abandon(struct bundle_writer *w)
{
	append_close(w->append, false, 0, NULL, NULL);
	writer_free(w);
}
