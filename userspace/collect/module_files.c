/* What the files of modules are: a worker thread looks, the session's thread writes records. */
#include "collect/module_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/thread.h"
#include "collect/identity.h"
#include "collect/processes.h"
#include "collect/procfs.h"
#include "collect/rootfile.h"
#include "collect/sources.h"

#define PROVE_NS 120000000000ULL

struct file {
	uint64_t module, process;
	pid_t root;
	char *path;
	uint64_t device, inode;
	uint64_t since; /* realtime ns: the oldest image that may have loaded it */
	const struct python_layout *layout; /* Python source only */
	const char *elsewhere; /* its compiled file is not beside it, or cannot be told; or NULL */
	char interpreter[512];
	bool ran;
	struct stamp {
		uint64_t inode, size, mtime;
	} stamp; /* of what was last met at its path; all 0: what the identity says */
	struct source_list source; /* the functions of it that ran */
	/* By the worker, then read by the session's thread once `done`. */
	struct identity identity;
	struct pyc *pyc;
	int changed; /* after it was loaded: 1, 0, or -1: cannot be told */
	uint64_t when;
	bool done, written;
};

struct module_files {
	struct session *s;
	struct identity_store *store;
	pthread_t worker;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	/* Guarded by lock: */
	struct file **files;
	size_t count, cap;
	size_t next; /* first that the worker has not taken */
	size_t finished;
	bool stop;
	/* The session's thread alone: */
	size_t written; /* files before it are written */
	bool given_up; /* the window is over: what is not written is lost */
	uint64_t asked; /* the process that `elsewhere` is of; 0: none */
	const char *elsewhere;
	uint64_t *by_module; /* index + 1 by module id */
	size_t by_module_count;
};

static void look(struct module_files *f, struct file *file)
{
	identity_file(f->store, file->root, file->path, file->device, file->inode, &file->identity);
	file->when = clock_monotonic();
	/* Deleting it has set its ctime: whether it was written to cannot be told. */
	file->changed = procfs_deleted(file->path)
				? -1
				: identity_changed_since(file->root, file->path, &file->identity,
							 file->since);
	if (file->layout && !file->pyc)
		file->pyc = calloc(1, sizeof(*file->pyc));
	if (file->layout && file->pyc)
		pyc_look(file->root, file->path, &file->identity, file->layout->pyc_tag,
			 file->layout->pyc_magic, file->layout->pyc_header, file->since, file->pyc);
	if (file->pyc && file->elsewhere) {
		file->pyc->how = file->elsewhere;
		file->pyc->has_sha256 = false;
		file->pyc->header_matches = -1;
	}
}

