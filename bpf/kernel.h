/*
 * The few kernel types that the programs read. Hand-picked and relocated at load time (CO-RE), so
 * neither a vmlinux.h nor BTF is needed to build. Source: include/linux and include/net of Linux
 * 6.1 to 6.18; only members that are used are listed.
 */
#ifndef DAYLIGHT_BPF_KERNEL_H
#define DAYLIGHT_BPF_KERNEL_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <stdbool.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* asm/ptrace.h, kernel's own names (user space calls them rax, rdi, ...) */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip,
		cs, sp;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	__u8 in6_bytes[16];
};

struct sock_common {
	union {
		struct {
			__be32 skc_daddr;
			__be32 skc_rcv_saddr;
		};
	};
	union {
		struct {
			__be16 skc_dport;
			__u16 skc_num;
		};
	};
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	struct {
		__s64 counter;
	} skc_cookie;
};

struct socket;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	__u16 sk_type;
	unsigned char sk_shutdown;
	int sk_err;
	struct socket *sk_socket;
};

struct inet_connection_sock {
	const void *icsk_ulp_ops;
};

struct tcp_sock {
	__u32 copied_seq;
	__u32 write_seq;
};

struct sockaddr_un {
	unsigned short sun_family;
	char sun_path[108];
};

struct refcount_struct {
	struct {
		int counter;
	} refs;
};

struct unix_address {
	struct refcount_struct refcnt;
	int len;
	struct sockaddr_un name[];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct file;

struct socket {
	struct sock *sk;
	struct file *file;
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
};

struct mm_struct {
	unsigned long start_stack;
};

struct sched_entity {
	__u64 sum_exec_runtime;
};

struct thread_struct {
	unsigned long fsbase;
};

struct task_struct {
	int pid;
	int tgid;
	int exit_code;
	unsigned int flags;
	__u64 start_boottime;
	struct task_struct *group_leader;
	struct files_struct *files;
	struct signal_struct *signal;
	struct mm_struct *mm;
	struct thread_struct thread;
	struct sched_entity se;
};

#pragma clang attribute pop

/* Values from include/linux/socket.h, include/net/tcp_states.h, include/uapi/linux/stat.h. */
enum {
	KERNEL_AF_UNIX = 1,
	KERNEL_AF_INET = 2,
	KERNEL_AF_INET6 = 10,
	KERNEL_IPPROTO_TCP = 6,
	KERNEL_MSG_PEEK = 2,
	KERNEL_RCV_SHUTDOWN = 1,
	KERNEL_SEND_SHUTDOWN = 2,
	KERNEL_SOCK_STREAM = 1,
	KERNEL_PF_IO_WORKER = 0x10,
	KERNEL_S_IFMT = 0170000,
	KERNEL_S_IFSOCK = 0140000,
	KERNEL_TCP_ESTABLISHED = 1,
	KERNEL_TCP_SYN_SENT = 2,
	KERNEL_TCP_SYN_RECV = 3,
	KERNEL_TCP_FIN_WAIT1 = 4,
	KERNEL_TCP_FIN_WAIT2 = 5,
	KERNEL_TCP_CLOSE = 7,
	KERNEL_TCP_CLOSE_WAIT = 8,
	KERNEL_TCP_LAST_ACK = 9,
	KERNEL_TCP_LISTEN = 10,
	KERNEL_USER_CS = 0x33, /* a 64-bit task; a 32-bit one has other system-call numbers */
};

/* x86-64 system calls that move socket data (arch/x86/entry/syscalls/syscall_64.tbl). */
enum {
	NR_READ = 0,
	NR_WRITE = 1,
	NR_READV = 19,
	NR_WRITEV = 20,
	NR_SENDFILE = 40,
	NR_SENDTO = 44,
	NR_RECVFROM = 45,
	NR_SENDMSG = 46,
	NR_RECVMSG = 47,
	NR_SPLICE = 275,
	NR_PREADV2 = 327,
	NR_PWRITEV2 = 328,
	NR_IO_URING_ENTER = 426,
};

/* struct user_msghdr and struct iovec as a 64-bit task has them. */
struct kernel_iovec {
	__u64 base;
	__u64 len;
};
#define KERNEL_MSGHDR_IOV 16
#define KERNEL_MSGHDR_IOVLEN 24

/*
 * Keeps a number of 64 bits in one register from here to the check behind it. Linux 6.1 forgets the
 * bound of a copy, and of what is spilled as 32 bits.
 */
#define BPF_ONE_REGISTER(x) asm volatile("" : "+r"(x))

#endif
