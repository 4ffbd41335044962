/* The self-check of a layout in a live process. */
#include "collect/python_prove.h"

#include <stdio.h>
#include <time.h>

#include "collect/procfs.h"

#define THREADS_MAX 256 /* thread states that are looked at */
#define INTERPRETERS_MAX 64
#define FRAMES_MAX 512
#define TRIES 5
#define LINE_MAX_SEEN 10000000
#define NAME_MAX_SEEN 65536

/* What one look at the process found. */
struct look {
	pid_t pid;
	const struct python_layout *l;
	const struct python_places *places;
	const char *wrong; /* NULL: nothing */
	int threads;
	int frames; /* threads with a frame */
	int shown; /* of those, frames that show a code object */
	int named; /* threads whose id is a thread descriptor's address */
};

static int word(pid_t pid, uint64_t address, uint64_t *out)
{
	return procfs_memory(pid, address, out, sizeof(*out));
}

static bool wrong(struct look *k, const char *what)
{
	k->wrong = what;
	return false;
}

/* The innermost frame that shows a function; 0: none. False when that cannot be told. */
static bool innermost(const struct look *k, uint64_t tstate, uint64_t *frame)
{
	const struct python_layout *l = k->l;
	uint64_t from = tstate;
	int32_t at = l->tstate_frame;

	if (l->strategy == PYTHON_CFRAME_ON_STACK) {
		uint64_t cframe;

		if (word(k->pid, tstate + (uint64_t)l->tstate_cframe, &cframe) || !cframe)
			return false;
		if (l->cframe_current_frame >= 0) {
			from = cframe;
			at = l->cframe_current_frame;
		}
	}
	if (word(k->pid, from + (uint64_t)at, frame))
		return false;
	for (int i = 0; l->owner_c_stack >= 0 && *frame && i < FRAMES_MAX; i++) {
		uint8_t owner;

		if (procfs_memory(k->pid, *frame + (uint64_t)l->frame_owner, &owner, 1))
			return false;
		if (owner != l->owner_c_stack)
			break;
		if (word(k->pid, *frame + (uint64_t)l->frame_previous, frame))
			return false;
	}
	return true;
}

/* Does the frame show a code object whose members can be what they should be? */
static bool shows_code(const struct look *k, uint64_t frame)
{
	const struct python_layout *l = k->l;
	uint64_t code, type, name, length;
	uint32_t line;

	return !word(k->pid, frame + (uint64_t)l->frame_code, &code) && code &&
	       !word(k->pid, code + (uint64_t)l->object_type, &type) &&
	       type == k->places->code_type &&
	       !procfs_memory(k->pid, code + (uint64_t)l->code_firstlineno, &line, sizeof(line)) &&
	       line <= LINE_MAX_SEEN && !word(k->pid, code + (uint64_t)l->code_filename, &name) &&
	       !word(k->pid, name + (uint64_t)l->unicode_length, &length) &&
	       length <= NAME_MAX_SEEN;
}

/* A thread descriptor begins with its own address. */
static bool names_thread(const struct look *k, uint64_t tstate)
{
	uint64_t id, self;

	return !word(k->pid, tstate + (uint64_t)k->l->tstate_thread_id, &id) && id &&
	       !word(k->pid, id, &self) && self == id;
}

static bool look_at_thread(struct look *k, uint64_t interp, uint64_t tstate)
{
	uint64_t back, frame;

	k->threads++;
	if (word(k->pid, tstate + (uint64_t)k->l->tstate_interp, &back) || back != interp)
		return wrong(k, "a thread state does not point to its interpreter");
	k->named += names_thread(k, tstate);
	if (!innermost(k, tstate, &frame))
		return wrong(k, "a thread state does not lead to its frames");
	if (frame) {
		k->frames++;
		k->shown += shows_code(k, frame);
	}
	return true;
}

/* Every thread state must point back to its interpreter. */
static bool look_at_interpreters(struct look *k, uint64_t interp)
{
	const struct python_layout *l = k->l;

	for (int i = 0; interp && i < INTERPRETERS_MAX; i++) {
		uint64_t tstate;

		if (word(k->pid, interp + (uint64_t)l->interp_threads_head, &tstate))
			return wrong(k, "an interpreter cannot be read");
		while (tstate && k->threads < THREADS_MAX) {
			if (!look_at_thread(k, interp, tstate))
				return false;
			if (word(k->pid, tstate + (uint64_t)l->tstate_next, &tstate))
				return wrong(k, "a thread state cannot be read");
		}
		if (word(k->pid, interp + (uint64_t)l->interp_next, &interp))
			return wrong(k, "an interpreter cannot be read");
	}
	if (k->frames && !k->shown)
		return wrong(k, "no frame shows a code object");
	if (k->threads && l->strategy == PYTHON_THREAD_ID_UNIQUE && !k->named)
		return wrong(k, "no thread state names its thread");
	return true;
}

static void refuse(struct python_runtime *out, const char *why)
{
	out->state = PYTHON_REFUSED;
	snprintf(out->why, sizeof(out->why), "self-check: %s", why);
}

bool python_evaluator_replaced(pid_t pid, const struct python_runtime *runtime)
{
	const struct python_layout *l = &runtime->live;
	uint64_t interp, evaluator;

	if (l->interp_eval_frame < 0 ||
	    word(pid, runtime->address + (uint64_t)l->runtime_interpreters_head, &interp))
		return false;
	for (int i = 0; interp && i < INTERPRETERS_MAX; i++) {
		/* Later versions keep 0 for the usual one. */
		if (word(pid, interp + (uint64_t)l->interp_eval_frame, &evaluator))
			return false;
		if (evaluator && evaluator != runtime->evaluator)
			return true;
		if (word(pid, interp + (uint64_t)l->interp_next, &interp))
			return false;
	}
	return false;
}

/* Head of an object: its type's type is `type`. Builds that trace references have longer heads. */
static bool object_head_fits(pid_t pid, const struct python_places *places,
			     const struct python_layout *l)
{
	uint64_t type;

	return places->code_type && places->type_type &&
	       !word(pid, places->code_type + (uint64_t)l->object_type, &type) &&
	       type == places->type_type;
}

void python_prove(pid_t pid, const struct python_places *places, struct python_runtime *out)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct look k;

	for (int i = 0; i < TRIES; i++) {
		uint64_t interp;

		k = (struct look){ .pid = pid, .l = &out->live, .places = places };
		if (word(pid, out->address + (uint64_t)out->live.runtime_interpreters_head,
			 &interp)) {
			refuse(out, "the runtime cannot be read");
			return;
		}
		out->state = PYTHON_STARTING;
		if (!interp)
			return;
		/* Types are whole before there is an interpreter. */
		if (!object_head_fits(pid, places, &out->live)) {
			refuse(out, "objects have another head (a build that traces references?)");
			return;
		}
		if (look_at_interpreters(&k, interp)) {
			if (!k.threads)
				return;
			out->state = PYTHON_READY;
			if (python_evaluator_replaced(pid, out)) {
				out->state = PYTHON_REFUSED;
				snprintf(out->why, sizeof(out->why), "%s",
					 PYTHON_EVALUATOR_REPLACED);
			}
			return;
		}
		nanosleep(&pause, NULL);
	}
	refuse(out, k.wrong);
}
