/* The file as a row of frames. */
#include "bundle/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "base/bytes.h"

#define READ_AHEAD (256u << 10)
#define HEADER_MAX 4096
#define ZEROS_MAX (64u << 20) /* a longer run of zeros at the end is called damaged */

static uint32_t le32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Makes room for `want` bytes from `offset` on, keeping what is held of them. */
static int scan_seek(struct scan *s, uint64_t offset, size_t want)
{
	if (offset >= s->base && offset <= s->base + s->held) {
		size_t gone = (size_t)(offset - s->base);

		if (gone + want > s->cap && gone) {
			memmove(s->buffer, s->buffer + gone, s->held - gone);
			s->held -= gone;
			s->base = offset;
		}
	} else {
		s->held = 0;
		s->base = offset;
	}
	if (offset - s->base + want > s->cap) {
		size_t cap = want + READ_AHEAD;
		uint8_t *buffer = realloc(s->buffer, cap);

		if (!buffer)
			return -1;
		s->buffer = buffer;
		s->cap = cap;
	}
	return 0;
}

const uint8_t *scan_bytes(struct scan *s, uint64_t offset, size_t *len, struct err *err)
{
	if (offset > s->size)
		offset = s->size;
	if (*len > s->size - offset)
		*len = (size_t)(s->size - offset);
	if (!*len)
		return (const uint8_t *)"";
	if (scan_seek(s, offset, *len)) {
		err_set(err, ERR_INCOMPLETE, "%s: out of memory", s->path);
		return NULL;
	}
	while (s->base + s->held < offset + *len) {
		ssize_t n = pread(s->fd, s->buffer + s->held, s->cap - s->held,
				  (off_t)(s->base + s->held));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_errno(err, ERR_INCOMPLETE, "%s: cannot read at offset %llu", s->path,
				  (unsigned long long)s->base + s->held);
			return NULL;
		}
		if (!n) { /* it has become shorter since it was opened */
			s->size = s->base + s->held;
			*len = s->size > offset ? (size_t)(s->size - offset) : 0;
			break;
		}
		s->held += (size_t)n;
	}
	return s->buffer + (offset - s->base);
}

/* Nothing but zeros from here on: blocks that were never written. */
static enum scan_result scan_zeros(struct scan *s, struct err *err)
{
	uint64_t offset = s->at;

	if (s->size - s->at > ZEROS_MAX)
		return SCAN_DAMAGED;
	while (offset < s->size) {
		size_t len = READ_AHEAD;
		const uint8_t *p = scan_bytes(s, offset, &len, err);

		if (!p)
			return SCAN_ERROR;
		for (size_t i = 0; i < len; i++) {
			if (p[i])
				return SCAN_DAMAGED;
		}
		offset += len;
	}
	return SCAN_CUT;
}

static bool scan_skippable(uint32_t magic, uint32_t len, enum scan_kind *kind)
{
	switch (magic) {
	case BUNDLE_HEADER_MAGIC:
		*kind = SCAN_HEADER;
		return len >= BUNDLE_HEADER_SIZE && len <= HEADER_MAX;
	case BUNDLE_STRINGS_MAGIC:
		*kind = SCAN_STRINGS;
		return len == BUNDLE_STRINGS_SIZE;
	case BUNDLE_CHAIN_MAGIC:
		*kind = SCAN_CHAIN;
		return len == BUNDLE_CHAIN_SIZE;
	case BUNDLE_INDEX_MAGIC:
		*kind = SCAN_INDEX;
		return len >= BUNDLE_HASH && len <= BUNDLE_INDEX_MAX - BUNDLE_SKIPPABLE_HEAD;
	case BUNDLE_SIGNATURE_MAGIC:
		*kind = SCAN_SIGNATURE;
		return len > BUNDLE_SIGNATURE_MIN && len <= BUNDLE_SIGNATURE_MAX;
	case BUNDLE_TIMESTAMP_MAGIC:
		*kind = SCAN_TIMESTAMP;
		return len > BUNDLE_HASH && len <= BUNDLE_TIMESTAMP_MAX;
	default:
		*kind = SCAN_OTHER;
		return true;
	}
}

static enum scan_result scan_zstd(struct scan *s, struct scan_frame *f, struct err *err)
{
	size_t want = READ_AHEAD;

	for (;;) {
		size_t len = want;
		const uint8_t *p = scan_bytes(s, s->at, &len, err);
		size_t size;

		if (!p)
			return SCAN_ERROR;
		size = ZSTD_findFrameCompressedSize(p, len);
		if (!ZSTD_isError(size)) {
			if (size > BUNDLE_FRAME_MAX)
				return SCAN_DAMAGED;
			f->kind = SCAN_ZSTD;
			f->size = size;
			f->data = p;
			return SCAN_FRAME;
		}
		if (ZSTD_getErrorCode(size) != ZSTD_error_srcSize_wrong)
			return SCAN_DAMAGED;
		if (len < want)
			return SCAN_CUT;
		if (want > BUNDLE_FRAME_MAX)
			return SCAN_DAMAGED;
		want = want * 4 < BUNDLE_FRAME_MAX ? want * 4 : BUNDLE_FRAME_MAX + 1;
	}
}

