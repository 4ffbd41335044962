/* Straight-line machine code up to a tap, and tables of handlers. */
#include "collect/taps_code.h"

#include <capstone/capstone.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "wire.h"

#define FAR 160 /* bytes around a site: short jumps to it stand there, and room to get in step */

const uint8_t *taps_code_at(const struct taps_code *code, uint64_t address, size_t *size)
{
	for (size_t i = 0; i < code->count; i++) {
		const struct taps_code_span *s = &code->span[i];

		if (address >= s->address && address - s->address < s->size) {
			size_t left = s->size - (size_t)(address - s->address);

			*size = *size < left ? *size : left;
			return s->bytes + (address - s->address);
		}
	}
	return NULL;
}

/* ---- instructions ---- */

enum branch { BRANCH_NONE, BRANCH_JUMP, BRANCH_IF, BRANCH_PUSH, BRANCH_CALL };

/* Its length in *length and, for jumps and calls, the distance from its end in *distance. */
static enum branch branch_of(const uint8_t *b, size_t size, size_t *length, int32_t *distance)
{
	enum branch kind = BRANCH_NONE;

	if (size >= 1 && b[0] >= 0x50 && b[0] <= 0x57) {
		*length = 1;
		return BRANCH_PUSH;
	}
	if (size >= 2 && b[0] == 0x41 && b[1] >= 0x50 && b[1] <= 0x57) {
		*length = 2;
		return BRANCH_PUSH;
	}
	if (size >= 2 && (b[0] == 0xeb || (b[0] & 0xf0) == 0x70)) {
		*length = 2;
		*distance = b[1] < 128 ? b[1] : b[1] - 256;
		return b[0] == 0xeb ? BRANCH_JUMP : BRANCH_IF;
	}
	if (size >= 5 && (b[0] == 0xe9 || b[0] == 0xe8)) {
		*length = 5;
		kind = b[0] == 0xe9 ? BRANCH_JUMP : BRANCH_CALL;
	} else if (size >= 6 && b[0] == 0x0f && (b[1] & 0xf0) == 0x80) {
		*length = 6;
		kind = BRANCH_IF;
	} else {
		return BRANCH_NONE;
	}
	memcpy(distance, b + *length - sizeof(*distance), sizeof(*distance));
	return kind;
}

bool taps_code_emulated(const uint8_t *bytes, size_t size)
{
	int32_t distance;
	size_t length;
	enum branch kind = branch_of(bytes, size, &length, &distance);

	return kind != BRANCH_NONE && kind != BRANCH_CALL;
}

struct decoder {
	csh handle;
	cs_insn *insn;
};

static void decoder_close(struct decoder *d)
{
	if (d->insn)
		cs_free(d->insn, 1);
	if (d->handle)
		cs_close(&d->handle);
}

static int decoder_open(struct decoder *d)
{
	*d = (struct decoder){ 0 };
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &d->handle) != CS_ERR_OK) {
		d->handle = 0;
		return -1;
	}
	if (cs_option(d->handle, CS_OPT_DETAIL, CS_OPT_ON) == CS_ERR_OK)
		d->insn = cs_malloc(d->handle);
	if (!d->insn) {
		decoder_close(d);
		return -1;
	}
	return 0;
}

/* Decodes the instruction at an address; false: there is none. */
static bool decode(struct decoder *d, const struct taps_code *code, uint64_t address)
{
	size_t size = 15;
	const uint8_t *bytes = taps_code_at(code, address, &size);

	return bytes && cs_disasm_iter(d->handle, &bytes, &size, &address, d->insn);
}

