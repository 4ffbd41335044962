/* Unwinds a copy of a thread's stack. */
#include "collect/unwind_walk.h"

#include <dwarf.h>
#include <string.h>

#define DEPTH 16 /* values on the stack of an expression */

/* Where a register's value came from: what must be the same for the walk to be the same. */
#define FROM_START 0xffff /* it is what it was when the copy was taken */

struct walk {
	const struct unwind_stack *stack;
	struct unwind_result *out;
	uint64_t value[UNWIND_REGISTERS];
	uint16_t from[UNWIND_REGISTERS]; /* word of the copy, or FROM_START */
	uint32_t valid;
	uint64_t cfa;
	bool has_cfa;
};

static bool read_word(const struct walk *w, uint64_t address, uint64_t *out, uint16_t *word)
{
	uint64_t at = address - w->stack->registers[UNWIND_RSP];

	if (at % 8 || w->stack->length < 8 || at > w->stack->length - 8)
		return false;
	memcpy(out, w->stack->bytes + at, 8);
	*word = (uint16_t)(at / 8);
	return true;
}

/* ---- what the walk hangs on ---- */

static void site_add(struct walk *w, enum wire_slot kind, uint16_t at, uint64_t value)
{
	struct wire_site *site = &w->out->site;

	if (site->count >= WIRE_SITE_SLOTS) {
		w->out->site_ok = false;
		return;
	}
	site->slots[site->count++] = (uint16_t)(kind << WIRE_SLOT_BITS | at);
	site->hash = wire_site_mix(site->hash, value);
}

/* A register takes part in finding a frame. */
static void site_register(struct walk *w, unsigned int reg)
{
	uint64_t sp = w->stack->registers[UNWIND_RSP];

	/* The stack pointer follows from the frames before; ip is in the site's key. */
	if (reg == UNWIND_RSP || reg == UNWIND_RIP)
		return;
	if (w->from[reg] != FROM_START)
		site_add(w, WIRE_SLOT_RELATIVE, w->from[reg], w->value[reg] - sp);
	else if (reg == UNWIND_RBP)
		site_add(w, WIRE_SLOT_BP, 0, w->value[reg] - sp);
	else
		w->out->site_ok = false;
}

/* ---- expressions ---- */

struct evaluation {
	uint64_t values[DEPTH];
	unsigned int depth;
};

static bool push(struct evaluation *e, uint64_t value)
{
	if (e->depth == DEPTH)
		return false;
	e->values[e->depth++] = value;
	return true;
}

static bool get_register(struct walk *w, int64_t reg, uint64_t *out)
{
	if (reg < 0 || reg >= UNWIND_REGISTERS || !(w->valid & 1u << reg))
		return false;
	site_register(w, (unsigned int)reg);
	*out = w->value[reg];
	return true;
}

static bool binary(struct evaluation *e, uint8_t atom)
{
	uint64_t a, b;

	if (e->depth < 2)
		return false;
	b = e->values[--e->depth];
	a = e->values[--e->depth];
	switch (atom) {
	case DW_OP_plus:
		return push(e, a + b);
	case DW_OP_minus:
		return push(e, a - b);
	case DW_OP_and:
		return push(e, a & b);
	case DW_OP_or:
		return push(e, a | b);
	case DW_OP_shl:
		return push(e, b < 64 ? a << b : 0);
	case DW_OP_shr:
		return push(e, b < 64 ? a >> b : 0);
	case DW_OP_ge:
		return push(e, (int64_t)a >= (int64_t)b);
	case DW_OP_gt:
		return push(e, (int64_t)a > (int64_t)b);
	case DW_OP_le:
		return push(e, (int64_t)a <= (int64_t)b);
	case DW_OP_lt:
		return push(e, (int64_t)a < (int64_t)b);
	case DW_OP_eq:
		return push(e, a == b);
	case DW_OP_ne:
		return push(e, a != b);
	}
	return false;
}

static bool operation(struct walk *w, struct evaluation *e, const struct unwind_operation *op)
{
	uint64_t value;
	uint16_t word;

	if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31)
		return push(e, op->atom - DW_OP_lit0);
	if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31)
		return get_register(w, op->atom - DW_OP_breg0, &value) &&
		       push(e, value + (uint64_t)op->first);
	switch (op->atom) {
	case DW_OP_bregx:
		return get_register(w, op->first, &value) && push(e, value + (uint64_t)op->second);
	case DW_OP_call_frame_cfa:
		return w->has_cfa && push(e, w->cfa);
	case DW_OP_const1u:
	case DW_OP_const1s:
	case DW_OP_const2u:
	case DW_OP_const2s:
	case DW_OP_const4u:
	case DW_OP_const4s:
	case DW_OP_const8u:
	case DW_OP_const8s:
	case DW_OP_constu:
	case DW_OP_consts:
		return push(e, (uint64_t)op->first);
	case DW_OP_plus_uconst:
		if (!e->depth)
			return false;
		e->values[e->depth - 1] += (uint64_t)op->first;
		return true;
	case DW_OP_deref:
		if (!e->depth || !read_word(w, e->values[e->depth - 1], &value, &word))
			return false;
		site_add(w, WIRE_SLOT_RELATIVE, word, value - w->stack->registers[UNWIND_RSP]);
		e->values[e->depth - 1] = value;
		return true;
	case DW_OP_nop:
		return true;
	}
	return binary(e, op->atom);
}

