/* What the sources of loaded modules define. */
#include "collect/patch_sources.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "collect/identity.h"
#include "collect/rootfile.h"

#define SOURCE_MAX (8u << 20)

struct patch_source {
	char *key; /* mount namespace and path */
	uint64_t since, until; /* realtime ns: it did not change between these; 0: not known */
	uint64_t inode, size, mtime, ctime;
	struct pydefs *defs;
	UT_hash_handle hh;
};

struct patch_sources {
	struct patch_source *table;
};

struct patch_sources *patch_sources_new(void)
{
	return calloc(1, sizeof(struct patch_sources));
}

void patch_sources_free(struct patch_sources *p)
{
	struct patch_source *source, *next;

	if (!p)
		return;
	HASH_ITER(hh, p->table, source, next) {
		HASH_DEL(p->table, source);
		pydefs_free(source->defs);
		free(source->key);
		free(source);
	}
	free(p);
}

static bool is_same_file(const struct patch_source *source, int root, const char *path)
{
	const char *how;
	struct stat st;
	cleanup_close int fd = rootfile_find(root, path, true, &st, &how);

	return fd >= 0 && source->inode == st.st_ino && source->size == (uint64_t)st.st_size &&
	       source->mtime == rootfile_ns(&st.st_mtim) &&
	       source->ctime == rootfile_ns(&st.st_ctim);
}

static enum patch_source_state read_source(struct patch_source *source, int root, const char *path)
{
	struct bytes text = BYTES_INIT;
	struct stat st;
	const char *how = rootfile_slurp(root, path, SOURCE_MAX, &text, &st);

	pydefs_free(source->defs);
	source->defs = NULL;
	if (!strcmp(how, ROOTFILE_OPEN)) {
		source->inode = st.st_ino;
		source->size = (uint64_t)st.st_size;
		source->mtime = rootfile_ns(&st.st_mtim);
		source->ctime = rootfile_ns(&st.st_ctim);
		source->defs = pydefs_read(text.data, text.len);
	}
	bytes_release(&text);
	if (strcmp(how, ROOTFILE_OPEN))
		return PATCH_SOURCE_MISSING;
	return source->defs ? PATCH_SOURCE_READ : PATCH_SOURCE_NOT_PYTHON;
}

static enum patch_source_state find(struct patch_sources *p, const struct process *process,
				    const char *path, struct patch_source **out)
{
	const char *how;
	cleanup_close int root = -1;
	char key[4200];
	struct patch_source *source;
	enum patch_source_state state;
	struct clock_triple now;
	int changed;

	snprintf(key, sizeof(key), "%llu %s", (unsigned long long)process->mount_ns, path);
	HASH_FIND_STR(p->table, key, source);
	*out = source;
	if (source && source->since && source->since <= process->image &&
	    process->image <= source->until)
		return source->defs ? PATCH_SOURCE_READ : PATCH_SOURCE_NOT_PYTHON;
	clock_read(&now);
	changed = identity_changed_since(process->root, path, NULL, process->image);
	root = rootfile_root(process->root, &how);
	if (changed || root < 0)
		return changed > 0 ? PATCH_SOURCE_CHANGED : PATCH_SOURCE_MISSING;
	if (!source) {
		source = calloc(1, sizeof(*source));
		if (!source || !(source->key = strdup(key))) {
			free(source);
			return PATCH_SOURCE_MISSING;
		}
		HASH_ADD_KEYPTR(hh, p->table, source->key, strlen(source->key), source);
		*out = source;
	} else if (source->defs && is_same_file(source, root, path)) {
		if (process->image < source->since)
			source->since = process->image;
		source->until = now.realtime;
		return PATCH_SOURCE_READ;
	}
	state = read_source(source, root, path);
	source->since = state == PATCH_SOURCE_MISSING ? 0 : process->image;
	source->until = now.realtime;
	return state;
}

enum patch_source_state patch_sources_find(struct patch_sources *p, const struct process *process,
					   const char *path, const struct pydefs **out)
{
	struct patch_source *source = NULL;
	enum patch_source_state state = find(p, process, path, &source);

	*out = state == PATCH_SOURCE_READ ? source->defs : NULL;
	return state;
}
