/* Layouts of CPython versions as the walk in the kernel takes them. */
#include "collect/layouts.h"

#include <string.h>

/* The smallest block, in whole words, that holds all of the fields that exist. */
struct block {
	int32_t from, to;
};

static void block_add(struct block *b, int32_t at, int32_t size)
{
	if (at < 0)
		return;
	if (at / 8 * 8 < b->from)
		b->from = at / 8 * 8;
	if (at + size > b->to)
		b->to = (at + size + 7) / 8 * 8;
}

static bool frame_block(const struct python_layout *p, struct wire_layout *out)
{
	struct block b = { INT32_MAX, 0 };

	block_add(&b, p->frame_code, 8);
	block_add(&b, p->frame_previous, 8);
	/* Both are read as one of three words where frames are only compared. */
	if (b.to - b.from > 24 || (p->frame_code != b.from && p->frame_code != b.from + 8))
		return false;
	block_add(&b, p->frame_owner, 1);
	block_add(&b, p->frame_is_entry, 1);
	out->frame_base = b.from;
	out->frame_bytes = (uint16_t)(b.to - b.from);
	return b.to - b.from <= WIRE_FRAME_SPAN;
}

static bool code_block(const struct python_layout *p, struct wire_layout *out)
{
	struct block b = { INT32_MAX, 0 };

	block_add(&b, p->code_flags, 4);
	block_add(&b, p->code_firstlineno, 4);
	block_add(&b, p->code_filename, 8);
	block_add(&b, p->code_name, 8);
	block_add(&b, p->code_qualname, 8);
	block_add(&b, out->code_word, out->code_word_whole ? 8 : 2);
	out->code_base = b.from;
	out->code_bytes = (uint16_t)(b.to - b.from);
	/* The code word is read as a word. */
	return b.to - b.from <= WIRE_CODE_SPAN && out->code_word % 8 == 0;
}

static const uint16_t strategies[] = {
	[PYTHON_CFRAME_ON_STACK] = WIRE_CFRAME_ON_STACK,
	[PYTHON_ENTRY_FRAME_ON_STACK] = WIRE_ENTRY_FRAME_ON_STACK,
	[PYTHON_THREAD_ID_UNIQUE] = WIRE_THREAD_ID_UNIQUE,
};

bool layouts_convert(const struct python_layout *p, struct wire_layout *out)
{
	*out = (struct wire_layout){
		.strategy = strategies[p->strategy],
		.code_word_whole = p->code_code_adaptive < 0,
		.runtime_interpreters_head = p->runtime_interpreters_head,
		.interp_next = p->interp_next,
		.interp_threads_head = p->interp_threads_head,
		.tstate_next = p->tstate_next,
		.tstate_frame = p->tstate_frame,
		.tstate_cframe = p->tstate_cframe,
		.tstate_thread_id = p->tstate_thread_id,
		.cframe_current_frame = p->cframe_current_frame,
		.frame_code = p->frame_code,
		.frame_previous = p->frame_previous,
		.frame_owner = p->frame_owner,
		.frame_is_entry = p->frame_is_entry,
		.owner_generator = p->owner_generator,
		.owner_c_stack = p->owner_c_stack,
		.code_flags = p->code_flags,
		.code_firstlineno = p->code_firstlineno,
		.code_filename = p->code_filename,
		.code_name = p->code_name,
		.code_qualname = p->code_qualname,
		.code_word = p->code_code_adaptive < 0 ? p->code_code : p->code_code_adaptive,
		.unicode_length = p->unicode_length,
		.unicode_hash = p->unicode_hash,
		.unicode_state = p->unicode_state,
		.unicode_ascii_data = p->unicode_ascii_data,
		.unicode_compact_data = p->unicode_compact_data,
	};
	/* Length, hash and state are read at once. */
	return p->unicode_hash - p->unicode_length == 8 &&
	       (p->unicode_state < 0 || p->unicode_state - p->unicode_length == 16) &&
	       frame_block(p, out) && code_block(p, out);
}

int layouts_place(struct layouts *table, const struct python_layout *layout)
{
	struct wire_layout l;

	if (!layouts_convert(layout, &l))
		return -1;
	for (size_t i = 0; i < table->count; i++)
		if (!memcmp(&table->at[i], &l, sizeof(l)))
			return (int)i;
	if (table->count == WIRE_LAYOUTS)
		return -1;
	table->at[table->count] = l;
	return (int)table->count++;
}