/* The register that r is, or is a part of. */
static unsigned int whole_register(unsigned int r)
{
	static const uint16_t parts[WIRE_REGISTERS][5] = {
		[WIRE_R15] = { X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B },
		[WIRE_R14] = { X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B },
		[WIRE_R13] = { X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B },
		[WIRE_R12] = { X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B },
		[WIRE_RBP] = { X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL },
		[WIRE_RBX] = { X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL, X86_REG_BH },
		[WIRE_R11] = { X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B },
		[WIRE_R10] = { X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B },
		[WIRE_R9] = { X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B },
		[WIRE_R8] = { X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B },
		[WIRE_RAX] = { X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL, X86_REG_AH },
		[WIRE_RCX] = { X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL, X86_REG_CH },
		[WIRE_RDX] = { X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL, X86_REG_DH },
		[WIRE_RSI] = { X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL },
		[WIRE_RDI] = { X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL },
	};

	for (unsigned int i = 0; r != X86_REG_INVALID && i < WIRE_REGISTERS; i++)
		for (size_t n = 0; n < 5; n++)
			if (parts[i][n] == r)
				return i;
	return WIRE_REGISTERS;
}

/* Mask of the registers that the decoded instruction writes. */
static uint32_t written(struct decoder *d)
{
	cs_regs reads, writes;
	uint8_t reads_count = 0, writes_count = 0;
	uint32_t mask = 0;

	if (cs_regs_access(d->handle, d->insn, reads, &reads_count, writes, &writes_count) !=
	    CS_ERR_OK)
		return UINT32_MAX;
	for (uint8_t i = 0; i < writes_count; i++) {
		unsigned int r = whole_register(writes[i]);

		if (r < WIRE_REGISTERS)
			mask |= 1U << r;
	}
	return mask;
}

/* That the decoded instruction goes on to the next one, always. */
static bool straight(const struct decoder *d)
{
	static const uint8_t ends[] = { CS_GRP_JUMP, CS_GRP_CALL, CS_GRP_RET,
					CS_GRP_INT,  CS_GRP_IRET, CS_GRP_BRANCH_RELATIVE };

	for (size_t i = 0; i < sizeof(ends); i++)
		if (cs_insn_group(d->handle, d->insn, ends[i]))
			return false;
	switch (d->insn->id) {
	case X86_INS_UD2:
	case X86_INS_HLT:
	case X86_INS_LOOP:
	case X86_INS_LOOPE:
	case X86_INS_LOOPNE:
	case X86_INS_XBEGIN:
	case X86_INS_XABORT:
	case X86_INS_SYSCALL:
	case X86_INS_SYSENTER:
		return false;
	default:
		return true;
	}
}

/* The base register of a `mov REG, at(BASE)` of 8 bytes; WIRE_REGISTERS: it is something else. */
static unsigned int stored_to(const struct decoder *d, int32_t at)
{
	const cs_x86 *x = &d->insn->detail->x86;
	const x86_op_mem *mem = &x->operands[0].mem;

	if (d->insn->id != X86_INS_MOV || x->op_count != 2 || x->operands[0].type != X86_OP_MEM ||
	    x->operands[0].size != 8 || x->operands[1].type != X86_OP_REG ||
	    mem->segment != X86_REG_INVALID || mem->index != X86_REG_INVALID || mem->disp != at)
		return WIRE_REGISTERS;
	return whole_register(mem->base);
}

/* ---- straight lines ---- */

static int fail(const char **why, const char *text)
{
	*why = text;
	return -1;
}

static void begin_piece(struct taps_code_site *site, uint64_t address)
{
	site->piece[site->pieces++] = (struct taps_code_piece){ address, address };
}

/* The tap is found: the emulated instruction at an address. */
static int end_site(struct taps_code_site *site, uint64_t address, size_t length)
{
	site->address = address;
	site->size = (unsigned int)length;
	site->piece[site->pieces - 1].to = address + length;
	return 0;
}

static int follow_entry(struct decoder *d, const struct taps_code *code, uint64_t address,
			uint32_t kept, struct taps_code_site *out, const char **why)
{
	begin_piece(out, address);
	out->store = address;
	for (int step = 0; step < TAPS_CODE_STEPS; step++) {
		size_t size = 15, length = 0;
		const uint8_t *bytes = taps_code_at(code, address, &size);
		int32_t distance;
		enum branch kind = bytes ? branch_of(bytes, size, &length, &distance) : BRANCH_NONE;

		if (kind != BRANCH_NONE && kind != BRANCH_CALL)
			return end_site(out, address, length);
		if (!decode(d, code, address))
			return fail(why, "the evaluation function's entry cannot be decoded");
		if (!straight(d))
			return fail(why,
				    "the evaluation function's entry has no emulated instruction");
		if (written(d) & kept)
			return fail(why,
				    "the evaluation function's entry overwrites its arguments");
		address += d->insn->size;
	}
	return fail(why, "the evaluation function's entry has no emulated instruction");
}

