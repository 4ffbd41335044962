/* Probe files on disk: regular files only, never waiting, with a size limit. */
#include "catalog/probe_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "catalog/probe_json.h"

/* Names are made of what an id may have, so they can stand in errors and bundles as they are. */
static int check_name(const char *folder, const char *name, struct err *err)
{
	if (probe_check_id(name))
		return err_set(err, ERR_USAGE, "%s: '%s' %s", folder, probe_show(name),
			       probe_check_id(name));
	return 0;
}

/* Looked at before it is opened: opening a device can already do something. */
static int open_regular(int dirfd, struct probe_file *file, struct err *err)
{
	struct stat st;
	int fd;

	if (fstatat(dirfd, file->name, &st, 0))
		return err_errno(err, ERR_USAGE, "%s: cannot look at it", file->path);
	fd = S_ISREG(st.st_mode)
		     ? openat(dirfd, file->name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
		     : -1;
	if (S_ISREG(st.st_mode) && fd < 0)
		return err_errno(err, ERR_USAGE, "%s: cannot open it (make it readable)",
				 file->path);
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return err_set(err, ERR_USAGE, "%s: is not a regular file (remove or rename it)",
			       file->path);
	}
	if (st.st_size > (off_t)PROBE_FILE_MAX) {
		close(fd);
		return err_set(err, ERR_USAGE, "%s: %lld bytes, more than %zu (split it)",
			       file->path, (long long)st.st_size, PROBE_FILE_MAX);
	}
	return fd;
}

static int read_file(int dirfd, struct probe_file *file, struct err *err)
{
	cleanup_close int fd = open_regular(dirfd, file, err);

	if (fd < 0)
		return -1;
	/* One byte more than allowed, to see a file that has grown. */
	file->data = malloc(PROBE_FILE_MAX + 1);
	if (!file->data)
		return err_set(err, ERR_INTERNAL, "%s: out of memory (free some and try again)",
			       file->path);
	while (file->size <= PROBE_FILE_MAX) {
		ssize_t n = read(fd, file->data + file->size, PROBE_FILE_MAX + 1 - file->size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_USAGE, "%s: cannot read it", file->path);
		if (!n)
			return 0;
		file->size += (size_t)n;
	}
	return err_set(err, ERR_USAGE, "%s: more than %zu bytes (split it)", file->path,
		       PROBE_FILE_MAX);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct probe_file *)a)->name, ((const struct probe_file *)b)->name);
}

static bool is_probe_name(const char *name)
{
	size_t len = strlen(name);

	return len > 5 && name[0] != '.' && !strcmp(name + len - 5, ".json");
}

static int add_file(struct probe_files *out, const char *folder, int dirfd, const char *name,
		    struct err *err)
{
	struct probe_file *file;

	if (check_name(folder, name, err))
		return -1;
	if (out->count == PROBE_FILES_MAX)
		return err_set(err, ERR_USAGE, "%s: more than %d probe files (remove some)", folder,
			       PROBE_FILES_MAX);
	file = &out->items[out->count];
	memset(file, 0, sizeof(*file));
	out->count++;
	file->name = strdup(name);
	if (!file->name || asprintf(&file->path, "%s/%s", folder, name) < 0) {
		file->path = NULL;
		return err_set(err, ERR_INTERNAL, "%s: out of memory (free some and try again)",
			       folder);
	}
	return read_file(dirfd, file, err);
}

static int read_folder(const char *folder, struct probe_files *out, struct err *err)
{
	cleanup_closedir DIR *dir = opendir(folder);
	struct dirent *entry;

	if (!dir)
		return err_errno(err, ERR_USAGE,
				 "%s: cannot open the folder (give a readable one; a probes folder "
				 "holds python/ and services/)",
				 folder);
	for (errno = 0; (entry = readdir(dir)); errno = 0)
		if (is_probe_name(entry->d_name) &&
		    add_file(out, folder, dirfd(dir), entry->d_name, err))
			return -1;
	if (errno)
		return err_errno(err, ERR_USAGE, "%s: cannot read the folder", folder);
	return 0;
}

int probe_files_read(const char *dir, const char *sub, struct probe_files *out, struct err *err)
{
	cleanup_free char *folder = NULL;

	out->count = 0;
	out->items = calloc(PROBE_FILES_MAX, sizeof(*out->items));
	if (!out->items || asprintf(&folder, "%s%s%s", dir, sub ? "/" : "", sub ? sub : "") < 0) {
		folder = NULL;
		probe_files_release(out);
		return err_set(err, ERR_INTERNAL, "%s: out of memory (free some and try again)",
			       dir);
	}
	if (read_folder(folder, out, err)) {
		probe_files_release(out);
		return -1;
	}
	qsort(out->items, out->count, sizeof(*out->items), compare_names);
	return 0;
}

void probe_files_release(struct probe_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		free(files->items[i].name);
		free(files->items[i].path);
		free(files->items[i].data);
	}
	free(files->items);
	files->items = NULL;
	files->count = 0;
}
