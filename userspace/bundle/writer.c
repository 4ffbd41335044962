/* The writer's front: strings and records into columns, frames onto the queue. */
#include "bundle/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "bundle/append.h"
#include "bundle/frame.h"
#include "bundle/intern.h"
#include "bundle/resume.h"
#include "bundle/seal_file.h"

#define FRAME_BYTES (1u << 20)
#define FRAME_BYTES_MAX (8u << 20)
#define FRAME_NS 950000000ULL /* on disk within a second */
#define BEAT_NS 10000000000ULL /* a frame without records, when nothing happens for so long */
#define STRINGS_PENDING_MAX (12u << 20) /* bytes of strings that wait for a frame */
#define SALTS 256

struct bundle_writer {
	char *path;
	const struct seal_key *key; /* NULL: it is not signed */
	struct append *append;
	size_t frame_bytes;
	uint64_t frame_ns;
	bool timed; /* the writer's thread closes frames by age, too */

	/* Of all that follows. The writer's thread holds it for moments only, to close a frame. */
	pthread_mutex_t lock;
	struct intern *intern;
	struct frame *frame; /* the open one, or NULL */
	uint64_t opened; /* when the last one was */

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

static void writer_due(void *ctx);

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
	frame_free(w->frame);
	bytes_release(&w->strings);
	intern_free(w->intern);
	pthread_mutex_destroy(&w->lock);
	free(w->path);
	free(w);
}

/* Takes over fd; what it holds so far is in *state. */
static struct bundle_writer *writer_new(int fd, const char *path,
					const struct bundle_writer_options *options,
					struct append_state *state, struct err *err)
{
	struct bundle_writer *w = calloc(1, sizeof(*w));
	const struct append_options append = { options, state, writer_due, w };

	if (w)
		pthread_mutex_init(&w->lock, NULL);
	if (!w || !(w->intern = intern_new()) || !(w->path = strdup(path))) {
		err_set(err, ERR_INCOMPLETE, "%s: out of memory", path);
		close(fd);
		if (w)
			writer_free(w);
		return NULL;
	}
	w->key = options->key;
	w->frame_bytes = options->frame_bytes ? options->frame_bytes : FRAME_BYTES;
	if (w->frame_bytes > FRAME_BYTES_MAX)
		w->frame_bytes = FRAME_BYTES_MAX;
	w->frame_ns = options->frame_ns ? options->frame_ns : FRAME_NS;
	w->timed = !options->frame_ns;
	w->string_id = w->strings_first = 1;
	w->append = append_open(fd, path, &append, err);
	if (!w->append) {
		writer_free(w);
		return NULL;
	}
	return w;
}

struct bundle_writer *
bundle_writer_open(const char *path, const struct bundle_writer_options *options, struct err *err)
{
	static const struct bundle_writer_options defaults;
	cleanup_free char *temporary = NULL;
	struct append_state state = { .bytes = 0 };
	struct bundle_writer *w;
	int fd;

	if (!options)
		options = &defaults;
	fd = options->force ? writer_create_beside(path, &temporary, err)
			    : writer_create(path, err);
	if (fd < 0)
		return NULL;
	/* Held until the file is closed, or its owner is killed: nobody else may go on with it. */
	flock(fd, LOCK_EX | LOCK_NB);
	w = writer_new(fd, path, options, &state, err);
	if (!w) {
		unlink(temporary ? temporary : path);
		return NULL;
	}
	if (temporary && rename(temporary, path)) {
		err_errno(err, ERR_USAGE, "%s: cannot replace it (name another file)", path);
		append_close(w->append, false, 0, NULL, NULL);
		unlink(temporary);
		writer_free(w);
		return NULL;
	}
	writer_sync_folder(path);
	return w;
}

struct bundle_writer *bundle_writer_resume(struct bundle_resume *resume,
					   const struct bundle_writer_options *options,
					   struct err *err)
{
	struct append_state state = { .links = resume->links,
				      .bytes = resume->offset,
				      .position = resume->position,
				      .frames = resume->frames,
				      .records = resume->records,
				      .index = resume->index };
	struct bundle_writer *w;
	int fd = resume->fd;

	memcpy(state.chain, resume->chain, sizeof(state.chain));
	if (ftruncate(fd, (off_t)resume->offset) || fsync(fd) ||
	    lseek(fd, (off_t)resume->offset, SEEK_SET) < 0) {
		err_errno(err, ERR_INCOMPLETE, "%s: cannot be written on", resume->path);
		return NULL;
	}
	resume->fd = -1;
	resume->index.table = (struct bytes)BYTES_INIT;
	w = writer_new(fd, resume->path, options, &state, err);
	bytes_release(&state.index.table);
	if (!w)
		return NULL;
	for (size_t i = 0; i < REC_KIND_COUNT; i++)
		w->ids[i] = resume->ids[i];
	w->string_id = w->strings_first = resume->strings + 1;
	w->text = resume->text;
	intern_free(w->intern);
	w->intern = resume->intern;
	resume->intern = NULL;
	return w;
}

/* ---- frames ---- */

static int writer_add_clock(struct bundle_writer *w)
{
	struct rec_clock clock;
	struct clock_triple now;

	clock_read(&now);
	clock.id = w->ids[REC_CLOCK_KIND] + 1;
	clock.monotonic = now.monotonic;
	clock.boottime = now.boottime;
	clock.realtime = now.realtime;
	clock.synced = now.synced;
	clock.max_error = now.max_error;
	if (frame_put(w->frame, REC_CLOCK_KIND, &clock))
		return -1;
	w->ids[REC_CLOCK_KIND]++;
	w->put++;
	if (frame_records(w->frame) == 1)
		w->opened = now.monotonic;
	return 0;
}

