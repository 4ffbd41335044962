/* Where functions return. */
#include "collect/tls_code.h"

#include <capstone/capstone.h>
#include <stdlib.h>
#include <string.h>

struct part {
	uint64_t start, end;
};

struct sweep {
	const struct taps_code *code;
	const struct tls_code_starts *starts;
	csh handle;
	cs_insn *insn;
	struct part parts[TLS_CODE_PARTS];
	size_t count;
	struct tls_code_ends *out;
	const char *why;
};

static int fail(struct sweep *s, const char *why)
{
	s->why = why;
	return -1;
}

static int sweep_open(struct sweep *s)
{
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &s->handle) != CS_ERR_OK) {
		s->handle = 0;
		return fail(s, "the disassembler does not start");
	}
	if (cs_option(s->handle, CS_OPT_DETAIL, CS_OPT_ON) == CS_ERR_OK)
		s->insn = cs_malloc(s->handle);
	return s->insn ? 0 : fail(s, "the disassembler does not start");
}

static void sweep_close(struct sweep *s)
{
	if (s->insn)
		cs_free(s->insn, 1);
	if (s->handle)
		cs_close(&s->handle);
}

/* The part of the code that an address lies in, up to where the next one begins. */
static int part_of(const struct sweep *s, uint64_t address, struct part *out)
{
	size_t low = 0, high = s->starts->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->starts->at[middle] <= address)
			low = middle + 1;
		else
			high = middle;
	}
	/* The last one's end is not known. */
	if (!low || low == s->starts->count)
		return -1;
	out->start = s->starts->at[low - 1];
	out->end = s->starts->at[low];
	return 0;
}

static int take_part(struct sweep *s, uint64_t address)
{
	struct part part;

	for (size_t i = 0; i < s->count; i++)
		if (address >= s->parts[i].start && address < s->parts[i].end)
			return 0;
	if (part_of(s, address, &part))
		return fail(s, "it jumps to where no function is described");
	if (s->count == TLS_CODE_PARTS || part.end - part.start > TLS_CODE_PART_MAX)
		return fail(s, "it has too many parts");
	s->parts[s->count++] = part;
	return 0;
}

static int take_return(struct sweep *s, uint64_t address)
{
	for (size_t i = 0; i < s->out->count; i++)
		if (s->out->returns[i] == address)
			return 0;
	if (s->out->count == TLS_CODE_RETURNS)
		return fail(s, "it returns at too many places");
	s->out->returns[s->out->count++] = address;
	return 0;
}

static int take_pointer(struct sweep *s, uint64_t place)
{
	for (size_t i = 0; i < s->out->jumps_count; i++)
		if (s->out->jumps[i] == place)
			return 0;
	if (s->out->jumps_count == TLS_CODE_JUMPS)
		return fail(s, "it jumps to too many functions");
	s->out->jumps[s->out->jumps_count++] = place;
	return 0;
}

/* The place that a `jmp *distance(%rip)` jumps through; 0: it is another jump. */
static uint64_t pointer_place(const cs_insn *insn)
{
	const cs_x86_op *op = &insn->detail->x86.operands[0];

	if (insn->id != X86_INS_JMP || op->type != X86_OP_MEM || op->mem.base != X86_REG_RIP ||
	    op->mem.index != X86_REG_INVALID)
		return 0;
	return insn->address + insn->size + (uint64_t)op->mem.disp;
}

static bool decode(struct sweep *s, uint64_t address)
{
	size_t size = 15;
	const uint8_t *bytes = taps_code_at(s->code, address, &size);

	return bytes && cs_disasm_iter(s->handle, &bytes, &size, &address, s->insn);
}

/* A jump out of the part: to a stub that goes through a pointer, or to more code. */
static int take_target(struct sweep *s, uint64_t target)
{
	uint64_t at = target, place;

	for (int step = 0; step < 2 && decode(s, at); step++) {
		place = pointer_place(s->insn);
		if (place)
			return take_pointer(s, place);
		if (s->insn->id != X86_INS_ENDBR64)
			break;
		at += s->insn->size;
	}
	return take_part(s, target);
}

static int look_at(struct sweep *s, const struct part *part)
{
	const cs_insn *insn = s->insn;
	const cs_x86_op *op = &insn->detail->x86.operands[0];

	if (cs_insn_group(s->handle, insn, CS_GRP_RET))
		return take_return(s, insn->address);
	if (!cs_insn_group(s->handle, insn, CS_GRP_JUMP))
		return 0;
	if (insn->detail->x86.op_count && op->type == X86_OP_IMM) {
		uint64_t target = (uint64_t)op->imm;

		return target >= part->start && target < part->end ? 0 : take_target(s, target);
	}
	if (pointer_place(insn))
		return take_pointer(s, pointer_place(insn));
	s->out->computed = true;
	return 0;
}

static int sweep_part(struct sweep *s, const struct part *part)
{
	for (uint64_t at = part->start; at < part->end;) {
		uint64_t next;

		if (!decode(s, at))
			return fail(s, "it cannot be disassembled");
		next = at + s->insn->size;
		if (look_at(s, part))
			return -1;
		at = next;
	}
	return 0;
}

int tls_code_ends(const struct taps_code *code, const struct tls_code_starts *starts,
		  const uint64_t *entries, size_t entries_count, struct tls_code_ends *out,
		  const char **why)
{
	struct sweep s = { .code = code, .starts = starts, .out = out, .why = "it has no code" };
	struct part first;
	int ret;

	memset(out, 0, sizeof(*out));
	ret = sweep_open(&s);
	if (!ret &&
	    (!entries_count || part_of(&s, entries[0], &first) || first.start != entries[0]))
		ret = fail(&s, "no function is described at its address");
	for (size_t i = 0; !ret && i < entries_count; i++)
		ret = take_part(&s, entries[i]);
	for (size_t i = 0; !ret && i < s.count; i++) {
		struct part part = s.parts[i];

		ret = sweep_part(&s, &part);
	}
	sweep_close(&s);
	if (ret)
		*why = s.why;
	return ret;
}

uint64_t tls_code_constant(const struct taps_code *code, uint64_t function)
{
	struct sweep s = { .code = code };
	uint64_t at = function, constant = 0;

	for (int step = sweep_open(&s) ? 4 : 0; step < 4 && decode(&s, at); step++) {
		const cs_x86 *x = &s.insn->detail->x86;

		at += s.insn->size;
		if (s.insn->id == X86_INS_LEA && x->operands[0].reg == X86_REG_RAX &&
		    x->operands[1].mem.base == X86_REG_RIP &&
		    x->operands[1].mem.index == X86_REG_INVALID && !constant) {
			constant = at + (uint64_t)x->operands[1].mem.disp;
			continue;
		}
		if (s.insn->id == X86_INS_RET) {
			sweep_close(&s);
			return constant;
		}
		if (s.insn->id != X86_INS_ENDBR64)
			break;
	}
	sweep_close(&s);
	return 0;
}
