/*
 * Any bytes as a bundle: the reader and verify end, in bounded memory. The input stands for a file;
 * when it starts with 'R' or 'S', the rest stands for what a zstd frame holds (records, strings),
 * so that the fuzzer need not learn zstd.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bundle/decode.h"
#include "bundle/reader.h"
#include "bundle/verify.h"

static void fuzz_file(const char *path)
{
	struct err err = ERR_INIT;
	struct bundle_reader *r = bundle_reader_open(path, &err);
	struct verify_result result;
	struct bundle_record record;
	struct bundle_end end;

	if (r) {
		while (bundle_reader_next(r, &record, &err) > 0)
			bundle_reader_string(r, record.rec->id);
		bundle_reader_end(r, &end);
		if (end.end_offset > end.bytes)
			abort();
		bundle_reader_close(r);
	}
	err.kind = ERR_NONE;
	if (!bundle_verify(path, NULL, &result, &err) && result.ok != !result.findings_count)
		abort();
	verify_result_release(&result);
}

static void fuzz_records(const uint8_t *data, size_t size)
{
	struct decode_records d = { 0 };
	union rec_any rec;

	if (!decode_records_open(&d, data, size)) {
		while (decode_records_batch(&d) > 0) {
			while (decode_records_next(&d, &rec) > 0)
				;
		}
	}
	decode_records_release(&d);
}

static void fuzz_strings(const uint8_t *data, size_t size)
{
	struct decode_strings d;
	struct decode_string s;

	if (decode_strings_open(&d, data, size))
		return;
	while (decode_strings_next(&d, &s) > 0) {
		if (!s.len || s.data + s.len > data + size)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[64];

	if (size && data[0] == 'R') {
		fuzz_records(data + 1, size - 1);
		return 0;
	}
	if (size && data[0] == 'S') {
		fuzz_strings(data + 1, size - 1);
		return 0;
	}
	if (fd < 0) {
		fd = memfd_create("bundle", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		return 0;
	fuzz_file(path);
	return 0;
}