/* Every frame starts with the three clocks. */
static int writer_open_frame(struct bundle_writer *w)
{
	if (w->frame)
		return 0;
	w->frame = frame_new();
	if (w->frame && writer_add_clock(w)) {
		frame_free(w->frame);
		w->frame = NULL;
	}
	return w->frame ? 0 : -1;
}

/* Bytes of the open frame and of the strings that come before it. */
static size_t writer_size(const struct bundle_writer *w)
{
	return frame_size(w->frame) + w->strings.len;
}

/*
 * Hands the open frame over. must: even when the queue is full. Strings of a frame that is dropped
 * go into the next one.
 */
static void writer_close_frame(struct bundle_writer *w, bool must)
{
	struct append_job *job = NULL;

	if (!w->frame)
		return;
	if (must || append_has_room(w->append, writer_size(w)))
		job = calloc(1, sizeof(*job));
	if (!job) {
		w->lost_queue += frame_records(w->frame);
		frame_free(w->frame);
	} else {
		job->frame = w->frame;
		job->opened = w->opened;
		job->strings = w->strings;
		job->strings_count = w->strings_count;
		job->strings_first = w->strings_first;
		append_push(w->append, job);
		w->strings = (struct bytes)BYTES_INIT;
		w->strings_count = 0;
		w->strings_first = w->string_id;
	}
	w->frame = NULL;
}

static void writer_close_when_full(struct bundle_writer *w)
{
	if (writer_size(w) >= w->frame_bytes || w->strings_count == BUNDLE_STRINGS_MAX)
		writer_close_frame(w, false);
}

static void writer_close_when_old(struct bundle_writer *w, uint64_t now)
{
	if (w->frame && now > w->opened && now - w->opened >= w->frame_ns)
		writer_close_frame(w, false);
}

/* Runs in the writer's thread: whoever puts records may be busy elsewhere. */
static void writer_due(void *ctx)
{
	struct bundle_writer *w = ctx;

	pthread_mutex_lock(&w->lock);
	if (w->timed)
		writer_close_when_old(w, clock_monotonic());
	pthread_mutex_unlock(&w->lock);
}

int bundle_writer_put(struct bundle_writer *w, enum rec_kind kind, const void *rec)
{
	int ret = -1;

	pthread_mutex_lock(&w->lock);
	w->put++;
	if (append_failed(w->append, NULL)) {
		w->lost_disk++;
	} else if (writer_open_frame(w) || frame_put(w->frame, kind, rec)) {
		w->lost_queue++;
	} else {
		writer_close_when_full(w);
		ret = 0;
	}
	pthread_mutex_unlock(&w->lock);
	return ret;
}

void bundle_writer_flush(struct bundle_writer *w)
{
	int ret = 0;

	pthread_mutex_lock(&w->lock);
	if (w->frame)
		ret = writer_add_clock(w);
	else if (clock_monotonic() - w->opened >= BEAT_NS && !append_failed(w->append, NULL))
		ret = writer_open_frame(w);
	if (ret)
		w->lost_queue++;
	writer_close_frame(w, false);
	pthread_mutex_unlock(&w->lock);
}

void bundle_writer_tick(struct bundle_writer *w, uint64_t monotonic_ns)
{
	pthread_mutex_lock(&w->lock);
	writer_close_when_old(w, monotonic_ns);
	pthread_mutex_unlock(&w->lock);
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

/* A string that is not remembered; REC_NULL when it cannot be held. */
static uint64_t writer_new_string(struct bundle_writer *w, const void *data, size_t len,
				  enum string_class class)
{
	if (append_failed(w->append, NULL) || writer_open_frame(w) ||
	    writer_add_string(w, data, len, class))
		return REC_NULL;
	intern_add(w->intern, data, len, class, w->string_id);
	return w->string_id++;
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
	pthread_mutex_lock(&w->lock);
	id = intern_find(w->intern, data, len, class);
	if (!id) {
		id = writer_new_string(w, data, len, class);
		if (id != REC_NULL)
			writer_close_when_full(w);
	}
	pthread_mutex_unlock(&w->lock);
	return id;
}

uint64_t bundle_writer_text(struct bundle_writer *w, const char *text, enum string_class class)
{
	return bundle_writer_string(w, text, text ? strlen(text) : 0, class);
}

/* ---- the rest ---- */

uint64_t bundle_writer_id(struct bundle_writer *w, enum rec_kind kind)
{
	uint64_t id;

	pthread_mutex_lock(&w->lock);
	id = ++w->ids[kind];
	pthread_mutex_unlock(&w->lock);
	return id;
}

void bundle_writer_stats(struct bundle_writer *w, struct bundle_writer_stats *out)
{
	pthread_mutex_lock(&w->lock);
	out->records = w->put;
	out->lost_queue = w->lost_queue;
	out->lost_disk = w->lost_disk + append_lost(w->append);
	out->bytes = append_bytes(w->append);
	pthread_mutex_unlock(&w->lock);
}

bool bundle_writer_failed(struct bundle_writer *w, struct err *err)
{
	return append_failed(w->append, err);
}

int bundle_writer_close(struct bundle_writer *w, struct err *err)
{
	uint8_t seal[BUNDLE_HASH];
	int ret;

	pthread_mutex_lock(&w->lock);
	writer_close_frame(w, true);
	pthread_mutex_unlock(&w->lock);
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
