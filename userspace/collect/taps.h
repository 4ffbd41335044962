/*
 * The instructions at which the interpreter of a live process starts a Python function, for
 * uprobes.
 *
 * Every start of a function and every resume of a generator or coroutine passes one of the taps, in
 * rare cases twice (a pending signal, a change of sys.monitoring); each tap is an instruction that
 * the kernel emulates. At a tap the register `frame_reg` holds the frame, and what happens is read
 * from it, see struct python_taps (catalog/python_taps.h), here `know`:
 *
 *   PYTHON_TAPS_RESUME (3.11 and later). p = *(pointer *)(frame + know->frame_at). The pointer is
 *     stored before the tap in every version: it points *at* the RESUME, not behind it. p[0] is the
 *     opcode, p[1] its oparg. Opcode not in know->opcodes: nothing is known, ignore the hit. oparg
 * 0: a function starts. Otherwise: a generator or coroutine goes on. PYTHON_TAPS_ENTRY (2.7, 3.6
 * to 3.10). The frame is a PyFrameObject. lasti =
 *     *(int32_t *)(frame + know->frame_at). The low 32 bits of register `throw_reg` not 0: an
 *     exception is thrown into the frame, with lasti -1 nothing starts (a generator that never ran
 * is closed). lasti -1 and throw 0: a function starts. Otherwise a generator or coroutine goes on.
 *
 * A hit that cannot be read is neither. Nothing else than these passes as a start. The kernel side
 * (bpf/deep.bpf.c) counts resumes as well: the function ran. So it reads neither opcode nor lasti;
 * that no other opcode passes a tap is proven when the taps are found.
 *
 * Taps are proven on the process itself: bytes in its memory equal the file's. A process in which
 * somebody's breakpoints stand already, our own too, and inherited ones of a forked child, is
 * refused: find taps once for a memory image and keep them.
 */
#ifndef DAYLIGHT_COLLECT_TAPS_H
#define DAYLIGHT_COLLECT_TAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "catalog/python_taps.h"
#include "collect/buildid.h"
#include "collect/python.h"
#include "wire.h"

#define TAPS_MAX 8

struct tap {
	uint64_t offset; /* in the file, for the uprobe */
	uint64_t address; /* in the process */
	unsigned int frame_reg; /* enum wire_register */
};

struct taps {
	struct tap at[TAPS_MAX];
	size_t count;
	const struct python_taps *know; /* part of the catalog */
	uint64_t eval_start, eval_end; /* the evaluation function, in the process */
	unsigned int throw_reg; /* PYTHON_TAPS_ENTRY: enum wire_register */
	/*
	 * The file, opened; attach to "/proc/self/fd/N" and it cannot be another one. -1: not open.
	 */
	int fd;
	char path[512]; /* as the process sees it */
	uint64_t device, inode; /* as stat(2) gives them */
	uint8_t build_id[BUILDID_MAX]; /* of fd; taps in files without one are refused */
	size_t build_id_size;
	char why[160]; /* there are none because */
};

/*
 * Finds the taps of a process whose runtime is PYTHON_READY. 0 and at least one tap, or -1 with
 * out->why. Nothing is attached. Release *out in both cases.
 */
int taps_find(pid_t pid, const struct python_runtime *runtime, struct taps *out);
void taps_release(struct taps *taps);

/*
 * True when the kernel has single-stepped an instruction for some uprobe in this process: it made
 * room for the copy. With taps alone it never does; ask again after attaching, and detach if so.
 */
bool taps_stepped(pid_t pid);

#endif
