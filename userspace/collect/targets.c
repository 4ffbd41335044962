/* From what the operator asked for to processes and ports. */
#include "collect/targets.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/attach.h"
#include "collect/processes.h"
#include "collect/procfs.h"

const char *collect_how_name(enum collect_how how)
{
	static const char *const names[] = { "pid",    "port",	  "exe",    "unit",
					     "cgroup", "service", "command" };

	return names[how];
}

/* A growing set of numbers, for socket inodes and namespaces; small, so searched in order. */
struct numbers {
	uint64_t *items;
	size_t count, cap;
};

static bool numbers_has(const struct numbers *n, uint64_t value)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->items[i] == value)
			return true;
	return false;
}

static void numbers_add(struct numbers *n, uint64_t value)
{
	if (n->count == n->cap) {
		size_t cap = n->cap ? 2 * n->cap : 64;
		uint64_t *grown = realloc(n->items, cap * sizeof(*grown));

		if (!grown)
			return;
		n->items = grown;
		n->cap = cap;
	}
	n->items[n->count++] = value;
}

/* ---- which processes ---- */

struct search {
	struct session *s;
	const struct collect_target *target;
	struct numbers sockets, namespaces; /* for a port */
	bool activator; /* the port is held by pid 1 or a socket activator */
	long found, added;
	struct err *err;
};

static int each_port_listener(void *ctx, const struct procfs_listener *l)
{
	struct search *search = ctx;

	if (l->port == search->target->number)
		numbers_add(&search->sockets, l->inode);
	return 0;
}

static int each_namespace(void *ctx, pid_t pid)
{
	struct search *search = ctx;
	uint64_t ns = procfs_namespace(pid, "net");

	if (ns && !numbers_has(&search->namespaces, ns)) {
		numbers_add(&search->namespaces, ns);
		procfs_listeners(pid, each_port_listener, search);
	}
	return 0;
}

static int each_socket(void *ctx, uint64_t inode)
{
	return numbers_has(&((struct search *)ctx)->sockets, inode);
}

/* Programs that hold sockets for services that are not running yet. */
static bool is_activator(pid_t pid)
{
	static const char *const names[] = { "systemd",		"inetd",   "xinetd",
					     "systemd-socket-", "launchd", "s6-ipcserver" };
	struct procfs_stat st;

	if (pid == 1)
		return true;
	if (procfs_stat(pid, &st))
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(st.comm, names[i], strlen(names[i])) &&
		    (names[i][strlen(names[i]) - 1] == '-' || !strcmp(st.comm, names[i])))
			return true;
	return false;
}

static bool cgroup_matches(pid_t pid, const struct collect_target *target)
{
	struct bytes text = BYTES_INIT;
	char unit[256];
	bool found = false;
	char *line, *end;

	snprintf(unit, sizeof(unit), "/%s%s", target->text,
		 strchr(target->text, '.') ? "" : ".service");
	if (procfs_read(pid, "cgroup", 65536, &text))
		goto out;
	for (line = (char *)text.data; *line && !found; line = end + 1) {
		char *path = strchr(line, '/'), *at;

		end = strchr(line, '\n');
		if (!end)
			break;
		*end = '\0';
		if (!path)
			continue;
		if (target->how == COLLECT_CGROUP) {
			size_t len = strlen(target->text);

			while (len > 1 && target->text[len - 1] == '/')
				len--;
			found = !strncmp(path, target->text, len) &&
				(!path[len] || path[len] == '/');
			continue;
		}
		for (at = path; !found && (at = strstr(at, unit)); at++)
			found = !at[strlen(unit)] || at[strlen(unit)] == '/';
	}
out:
	bytes_release(&text);
	return found;
}

