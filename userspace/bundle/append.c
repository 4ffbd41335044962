/* The writer's thread: frames to bytes, the chain, the index, the disk. */
#include "bundle/append.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <zstd.h>

#include "base/thread.h"
#include "bundle/append_level.h"

#define QUEUE_BYTES (32u << 20)
#define DUE_NS 50000000 /* how often the thread looks for a frame that is due */

struct append {
	int fd;
	char *path;
	void (*durable)(void *ctx, const struct bundle_durable *durable);
	void *durable_ctx;
	void (*due)(void *ctx);
	void *due_ctx;
	size_t queue_max;
	pthread_t thread;

	pthread_mutex_t lock; /* of the next five */
	pthread_cond_t wake;
	struct append_job *first, **last;
	size_t queued; /* bytes */
	bool stop;

	_Atomic bool failed;
	struct err why; /* set before failed, never changed after */
	_Atomic uint64_t lost;
	_Atomic uint64_t bytes;

	/* The thread's own. */
	ZSTD_CCtx *zstd;
	struct append_level level;
	struct bytes content; /* of the zstd frame at hand */
	EVP_MD_CTX *hash;
	EVP_MD_CTX *link; /* of the bytes since the last chain frame */
	struct bytes out; /* frames not written yet */
	struct bytes commit; /* the canonical form of a string frame */
	struct append_state at; /* but for `bytes` */
};

static void append_job_free(struct append_job *job)
{
	bytes_release(&job->strings);
	frame_free(job->frame);
	free(job);
}

static size_t append_job_bytes(const struct append_job *job)
{
	return sizeof(*job) + job->strings.len + frame_size(job->frame);
}

static void append_fail(struct append *a, const char *what)
{
	if (atomic_load(&a->failed))
		return;
	err_errno(&a->why, ERR_INCOMPLETE,
		  "%s: cannot %s (what was written before stays readable; free space or use "
		  "another disk)",
		  a->path, what);
	atomic_store(&a->failed, true);
}

/* Writes the whole buffer, or takes back what was written of it. */
static int append_write(struct append *a)
{
	size_t at = 0;

	while (at < a->out.len) {
		ssize_t n = write(a->fd, a->out.data + at, a->out.len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			append_fail(a, "write");
			/* A clean end is a courtesy: readers cope with half a frame too. */
			if (ftruncate(a->fd, (off_t)atomic_load(&a->bytes)))
				return -1;
			return -1;
		}
		at += (size_t)n;
	}
	atomic_fetch_add(&a->bytes, a->out.len);
	a->out.len = 0;
	return 0;
}

static int append_sync(struct append *a)
{
	if (fdatasync(a->fd)) {
		append_fail(a, "sync");
		return -1;
	}
	return 0;
}

static int append_skippable(struct bytes *out, uint32_t magic, uint32_t len)
{
	return bytes_put_le32(out, magic) || bytes_put_le32(out, len) ? -1 : 0;
}