int taps_code_entry(const struct taps_code *code, uint64_t address, uint32_t kept,
		    struct taps_code_site *out, const char **why)
{
	struct decoder d;
	int ret;

	memset(out, 0, sizeof(*out));
	if (decoder_open(&d))
		return fail(why, "the disassembler does not start");
	ret = follow_entry(&d, code, address, kept, out, why);
	decoder_close(&d);
	return ret;
}

/* Before the store, a jump is followed; behind it, it is the tap. */
static int follow_handler(struct decoder *d, const struct taps_code *code, uint64_t address,
			  int32_t frame_at, struct taps_code_site *out, const char **why)
{
	out->frame_reg = WIRE_REGISTERS;
	begin_piece(out, address);
	for (int step = 0; step < TAPS_CODE_STEPS; step++) {
		size_t size = 15, length = 0;
		const uint8_t *bytes = taps_code_at(code, address, &size);
		int32_t distance = 0;
		enum branch kind = bytes ? branch_of(bytes, size, &length, &distance) : BRANCH_NONE;
		unsigned int base;

		if (kind == BRANCH_IF || kind == BRANCH_JUMP) {
			if (out->frame_reg < WIRE_REGISTERS)
				return end_site(out, address, length);
			if (kind == BRANCH_IF)
				return fail(why,
					    "a handler branches before it stores the instruction");
			out->piece[out->pieces - 1].to = address + length;
			if (out->pieces == TAPS_CODE_PIECES)
				return fail(why, "a handler jumps too often");
			address += length + (uint64_t)(int64_t)distance;
			begin_piece(out, address);
			continue;
		}
		if (!decode(d, code, address))
			return fail(why, "a handler cannot be decoded");
		if (!straight(d))
			return fail(why, "a handler has no emulated branch behind its store");
		base = stored_to(d, frame_at);
		if (base < WIRE_REGISTERS) {
			if (out->frame_reg < WIRE_REGISTERS)
				return fail(why, "a handler stores the instruction twice");
			out->frame_reg = base;
			out->store = address;
		} else if (out->frame_reg < WIRE_REGISTERS && written(d) & 1U << out->frame_reg) {
			return fail(why, "a handler overwrites the register with the frame");
		}
		address += d->insn->size;
	}
	return fail(why, "a handler does not come to a branch");
}

int taps_code_handler(const struct taps_code *code, uint64_t address, int32_t frame_at,
		      struct taps_code_site *out, const char **why)
{
	struct decoder d;
	int ret;

	memset(out, 0, sizeof(*out));
	if (decoder_open(&d))
		return fail(why, "the disassembler does not start");
	ret = follow_handler(&d, code, address, frame_at, out, why);
	decoder_close(&d);
	return ret;
}

/* ---- ways in ---- */

static bool behind_store(const struct taps_code_site *site, uint64_t address)
{
	return address > site->store && address <= site->address;
}

/* A jump at `from` to behind the store: allowed when it is a tap with the same frame register. */
static bool known_jump(const struct taps_code_site *sites, size_t count, size_t n, uint64_t from)
{
	for (size_t i = 0; i < count; i++)
		if (sites[i].address == from && sites[i].frame_reg == sites[n].frame_reg)
			return true;
	return false;
}

/* Jumps and calls with a distance of 4 bytes: at any byte, so that no decoder can be out of step.
 */
