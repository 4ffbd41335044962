/* Can this machine collect? */
#include "collect/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "collect/attach.h"
#include "collect/privilege.h"

struct rows {
	struct doctor_row *rows;
	int count, max;
};

__attribute__((format(printf, 5, 6))) static void add(struct rows *r, enum doctor_state state,
						      const char *what, const char *remedy,
						      const char *fmt, ...)
{
	struct doctor_row *row;
	va_list ap;

	if (r->count == r->max)
		return;
	row = &r->rows[r->count++];
	row->state = state;
	snprintf(row->what, sizeof(row->what), "%s", what);
	snprintf(row->remedy, sizeof(row->remedy), "%s", state == DOCTOR_OK ? "" : remedy);
	va_start(ap, fmt);
	vsnprintf(row->found, sizeof(row->found), fmt, ap);
	va_end(ap);
}

static void check_kernel(struct rows *r)
{
	unsigned int major = 0, minor = 0;
	struct utsname names;
	bool old;

	if (uname(&names))
		return;
	old = sscanf(names.release, "%u.%u", &major, &minor) != 2 || major < 6 ||
	      (major == 6 && minor < 1);
	add(r, old ? DOCTOR_MISSING : DOCTOR_OK, "kernel", "use Linux 6.1 or later", "%s",
	    names.release);
	add(r, strcmp(names.machine, "x86_64") ? DOCTOR_MISSING : DOCTOR_OK, "architecture",
	    "only x86-64 is supported", "%s", names.machine);
	add(r, access("/sys/kernel/btf/vmlinux", R_OK) ? DOCTOR_MISSING : DOCTOR_OK, "kernel BTF",
	    "use a kernel built with CONFIG_DEBUG_INFO_BTF", "%s",
	    access("/sys/kernel/btf/vmlinux", R_OK) ? "/sys/kernel/btf/vmlinux is not there"
						    : "/sys/kernel/btf/vmlinux");
	if (attach_has_tracepoint("sock_recv_length"))
		add(r, DOCTOR_OK, "boundary source", "", "socket tracepoints");
	else
		add(r, DOCTOR_NOTE, "boundary source",
		    "works; Linux 6.3 and later cost other processes less",
		    "exit of system calls (no socket tracepoints)");
}

static void check_privileges(struct rows *r)
{
	struct privilege list[8];
	size_t count = privilege_list(list, 8);

	for (size_t i = 0; i < count; i++)
		add(r, list[i].held ? DOCTOR_OK : DOCTOR_MISSING, list[i].name,
		    "run as root (sudo)", "%s: needed to %s", list[i].held ? "held" : "not held",
		    list[i].why);
}

static void ignore_event(void *ctx, const struct wire_head *e, size_t size)
{
	(void)ctx;
	(void)e;
	(void)size;
}

/* The proof: load every program, attach and detach them. */
static void check_programs(struct rows *r, const struct catalog *catalog)
{
	/* With what collect sets: what is 0 makes other programs for the verifier. */
	struct attach_options options = {
		.boundary = BOUNDARY_AUTO,
		.event = ignore_event,
		.walk_budget = COLLECT_WALK_BUDGET,
	};
	struct err err = ERR_INIT;
	struct attach *a = attach_open(&options, catalog, &err);

	if (a && !attach_start(a, &err) && !attach_syscalls(a, true, &err)) {
		add(r, DOCTOR_OK, "BPF programs", "", "load and attach");
		if (!attach_try_taps(a, &err))
			add(r, DOCTOR_OK, "function starts", "", "can be traced");
		else
			add(r, DOCTOR_NOTE, "function starts",
			    "run as root or with CAP_SYS_ADMIN, else functions are seen on stacks "
			    "alone",
			    "%s", err.text);
	} else {
		add(r, DOCTOR_MISSING, "BPF programs",
		    "see the rows above; kernel lockdown 'confidentiality' forbids them too", "%s",
		    err.text);
	}
	attach_close(a);
}

static void check_knowledge(struct rows *r, const struct catalog *catalog)
{
	char list[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < catalog_python_count(catalog) && len < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "",
					catalog_python_at(catalog, i)->name);
	add(r, DOCTOR_OK, "runtimes", "", "%s", list);
	len = 0;
	list[0] = '\0';
	for (size_t i = 0; i < catalog_services_count(catalog) && len < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "",
					catalog_service_at(catalog, i)->name);
	add(r, DOCTOR_OK, "services", "", "%s", list);
}

static void check_host(struct rows *r)
{
	bool dpkg = !access("/var/lib/dpkg/status", R_OK);
	bool rpm = !access("/usr/lib/sysimage/rpm/rpmdb.sqlite", R_OK) ||
		   !access("/var/lib/rpm/rpmdb.sqlite", R_OK);
	bool python = !access("/usr/bin/python3", X_OK);
	struct clock_triple now;

	clock_read(&now);
	add(r, now.synced ? DOCTOR_OK : DOCTOR_NOTE, "clock",
	    "start a time service, so that times can be compared with other hosts'", "%s",
	    now.synced ? "synchronised" : "not synchronised");
	add(r, dpkg || rpm ? DOCTOR_OK : DOCTOR_NOTE, "package database",
	    "without it files have no owner and no recorded digest", "%s",
	    dpkg  ? "dpkg"
	    : rpm ? "rpm"
		  : "neither dpkg's nor an rpm database in SQLite");
	add(r, python ? DOCTOR_OK : DOCTOR_NOTE, "python3",
	    "install it, else compiled Python files are not compared with their sources", "%s",
	    python ? "/usr/bin/python3" : "not there");
}

int doctor_check(const char *probes, struct doctor_row *rows, int max)
{
	struct rows r = { rows, 0, max };
	struct err err = ERR_INIT;
	struct catalog *catalog = catalog_load(probes, &err);

	check_kernel(&r);
	check_privileges(&r);
	if (catalog) {
		check_programs(&r, catalog);
		check_knowledge(&r, catalog);
	} else {
		add(&r, DOCTOR_MISSING, "probe files", "mend the file, or leave --probes away",
		    "%s", err.text);
	}
	check_host(&r);
	catalog_free(catalog);
	return r.count;
}
