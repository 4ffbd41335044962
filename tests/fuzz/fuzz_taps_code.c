/*
 * Any bytes as machine code: following it ends, and what is called a tap is an emulated instruction
 * within the code. The first byte: bits 0-4 a place to start, bits 5-7 how many bytes at the end
 * are words of a table of handlers instead.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The fuzzer links the offline parts only. */
#include "collect/taps_code.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define AT 0x401000u
#define FRAME 56

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void check_site(const struct taps_code *code, const struct taps_code_site *s)
{
	size_t size = s->size;
	const uint8_t *tap = taps_code_at(code, s->address, &size);

	CHECK(tap && size == s->size && s->size && taps_code_emulated(tap, size));
	CHECK(s->pieces && s->pieces <= TAPS_CODE_PIECES);
	for (size_t i = 0; i < s->pieces; i++) {
		CHECK(s->piece[i].from < s->piece[i].to);
		CHECK(s->piece[i].from >= AT && s->piece[i].to <= AT + code->span[0].size);
		CHECK(s->piece[i].to - s->piece[i].from <= TAPS_CODE_PIECE_MAX);
	}
	CHECK(s->address + s->size == s->piece[s->pieces - 1].to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t arguments = 1U << WIRE_RSI | 1U << WIRE_RDX;
	struct taps_code code = { .count = 1 };
	struct taps_code_site site[2];
	uint64_t words[2 * TAPS_CODE_OPCODES] = { 0 };
	size_t table, sites = 0, first = 0, found;
	uint8_t *exact;
	const char *why = NULL;

	if (size < 2 || size > 4096)
		return 0;
	table = (size - 1) / 8 * (data[0] >> 5);
	/* Of the exact size, so that a read behind it is seen. */
	exact = malloc(size - 1 - table + 1);
	CHECK(exact);
	memcpy(exact, data + 1, size - 1 - table);
	code.span[0] = (struct taps_code_span){ exact, size - 1 - table, AT };
	if (!taps_code_entry(&code, AT, arguments, &site[0], &why))
		check_site(&code, &site[0]);
	else
		CHECK(why && *why);
	for (uint64_t start = AT; sites < 2 && start <= AT + (data[0] & 31u); start++) {
		if (!taps_code_handler(&code, start, FRAME, &site[sites], &why))
			check_site(&code, &site[sites++]);
		else
			CHECK(why && *why);
	}
	for (size_t i = 0; i < sites; i++)
		if (taps_code_closed(&code, site, sites, i, &why))
			CHECK(why && *why);
	for (size_t i = 0; i < table && i < sizeof(words) / sizeof(words[0]); i++)
		words[i] = AT + data[size - table + i];
	found = taps_code_tables(&code, AT, size - 1 - table, words,
				 sizeof(words) / sizeof(words[0]), AT, &first);
	CHECK(!found || first + TAPS_CODE_OPCODES <= sizeof(words) / sizeof(words[0]));
	free(exact);
	return 0;
}