static int closed_to_far(const struct taps_code *code, const struct taps_code_site *sites,
			 size_t count, size_t n)
{
	for (size_t s = 0; s < code->count; s++) {
		const struct taps_code_span *span = &code->span[s];

		for (size_t i = 0; i + 5 <= span->size; i++) {
			const uint8_t *b = span->bytes + i;
			uint64_t from = span->address + i;
			size_t length;
			int32_t distance;

			if ((b[0] & 0xfe) != 0xe8 && b[0] != 0x0f)
				continue;
			if (branch_of(b, span->size - i, &length, &distance) == BRANCH_NONE)
				continue;
			if (behind_store(&sites[n], from + length + (uint64_t)(int64_t)distance) &&
			    !known_jump(sites, count, n, from))
				return -1;
		}
	}
	return 0;
}

/*
 * Jumps with a distance of 1 byte stand close by and must be told from other bytes: decode from far
 * enough before, in step with the store.
 */
static int closed_to_near(struct decoder *d, const struct taps_code *code,
			  const struct taps_code_site *sites, size_t count, size_t n)
{
	const struct taps_code_site *site = &sites[n];
	uint64_t start, at, first = site->store;
	size_t size = 1;

	while (site->store - first < FAR && taps_code_at(code, first - 1, &size))
		first--;
	for (start = first; start <= site->store; start++) {
		for (at = start; at < site->store && decode(d, code, at);)
			at += d->insn->size;
		if (at == site->store)
			break;
	}
	for (at = start; at < site->address + FAR; at += size) {
		const uint8_t *bytes;
		size_t length;
		int32_t distance;

		size = 15;
		bytes = taps_code_at(code, at, &size);
		if (!bytes)
			break;
		if (branch_of(bytes, size, &length, &distance) != BRANCH_NONE && length == 2 &&
		    bytes[0] != 0x41 &&
		    behind_store(site, at + length + (uint64_t)(int64_t)distance) &&
		    !known_jump(sites, count, n, at))
			return -1;
		size = decode(d, code, at) ? d->insn->size : 1;
	}
	return 0;
}

int taps_code_closed(const struct taps_code *code, const struct taps_code_site *sites, size_t count,
		     size_t n, const char **why)
{
	struct decoder d;
	int ret;

	if (decoder_open(&d))
		return fail(why, "the disassembler does not start");
	ret = closed_to_far(code, sites, count, n) || closed_to_near(&d, code, sites, count, n)
		      ? fail(why, "other code jumps into a handler, behind its store")
		      : 0;
	decoder_close(&d);
	return ret;
}

/* ---- tables ---- */

static bool is_code(const struct taps_code *code, uint64_t address)
{
	size_t size = 1;

	return taps_code_at(code, address, &size) != NULL;
}

static bool is_table(const struct taps_code *code, uint64_t function, uint64_t size,
		     const uint64_t *words)
{
	size_t inside = 0;

	for (size_t i = 0; i < TAPS_CODE_OPCODES; i++) {
		if (!is_code(code, words[i]))
			return false;
		inside += words[i] >= function && words[i] - function < size;
	}
	return inside >= TAPS_CODE_OPCODES / 2;
}

size_t taps_code_tables(const struct taps_code *code, uint64_t function, uint64_t size,
			const uint64_t *words, size_t count, uint64_t address, size_t *first)
{
	size_t have = (size_t)size, found = 0, last = SIZE_MAX;
	const uint8_t *bytes = taps_code_at(code, function, &have);

	if (!bytes || count < TAPS_CODE_OPCODES)
		return 0;
	/* The compiler refers to the table by its address, or by the distance from the
	 * instruction's end. */
	for (size_t i = 0; i + 4 <= have; i++) {
		uint32_t value;
		uint64_t to[2];

		memcpy(&value, bytes + i, sizeof(value));
		to[0] = value;
		to[1] = function + i + 4 + (uint64_t)(int64_t)(int32_t)value;
		for (size_t k = 0; k < 2; k++) {
			uint64_t index = (to[k] - address) / 8;

			if (to[k] < address || (to[k] - address) % 8 ||
			    index > count - TAPS_CODE_OPCODES || index == last ||

			    !is_table(code, function, size, words + index))
				continue;
			last = (size_t)index;
			if (!found++)
				*first = last;
		}
	}
	return found;
}
