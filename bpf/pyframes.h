/*
 * The CPython walk, one step at a time, over memory that may change or lie. Compiles for the
 * kernel and natively (tests/unit/test_pyframes.c): the includer defines
 *
 *   static int py_read(void *dst, wire_32 size, wire_64 address);   0 or negative
 *
 * First the state of this thread is found among those of all interpreters, by a strategy that the
 * layout names:
 *
 * cframe-on-stack (3.10 to 3.12): its current C frame record lies on this thread's C stack, between
 * its sp and its top; the lowest such record wins.
 *
 * entry-frame-on-stack (3.13): the innermost of its frames that the C stack owns lies there; the
 * lowest wins.
 *
 * thread-id-unique (2.7, 3.6 to 3.9): the only one with frames that names this thread. More than
 * one is ambiguous: then nothing is walked.
 *
 * Neither the GIL nor thread-local storage is consulted: both mislead with sub-interpreters. Then
 * the frames are followed outward. Source of the structures: CPython's Include/cpython/pystate.h,
 * Include/frameobject.h and Include/internal/pycore_frame.h; the offsets come from probes/python/.
 */
#ifndef DAYLIGHT_BPF_PYFRAMES_H
#define DAYLIGHT_BPF_PYFRAMES_H

#include "wire.h"

#define PY_SEARCH_STEPS 4096 /* thread states and frames looked at before giving up */
#define PY_PASS_MAX 4 /* frames in a row that show no function */
#define PY_TEXT_SPAN 64 /* bytes of a name that enter the fingerprint */
/* co_flags (cpython/code.h), the same in all versions. */
#define PY_COROUTINE_FLAGS \
	(0x80 | 0x100 | 0x200) /* coroutine, iterable coroutine, async generator */

struct py_search {
	wire_64 sp, top; /* the thread's C stack in use */
	wire_64 thread_id; /* as pthread_self() */
	wire_64 interp;
	wire_64 tstate; /* next to look at */
	wire_64 frame; /* of that one, to look at first; 0: none */
	wire_64 best; /* thread state found */
	wire_64 best_place; /* on the C stack: what it was found by */
	wire_32 matches; /* thread states that are this thread's as far as can be told */
	wire_32 done;
	wire_32 failed;
	wire_32 pad;
};

struct py_frame {
	wire_64 code;
	wire_64 fingerprint;
	/*
	 * C code began it: the last frame of an activation of the evaluation function. Where frames
	 * of the C stack say so, this says it of the frame before.
	 */
	wire_64 entry;
};

struct py_walk {
	wire_64 frame; /* next to look at; 0: the end */
	wire_64 outermost; /* last one visited: the flow key when the walk came to the end */
	wire_64 coroutine; /* outermost frame of a coroutine, 0: none; then it is the flow key */
	wire_64 entry; /* innermost frame that the C stack owns; 0: none */
	wire_64 own_from, own_to; /* where the interpreter's own file is mapped */
	wire_64 hash1, hash2;
	wire_32 count;
	wire_32 failed;
	wire_64 passed; /* frames of the C stack since the last function */
	wire_64 unicode[3]; /* length, hash, state */
	wire_64 text_hash; /* of the text that was looked at last */
	wire_64 filename, filename_hash; /* the last one that was read */
	wire_8 block[WIRE_FRAME_SPAN]; /* of the frame */
	wire_8 code[WIRE_CODE_SPAN];
	wire_64 text[PY_TEXT_SPAN / 8];
};

