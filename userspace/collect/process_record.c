/* What a bundle says of a process. */
#include "collect/process_record.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/modules.h"
#include "collect/procfs.h"

/* Name of an option, never its value: "--name=..." gives "--name", "-xVALUE" gives "-x". */
static size_t option_name(const char *arg, char *out, size_t size)
{
	size_t dashes = arg[1] == '-' ? 2 : 1, n = dashes;

	if (arg[0] != '-' || !isalpha((unsigned char)arg[dashes]))
		return 0;
	if (dashes == 1)
		n = 2;
	else
		while (isalnum((unsigned char)arg[n]) || arg[n] == '-' || arg[n] == '_')
			n++;
	if (dashes == 2 && arg[n] && arg[n] != '=')
		return 0;
	if (n >= size || n > 40)
		return 0;
	memcpy(out, arg, n);
	out[n] = '\0';
	return n;
}

static void match_service(struct session *s, struct process *process, const struct bytes *cmdline)
{
	const char *args[PROCESS_OPTIONS_MAX];
	char exe[sizeof(process->exe)];
	struct service_process subject = { .exe = exe, .args = args };
	const char *at = (const char *)cmdline->data, *end = at + cmdline->len;

	snprintf(exe, sizeof(exe), "%s", process->exe);
	/* It is the same service when an upgrade has replaced its program. */
	if (procfs_deleted(exe))
		exe[procfs_deleted(exe)] = '\0';
	while (at && at < end && subject.args_count < PROCESS_OPTIONS_MAX) {
		args[subject.args_count++] = at;
		at += strlen(at) + 1;
	}
	process->service = catalog_match_process(s->catalog, &subject);
}

/*
 * argv[0] as far as it reads like a program's path: many programs put a title there, with all that
 * was on their command line.
 */
static uint64_t program_name(struct session *s, char *argv0)
{
	argv0[strspn(argv0,
		     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-/")] = '\0';
	return session_private(s, argv0);
}

void process_describe(struct session *s, struct process *process, uint64_t parent,
		      enum origin origin)
{
	struct bytes cmdline = BYTES_INIT, cgroup = BYTES_INIT;
	struct rec_process *rec = &process->rec;
	struct procfs_stat st = { .comm = "" };
	char root[16] = "";
	uint32_t count = 0;

	procfs_stat(process->pid, &st);
	if (procfs_link(process->pid, "exe", process->exe, sizeof(process->exe)))
		process->exe[0] = '\0';
	if (procfs_link(process->pid, "cwd", process->cwd, sizeof(process->cwd)))
		process->cwd[0] = '\0';
	process->mount_ns = procfs_namespace(process->pid, "mnt");
	/* Its own root would be gone with the process; the same one seen from here stays. */
	process->root = process->mount_ns &&
					process->mount_ns == procfs_namespace(getpid(), "mnt") &&
					!procfs_link(process->pid, "root", root, sizeof(root)) &&
					!strcmp(root, "/")
				? 0
				: process->pid;
	process->start_realtime = session_realtime_of_boot(s, process->start);
	if (!procfs_read(process->pid, "cmdline", 1 << 20, &cmdline)) {
		const char *at = (const char *)cmdline.data, *end = at + cmdline.len;
		char name[64];

		for (at += strlen(at) + 1; at < end && count < PROCESS_OPTIONS_MAX;
		     at += strlen(at) + 1)
			if (option_name(at, name, sizeof(name)))
				process->options[count++] = session_public(s, name);
	}
	match_service(s, process, &cmdline);
	procfs_read(process->pid, "cgroup", 4096, &cgroup);
	if (cgroup.data)
		cgroup.data[strcspn((char *)cgroup.data, "\n")] = '\0';
	rec->id = process->serial;
	rec->pid = (uint64_t)process->pid;
	rec->start = process->start;
	rec->parent = parent;
	rec->exe = process->exe[0] ? modules_native(s->modules, process, process->exe, 0, 0)
				   : REC_NULL;
	rec->comm = session_private(s, st.comm);
	rec->argv0 = cmdline.len ? program_name(s, (char *)cmdline.data) : REC_NULL;
	rec->options = (struct rec_list){ process->options, count };
	rec->origin = origin;
	rec->seen = process->seen;
	rec->uid = procfs_uid(process->pid);
	rec->cgroup = cgroup.len ? session_private(s, (char *)cgroup.data) : REC_NULL;
	bytes_release(&cmdline);
	bytes_release(&cgroup);
	process->described = clock_monotonic();
}

/* A program that went on to another one before it could be looked at. */
void process_describe_unknown(struct process *process, uint64_t parent)
{
	process->exe[0] = process->cwd[0] = '\0';
	process->service = NULL;
	process->runtime.state = PYTHON_NONE;
	process->retry_at = 0;
	process->rec = (struct rec_process){
		.id = process->serial,
		.pid = (uint64_t)process->pid,
		.start = process->start,
		.parent = parent,
		.exe = REC_NULL,
		.comm = REC_NULL,
		.argv0 = REC_NULL,
		.origin = ORIGIN_EXEC,
		.seen = process->seen,
		.uid = REC_NULL,
		.cgroup = REC_NULL,
	};
}

/* Puts the process's record, once. */
void process_put_record(struct session *s, struct process *process)
{
	char runtime[64];

	if (process->put)
		return;
	snprintf(runtime, sizeof(runtime), "cpython %s", process->runtime.version);
	process->rec.runtime =
		process->runtime.state == PYTHON_READY ? session_public(s, runtime) : REC_NULL;
	process->rec.service =
		process->service ? session_public(s, process->service->name) : REC_NULL;
	bundle_writer_put(s->writer, REC_PROCESS_KIND, &process->rec);
	process->put = true;
	if (process->rec.exe == REC_NULL)
		session_gap(s, process->serial, process->seen, clock_monotonic(),
			    "ended before it could be looked at");
}

/*
 * A child is what its parent was: by the time /proc is read it may have become another program, and
 * that one gets a record of its own.
 */
void process_inherit(struct process *process, const struct process *parent)
{
	process->memory = parent->memory;
	process->runtime = parent->runtime;
	process->layout = parent->layout;
	process->image = parent->image;
	process->retry_at = parent->retry_at;
	process->retry_step = parent->retry_step;
	process->service = parent->service;
	process->mount_ns = parent->mount_ns;
	process->root = parent->root ? process->pid : 0;
	process->start_realtime = parent->start_realtime - parent->start + process->start;
	memcpy(process->exe, parent->exe, sizeof(process->exe));
	memcpy(process->cwd, parent->cwd, sizeof(process->cwd));
	memcpy(process->options, parent->options, sizeof(process->options));
	process->rec = parent->rec;
	process->rec.id = process->serial;
	process->rec.pid = (uint64_t)process->pid;
	process->rec.start = process->start;
	process->rec.parent = parent->serial;
	process->rec.options.items = process->options;
	process->rec.origin = ORIGIN_FORK;
	process->rec.seen = process->seen;
}
