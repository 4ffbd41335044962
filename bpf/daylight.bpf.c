/* All programs, one object: they share maps and inline helpers. */
#include "shared.h"

#include "process.bpf.c"
#include "stacks.bpf.c"
#include "native.bpf.c"
#include "connections.bpf.c"
#include "sockets.bpf.c"
#include "syscalls.bpf.c"

char LICENSE[] SEC("license") = "GPL";
