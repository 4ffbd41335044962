/* The source digests of the functions that ran. */
#include "collect/sources.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/thread.h"
#include "catalog/pysource.h"
#include "collect/rootfile.h"

#define READ_NS 60000000000ULL /* for all files; what is left then is `timeout` */

struct function {
	uint64_t id, line;
	size_t name, qualname; /* in source.names */
	/* By the thread: */
	const char *how;
	bool has_docstring;
	uint8_t tokens[DIGEST_SIZE], docstring[DIGEST_SIZE];
};

struct sources {
	struct source_file *files;
	size_t count;
	pthread_t thread;
};

static struct function *functions(const struct source_list *s, size_t *count)
{
	*count = s->functions.len / sizeof(struct function);
	return (struct function *)(void *)s->functions.data;
}

void source_add(struct source_list *source, uint64_t function, const char *name,
		const char *qualname, uint64_t line)
{
	struct function f = { .id = function, .line = line, .name = source->names.len };

	f.qualname = f.name + strlen(name) + 1;
	if (!bytes_put(&source->names, name, strlen(name) + 1) &&
	    !bytes_put(&source->names, qualname, strlen(qualname) + 1))
		bytes_put(&source->functions, &f, sizeof(f));
}

void source_release(struct source_list *source)
{
	bytes_release(&source->functions);
	bytes_release(&source->names);
}

/* ---- the thread ---- */

/* Bodies that have no `def`; NULL: may be one that has. */
static const char *no_def(const char *name)
{
	if (name[0] != '<')
		return NULL;
	if (!strcmp(name, "<module>"))
		return "module";
	return !strcmp(name, "<lambda>") ? "lambda" : "expression";
}

/* The bytes that the identity record speaks of. When the process is gone our own root may do. */
static const char *fetch(const struct source_file *file, struct bytes *out)
{
	const struct identity *id = file->identity;
	uint8_t now[DIGEST_SIZE];
	const char *how;
	struct stat st;
	cleanup_close int root = -1;

	if (strcmp(id->how, ROOTFILE_OPEN) || !id->has_sha256)
		return id->how;
	if (file->changed)
		return ROOTFILE_CHANGED;
	root = rootfile_root(file->root, &how);
	if (root < 0 && file->root)
		root = rootfile_root(0, &how);
	if (root < 0)
		return how;
	how = rootfile_slurp(root, file->path, PYSOURCE_FILE_MAX, out, &st);
	if (strcmp(how, ROOTFILE_OPEN))
		return how;
	if (digest_sha256(out->data, out->len, now) || memcmp(now, id->sha256, sizeof(now)))
		return ROOTFILE_CHANGED;
	return ROOTFILE_OPEN;
}

static void look_up(struct function *f, const struct pysource *p, const char *name,
		    const char *qualname)
{
	const struct pysource_function *found = pysource_find(p, name, qualname, f->line);

	f->how = !found ? "no-definition" : found->is_class ? "class" : PYSOURCE_OK;
	if (!found || found->is_class)
		return;
	f->has_docstring = found->has_docstring;
	memcpy(f->tokens, found->tokens, DIGEST_SIZE);
	memcpy(f->docstring, found->docstring, DIGEST_SIZE);
}

static void look(const struct source_file *file, struct bytes *text, bool late)
{
	const char *names = (const char *)file->source->names.data, *how = "timeout";
	struct pysource *p = NULL;
	size_t count;
	struct function *f = functions(file->source, &count);

	if (!late)
		how = fetch(file, text);
	if (!strcmp(how, ROOTFILE_OPEN))
		p = pysource_read(text->data, text->len, &how);
	for (size_t i = 0; i < count; i++) {
		f[i].how = no_def(names + f[i].name);
		if (!f[i].how && p)
			look_up(&f[i], p, names + f[i].name, names + f[i].qualname);
		else if (!f[i].how)
			f[i].how = how;
	}
	pysource_free(p);
}

static void *work(void *arg)
{
	struct sources *s = arg;
	struct bytes text = BYTES_INIT;
	uint64_t deadline = clock_monotonic() + READ_NS;

	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
	for (size_t i = 0; i < s->count; i++)
		look(&s->files[i], &text, clock_monotonic() > deadline);
	bytes_release(&text);
	return NULL;
}

struct sources *sources_start(struct source_file *files, size_t count)
{
	struct sources *s = calloc(1, sizeof(*s));
	int failed = 1;

	if (s) {
		s->files = files;
		s->count = count;
		failed = thread_start(&s->thread, work, s);
	}
	if (!failed)
		return s;
	log_warn("the sources of functions are not read: the thread cannot be started");
	free(files);
	free(s);
	return NULL;
}

/* ---- records ---- */

static uint64_t digest_string(struct session *s, bool has, const uint8_t *sha256)
{
	return has ? bundle_writer_string(s->writer, sha256, DIGEST_SIZE, STRING_PUBLIC) : REC_NULL;
}

static void put_file(struct session *s, const struct source_file *file)
{
	size_t count;
	const struct function *f = functions(file->source, &count);

	for (size_t i = 0; i < count; i++) {
		bool found = !strcmp(f[i].how, PYSOURCE_OK);
		struct rec_function_source rec = {
			.id = bundle_writer_id(s->writer, REC_FUNCTION_SOURCE_KIND),
			.function = f[i].id,
			.tokens = digest_string(s, found, f[i].tokens),
			.docstring = digest_string(s, found && f[i].has_docstring, f[i].docstring),
			.how = session_public(s, f[i].how),
		};

		bundle_writer_put(s->writer, REC_FUNCTION_SOURCE_KIND, &rec);
	}
}

void sources_put(struct sources *sources, struct session *s)
{
	if (!sources)
		return;
	pthread_join(sources->thread, NULL);
	for (size_t i = 0; i < sources->count; i++)
		put_file(s, &sources->files[i]);
	free(sources->files);
	free(sources);
}
