/*
 * The CPython walk, one step at a time, over memory that may change or lie. Compiles for the
 * kernel and natively (tests/unit/test_pyframes.c): the includer defines
 *
 *   static int py_read(void *dst, wire_32 size, wire_64 address);   0 or negative
 *
 * Strategy `cframe-on-stack` (CPython 3.10 to 3.12): among the thread states of all interpreters,
 * this thread's is the one whose current C frame record lies on this thread's C stack, between its
 * sp and its top; the lowest such record wins. Neither the GIL nor thread-local storage is
 * consulted: both mislead with sub-interpreters. Source of the structures: CPython's
 * Include/cpython/pystate.h and Include/internal/pycore_frame.h; the offsets come from
 * probes/python/.
 */
#ifndef DAYLIGHT_BPF_PYFRAMES_H
#define DAYLIGHT_BPF_PYFRAMES_H

#include "wire.h"

#define PY_SEARCH_STEPS 4096 /* thread states looked at before giving up */
#define PY_CODE_SPAN 128 /* bytes of a code object that are read, from co_firstlineno */
#define PY_TEXT_SPAN 64 /* bytes of a name that enter the fingerprint */
#define PY_FRAME_WORDS 5 /* words of a frame that are read, from its code pointer */
/* enum _frameowner (pycore_frame.h) and co_flags (cpython/code.h), the same in 3.11 and 3.12. */
#define PY_OWNED_BY_GENERATOR 1
#define PY_COROUTINE_FLAGS \
	(0x80 | 0x100 | 0x200) /* coroutine, iterable coroutine, async generator */

struct py_search {
	wire_64 sp, top; /* the thread's C stack in use */
	wire_64 interp;
	wire_64 tstate; /* next to look at */
	wire_64 best; /* thread state found */
	wire_64 best_cframe;
	wire_32 done;
	wire_32 failed;
};

struct py_frame {
	wire_64 code;
	wire_64 fingerprint;
};

struct py_walk {
	wire_64 frame; /* next to look at; 0: the end */
	wire_64 outermost; /* last one visited: the flow key when the walk came to the end */
	wire_64 coroutine; /* outermost frame of a coroutine, 0: none; then it is the flow key */
	wire_64 hash1, hash2;
	wire_32 count;
	wire_32 failed;
	wire_64 words[PY_FRAME_WORDS];
	wire_64 unicode[3]; /* length, hash, state */
	wire_64 filename, filename_hash; /* the last one that was read */
	wire_8 code[PY_CODE_SPAN];
	wire_64 text[PY_TEXT_SPAN / 8];
};

