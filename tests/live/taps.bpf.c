/* Counts what passes the taps, for taps_count.c: starts and resumes, by their code's first line. */
#include <linux/types.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "taps_count.h"
#include "wire.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct taps_rules);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct taps_count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TAPS_OTHERS);
	__type(key, __u32);
	__type(value, __u64);
} others SEC(".maps");

static void count_other(__u32 which)
{
	__u64 *n = bpf_map_lookup_elem(&others, &which);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* The offsets into the context must be constants. */
#define REGISTER_CASE(r)                        \
	case r:                                 \
		value = ((__u64 *)ctx)[r];      \
		asm volatile("" : "+r"(value)); \
		break;

static __u64 register_of(void *ctx, __u64 number)
{
	__u64 value = 0;

	switch (number) {
		REGISTER_CASE(WIRE_R15)
		REGISTER_CASE(WIRE_R14)
		REGISTER_CASE(WIRE_R13)
		REGISTER_CASE(WIRE_R12)
		REGISTER_CASE(WIRE_RBP)
		REGISTER_CASE(WIRE_RBX)
		REGISTER_CASE(WIRE_R11)
		REGISTER_CASE(WIRE_R10)
		REGISTER_CASE(WIRE_R9)
		REGISTER_CASE(WIRE_R8)
		REGISTER_CASE(WIRE_RAX)
		REGISTER_CASE(WIRE_RCX)
		REGISTER_CASE(WIRE_RDX)
		REGISTER_CASE(WIRE_RSI)
		REGISTER_CASE(WIRE_RDI)
	}
	return value;
}

/* 1: a start, 0: a resume, negative: neither. As collect/taps.h says. */
static int starts(void *ctx, const struct taps_rules *r, __u64 frame)
{
	__u8 word[2];
	__u64 at;
	__s32 lasti;

	if (r->by_entry) {
		if (bpf_probe_read_user(&lasti, sizeof(lasti), (void *)(frame + r->frame_at)))
			return -TAPS_UNREADABLE;
		if ((__u32)register_of(ctx, r->throw_reg))
			return lasti == -1 ? -TAPS_IGNORED : 0;
		return lasti == -1;
	}
	if (bpf_probe_read_user(&at, sizeof(at), (void *)(frame + r->frame_at)) ||
	    bpf_probe_read_user(word, sizeof(word), (void *)at))
		return -TAPS_UNREADABLE;
	if (word[0] != r->opcodes[0] && word[0] != r->opcodes[1] && word[0] != r->opcodes[2] &&
	    word[0] != r->opcodes[3])
		return -TAPS_IGNORED;
	return !word[1];
}

SEC("uprobe")
int tapped(void *ctx)
{
	struct taps_count none = { 0 }, *n;
	const struct taps_rules *r;
	__u32 zero = 0, line;
	__u64 frame, code;
	int start;

	r = bpf_map_lookup_elem(&rules, &zero);
	if (!r)
		return 0;
	frame = register_of(ctx, bpf_get_attach_cookie(ctx));
	start = starts(ctx, r, frame);
	if (start < 0) {
		count_other(-start);
		return 0;
	}
	if (bpf_probe_read_user(&code, sizeof(code), (void *)(frame + r->frame_code)) ||
	    bpf_probe_read_user(&line, sizeof(line), (void *)(code + r->code_firstlineno))) {
		count_other(TAPS_UNREADABLE);
		return 0;
	}
	bpf_map_update_elem(&counts, &line, &none, BPF_NOEXIST);
	n = bpf_map_lookup_elem(&counts, &line);
	if (n)
		__sync_fetch_and_add(start ? &n->starts : &n->resumes, 1);
	else
		count_other(TAPS_UNREADABLE);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
