/* Mapped files of processes, for the unwinder. */
#include "collect/unwind_space.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uthash.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "collect/identity.h"
#include "collect/procfs.h"

#define SPACES_MAX 256 /* kept; the one that was not used for the longest time goes first */
#define FILES_MAX 512
#define MAPPINGS_MAX 4096

/* An opened file; those that could not be are remembered, too. */
struct file {
	struct {
		uint64_t device, inode, mtime, ctime;
	} key;
	struct unwind_file *file;
	unsigned int users; /* mappings that point here */
	UT_hash_handle hh;
};

struct mapping {
	uint64_t start, end, offset;
	struct unwind_mapped is;
	struct file *file;
	bool looked; /* for the file */
};

struct unwind_space {
	uint32_t process;
	struct unwind_who who;
	struct unwind_spaces *owner;
	struct mapping *mappings; /* executable ones, by address */
	uint32_t count;
	uint64_t read_at, used_at;
	UT_hash_handle hh;
};

struct unwind_spaces {
	bool (*is_current)(void *ctx, pid_t pid, uint32_t process);
	void *ctx;
	struct unwind_space *table;
	struct file *files;
};

struct unwind_spaces *unwind_spaces_new(bool (*is_current)(void *ctx, pid_t pid, uint32_t process),
					void *ctx)
{
	struct unwind_spaces *s = calloc(1, sizeof(*s));

	if (s) {
		s->is_current = is_current;
		s->ctx = ctx;
	}
	return s;
}

static void release_mappings(struct mapping *mappings, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		free((char *)mappings[i].is.path);
		if (mappings[i].file)
			mappings[i].file->users--;
	}
	free(mappings);
}

static void release_space(struct unwind_space *space)
{
	HASH_DEL(space->owner->table, space);
	release_mappings(space->mappings, space->count);
	free(space);
}

static void release_file(struct unwind_spaces *s, struct file *file)
{
	HASH_DEL(s->files, file);
	unwind_file_close(file->file);
	free(file);
}

void unwind_spaces_free(struct unwind_spaces *s)
{
	struct unwind_space *space, *next_space;
	struct file *file, *next_file;

	if (!s)
		return;
	HASH_ITER(hh, s->table, space, next_space)
		release_space(space);
	HASH_ITER(hh, s->files, file, next_file)
		release_file(s, file);
	free(s);
}

/* ---- files ---- */

static struct file *file_of(struct unwind_spaces *s, int fd, const struct stat *st)
{
	struct file *file, *next,
		key = { .key = {
				.device = st->st_dev,
				.inode = st->st_ino,
				.mtime = (uint64_t)st->st_mtim.tv_sec * 1000000000 +
					 (uint64_t)st->st_mtim.tv_nsec,
				.ctime = (uint64_t)st->st_ctim.tv_sec * 1000000000 +
					 (uint64_t)st->st_ctim.tv_nsec,
			} };

	HASH_FIND(hh, s->files, &key.key, sizeof(key.key), file);
	if (file)
		return file;
	if (HASH_COUNT(s->files) >= FILES_MAX) {
		HASH_ITER(hh, s->files, file, next)
			if (!file->users)
				release_file(s, file);
		if (HASH_COUNT(s->files) >= FILES_MAX)
			return NULL;
	}
	file = calloc(1, sizeof(*file));
	if (!file)
		return NULL;
	file->key = key.key;
	file->file = unwind_file_open(fd);
	HASH_ADD(hh, s->files, key, sizeof(file->key), file);
	return file;
}

/* Does the process have in memory what the file says of itself? */
static bool same_build(const struct unwind_space *space, const struct mapping *m,
		       const struct unwind_file *file)
{
	uint8_t memory[4096];
	const uint8_t *bytes;
	uint64_t linked, at, first;
	size_t len = unwind_file_notes(file, &linked, &bytes);

	first = unwind_file_address(file, m->offset);
	if (first == UINT64_MAX)
		return false;
	if (!len || len > sizeof(memory) ||
	    !space->owner->is_current(space->owner->ctx, space->who.pid, space->who.process))
		return true; /* the inode is all there is */
	at = m->start + (linked - first);
	return procfs_memory(space->who.pid, at, memory, len) || !memcmp(memory, bytes, len);
}

static void open_file(struct unwind_space *space, struct mapping *m)
{
	cleanup_close int fd = -1;
	const char *how;
	struct stat st;
	struct file *file;

	m->looked = true;
	if (m->is.path[0] != '/' || !m->is.inode)
		return;
	fd = identity_open(procfs_deleted(m->is.path) ? space->who.pid : space->who.root,
			   m->is.path, &st, &how);
	if (fd < 0 || st.st_ino != m->is.inode)
		return;
	file = file_of(space->owner, fd, &st);
	if (!file || !file->file || !same_build(space, m, file->file))
		return;
	m->file = file;
	file->users++;
}

/* ---- mappings ---- */