enum scan_result scan_next(struct scan *s, struct scan_frame *f, struct err *err)
{
	size_t len = BUNDLE_SKIPPABLE_HEAD;
	const uint8_t *p = scan_bytes(s, s->at, &len, err);
	enum scan_result result = SCAN_FRAME;
	uint32_t magic;

	if (!p)
		return SCAN_ERROR;
	if (!len)
		return SCAN_END;
	f->kind = SCAN_OTHER;
	f->offset = s->at;
	f->data = NULL;
	if (len < BUNDLE_SKIPPABLE_HEAD) {
		if (len >= 4)
			scan_skippable(le32(p), 0, &f->kind);
		return SCAN_CUT;
	}
	magic = le32(p);
	if (magic == BUNDLE_ZSTD_MAGIC) {
		result = scan_zstd(s, f, err);
	} else if (BUNDLE_IS_SKIPPABLE(magic)) {
		f->size = BUNDLE_SKIPPABLE_HEAD + (uint64_t)le32(p + 4);
		if (!scan_skippable(magic, le32(p + 4), &f->kind))
			return SCAN_DAMAGED;
		if (f->size > s->size - s->at)
			return SCAN_CUT;
		if (f->kind != SCAN_OTHER) {
			len = (size_t)f->size;
			f->data = scan_bytes(s, s->at, &len, err);
			if (!f->data)
				return SCAN_ERROR;
			if (len < f->size)
				return SCAN_CUT;
		}
	} else {
		return magic ? SCAN_DAMAGED : scan_zeros(s, err);
	}
	if (result == SCAN_FRAME)
		s->at += f->size;
	return result;
}

int scan_open(struct scan *s, const char *path, struct scan_header *header, struct err *err)
{
	size_t len = BUNDLE_SKIPPABLE_HEAD + BUNDLE_HEADER_SIZE;
	struct bytes_reader in;
	struct stat st;

	memset(s, 0, sizeof(*s));
	s->path = path;
	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (s->fd < 0)
		return err_errno(err, ERR_USAGE, "%s: cannot open the bundle", path);
	if (fstat(s->fd, &st) || !S_ISREG(st.st_mode)) {
		err_set(err, ERR_USAGE, "%s is not a regular file: name a bundle", path);
		goto fail;
	}
	s->size = (uint64_t)st.st_size;
	in.data = scan_bytes(s, 0, &len, err);
	if (!in.data)
		goto fail;
	in.len = len;
	in.at = BUNDLE_SKIPPABLE_HEAD;
	in.bad = false;
	if (len < BUNDLE_SKIPPABLE_HEAD + BUNDLE_HEADER_SIZE ||
	    memcmp(in.data + in.at, BUNDLE_NAME, 8)) {
		err_set(err, ERR_USAGE,
			"%s is not a Daylight bundle: name a file written by daylight collect",
			path);
		goto fail;
	}
	bytes_get(&in, 8);
	header->format = bytes_get_le32(&in);
	header->compatible = bytes_get_le32(&in);
	header->incompatible = bytes_get_le32(&in);
	memcpy(header->id, bytes_get(&in, BUNDLE_ID), BUNDLE_ID);
	if (header->format != BUNDLE_FORMAT || header->incompatible) {
		err_set(err, ERR_USAGE,
			"%s: format %u with flags 0x%x is not known here (this program reads "
			"format "
			"%u): use the daylight that wrote it, or a newer one",
			path, header->format, header->incompatible, BUNDLE_FORMAT);
		goto fail;
	}
	return 0;
fail:
	scan_close(s);
	return -1;
}

void scan_close(struct scan *s)
{
	close(s->fd);
	free(s->buffer);
	s->buffer = NULL;
}

long scan_decompress(struct scan_content *c, const struct scan_frame *f)
{
	unsigned long long size = ZSTD_getFrameContentSize(f->data, f->size);
	size_t n;

	/* The frame header's descriptor: its third bit says that there is a checksum. */
	if (size > BUNDLE_CONTENT_MAX || !(f->data[4] & 4))
		return -1;
	if (!c->zstd) {
		c->zstd = ZSTD_createDCtx();
		if (!c->zstd)
			return -1;
	}
	if (size > c->cap || !c->data) {
		free(c->data);
		c->cap = (size_t)size + 1;
		c->data = malloc(c->cap);
		if (!c->data) {
			c->cap = 0;
			return -1;
		}
	}
	n = ZSTD_decompressDCtx(c->zstd, c->data, (size_t)size, f->data, (size_t)f->size);
	return ZSTD_isError(n) || n != size ? -1 : (long)n;
}

void scan_content_release(struct scan_content *c)
{
	ZSTD_freeDCtx(c->zstd);
	free(c->data);
	memset(c, 0, sizeof(*c));
}