/* A little-endian number into bytes that are there already. */
static void append_patch(uint8_t *at, uint64_t v, size_t width)
{
	for (size_t i = 0; i < width; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

/* Compresses a->content behind what `out` holds. */
static int append_compress(struct append *a)
{
	size_t bound = ZSTD_compressBound(a->content.len), n;

	if (bytes_reserve(&a->out, bound))
		return -1;
	n = ZSTD_compress2(a->zstd, a->out.data + a->out.len, bound, a->content.data,
			   a->content.len);
	if (ZSTD_isError(n))
		return -1;
	a->out.len += n;
	return 0;
}

/* a->content, of a string frame, with each private string in its hidden form. */
static int append_commit(struct append *a)
{
	const struct bytes *content = &a->content;
	struct bytes_reader in = { content->data, content->len, 0, false };
	struct bytes *out = &a->commit;
	uint64_t count;

	bytes_get_u8(&in);
	bytes_get_varint(&in);
	count = bytes_get_varint(&in);
	out->len = 0;
	if (bytes_put_le32(out, BUNDLE_STRINGS_MAGIC) || bytes_put_le32(out, 0) ||
	    bytes_put(out, content->data, in.at))
		return -1;
	while (count--) {
		size_t start = in.at;
		bool private = bytes_get_u8(&in) == BUNDLE_FORM_PRIVATE;
		const uint8_t *salt = private ? bytes_get(&in, BUNDLE_SALT) : NULL;
		size_t len = bytes_get_varint(&in);
		const uint8_t *data = bytes_get(&in, len);
		uint8_t hash[BUNDLE_HASH];

		if (in.bad)
			return -1;
		if (!private) {
			if (bytes_put(out, content->data + start, in.at - start))
				return -1;
			continue;
		}
		if (!EVP_DigestInit_ex(a->hash, EVP_sha256(), NULL) ||
		    !EVP_DigestUpdate(a->hash, salt, BUNDLE_SALT) ||
		    !EVP_DigestUpdate(a->hash, data, len) ||
		    !EVP_DigestFinal_ex(a->hash, hash, NULL))
			return -1;
		if (bytes_put_u8(out, BUNDLE_FORM_HIDDEN) || bytes_put(out, hash, sizeof(hash)))
			return -1;
	}
	append_patch(out->data + 4, out->len - BUNDLE_SKIPPABLE_HEAD, 4);
	return 0;
}

/* The string frame, the skippable frame before it, and their canonical form into the link. */
static int append_strings(struct append *a, const struct append_job *job)
{
	size_t frame = a->out.len + BUNDLE_SKIPPABLE_HEAD + BUNDLE_STRINGS_SIZE;
	static const uint8_t room[BUNDLE_STRINGS_SIZE];
	uint8_t *payload, digest[BUNDLE_HASH];
	size_t len;

	a->content.len = 0;
	if (bytes_put_u8(&a->content, BUNDLE_CONTENT_STRINGS) ||
	    bytes_put_varint(&a->content, job->strings_first) ||
	    bytes_put_varint(&a->content, job->strings_count) ||
	    bytes_put(&a->content, job->strings.data, job->strings.len) ||
	    append_skippable(&a->out, BUNDLE_STRINGS_MAGIC, BUNDLE_STRINGS_SIZE) ||
	    bytes_put(&a->out, room, sizeof(room)) || append_compress(a) || append_commit(a))
		return -1;
	len = a->out.len - frame;
	if (!EVP_Digest(a->out.data + frame, len, digest, NULL, EVP_sha256(), NULL))
		return -1;
	payload = a->out.data + frame - BUNDLE_STRINGS_SIZE;
	append_patch(payload, len, 4);
	memcpy(payload + 4, digest, BUNDLE_STRINGS_DIGEST);
	if (!EVP_DigestUpdate(a->link, a->commit.data, a->commit.len))
		return -1;
	a->at.frames += 2;
	a->at.index.strings += job->strings_count;
	return 0;
}

/* Ends the link: its hash is in a->at.chain and starts the next one. */
static int append_hash(struct append *a)
{
	if (!EVP_DigestFinal_ex(a->link, a->at.chain, NULL) ||
	    !EVP_DigestInit_ex(a->link, EVP_sha256(), NULL) ||
	    !EVP_DigestUpdate(a->link, a->at.chain, sizeof(a->at.chain)))
		return -1;
	return 0;
}

static int append_frames(struct append *a, const struct append_job *job)
{
	size_t start, len;

	if (job->strings_count && append_strings(a, job))
		return -1;
	start = a->out.len;
	a->content.len = 0;
	if (frame_encode(job->frame, &a->content) || append_compress(a))
		return -1;
	len = a->out.len - start;
	if (!EVP_DigestUpdate(a->link, a->out.data + start, len) ||
	    append_index_add(&a->at.index, job->frame, job->opened, a->at.position, len) ||
	    append_hash(a))
		return -1;
	a->at.links++;
	if (append_skippable(&a->out, BUNDLE_CHAIN_MAGIC, BUNDLE_CHAIN_SIZE) ||
	    bytes_put_le64(&a->out, a->at.links) ||
	    bytes_put(&a->out, a->at.chain, sizeof(a->at.chain)))
		return -1;
	a->at.position += len + BUNDLE_SKIPPABLE_HEAD + BUNDLE_CHAIN_SIZE;
	a->at.frames += 2;
	a->at.records += frame_records(job->frame);
	return 0;
}

/* A job to the file; one that cannot be written is lost as a whole. */
static void append_take(struct append *a, const struct append_job *job)
{
	ZSTD_CCtx_setParameter(a->zstd, ZSTD_c_compressionLevel,
			       append_level_start(&a->level, append_job_bytes(job)));
	if (!atomic_load(&a->failed) && append_frames(a, job)) {
		errno = ENOMEM;
		append_fail(a, "write");
	}
	if (atomic_load(&a->failed) || append_write(a))
		atomic_fetch_add(&a->lost, frame_records(job->frame));
}

static void append_report(struct append *a)
{
	const struct bundle_durable durable = { a->at.frames, atomic_load(&a->bytes),
						a->at.records };

	if (atomic_load(&a->failed) || append_sync(a))
		return;
	if (a->durable)
		a->durable(a->durable_ctx, &durable);
}

/* What waits, all of it. NULL: nothing; *stop says whether anything may still come. */
static struct append_job *append_wait(struct append *a, bool *stop)
{
	struct append_job *job;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += DUE_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&a->lock);
	while (!a->first && !a->stop &&
	       pthread_cond_timedwait(&a->wake, &a->lock, &until) != ETIMEDOUT)
		;
	job = a->first;
	a->first = NULL;
	a->last = &a->first;
	*stop = a->stop;
	pthread_mutex_unlock(&a->lock);
	return job;
}

static void *append_run(void *arg)
{
	struct append *a = arg;

	for (;;) {
		struct append_job *job;
		bool stop;

		a->due(a->due_ctx);
		job = append_wait(a, &stop);
		if (!job && stop)
			return NULL;
		if (!job)
			continue;
		/* All that waits is written, then synced once. */
		while (job) {
			struct append_job *next = job->next;
			size_t queued;

			append_take(a, job);
			pthread_mutex_lock(&a->lock);
			queued = a->queued -= append_job_bytes(job);
			pthread_mutex_unlock(&a->lock);
			append_level_adapt(&a->level, job->opened, queued, a->queue_max);
			append_job_free(job);
			job = next;
		}
		append_report(a);
	}
}

bool append_has_room(struct append *a, size_t bytes)
{
	bool room;

	pthread_mutex_lock(&a->lock);
	room = a->queued + bytes <= a->queue_max;
	pthread_mutex_unlock(&a->lock);
	return room;
}

void append_push(struct append *a, struct append_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&a->lock);
	*a->last = job;
	a->last = &job->next;
	a->queued += append_job_bytes(job);
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

bool append_failed(struct append *a, struct err *err)
{
	if (!atomic_load(&a->failed))
		return false;
	err_set(err, a->why.kind, "%s", a->why.text);
	return true;
}

uint64_t append_lost(struct append *a)
{
	return atomic_load(&a->lost);
}

uint64_t append_bytes(struct append *a)
{
	return atomic_load(&a->bytes);
}

/* The index frame; its last bytes are the hash of the chain's end and of the index before them. */
static int append_seal(struct append *a, uint64_t closed)
{
	size_t start = a->out.len;

	if (append_skippable(&a->out, BUNDLE_INDEX_MAGIC, 0) ||
	    append_index_write(&a->at.index, a->at.links, a->at.chain, closed, &a->out))
		return -1;
	append_patch(a->out.data + start + 4,
		     a->out.len - start - BUNDLE_SKIPPABLE_HEAD + BUNDLE_HASH, 4);
	if (!EVP_DigestUpdate(a->link, a->out.data + start, a->out.len - start) || append_hash(a) ||
	    bytes_put(&a->out, a->at.chain, sizeof(a->at.chain)))
		return -1;
	a->at.frames++;
	return 0;
}

static int append_header(struct append *a, uint32_t flags)
{
	uint8_t id[BUNDLE_ID];

	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return -1;
	if (append_skippable(&a->out, BUNDLE_HEADER_MAGIC, BUNDLE_HEADER_SIZE) ||
	    bytes_put(&a->out, BUNDLE_NAME, 8) || bytes_put_le32(&a->out, BUNDLE_FORMAT) ||
	    bytes_put_le32(&a->out, flags) || bytes_put_le32(&a->out, 0) ||
	    bytes_put(&a->out, id, sizeof(id)))
		return -1;
	/* The chain starts from zeros and covers the header. */
	if (!EVP_DigestInit_ex(a->link, EVP_sha256(), NULL) ||
	    !EVP_DigestUpdate(a->link, a->at.chain, sizeof(a->at.chain)) ||
	    !EVP_DigestUpdate(a->link, a->out.data, a->out.len))
		return -1;
	a->at.position = a->out.len;
	a->at.frames = 1;
	return 0;
}

static void append_free(struct append *a)
{
	close(a->fd);
	free(a->path);
	ZSTD_freeCCtx(a->zstd);
	EVP_MD_CTX_free(a->hash);
	EVP_MD_CTX_free(a->link);
	bytes_release(&a->content);
	bytes_release(&a->out);
	bytes_release(&a->commit);
	append_index_release(&a->at.index);
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->wake);
	free(a);
}