static void *work(void *arg)
{
	struct module_files *f = arg;

	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
	pthread_mutex_lock(&f->lock);
	for (;;) {
		struct file *file;

		while (f->next == f->count && !f->stop)
			pthread_cond_wait(&f->work, &f->lock);
		if (f->stop)
			break;
		file = f->files[f->next++];
		pthread_mutex_unlock(&f->lock);
		look(f, file);
		pthread_mutex_lock(&f->lock);
		file->done = true;
		f->finished++;
		if (f->finished == f->count)
			pthread_cond_broadcast(&f->idle);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

struct module_files *module_files_new(struct session *s, struct err *err)
{
	struct module_files *f = calloc(1, sizeof(*f));

	if (!f || !(f->store = identity_store_new())) {
		free(f);
		err_set(err, ERR_INTERNAL, "out of memory");
		return NULL;
	}
	f->s = s;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->work, NULL);
	pthread_cond_init(&f->idle, NULL);
	f->running = !thread_start(&f->worker, work, f);
	if (!f->running) {
		err_set(err, ERR_INTERNAL, "the file worker cannot be started");
		module_files_free(f);
		return NULL;
	}
	return f;
}

void module_files_free(struct module_files *f)
{
	if (!f)
		return;
	if (f->running) {
		pthread_mutex_lock(&f->lock);
		f->stop = true;
		pthread_cond_signal(&f->work);
		pthread_mutex_unlock(&f->lock);
		pthread_join(f->worker, NULL);
	}
	for (size_t i = 0; i < f->count; i++) {
		free(f->files[i]->path);
		free(f->files[i]->pyc);
		source_release(&f->files[i]->source);
		free(f->files[i]);
	}
	free(f->files);
	free(f->by_module);
	identity_store_free(f->store);
	free(f);
}

/* Where this process's compiled files can be compiled again: itself, or the plain interpreter. */
static void name_interpreter(struct file *file, const struct process *p)
{
	const char *name = strrchr(p->exe, '/');

	if (name && !strncmp(name + 1, "python", 6))
		snprintf(file->interpreter, sizeof(file->interpreter), "%s", p->exe);
	else
		snprintf(file->interpreter, sizeof(file->interpreter), "/usr/bin/python%u.%u",
			 file->layout->major, file->layout->minor);
}

static int remember(struct module_files *f, uint64_t module, size_t index)
{
	size_t want = (size_t)module + 1;
	uint64_t *grown;

	if (want > f->by_module_count) {
		if (want < 2 * f->by_module_count)
			want = 2 * f->by_module_count;
		grown = realloc(f->by_module, want * sizeof(*grown));
		if (!grown)
			return -1;
		memset(grown + f->by_module_count, 0, (want - f->by_module_count) * sizeof(*grown));
		f->by_module = grown;
		f->by_module_count = want;
	}
	f->by_module[module] = index + 1;
	return 0;
}

void module_files_add(struct module_files *f, uint64_t module, const struct process *p,
		      const char *path, enum language language, uint64_t device, uint64_t inode)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file || !(file->path = strdup(path))) {
		free(file);
		return;
	}
	file->module = module;
	file->process = p->serial;
	/* What is deleted is reached by the process that maps it alone. */
	file->root = procfs_deleted(path) ? p->pid : p->root;
	file->device = device;
	file->inode = inode;
	file->since = p->image;
	if (language == LANGUAGE_PYTHON && p->layout) {
		file->layout = p->layout;
		name_interpreter(file, p);
		if (f->asked != p->serial) {
			f->elsewhere = pyc_elsewhere(p->pid);
			f->asked = p->serial;
		}
		file->elsewhere = f->elsewhere;
	}
	pthread_mutex_lock(&f->lock);
	if (f->count == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 256;
		struct file **grown = realloc(f->files, cap * sizeof(*grown));

		if (!grown) {
			pthread_mutex_unlock(&f->lock);
			free(file->path);
			free(file);
			return;
		}
		f->files = grown;
		f->cap = cap;
	}
	if (!remember(f, module, f->count)) {
		f->files[f->count++] = file;
		pthread_cond_signal(&f->work);
	} else {
		free(file->path);
		free(file);
	}
	pthread_mutex_unlock(&f->lock);
}

void module_files_ran(struct module_files *f, uint64_t module)
{
	if (module < f->by_module_count && f->by_module[module])
		f->files[f->by_module[module] - 1]->ran = true;
}

bool module_files_became_another(struct module_files *f, uint64_t module, pid_t root)
{
	struct file *file;
	struct stamp now, before;
	struct stat st;
	const char *how;

	if (module >= f->by_module_count || !f->by_module[module])
		return false;
	file = f->files[f->by_module[module] - 1];
	if (!file->written || strcmp(file->identity.how, ROOTFILE_OPEN))
		return false;
	cleanup_close int top = rootfile_root(root, &how);
	cleanup_close int fd = top < 0 ? -1 : rootfile_find(top, file->path, true, &st, &how);

	if (fd < 0)
		return false;
	now = (struct stamp){ st.st_ino, (uint64_t)st.st_size, rootfile_ns(&st.st_mtim) };
	before = file->stamp.inode ? file->stamp
				   : (struct stamp){ file->identity.inode, file->identity.size,
						     file->identity.mtime };
	file->stamp = now;
	return memcmp(&now, &before, sizeof(now)) != 0;
}

bool module_files_has_run(const struct module_files *f, uint64_t module)
{
	return module < f->by_module_count && f->by_module[module] &&
	       f->files[f->by_module[module] - 1]->ran;
}

void module_files_function(struct module_files *f, uint64_t module, uint64_t function,
			   const char *name, const char *qualname, uint64_t line)
{
	struct file *file = NULL;

	if (module < f->by_module_count && f->by_module[module])
		file = f->files[f->by_module[module] - 1];
	if (file && file->layout)
		source_add(&file->source, function, name, qualname, line);
}

/* ---- records ---- */

static uint64_t digest_string(struct module_files *f, bool has, const uint8_t *sha256)
{
	return has ? bundle_writer_string(f->s->writer, sha256, 32, STRING_PUBLIC) : REC_NULL;
}

