/*
 * The places of a TLS library's file that are tapped: the entries of the functions that a probe
 * file names (catalog/tls_library.h) and where they return. What cannot be proven is refused, with
 * the reason.
 */
#ifndef DAYLIGHT_COLLECT_TLS_FILE_H
#define DAYLIGHT_COLLECT_TLS_FILE_H

#include <stdint.h>
#include <sys/types.h>

#include "catalog/tls_library.h"
#include "collect/procfs.h"

#define TLS_FILE_RETURNS 512

struct tls_file {
	const struct tls_library *library;
	/*
	 * The file, opened; attach to "/proc/self/fd/N" and it cannot be another one. -1: not open.
	 */
	int fd;
	uint64_t device, inode; /* as its mapping has them */
	struct {
		uint64_t offset; /* in the file */
		const struct tls_function *function;
	} entry[TLS_FUNCTIONS_MAX];
	size_t entries;
	uint64_t returns[TLS_FILE_RETURNS]; /* offsets in the file */
	size_t returns_count;
	char why[160]; /* it has no places because */
};

/*
 * Looks at the file behind an executable mapping of a process. 0, or -1 with out->why. Release *out
 * in both cases.
 */
int tls_file_find(pid_t pid, const struct procfs_mapping *m, const struct tls_library *library,
		  struct tls_file *out);
void tls_file_release(struct tls_file *file);

#endif
