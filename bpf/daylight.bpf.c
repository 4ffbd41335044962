/* All programs, one object: they share maps and inline helpers. */
#include "shared.h"

#include "stacks.bpf.c"
#include "native.bpf.c"
#include "process.bpf.c"
#include "connections.bpf.c"
#include "tls.h"
#include "sockets.bpf.c"
#include "syscalls.bpf.c"
#include "deep.bpf.c"
#include "tls.bpf.c"
#include "sampler.bpf.c"

char LICENSE[] SEC("license") = "GPL";