static inline wire_64 py_mix(wire_64 hash, wire_64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

/* Members of the code object that was read last; `at` counts from the object's start. */
static inline wire_64 py_word(const struct wire_layout *l, const struct py_walk *w, wire_s32 at)
{
	return *(const wire_64 *)(w->code + ((at - l->code_base) & (WIRE_CODE_SPAN - 8)));
}

static inline wire_32 py_number(const struct wire_layout *l, const struct py_walk *w, wire_s32 at)
{
	return *(const wire_32 *)(w->code + ((at - l->code_base) & (WIRE_CODE_SPAN - 4)));
}

/* ---- the thread's state ---- */

static inline int py_on_stack(const struct py_search *s, wire_64 place)
{
	return place >= s->sp && place < s->top;
}

/* The C frame record that a thread state shows, when it lies on this stack; else 0. */
static inline wire_64 py_cframe_on_stack(const struct wire_layout *l, const struct py_search *s,
					 wire_64 tstate)
{
	wire_64 cframe = 0;

	if (py_read(&cframe, 8, tstate + l->tstate_cframe))
		return 0;
	return py_on_stack(s, cframe) ? cframe : 0;
}

/*
 * The innermost frame of a thread state. Negative when it is not this thread's state as far as can
 * be told beforehand, or cannot be read: of entry-frame-on-stack the walk has the last word
 * (py_walk_ours).
 */
static inline int py_first_frame(const struct wire_layout *l, const struct py_search *s,
				 wire_64 tstate, wire_64 *frame)
{
	wire_64 from = tstate, id = 0;
	wire_s32 at = l->tstate_frame;

	if (!tstate)
		return -1;
	if (l->strategy == WIRE_CFRAME_ON_STACK) {
		from = py_cframe_on_stack(l, s, tstate);
		if (!from)
			return -1;
		if (l->cframe_current_frame >= 0)
			at = l->cframe_current_frame;
		else
			from = tstate;
	} else if (l->strategy == WIRE_THREAD_ID_UNIQUE) {
		if (py_read(&id, 8, tstate + l->tstate_thread_id) || id != s->thread_id)
			return -1;
	}
	return py_read(frame, 8, from + at);
}

/* sp, top and thread_id are set. */
static inline void py_search_begin(const struct wire_layout *l, struct py_search *s,
				   wire_64 runtime)
{
	s->best = s->best_place = s->tstate = s->frame = 0;
	s->matches = s->done = s->failed = 0;
	if (py_read(&s->interp, 8, runtime + l->runtime_interpreters_head))
		s->done = s->failed = 1;
	else if (!s->interp)
		s->done = 1; /* not initialised yet */
	else if (py_read(&s->tstate, 8, s->interp + l->interp_threads_head))
		s->done = s->failed = 1;
}

static inline int py_search_failed(struct py_search *s)
{
	s->failed = 1;
	s->done = 1;
	return 1;
}

static inline void py_search_match(struct py_search *s, wire_64 place)
{
	s->matches++;
	if (!s->best || place < s->best_place) {
		s->best = s->tstate;
		s->best_place = place;
	}
}

/*
 * Looks at one frame of the thread state at hand: is it one that the C stack owns? Its place tells
 * whose. Returns 1 while there are more to look at.
 */
static inline int py_search_frame(const struct wire_layout *l, struct py_search *s)
{
	wire_64 frame = s->frame, previous = 0;
	wire_8 owner = 0;

	s->frame = 0;
	if (py_read(&owner, 1, frame + l->frame_owner))
		return 0;
	if (owner == l->owner_c_stack) {
		if (py_on_stack(s, frame))
			py_search_match(s, frame);
		return 0;
	}
	if (py_read(&previous, 8, frame + l->frame_previous))
		return 0;
	s->frame = previous;
	return previous != 0;
}

/* Is the thread state at hand this thread's? Returns 1 while its frames are to be looked at. */
static inline int py_search_state(const struct wire_layout *l, struct py_search *s)
{
	wire_64 place;

	if (l->strategy == WIRE_CFRAME_ON_STACK) {
		place = py_cframe_on_stack(l, s, s->tstate);
		if (place)
			py_search_match(s, place);
		return 0;
	}
	if (s->frame)
		return py_search_frame(l, s);
	place = 0;
	if (py_first_frame(l, s, s->tstate, &place) || !place)
		return 0;
	if (l->strategy == WIRE_THREAD_ID_UNIQUE) {
		py_search_match(s, 0);
		return 0;
	}
	s->frame = place;
	return 1;
}

/* Looks at one thread state, or moves to the next interpreter. Returns 1 when there is no more. */
static inline int py_search_step(const struct wire_layout *l, struct py_search *s)
{
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
		if (py_read(&s->tstate, 8, s->interp + l->interp_threads_head))
			return py_search_failed(s);
		return 0;
	}
	if (py_search_state(l, s))
		return 0;
	if (py_read(&s->tstate, 8, s->tstate + l->tstate_next))
		return py_search_failed(s);
	return 0;
}