static inline wire_64 py_mix(wire_64 hash, wire_64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

static inline wire_64 py_word(const struct py_walk *w, wire_s32 offset)
{
	return *(const wire_64 *)(w->code + (offset & (PY_CODE_SPAN - 8)));
}

/* The C frame record that a thread state shows, when it lies on this stack; else 0. */
static inline wire_64 py_cframe_on_stack(const struct wire_layout *l, wire_64 tstate, wire_64 sp,
					 wire_64 top)
{
	wire_64 cframe = 0;

	if (!tstate || py_read(&cframe, 8, tstate + l->tstate_cframe))
		return 0;
	return cframe >= sp && cframe < top ? cframe : 0;
}

static inline void py_search_begin(const struct wire_layout *l, struct py_search *s,
				   wire_64 runtime, wire_64 sp, wire_64 top)
{
	s->sp = sp;
	s->top = top;
	s->best = s->best_cframe = s->tstate = 0;
	s->done = s->failed = 0;
	if (py_read(&s->interp, 8, runtime + l->runtime_interpreters_head))
		s->done = s->failed = 1;
	else if (!s->interp)
		s->done = 1; /* not initialised yet */
	else if (py_read(&s->tstate, 8, s->interp + l->interp_threads_head))
		s->done = s->failed = 1;
}

/* Looks at one thread state, or moves to the next interpreter. Returns 1 when there is no more. */
static inline int py_search_step(const struct wire_layout *l, struct py_search *s)
{
	wire_64 cframe;

	if (s->done)
		return 1;
	if (!s->tstate) {
		if (py_read(&s->interp, 8, s->interp + l->interp_next)) {
			s->failed = 1;
			s->interp = 0;
		}
		if (!s->interp) {
			s->done = 1;
			return 1;
		}
		if (py_read(&s->tstate, 8, s->interp + l->interp_threads_head)) {
			s->failed = 1;
			s->done = 1;
			return 1;
		}
		return 0;
	}
	cframe = py_cframe_on_stack(l, s->tstate, s->sp, s->top);
	if (cframe && (!s->best || cframe < s->best_cframe)) {
		s->best = s->tstate;
		s->best_cframe = cframe;
	}
	if (py_read(&s->tstate, 8, s->tstate + l->tstate_next)) {
		s->failed = 1;
		s->done = 1;
		return 1;
	}
	return 0;
}

static inline void py_walk_begin(const struct wire_layout *l, struct py_walk *w, wire_64 cframe)
{
	w->outermost = w->coroutine = w->hash1 = w->hash2 = 0;
	w->filename = 0;
	w->count = w->failed = 0;
	w->frame = 0;
	if (cframe && py_read(&w->frame, 8, cframe + l->cframe_current_frame))
		w->failed = 1;
}

/*
 * A hash of a unicode object's text: from its length and the interpreter's own hash, or where that
 * was never computed, from its text: the first bytes of a name, the last ones of a path.
 */
static inline int py_text_hash(const struct wire_layout *l, struct py_walk *w, wire_64 object,
			       int last, wire_64 *out)
{
	wire_64 hash = 0, bytes, data, kind;

	if (py_read(w->unicode, sizeof(w->unicode), object + l->unicode_length))
		return -1;
	hash = py_mix(hash, w->unicode[0]);
	if (w->unicode[1] != ~0ULL) {
		*out = py_mix(hash, w->unicode[1]);
		return 0;
	}
	/* PyASCIIObject.state: interned 2 bits, kind 3 (bytes a character), compact 1, ascii 1. */
	kind = w->unicode[2] >> 2 & 7;
	data = object + (w->unicode[2] & 1 << 6 ? l->unicode_ascii_data : l->unicode_compact_data);
	bytes = w->unicode[0] < 1ULL << 32 ? w->unicode[0] * kind : 0;
	if (bytes > PY_TEXT_SPAN) {
		if (last)
			data += bytes - PY_TEXT_SPAN;
		bytes = PY_TEXT_SPAN;
	}
	for (int i = 0; i < PY_TEXT_SPAN / 8; i++)
		w->text[i] = 0;
	if (bytes && py_read(w->text, (wire_32)bytes, data))
		return -1;
	for (int i = 0; i < PY_TEXT_SPAN / 8; i++)
		hash = py_mix(hash, w->text[i]);
	*out = hash;
	return 0;
}

/* What tells this code object from another one at the same address. */
static inline int py_fingerprint(const struct wire_layout *l, struct py_walk *w, wire_64 code,
				 wire_64 *out)
{
	wire_s32 base = l->code_firstlineno;
	wire_64 name, filename, text = 0, hash = 0;

	if (py_read(w->code, PY_CODE_SPAN, code + base))
		return -1;
	name = py_word(w, (l->code_qualname >= 0 ? l->code_qualname : l->code_name) - base);
	filename = py_word(w, l->code_filename - base);
	hash = py_mix(hash, py_word(w, 0) & 0xffffffff);
	hash = py_mix(hash, filename);
	hash = py_mix(hash, name);
	hash = py_mix(hash, py_word(w, l->code_code_adaptive - base) & 0xff);
	if (py_text_hash(l, w, name, 0, &text))
		return -1;
	hash = py_mix(hash, text);
	/* Neighbours on a stack often share their file; while the walk lasts it cannot change. */
	if (filename != w->filename) {
		if (py_text_hash(l, w, filename, 1, &w->filename_hash))
			return -1;
		w->filename = filename;
	}
	*out = py_mix(hash, w->filename_hash);
	return 0;
}

static inline wire_32 py_frame_byte(const struct py_walk *w, wire_s32 at)
{
	const wire_8 *bytes = (const wire_8 *)w->words;

	return at >= 0 && at < (wire_s32)sizeof(w->words) ? bytes[at] : 0;
}

/* Reads what is looked at of a frame into w->words. */
static inline int py_frame_read(const struct wire_layout *l, struct py_walk *w, wire_64 frame)
{
	return py_read(w->words, sizeof(w->words), frame + l->frame_code);
}

static inline wire_64 py_frame_previous(const struct wire_layout *l, const struct py_walk *w)
{
	return (l->frame_previous - l->frame_code) == 8 ? w->words[1] : w->words[2];
}

/* Is this frame of a coroutine? Generators of other kinds belong to their caller's flow. */
static inline int py_is_coroutine(const struct wire_layout *l, const struct py_walk *w)
{
	wire_s32 at = l->frame_owner - l->frame_code;
	wire_32 flags = 0;

	if (l->frame_owner < 0 || l->code_flags < 0 ||
	    py_frame_byte(w, at) != PY_OWNED_BY_GENERATOR ||
	    py_read(&flags, 4, w->words[0] + l->code_flags))
		return 0;
	return (flags & PY_COROUTINE_FLAGS) != 0;
}

/* Visits one frame into *out. Returns 1 when there is no more. */
static inline int py_walk_step(const struct wire_layout *l, struct py_walk *w, struct py_frame *out)
{
	wire_64 fingerprint = 0, previous;

	if (!w->frame || w->failed)
		return 1;
	if (py_frame_read(l, w, w->frame)) {
		w->failed = 1;
		return 1;
	}
	previous = py_frame_previous(l, w);
	if (!w->words[0] || py_fingerprint(l, w, w->words[0], &fingerprint)) {
		w->failed = 1;
		return 1;
	}
	out->code = w->words[0];
	out->fingerprint = fingerprint;
	w->hash1 = py_mix(py_mix(w->hash1, out->code), fingerprint);
	w->hash2 = py_mix(w->hash2 + 0x632be59bd9b4e019ULL, w->hash1 ^ fingerprint << 1);
	w->outermost = w->frame;
	if (py_is_coroutine(l, w))
		w->coroutine = w->frame;
	w->frame = previous;
	w->count++;
	return 0;
}

#endif