struct reading {
	struct mapping *mappings;
	uint32_t count, room;
};

static int each_mapping(void *ctx, const struct procfs_mapping *m)
{
	struct reading *r = ctx;
	struct mapping *grown;

	if (!m->executable || m->end <= m->start || r->count == MAPPINGS_MAX)
		return 0;
	if (r->count == r->room) {
		r->room = r->room ? 2 * r->room : 64;
		grown = realloc(r->mappings, r->room * sizeof(*grown));
		if (!grown)
			return -1;
		r->mappings = grown;
	}
	r->mappings[r->count] = (struct mapping){
		.start = m->start,
		.end = m->end,
		.offset = m->offset,
		.is = { strdup(m->path), m->device, m->inode },
	};
	if (!r->mappings[r->count].is.path)
		return -1;
	r->count++;
	return 0;
}

static bool same_mapping(const struct mapping *a, const struct mapping *b)
{
	return a->start == b->start && a->end == b->end && a->offset == b->offset &&
	       a->is.device == b->is.device && a->is.inode == b->is.inode &&
	       !strcmp(a->is.path, b->is.path);
}

/* Files that are still mapped where they were need no second look. */
static void take_over(struct unwind_space *space, struct reading *r)
{
	uint32_t old = 0;

	for (uint32_t i = 0; i < r->count; i++) {
		struct mapping *m = &r->mappings[i];

		while (old < space->count && space->mappings[old].start < m->start)
			old++;
		if (old == space->count || !same_mapping(&space->mappings[old], m))
			continue;
		m->file = space->mappings[old].file;
		m->looked = space->mappings[old].looked;
		space->mappings[old].file = NULL;
	}
	release_mappings(space->mappings, space->count);
	space->mappings = r->mappings;
	space->count = r->count;
}

static bool read_space(struct unwind_space *space)
{
	struct unwind_spaces *s = space->owner;
	struct reading r = { 0 };
	uint64_t now = clock_monotonic();

	/* Asked after reading: what was read then is this process's. */
	if (procfs_maps(space->who.pid, each_mapping, &r) || !r.count ||
	    !s->is_current(s->ctx, space->who.pid, space->who.process)) {
		release_mappings(r.mappings, r.count);
		return false;
	}
	take_over(space, &r);
	space->read_at = now;
	return true;
}

static void make_room(struct unwind_spaces *s)
{
	struct unwind_space *space, *next, *oldest = NULL;

	if (HASH_COUNT(s->table) < SPACES_MAX)
		return;
	HASH_ITER(hh, s->table, space, next)
		if (!oldest || space->used_at < oldest->used_at)
			oldest = space;
	if (oldest)
		release_space(oldest);
}

static struct unwind_space *get(struct unwind_spaces *s, const struct unwind_who *who,
				uint64_t since)
{
	struct unwind_space *space;

	HASH_FIND(hh, s->table, &who->process, sizeof(who->process), space);
	if (!space) {
		make_room(s);
		space = calloc(1, sizeof(*space));
		if (!space)
			return NULL;
		space->process = who->process;
		space->owner = s;
		HASH_ADD(hh, s->table, process, sizeof(space->process), space);
	}
	space->who = *who;
	space->used_at = clock_monotonic();
	if ((space->count && space->read_at > since) || read_space(space) || space->count)
		return space;
	release_space(space);
	return NULL;
}

struct unwind_space *unwind_space_get(struct unwind_spaces *s, const struct unwind_who *who,
				      uint64_t since, bool *borrowed)
{
	struct unwind_space *space = get(s, who, since);
	struct unwind_who first = {
		.process = who->image,
		.image = who->image,
		.pid = who->first,
		.root = who->root ? who->first : 0,
	};

	*borrowed = !space;
	if (space || !who->first || who->image == who->process)
		return space;
	return get(s, &first, since);
}

static struct mapping *find_mapping(struct unwind_space *space, uint64_t address)
{
	uint32_t low = 0, high = space->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		struct mapping *m = &space->mappings[middle];

		if (address >= m->end)
			low = middle + 1;
		else if (address < m->start)
			high = middle;
		else
			return m;
	}
	return NULL;
}

const struct unwind_row *unwind_space_row(struct unwind_space *space, uint64_t address,
					  uint32_t *mapped)
{
	struct mapping *m = find_mapping(space, address);
	uint64_t linked;

	if (!m)
		return NULL;
	if (!m->looked)
		open_file(space, m);
	if (!m->file)
		return NULL;
	linked = unwind_file_address(m->file->file, m->offset + (address - m->start));
	if (linked == UINT64_MAX)
		return NULL;
	*mapped = (uint32_t)(m - space->mappings);
	return unwind_file_row(m->file->file, linked);
}

const struct unwind_mapped *unwind_space_mapped(const struct unwind_space *space, uint32_t mapped)
{
	return mapped < space->count ? &space->mappings[mapped].is : NULL;
}
