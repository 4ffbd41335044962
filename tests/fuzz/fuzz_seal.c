/*
 * Any bytes as a signature frame (behind 'S'), a timestamp frame ('T') or a key file ('K'): the
 * checks end, and what they print of a certificate is plain text.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bundle/seal.h"
#include "bundle/seal_time.h"

static void fuzz_signature(const uint8_t *data, size_t size)
{
	struct seal_facts facts = { .start = REC_NULL, .stop = REC_NULL };
	struct seal_signature said;

	if (size <= BUNDLE_SKIPPABLE_HEAD + BUNDLE_SIGNATURE_MIN ||
	    size > BUNDLE_SKIPPABLE_HEAD + BUNDLE_SIGNATURE_MAX)
		return;
	if (seal_check(data, size, &facts, &said))
		abort();
	if (said.agrees && !said.agrees_but_window)
		abort();
}

static void fuzz_timestamp(const uint8_t *data, size_t size)
{
	static const uint8_t imprint[BUNDLE_HASH];
	struct seal_time said;

	if (size <= BUNDLE_SKIPPABLE_HEAD + BUNDLE_HASH ||
	    size > BUNDLE_SKIPPABLE_HEAD + BUNDLE_TIMESTAMP_MAX)
		return;
	seal_time_check(data, size, imprint, NULL, &said);
	/*
	 * Nobody is trusted when nobody was named. Anybody can write down an imprint, which is then
	 * there to be read; but nobody has signed one of 32 zeros.
	 */
	if (said.trusted || (said.fits && said.genuine))
		abort();
	if (said.fits && !memmem(data, size, imprint, sizeof(imprint)))
		abort();
	for (const char *p = said.authority; *p; p++) {
		if (*p < ' ' || *p > '~')
			abort();
	}
}

static void fuzz_key(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	struct seal_key *key;
	char path[64];
	int fd = memfd_create("key", MFD_CLOEXEC);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd >= 0 && write(fd, data, size) == (ssize_t)size) {
		key = seal_key_load(path, false, &err);
		if (!key && err.kind != ERR_USAGE)
			abort();
		seal_key_free(key);
	}
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (!size)
		return 0;
	/* A block of its own, so that a byte too far is seen. */
	copy = malloc(size - 1 ? size - 1 : 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	if (data[0] == 'S')
		fuzz_signature(copy, size - 1);
	else if (data[0] == 'T')
		fuzz_timestamp(copy, size - 1);
	else if (data[0] == 'K')
		fuzz_key(copy, size - 1);
	free(copy);
	return 0;
}