static void put_identity(struct module_files *f, const struct file *file)
{
	const struct identity *id = &file->identity;
	bool open = !strcmp(id->how, "open");
	struct rec_identity rec = {
		.id = bundle_writer_id(f->s->writer, REC_IDENTITY_KIND),
		.module = file->module,
		.process = file->process,
		.device = open ? id->device : REC_NULL,
		.inode = open ? id->inode : REC_NULL,
		.size = open ? id->size : REC_NULL,
		.mtime = open ? id->mtime : REC_NULL,
		.ctime = open ? id->ctime : REC_NULL,
		.sha256 = digest_string(f, id->has_sha256, id->sha256),
		.build_id = id->build_id_len ? bundle_writer_string(f->s->writer, id->build_id,
								    id->build_id_len, STRING_PUBLIC)
					     : REC_NULL,
		.package_manager = REC_NULL,
		.package = REC_NULL,
		.package_version = REC_NULL,
		.digest_matches = id->digest_matches < 0 ? REC_NULL : (uint64_t)id->digest_matches,
		.how = session_public(f->s, id->how),
		.when = file->when,
		.changed_after_load = file->changed < 0 ? REC_NULL : (uint64_t)file->changed,
	};

	if (id->package_manager[0]) {
		rec.package_manager = session_public(f->s, id->package_manager);
		rec.package = session_public(f->s, id->package);
		rec.package_version = session_public(f->s, id->package_version);
	}
	bundle_writer_put(f->s->writer, REC_IDENTITY_KIND, &rec);
}

/* proven: 1, 0, or -1 with why. */
static void put_pyc(struct module_files *f, const struct file *file, int proven, const char *why)
{
	const struct pyc *pyc = file->pyc;
	struct rec_pyc rec = {
		.id = bundle_writer_id(f->s->writer, REC_PYC_KIND),
		.module = file->module,
		.process = file->process,
		.path = bundle_writer_text(f->s->writer, pyc->path, modules_path_class(pyc->path)),
		.sha256 = digest_string(f, pyc->has_sha256, pyc->sha256),
		.size = pyc->has_sha256 ? pyc->size : REC_NULL,
		.mtime = pyc->has_sha256 ? pyc->mtime : REC_NULL,
		.ctime = pyc->has_sha256 ? pyc->ctime : REC_NULL,
		.header_matches =
			pyc->header_matches < 0 ? REC_NULL : (uint64_t)pyc->header_matches,
		.proven = proven < 0 ? REC_NULL : (uint64_t)proven,
		.how = session_public(
			f->s, proven < 0 && why && strcmp(pyc->how, "absent") ? why : pyc->how),
		.when = file->when,
		.changed_after_load =
			pyc->changed_after < 0 ? REC_NULL : (uint64_t)pyc->changed_after,
	};

	bundle_writer_put(f->s->writer, REC_PYC_KIND, &rec);
}

static bool file_done(struct module_files *f, const struct file *file)
{
	bool done;

	pthread_mutex_lock(&f->lock);
	done = file->done;
	pthread_mutex_unlock(&f->lock);
	return done;
}

int module_files_as_packaged(struct module_files *f, uint64_t module)
{
	const struct file *file;

	if (module >= f->by_module_count || !f->by_module[module])
		return 0;
	file = f->files[f->by_module[module] - 1];
	if (!file_done(f, file))
		return -1;
	return file->identity.package[0] && file->identity.digest_matches == 1;
}

void module_files_tick(struct module_files *f)
{
	/* The worker goes in order, so the first that is not done ends the look. */
	while (f->written < f->count && file_done(f, f->files[f->written])) {
		struct file *file = f->files[f->written++];

		put_identity(f, file);
		if (file->pyc)
			put_pyc(f, file, -1, NULL);
		file->written = true;
	}
}

bool module_files_settle(struct module_files *f, uint64_t timeout_ns)
{
	struct timespec until;
	bool idle;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(timeout_ns / 1000000000ULL);
	until.tv_nsec += (long)(timeout_ns % 1000000000ULL);
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&f->lock);
	while (f->finished < f->count &&
	       pthread_cond_timedwait(&f->idle, &f->lock, &until) != ETIMEDOUT)
		;
	idle = f->finished == f->count;
	pthread_mutex_unlock(&f->lock);
	module_files_tick(f);
	return idle;
}

/* ---- the end of the window ---- */

