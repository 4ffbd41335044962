/* What taps.bpf.c and taps_count.c share. */
#ifndef DAYLIGHT_TESTS_TAPS_COUNT_H
#define DAYLIGHT_TESTS_TAPS_COUNT_H

#include <linux/types.h>

struct taps_rules {
	__u32 by_entry, throw_reg;
	__u64 frame_at, frame_code, code_firstlineno;
	__u8 opcodes[8];
};

struct taps_count {
	__u64 starts, resumes;
};

enum { TAPS_UNREADABLE = 1, TAPS_IGNORED, TAPS_OTHERS };

#endif