/* A new file begins with its header, and that is on disk; of another one H is where it stopped. */
static int append_begin(struct append *a, uint32_t flags, struct err *err)
{
	if (atomic_load(&a->bytes)) {
		if (EVP_DigestInit_ex(a->link, EVP_sha256(), NULL) &&
		    EVP_DigestUpdate(a->link, a->at.chain, sizeof(a->at.chain)))
			return 0;
	} else if (!append_header(a, flags)) {
		if (!append_write(a) && !append_sync(a))
			return 0;
		return err_set(err, ERR_INCOMPLETE, "%s", a->why.text);
	}
	return err_set(err, ERR_INCOMPLETE, "%s: out of memory or randomness", a->path);
}

struct append *append_open(int fd, const char *path, const struct append_options *options,
			   struct err *err)
{
	const struct bundle_writer_options *writer = options->writer;
	struct append *a = calloc(1, sizeof(*a));
	pthread_condattr_t clock;

	if (!a) {
		close(fd);
		err_set(err, ERR_INCOMPLETE, "%s: out of memory", path);
		return NULL;
	}
	a->fd = fd;
	a->path = strdup(path);
	a->durable = writer->durable;
	a->durable_ctx = writer->ctx;
	a->due = options->due;
	a->due_ctx = options->ctx;
	a->queue_max = writer->queue_bytes ? writer->queue_bytes : QUEUE_BYTES;
	a->last = &a->first;
	a->at = *options->state;
	options->state->index.table = (struct bytes)BYTES_INIT;
	a->bytes = a->at.bytes;
	append_level_init(&a->level, writer->level);
	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&a->wake, &clock);
	pthread_condattr_destroy(&clock);
	a->zstd = ZSTD_createCCtx();
	a->hash = EVP_MD_CTX_new();
	a->link = EVP_MD_CTX_new();
	if (!a->path || !a->zstd || !a->hash || !a->link) {
		err_set(err, ERR_INCOMPLETE, "%s: out of memory", path);
		append_free(a);
		return NULL;
	}
	ZSTD_CCtx_setParameter(a->zstd, ZSTD_c_checksumFlag, 1);
	if (append_begin(a, writer->key ? BUNDLE_FLAG_SIGNED : 0, err)) {
		append_free(a);
		return NULL;
	}
	if (thread_start(&a->thread, append_run, a)) {
		err_set(err, ERR_INCOMPLETE, "%s: cannot start the writer's thread", path);
		append_free(a);
		return NULL;
	}
	return a;
}

int append_close(struct append *a, bool seal, uint64_t closed, uint8_t *hash, struct err *err)
{
	int ret = 0;

	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	if (seal && !atomic_load(&a->failed)) {
		if (append_seal(a, closed)) {
			errno = ENOMEM;
			append_fail(a, "write the index");
		} else if (!append_write(a)) {
			append_report(a);
		}
	}
	if (append_failed(a, err))
		ret = -1;
	if (hash)
		memcpy(hash, a->at.chain, sizeof(a->at.chain));
	append_free(a);
	return ret;
}
