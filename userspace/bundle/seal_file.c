/* Signatures and timestamps onto finished bundles. */
#include "bundle/seal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bundle/seal.h"
#include "bundle/seal_time.h"
#include "bundle/verify.h"

static int file_write(int fd, const struct bytes *frame)
{
	size_t at = 0;

	while (at < frame->len) {
		ssize_t n = write(fd, frame->data + at, frame->len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		at += (size_t)n;
	}
	return fdatasync(fd);
}

/* Appends at r->end (a part of such a frame that lies there is cut off), all or nothing. */
static int file_append(const char *path, const struct verify_result *r, const struct bytes *frame,
		       struct err *err)
{
	cleanup_close int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int why;

	if (fd < 0)
		return err_errno(err, ERR_USAGE, "%s: cannot open the bundle for writing", path);
	if (flock(fd, LOCK_EX | LOCK_NB))
		return err_set(err, ERR_USAGE, "%s is being written: wait until that has ended",
			       path);
	if (fstat(fd, &st) || (uint64_t)st.st_size != r->size)
		return err_set(err, ERR_INCOMPLETE, "%s changed while it was read: try again",
			       path);
	if (r->end < r->size && ftruncate(fd, (off_t)r->end))
		return err_errno(err, ERR_INCOMPLETE, "%s: cannot be written on", path);
	if (!file_write(fd, frame))
		return 0;
	why = errno;
	/* A courtesy: half a frame at the end would be found by verify. */
	if (ftruncate(fd, (off_t)r->end))
		return err_set(err, ERR_INCOMPLETE, "%s: cannot write, and cannot undo it: %s",
			       path, strerror(why));
	errno = why;
	return err_errno(err, ERR_INCOMPLETE, "%s: cannot write (the file is as it was)", path);
}

/* Verifies; `may` may be unfinished. On success the result must be released. */
static int file_verify(const char *path, enum verify_unfinished may, struct verify_result *r,
		       struct err *err)
{
	bool cut;

	if (bundle_verify(path, NULL, r, err)) {
		verify_result_release(r);
		return -1;
	}
	if (r->ok || (r->unfinished == may && r->findings_count == 1))
		return 0;
	if (r->unfinished && r->findings_count == 1) {
		verify_result_release(r);
		return err_set(
			err, ERR_INCOMPLETE,
			may == VERIFY_UNFINISHED_SIGNATURE
				? "%s has half a timestamp: add the timestamp again"
				: "%s lacks the signature that was begun or promised: sign it "
				  "first",
			path);
	}
	cut = r->findings_count == 1 && r->findings[0].kind == VERIFY_CUT;
	verify_result_release(r);
	if (cut)
		return err_set(err, ERR_INCOMPLETE,
			       "%s ends before its index: only a finished "
			       "bundle can be signed or stamped",
			       path);
	return err_set(err, ERR_ALTERED, "%s is not intact: 'daylight verify' says where", path);
}

int seal_file_sign(const char *path, const struct seal_key *key, const uint8_t *seal,
		   struct err *err)
{
	struct bytes frame = BYTES_INIT;
	struct verify_result r;
	int ret = -1;

	if (file_verify(path, VERIFY_UNFINISHED_SIGNATURE, &r, err))
		return -1;
	if (r.signature != VERIFY_SIGNATURE_ABSENT)
		err_set(err, ERR_USAGE, "%s is signed already, by %s", path, r.key_sha256);
	else if (r.timestamp != VERIFY_TIMESTAMP_ABSENT)
		err_set(err, ERR_USAGE,
			"%s has a timestamp: a signature can only be put before one", path);
	else if (seal && memcmp(seal, r.facts.seal, BUNDLE_HASH))
		err_set(err, ERR_ALTERED, "%s is not what was written: it is not signed", path);
	else if (seal_frame(key, &r.facts, &frame))
		err_set(err, ERR_INCOMPLETE, "%s: cannot sign: out of memory", path);
	else
		ret = file_append(path, &r, &frame, err);
	bytes_release(&frame);
	verify_result_release(&r);
	return ret;
}

/* What a timestamp is to be of. */
static int file_imprint(const char *path, struct verify_result *r, struct err *err)
{
	if (file_verify(path, VERIFY_UNFINISHED_TIMESTAMP, r, err))
		return -1;
	if (r->timestamp == VERIFY_TIMESTAMP_ABSENT)
		return 0;
	verify_result_release(r);
	return err_set(err, ERR_USAGE, "%s has a timestamp already", path);
}

int seal_file_request(const char *path, struct bytes *out, struct err *err)
{
	struct verify_result r;
	int ret;

	if (file_imprint(path, &r, err))
		return -1;
	ret = seal_time_request(r.imprint, out, err);
	verify_result_release(&r);
	return ret;
}

int seal_file_stamp(const char *path, const uint8_t *response, size_t len, struct err *err)
{
	struct bytes frame = BYTES_INIT;
	struct verify_result r;
	int ret;

	if (file_imprint(path, &r, err))
		return -1;
	ret = seal_time_frame(response, len, r.imprint, &frame, err);
	if (!ret)
		ret = file_append(path, &r, &frame, err);
	bytes_release(&frame);
	verify_result_release(&r);
	return ret;
}
