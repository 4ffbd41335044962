/*
 * Writes a report's JSON: to a stream, or to a file that is put in place complete. Nothing but a
 * report gives way to it.
 */
#include "report/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SCHEMA "daylight.report/"
#define OLD_REPORT_MAX (256L << 20) /* a file above it is not looked into, and kept */

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

/* Does the file hold nothing, or a report? */
static bool gives_way(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
	const char *schema = NULL;
	json_t *old = NULL;
	struct stat st;
	bool yes = false;

	if (fd < 0)
		return false;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size <= OLD_REPORT_MAX) {
		old = st.st_size ? json_loadfd(fd, 0, NULL) : NULL;
		schema = json_string_value(json_object_get(old, "schema"));
		yes = !st.st_size || (schema && !strncmp(schema, SCHEMA, strlen(SCHEMA)));
	}
	json_decref(old);
	close(fd);
	return yes;
}

static int check_place(const char *path, struct err *err)
{
	struct stat st;

	if (!*path)
		return err_set(err, ERR_USAGE, "the report's path is empty: give -o FILE");
	if (lstat(path, &st))
		return 0;
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE,
			       "'%s' exists and is not a regular file: give another -o", path);
	if (!gives_way(path))
		return err_set(err, ERR_USAGE,
			       "'%s' exists and is not a report, so it is not replaced: give "
			       "another -o, or move it away",
			       path);
	return 0;
}

int report_check_place(const char *path, const char *const *inputs, size_t count, struct err *err)
{
	struct stat out, in;

	for (size_t i = 0; !stat(path, &out) && i < count; i++)
		if (!stat(inputs[i], &in) && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
			return err_set(err, ERR_USAGE,
				       "'%s' is the input '%s', which the report would replace: "
				       "give another -o",
				       path, inputs[i]);
	return check_place(path, err);
}

int report_write(const json_t *report, const char *path, struct err *err)
{
	cleanup_free char *temporary = NULL;
	int fd;

	if (check_place(path, err))
		return -1;
	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return err_set(err, ERR_INTERNAL, "out of memory");
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, ERR_USAGE,
				 "report '%s' cannot be created (name a file in a folder that "
				 "exists and may be written)",
				 path);
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