/* What the search found may be used. A search that broke off may have missed another one. */
static inline int py_search_ambiguous(const struct wire_layout *l, const struct py_search *s)
{
	return l->strategy == WIRE_THREAD_ID_UNIQUE && s->best &&
	       (s->matches > 1 || s->failed || !s->done);
}

/* ---- the frames ---- */

static inline void py_walk_begin(struct py_walk *w, wire_64 frame)
{
	w->outermost = w->coroutine = w->entry = w->hash1 = w->hash2 = 0;
	w->filename = 0;
	w->count = w->failed = 0;
	w->passed = 0;
	w->frame = frame;
}

/* Was it this thread's stack that was walked? */
static inline int py_walk_ours(const struct wire_layout *l, const struct py_search *s,
			       const struct py_walk *w)
{
	return l->strategy != WIRE_ENTRY_FRAME_ON_STACK || py_on_stack(s, w->entry);
}

/*
 * w->text_hash, a hash of a name's text: from its length and the interpreter's own hash, or where
 * that was never computed, from its text: the first bytes of a name, the last ones of a path.
 */
static inline __attribute__((always_inline)) int
py_text_hash(const struct wire_layout *l, struct py_walk *w, wire_64 object, int last)
{
	wire_64 hash = 0, bytes, data, kind = 1;

	if (py_read(w->unicode, sizeof(w->unicode), object + l->unicode_length))
		return -1;
	hash = py_mix(hash, w->unicode[0]);
	if (w->unicode[1] != ~0ULL) {
		w->text_hash = py_mix(hash, w->unicode[1]);
		return 0;
	}
	data = object + l->unicode_ascii_data;
	if (l->unicode_state >= 0) {
		/* PyASCIIObject.state: interned 2 bits, kind 3 (bytes a character), compact 1,
		 * ascii 1. */
		kind = w->unicode[2] >> 2 & 7;
		if (!(w->unicode[2] & 1 << 6))
			data = object + l->unicode_compact_data;
	}
	bytes = w->unicode[0] < 1ULL << 32 ? w->unicode[0] * kind : 0;
	if (bytes > PY_TEXT_SPAN) {
		if (last)
			data += bytes - PY_TEXT_SPAN;
		bytes = PY_TEXT_SPAN;
	}
	for (int i = 0; i < PY_TEXT_SPAN / 8; i++)
		w->text[i] = 0;
	/* Linux 6.1 forgets the bound by now. */
	asm volatile("" : "+r"(bytes));
	if (bytes && bytes <= PY_TEXT_SPAN && py_read(w->text, (wire_32)bytes, data))
		return -1;
	for (int i = 0; i < PY_TEXT_SPAN / 8; i++)
		hash = py_mix(hash, w->text[i]);
	w->text_hash = hash;
	return 0;
}

static inline int py_code_read(const struct wire_layout *l, struct py_walk *w, wire_64 code)
{
	wire_32 bytes = l->code_bytes;

	return bytes > WIRE_CODE_SPAN || py_read(w->code, bytes, code + l->code_base) ? -1 : 0;
}

/*
 * Is the code that was read last the interpreter's own glue? Such code is part of its file and has
 * no line; functions of modules that are frozen into the file have one.
 */
static inline int py_is_glue(const struct wire_layout *l, const struct py_walk *w, wire_64 code)
{
	return code >= w->own_from && code < w->own_to && !py_number(l, w, l->code_firstlineno);
}

/* What tells the code object that was read last from another one at the same address. */
static inline int py_code_hash(const struct wire_layout *l, struct py_walk *w, wire_64 *out)
{
	wire_64 name, filename, word, hash = 0;

	name = py_word(l, w, l->code_qualname >= 0 ? l->code_qualname : l->code_name);
	filename = py_word(l, w, l->code_filename);
	word = py_word(l, w, l->code_word);
	hash = py_mix(hash, py_number(l, w, l->code_firstlineno));
	hash = py_mix(hash, filename);
	hash = py_mix(hash, name);
	hash = py_mix(hash, l->code_word_whole ? word : word & 0xff);
	if (py_text_hash(l, w, name, 0))
		return -1;
	hash = py_mix(hash, w->text_hash);
	/* Neighbours on a stack often share their file; while the walk lasts it cannot change. */
	if (filename != w->filename) {
		if (py_text_hash(l, w, filename, 1))
			return -1;
		w->filename = filename;
		w->filename_hash = w->text_hash;
	}
	*out = py_mix(hash, w->filename_hash);
	return 0;
}