static bool service_matches(struct session *s, pid_t pid, const char *name)
{
	struct bytes cmdline = BYTES_INIT;
	const struct service_definition *found;
	const char *args[64];
	struct service_process subject = { .args = args };
	char exe[512] = "";

	procfs_link(pid, "exe", exe, sizeof(exe));
	subject.exe = exe;
	if (!procfs_read(pid, "cmdline", 1 << 20, &cmdline)) {
		const char *at = (const char *)cmdline.data, *end = at + cmdline.len;

		for (; at < end && subject.args_count < 64; at += strlen(at) + 1)
			args[subject.args_count++] = at;
	}
	found = catalog_match_process(s->catalog, &subject);
	bytes_release(&cmdline);
	return found && !strcmp(found->name, name);
}

static bool matches(struct search *search, pid_t pid)
{
	const struct collect_target *target = search->target;
	char exe[PATH_MAX], wanted[PATH_MAX];

	switch (target->how) {
	case COLLECT_PID:
		return pid == (pid_t)target->number;
	case COLLECT_PORT:
		if (procfs_sockets(pid, each_socket, search) != 1)
			return false;
		if (is_activator(pid)) {
			search->activator = true;
			return false;
		}
		return true;
	case COLLECT_EXE:
		return realpath(target->text, wanted) &&
		       !procfs_link(pid, "exe", exe, sizeof(exe)) && !strcmp(exe, wanted);
	case COLLECT_UNIT:
	case COLLECT_CGROUP:
		return cgroup_matches(pid, target);
	case COLLECT_SERVICE:
		return service_matches(search->s, pid, target->text);
	case COLLECT_COMMAND:
		break;
	}
	return false;
}

static int each_process(void *ctx, pid_t pid)
{
	struct search *search = ctx;
	int result;

	/* pid 1 is asked too, so that a port it holds for a service is known for that. */
	if (pid == getpid() || !matches(search, pid) || pid == 1)
		return 0;
	search->found++;
	if (!search->s->processes)
		return 0; /* only looking */
	result = processes_add(search->s->processes, pid, search->err);
	if (result < 0)
		return 1;
	search->added += result == 0;
	return 0;
}

static int nothing_found(const struct search *search, struct err *err)
{
	const struct collect_target *t = search->target;

	switch (t->how) {
	case COLLECT_PID:
		return err_set(err, ERR_USAGE, "--pid %s: no such process: 'ps -e' lists them",
			       t->text);
	case COLLECT_PORT:
		if (search->activator)
			return err_set(
				err, ERR_USAGE,
				"--port %s: only a socket activator holds it: start the service, "
				"or name it with --unit",
				t->text);
		return err_set(err, ERR_USAGE,
			       "--port %s: no process listens on it: 'ss -ltnp' lists who does",
			       t->text);
	case COLLECT_EXE:
		return err_set(err, ERR_USAGE,
			       "--exe %s: no process runs it: start it, or give it behind --",
			       t->text);
	case COLLECT_UNIT:
		return err_set(err, ERR_USAGE,
			       "--unit %s: no process belongs to it: 'systemctl status' tells",
			       t->text);
	case COLLECT_CGROUP:
		return err_set(err, ERR_USAGE,
			       "--cgroup %s: no process is in it: "
			       "'cat /proc/PID/cgroup' shows the paths",
			       t->text);
	default:
		return err_set(err, ERR_USAGE,
			       "--service %s: no process matches its definition: is it "
			       "running? --port and --pid need no definition",
			       t->text);
	}
}

/* It is there, but has no executable: a kernel thread or a zombie. */
static bool is_codeless(pid_t pid)
{
	struct procfs_stat st;
	char exe[512];

	return !procfs_stat(pid, &st) && procfs_link(pid, "exe", exe, sizeof(exe)) &&
	       errno == ENOENT;
}

static long find_one(struct session *s, const struct collect_target *target, bool must,
		     struct err *err)
{
	struct search search = { .s = s, .target = target, .err = err };
	long result;