/* The worker is idle: its data may be used here. */
static void look_again(struct module_files *f)
{
	for (size_t i = 0; i < f->written; i++) {
		struct file *file = f->files[i];
		bool pyc_before = file->pyc && file->pyc->changed_after > 0;

		/* With its process its root may be gone (-1); what was seen before stands. */
		if (!procfs_deleted(file->path) && !file->changed &&
		    identity_changed_since(file->root, file->path, &file->identity, file->since) >
			    0) {
			identity_file(f->store, file->root, file->path, 0, 0, &file->identity);
			file->when = clock_monotonic();
			file->changed = 1;
			put_identity(f, file);
		}
		if (file->pyc && !file->elsewhere && !pyc_before) {
			struct pyc now;

			pyc_look(file->root, file->path, &file->identity, file->layout->pyc_tag,
				 file->layout->pyc_magic, file->layout->pyc_header, file->since,
				 &now);
			if (now.changed_after > 0) {
				*file->pyc = now;
				put_pyc(f, file, -1, "changed");
			}
		}
	}
}

static void prove_with(struct module_files *f, const char *interpreter, struct file **files,
		       size_t count)
{
	struct pyc_item *items = calloc(count, sizeof(*items));
	struct err err = ERR_INIT;

	if (!items)
		return;
	for (size_t i = 0; i < count; i++) {
		items[i].pid = files[i]->root;
		items[i].source_path = files[i]->path;
		items[i].pyc_path = files[i]->pyc->path;
		items[i].source_sha256 = files[i]->identity.sha256;
		items[i].pyc_sha256 = files[i]->pyc->sha256;
		items[i].header = files[i]->layout->pyc_header;
		items[i].proven = -1;
		items[i].why = "failed";
	}
	if (pyc_prove(interpreter, items, count, PROVE_NS, &err))
		log_warn("compiled Python files are not compared: %s", err.text);
	for (size_t i = 0; i < count; i++)
		put_pyc(f, files[i], items[i].proven, items[i].why);
	free(items);
}

static void prove(struct module_files *f)
{
	struct file **group = calloc(f->written + 1, sizeof(*group));
	bool *taken = calloc(f->written + 1, sizeof(*taken));

	for (size_t i = 0; group && taken && i < f->written; i++) {
		size_t count = 0;

		for (size_t k = i; k < f->written; k++) {
			struct file *file = f->files[k];

			if (taken[k] || !file->pyc || !file->ran || !file->identity.has_sha256 ||
			    !file->pyc->has_sha256 ||
			    strcmp(file->interpreter, f->files[i]->interpreter))
				continue;
			taken[k] = true;
			group[count++] = file;
		}
		if (count)
			prove_with(f, f->files[i]->interpreter, group, count);
	}
	free(group);
	free(taken);
}

/* Its thread works while compiled files are proven. */
static struct sources *read_sources(struct module_files *f)
{
	struct source_file *files = calloc(f->written + 1, sizeof(*files));
	size_t count = 0;

	for (size_t i = 0; files && i < f->written; i++) {
		struct file *file = f->files[i];

		if (file->source.functions.len)
			files[count++] = (struct source_file){ .source = &file->source,
							       .root = file->root,
							       .path = file->path,
							       .identity = &file->identity,
							       .changed = file->changed > 0 };
	}
	return files ? sources_start(files, count) : NULL;
}

void module_files_finish(struct module_files *f, bool thorough)
{
	struct sources *sources;

	f->given_up = true;
	if (!thorough)
		return;
	look_again(f);
	sources = read_sources(f);
	prove(f);
	sources_put(sources, f->s);
}

bool module_files_get(const struct module_files *f, uint64_t module, struct module_file *out)
{
	const struct file *file = module < f->by_module_count && f->by_module[module]
					  ? f->files[f->by_module[module] - 1]
					  : NULL;

	if (!file || !file->written)
		return false;
	*out = (struct module_file){
		.root = file->root,
		.path = file->path,
		.interpreter = file->interpreter,
		.layout = file->layout,
		.identity = &file->identity,
		.changed = file->changed,
		.since = file->since,
		.pyc = file->pyc,
		.elsewhere = file->elsewhere,
	};
	return true;
}

void module_files_stats(const struct module_files *f, struct modules_stats *out)
{
	memset(out, 0, sizeof(*out));
	out->lost = f->given_up ? f->count - f->written : 0;
	out->attempted = f->written + out->lost;
	for (size_t i = 0; i < f->written; i++) {
		const char *how = f->files[i]->identity.how;
		size_t k = 0;

		if (!strcmp(how, "open")) {
			out->delivered++;
			continue;
		}
		while (k < 7 && out->skipped[k].how && strcmp(out->skipped[k].how, how))
			k++;
		out->skipped[k].how = how;
		out->skipped[k].count++;
	}
}
