/* Writes a report's JSON: to a stream, or to a file that is put in place complete. */
#include "report/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define DUMP_FLAGS (JSON_INDENT(2) | JSON_ENSURE_ASCII)

int report_print_json(const json_t *report, FILE *out, struct err *err)
{
	if (json_dumpf(report, out, DUMP_FLAGS) || putc('\n', out) == EOF || fflush(out))
		return err_errno(err, ERR_INCOMPLETE, "report: output cannot be written");
	return 0;
}

static int write_temporary(const json_t *report, int fd, const char *path, struct err *err)
{
	cleanup_fclose FILE *f = fdopen(fd, "w");

	if (!f) {
		close(fd);
		return err_errno(err, ERR_INTERNAL, "'%s'", path);
	}
	if (fchmod(fd, 0644) || json_dumpf(report, f, DUMP_FLAGS) || putc('\n', f) == EOF ||
	    fflush(f) || fsync(fd))
		return err_errno(err, ERR_INCOMPLETE,
				 "report '%s' cannot be written: free space, or give another -o",
				 path);
	return 0;
}

int report_write(const json_t *report, const char *path, struct err *err)
{
	cleanup_free char *temporary = NULL;
	struct stat st;
	int fd;

	if (!*path)
		return err_set(err, ERR_USAGE, "the report's path is empty: give -o FILE");
	if (!lstat(path, &st) && !S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE,
			       "'%s' exists and is not a regular file: give another -o", path);
	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return err_set(err, ERR_INTERNAL, "out of memory");
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, ERR_USAGE, "report '%s' cannot be created", path);
	if (write_temporary(report, fd, path, err)) {
		unlink(temporary);
		return -1;
	}
	if (rename(temporary, path)) {
		err_errno(err, ERR_USAGE, "report '%s' cannot be put in place", path);
		unlink(temporary);
		return -1;
	}
	return 0;
}