	if (target->how == COLLECT_SERVICE && !catalog_service(s->catalog, target->text))
		return err_set(err, ERR_USAGE,
			       "--service %s: no such definition in probes/services: see "
			       "'daylight doctor'",
			       target->text);
	if (target->how == COLLECT_PID && must && is_codeless((pid_t)target->number))
		return err_set(
			err, ERR_USAGE,
			"--pid %s: a kernel thread, or it has ended: there is no code to see",
			target->text);
	if (target->how == COLLECT_PORT)
		procfs_each(each_namespace, &search);
	procfs_each(each_process, &search);
	result = err->kind != ERR_NONE ? -1 : search.added;
	if (result >= 0 && !search.found && must)
		result = nothing_found(&search, err);
	free(search.sockets.items);
	free(search.namespaces.items);
	return result;
}

/* ---- descendants ---- */

static int each_child(void *ctx, pid_t pid)
{
	struct search *search = ctx;
	struct procfs_stat st;

	if (procfs_stat(pid, &st) ||
	    !attach_is_target(search->s->attach, (uint32_t)st.parent, NULL))
		return 0;
	if (processes_add(search->s->processes, pid, search->err) == 0)
		search->added++;
	return search->err->kind != ERR_NONE;
}

int targets_descendants(struct session *s, struct err *err)
{
	struct search search = { .s = s, .err = err };
	long before;

	do {
		before = search.added;
		procfs_each(each_child, &search);
	} while (search.added != before && err->kind == ERR_NONE);
	return err->kind != ERR_NONE ? -1 : 0;
}

/* ---- ports and listeners ---- */

struct watch {
	struct session *s;
	struct process *process;
	struct numbers sockets; /* of the process */
	struct err *err;
};

static int each_own_socket(void *ctx, uint64_t inode)
{
	numbers_add(&((struct watch *)ctx)->sockets, inode);
	return 0;
}

static int each_own_listener(void *ctx, const struct procfs_listener *l)
{
	struct watch *w = ctx;
	uint64_t netns = procfs_namespace(w->process->pid, "net");

	if (numbers_has(&w->sockets, l->inode))
		attach_port(w->s->attach, (uint32_t)netns, l->raw, l->port, w->err);
	return 0;
}

static void watch_ports(void *ctx, struct process *process)
{
	struct watch w = { .s = ((struct watch *)ctx)->s, .err = ((struct watch *)ctx)->err };

	w.process = process;
	procfs_sockets(process->pid, each_own_socket, &w);
	if (w.sockets.count)
		procfs_listeners(process->pid, each_own_listener, &w);
	free(w.sockets.items);
}

int targets_check(struct session *s, struct err *err)
{
	for (size_t i = 0; i < s->options->targets_count; i++)
		if (s->options->targets[i].how != COLLECT_COMMAND &&
		    find_one(s, &s->options->targets[i], !s->resumption, err) < 0)
			return -1;
	return 0;
}

long targets_find(struct session *s, struct err *err)
{
	struct watch w = { .s = s, .err = err };
	long added = 0;

	for (size_t i = 0; i < s->options->targets_count; i++) {
		const struct collect_target *target = &s->options->targets[i];
		long n = target->how == COLLECT_COMMAND ? 0 : find_one(s, target, false, err);

		if (n < 0)
			return -1;
		added += n;
	}
	if (targets_descendants(s, err))
		return -1;
	processes_each(s->processes, watch_ports, &w);
	return err->kind != ERR_NONE ? -1 : added;
}

void targets_records(struct session *s)
{
	const struct collect_options *o = s->options;

	for (size_t i = 0; i < o->targets_count; i++) {
		struct rec_target rec = {
			.id = bundle_writer_id(s->writer, REC_TARGET_KIND),
			.how = session_public(s, collect_how_name(o->targets[i].how)),
			.value = session_private(s, o->targets[i].text),
		};

		bundle_writer_put(s->writer, REC_TARGET_KIND, &rec);
	}
	for (size_t i = 0; i < o->labels_count; i++) {
		struct rec_label rec = {
			.id = bundle_writer_id(s->writer, REC_LABEL_KIND),
			.key = session_public(s, o->labels[i].key),
			.value = session_private(s, o->labels[i].value),
		};

		bundle_writer_put(s->writer, REC_LABEL_KIND, &rec);
	}
}