static bool evaluate(struct walk *w, const struct unwind_rule *rule, uint64_t *out)
{
	struct evaluation e = { .depth = 0 };

	for (unsigned int i = 0; i < rule->count; i++)
		if (!operation(w, &e, &rule->operations[i]))
			return false;
	if (!e.depth)
		return false;
	*out = e.values[e.depth - 1];
	return true;
}

/* ---- frames ---- */

static bool find_cfa(struct walk *w, const struct unwind_row *row)
{
	uint64_t value;

	w->has_cfa = false;
	if (row->cfa.how == UNWIND_VALUE) {
		if (!get_register(w, row->cfa.reg, &value))
			return false;
		value += (uint64_t)row->cfa.offset;
	} else if (row->cfa.how != UNWIND_COMPUTED || !evaluate(w, &row->cfa, &value)) {
		return false;
	}
	/* Outward, and inside the copy: the return address lies below it. */
	if (value <= w->value[UNWIND_RSP] || value % 8 ||
	    value - w->stack->registers[UNWIND_RSP] > w->stack->length)
		return false;
	w->cfa = value;
	w->has_cfa = true;
	return true;
}

/* The caller's value of a register. False: it is not known. */
static bool follow(struct walk *w, const struct unwind_rule *rule, unsigned int reg,
		   uint64_t *value, uint16_t *from)
{
	uint64_t place = w->cfa + (uint64_t)rule->offset;

	switch (rule->how) {
	case UNWIND_SAME:
		*value = w->value[reg];
		*from = w->from[reg];
		return w->valid & 1u << reg;
	case UNWIND_PLACE:
		if (!evaluate(w, rule, &place))
			return false;
		/* fall through */
	case UNWIND_AT:
		return read_word(w, place, value, from);
	}
	/* Compilers do not use the others; what hangs on them ends the walk. */
	return false;
}

static bool step(struct walk *w, const struct unwind_row *row)
{
	uint64_t value[UNWIND_SAVED] = { 0 }, rip;
	uint16_t from[UNWIND_SAVED] = { 0 }, rip_from;
	uint32_t valid = 0;

	if (!find_cfa(w, row) || !follow(w, &row->rip, UNWIND_RIP, &rip, &rip_from))
		return false;
	if (row->rip.how == UNWIND_SAME || !rip)
		return false;
	site_add(w, WIRE_SLOT_WORD, rip_from, rip);
	for (size_t i = 0; i < UNWIND_SAVED; i++)
		if (follow(w, &row->saved[i], unwind_saved[i], &value[i], &from[i]))
			valid |= 1u << unwind_saved[i];
	for (size_t i = 0; i < UNWIND_SAVED; i++) {
		w->value[unwind_saved[i]] = value[i];
		w->from[unwind_saved[i]] = from[i];
	}
	w->value[UNWIND_RSP] = w->cfa;
	w->value[UNWIND_RIP] = rip;
	w->valid = valid | 1u << UNWIND_RSP | 1u << UNWIND_RIP;
	return true;
}

void unwind_walk(const struct unwind_stack *stack, const struct unwind_finder *finder,
		 struct unwind_result *out)
{
	struct walk w = { .stack = stack, .out = out, .valid = stack->valid };
	bool exact = true; /* ip is where the thread is, not where it will go on */

	out->count = 0;
	out->complete = false;
	out->site_ok = true;
	memset(&out->site, 0, sizeof(out->site));
	memcpy(w.value, stack->registers, sizeof(w.value));
	memset(w.from, 0xff, sizeof(w.from));
	while (out->count < UNWIND_FRAMES) {
		struct unwind_frame *frame = &out->frames[out->count];
		const struct unwind_row *row;

		row = finder->find(finder->ctx, w.value[UNWIND_RIP] - !exact, &frame->module);
		if (!row)
			return;
		frame->function = row->function;
		frame->name = row->name;
		out->count++;
		exact = row->signal;
		if (row->rip.how == UNWIND_UNDEFINED) {
			out->complete = true;
			return;
		}
		if (!step(&w, row))
			return;
	}
}
