/* What the fuzz targets of decoders share: what may be kept of any call. */
#ifndef DAYLIGHT_FUZZ_DECODER_KIT_H
#define DAYLIGHT_FUZZ_DECODER_KIT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void check_text(const char *text, size_t max)
{
	size_t len = strlen(text);

	CHECK(len <= max);
	for (size_t i = 0; i < len; i++)
		CHECK(text[i] > ' ' && text[i] <= '~');
}

static void check_kept(const struct decoder_call *c)
{
	CHECK(*c->method);
	check_text(c->method, 32);
	check_text(c->path, 4096);
	check_text(c->host, 261);
	CHECK(!strchr(c->path, '?') && !strchr(c->path, '#') && !strchr(c->host, '@'));
	CHECK(c->ids_answered <= c->ids_count && c->ids_count <= 8);
	for (size_t i = 0; i < c->ids_count; i++) {
		check_text(c->ids[i].value, 256);
		CHECK(strlen(c->ids[i].value) == c->ids[i].len && c->ids[i].len);
	}
	CHECK(c->status < 1000);
}

#endif