static inline int py_fingerprint(const struct wire_layout *l, struct py_walk *w, wire_64 code,
				 wire_64 *out)
{
	return py_code_read(l, w, code) || py_code_hash(l, w, out) ? -1 : 0;
}

/* Members of the frame that was read last. */
static inline wire_64 py_frame_word(const struct wire_layout *l, const struct py_walk *w,
				    wire_s32 at)
{
	return *(const wire_64 *)(w->block + ((at - l->frame_base) & (WIRE_FRAME_SPAN - 8)));
}

static inline int py_frame_owner(const struct wire_layout *l, const struct py_walk *w)
{
	return l->frame_owner < 0
		       ? -1
		       : w->block[(l->frame_owner - l->frame_base) & (WIRE_FRAME_SPAN - 1)];
}

static inline int py_frame_read(const struct wire_layout *l, struct py_walk *w)
{
	wire_32 bytes = l->frame_bytes;

	return bytes > WIRE_FRAME_SPAN || py_read(w->block, bytes, w->frame + l->frame_base) ? -1
											     : 0;
}

/*
 * Is this frame of a coroutine? Generators of other kinds belong to their caller's flow. Where
 * frames tell their owner, the function's first frame, which only makes the coroutine, is none.
 */
static inline int py_is_coroutine(const struct wire_layout *l, const struct py_walk *w)
{
	return py_frame_owner(l, w) == l->owner_generator &&
	       (py_number(l, w, l->code_flags) & PY_COROUTINE_FLAGS) != 0;
}

/* Returns 1 when the frame at hand shows a function, whose code is read; 0: it is passed over. */
static inline int py_frame_shows(const struct wire_layout *l, struct py_walk *w, wire_64 *code)
{
	if (py_frame_read(l, w))
		return -1;
	/* One that the C stack owns marks where C entered the interpreter. */
	if (l->owner_c_stack >= 0 && py_frame_owner(l, w) == l->owner_c_stack) {
		if (!w->entry)
			w->entry = w->frame;
		w->passed++;
		return 0;
	}
	*code = py_frame_word(l, w, l->frame_code);
	if (!*code || py_code_read(l, w, *code))
		return -1;
	return !py_is_glue(l, w, *code);
}

static inline int py_is_entry(const struct wire_layout *l, struct py_walk *w)
{
	wire_64 passed = w->passed;

	w->passed = 0;
	if (l->owner_c_stack >= 0)
		return passed != 0;
	return l->frame_is_entry < 0 ||
	       w->block[(l->frame_is_entry - l->frame_base) & (WIRE_FRAME_SPAN - 1)];
}

/* Visits one frame into *out. Returns 1 when there is no more. */
static inline int py_walk_step(const struct wire_layout *l, struct py_walk *w, struct py_frame *out)
{
	wire_64 fingerprint = 0, code = 0;
	int shows = 0;

	if (w->failed)
		return 1;
	for (int i = 0; i < PY_PASS_MAX && !shows; i++) {
		if (!w->frame)
			return 1;
		shows = py_frame_shows(l, w, &code);
		if (!shows)
			w->frame = py_frame_word(l, w, l->frame_previous);
	}
	if (shows <= 0 || py_code_hash(l, w, &fingerprint)) {
		w->failed = 1;
		return 1;
	}
	out->code = code;
	out->fingerprint = fingerprint;
	out->entry = py_is_entry(l, w);
	w->hash1 = py_mix(py_mix(w->hash1, code), fingerprint);
	w->hash2 = py_mix(w->hash2 + 0x632be59bd9b4e019ULL, w->hash1 ^ fingerprint << 1);
	w->outermost = w->frame;
	if (py_is_coroutine(l, w))
		w->coroutine = w->frame;
	w->frame = py_frame_word(l, w, l->frame_previous);
	w->count++;
	return 0;
}

#endif
