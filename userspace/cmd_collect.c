/* Verb collect: options -> collect_run. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/command.h"
#include "base/log.h"
#include "collect/collect.h"

struct options {
	struct collect_options collect;
	char label_keys[64][64];
	const char *sign;
	bool ready;
};

/* The options struct starts as zeros; the first setter or run fills in the defaults. */
static struct collect_options *options_of(void *opts)
{
	struct options *o = opts;

	if (!o->ready)
		collect_options_init(&o->collect);
	o->ready = true;
	return &o->collect;
}

static int add_target(void *opts, enum collect_how how, const char *text, uint64_t number,
		      struct err *err)
{
	struct collect_options *o = options_of(opts);

	if (!text[0])
		return err_set(err, ERR_USAGE, "--%s: an empty value: name one",
			       collect_how_name(how));
	if (o->targets_count == sizeof(o->targets) / sizeof(o->targets[0]))
		return err_set(err, ERR_USAGE, "too many targets: at most 64");
	o->targets[o->targets_count++] = (struct collect_target){ how, text, number };
	return 0;
}

static int set_pid(void *opts, const char *text, struct err *err)
{
	uint64_t pid;

	return command_number("--pid", text, 2, 4194304, &pid, err) ||
			       add_target(opts, COLLECT_PID, text, pid, err)
		       ? -1
		       : 0;
}

static int set_port(void *opts, const char *text, struct err *err)
{
	uint64_t port;

	return command_number("--port", text, 1, 65535, &port, err) ||
			       add_target(opts, COLLECT_PORT, text, port, err)
		       ? -1
		       : 0;
}

static int set_exe(void *opts, const char *text, struct err *err)
{
	if (access(text, F_OK))
		return err_errno(err, ERR_USAGE, "--exe %s: give the program's full path", text);
	return add_target(opts, COLLECT_EXE, text, 0, err);
}

static int set_unit(void *opts, const char *text, struct err *err)
{
	return add_target(opts, COLLECT_UNIT, text, 0, err);
}

static int set_cgroup(void *opts, const char *text, struct err *err)
{
	if (text[0] != '/')
		return err_set(err, ERR_USAGE,
			       "--cgroup %s: give the path as /proc/PID/cgroup shows it, from '/'",
			       text);
	return add_target(opts, COLLECT_CGROUP, text, 0, err);
}

static int set_service(void *opts, const char *text, struct err *err)
{
	return add_target(opts, COLLECT_SERVICE, text, 0, err);
}

static int set_duration(void *opts, const char *text, struct err *err)
{
	if (clock_parse_duration(text, &options_of(opts)->duration))
		return err_set(err, ERR_USAGE, "--duration %s: give a time such as 90s, 15m or 2h",
			       text);
	return 0;
}

static int set_until(void *opts, const char *text, struct err *err)
{
	if (clock_parse(text, &options_of(opts)->until))
		return err_set(err, ERR_USAGE,
			       "--until %s: give a time such as 2026-11-22T20:00:00Z (RFC 3339)",
			       text);
	return 0;
}

static int set_challenge(void *opts, const char *text, struct err *err)
{
	struct collect_options *o = options_of(opts);
	int n = bytes_from_hex(text, o->challenge, sizeof(o->challenge));

	if (n <= 0)
		return err_set(err, ERR_USAGE, "--challenge: give 1 to 64 bytes in hex");
	o->challenge_len = (size_t)n;
	return 0;
}

static int set_label(void *opts, const char *text, struct err *err)
{
	struct collect_options *o = options_of(opts);
	struct options *all = opts;
	const char *eq = strchr(text, '=');
	char *key = all->label_keys[o->labels_count % 64];

	if (!eq || eq == text || (size_t)(eq - text) >= sizeof(all->label_keys[0]))
		return err_set(err, ERR_USAGE, "--label %s: give KEY=VALUE", text);
	if (o->labels_count == sizeof(o->labels) / sizeof(o->labels[0]))
		return err_set(err, ERR_USAGE, "too many labels: at most 64");
	memcpy(key, text, (size_t)(eq - text));
	key[eq - text] = '\0';
	o->labels[o->labels_count++] = (struct collect_label){ key, eq + 1 };
	return 0;
}

static int set_status_fd(void *opts, const char *text, struct err *err)
{
	uint64_t fd;

	if (command_number("--status-fd", text, 0, 1023, &fd, err))
		return -1;
	if (fcntl((int)fd, F_GETFD) < 0)
		return err_set(err, ERR_USAGE,
			       "--status-fd %s: not open: redirect it, as in %s>FILE", text, text);
	options_of(opts)->status_fd = (int)fd;
	return 0;
}

static int set_probes(void *opts, const char *text, struct err *err)
{
	(void)err;
	options_of(opts)->probes = text;
	return 0;
}

static int set_output(void *opts, const char *text, struct err *err)
{
	(void)err;
	options_of(opts)->output = text;
	return 0;
}

static int set_sign(void *opts, const char *text, struct err *err)
{
	struct options *o = opts;

	(void)err;
	o->sign = text;
	return 0;
}

static int set_resume(void *opts, const char *text, struct err *err)
{
	if (!text[0])
		return err_set(err, ERR_USAGE, "--resume: name the interrupted bundle");
	options_of(opts)->resume = text;
	return 0;
}

static int set_force(void *opts, const char *text, struct err *err)
{
	(void)text;
	(void)err;
	options_of(opts)->force = true;
	return 0;
}

static int set_quiet(void *opts, const char *text, struct err *err)
{
	(void)text;
	(void)err;
	options_of(opts)->quiet = true;
	log_set_level(LOG_QUIET);
	return 0;
}

static int set_verbose(void *opts, const char *text, struct err *err)
{
	(void)opts;
	(void)text;
	(void)err;
	log_set_level(log_get_level() < LOG_VERBOSE ? LOG_VERBOSE : LOG_DEBUG);
	return 0;
}

static int set_boundary(void *opts, const char *text, struct err *err)
{
	struct collect_options *o = options_of(opts);

	if (!strcmp(text, "auto"))
		o->boundary = BOUNDARY_AUTO;
	else if (!strcmp(text, "tracepoints"))
		o->boundary = BOUNDARY_TRACEPOINTS;
	else if (!strcmp(text, "syscalls"))
		o->boundary = BOUNDARY_SYSCALLS;
	else
		return err_set(err, ERR_USAGE, "--boundary %s: give auto, tracepoints or syscalls",
			       text);
	return 0;
}

static int set_phase(void *opts, const char *text, struct err *err)
{
	uint64_t *phase = &options_of(opts)->syscall_phase;

	if (!strcmp(text, "0"))
		*phase = 0;
	else if (clock_parse_duration(text, phase))
		return err_set(err, ERR_USAGE, "--syscall-phase %s: give a time such as 30s, or 0",
			       text);
	return 0;
}

static int set_duty(void *opts, const char *text, struct err *err)
{
	return command_number("--syscall-duty", text, 0, 100, &options_of(opts)->syscall_share,
			      err);
}

static int set_samples(void *opts, const char *text, struct err *err)
{
	return command_number("--samples", text, 0, 10000, &options_of(opts)->samples, err);
}

static int set_walk_budget(void *opts, const char *text, struct err *err)
{
	return command_number("--walk-budget", text, 1, 100, &options_of(opts)->walk_budget, err);
}

static int set_deep(void *opts, const char *text, struct err *err)
{
	return command_number("--deep", text, 0, 1000000, &options_of(opts)->deep, err);
}

static int set_deep_duty(void *opts, const char *text, struct err *err)
{
	return command_number("--deep-duty", text, 0, 100, &options_of(opts)->deep_duty, err);
}

static const struct command_option options[] = {
	{ "pid", 0, "N", "The process N and its children.", true, set_pid },
	{ "port", 0, "N",
	  "The processes that listen on TCP port N, in any network namespace; found again when the "
	  "service restarts.",
	  true, set_port },
	{ "exe", 0, "PATH", "The processes that run the program PATH.", true, set_exe },
	{ "unit", 0, "U", "The processes of the systemd unit U.", true, set_unit },
	{ "cgroup", 0, "P", "The processes in the control group P, or below it.", true,
	  set_cgroup },
	{ "service", 0, "NAME", "The processes that the service definition NAME describes.", true,
	  set_service },
	{ "duration", 0, "D", "End the window after D: 90s, 15m, 2h; a bare number is seconds.",
	  false, set_duration },
	{ "until", 0, "T", "End the window at T (RFC 3339).", false, set_until },
	{ "challenge", 0, "HEX",
	  "A value that the programme gave out, to show that the window is not older.", false,
	  set_challenge },
	{ "label", 0, "K=V", "A note kept in the bundle.", true, set_label },
	{ "status-fd", 0, "N",
	  "Print JSON lines to descriptor N: collecting, durable {frame, offset, records}, "
	  "stopped.",
	  false, set_status_fd },
	{ "sign", 0, "PEM",
	  "Sign the bundle at its end with this private key (see daylight key). The key is read "
	  "before anything is collected.",
	  false, set_sign },
	{ "force", 0, NULL, "Replace FILE when it exists.", false, set_force },
	{ "quiet", 'q', NULL, "No progress and no summary.", false, set_quiet },
	{ "verbose", 'v', NULL, "Say more; twice: also what libbpf says.", true, set_verbose },
	{ "output", 'o', "FILE", "The bundle to write.", false, set_output },
	{ "resume", 0, "FILE",
	  "Go on with the interrupted window of FILE, in FILE: its targets, options and planned "
	  "end "
	  "stay; the time without a collector is a gap. Refused when FILE is sealed, still being "
	  "written, of another host, or of another boot of this one.",
	  false, set_resume },
	{ "probes", 0, "DIR", "Probe files from DIR instead of the built-in ones.", false,
	  set_probes },
	{ "deep", 0, "N",
	  "Trace the first N calls of each route function by function (default 20; 0: none). "
	  "Meanwhile a traced process may need twice the CPU; half of a service's busy processes "
	  "are traced at a time.",
	  false, set_deep },
	{ "deep-duty", 0, "PERCENT", "Trace so for PERCENT of the window, too (default 1).", false,
	  set_deep_duty },
	{ "samples", 0, "HZ",
	  "Look so many times a second what a CPU is doing for a call (default 399; 0: never).",
	  false, set_samples },
	{ "walk-budget", 0, "PERCENT",
	  "Let stack walks take at most PERCENT of each CPU (default 2). What they would find "
	  "beyond it counts as lost, or is left out.",
	  false, set_walk_budget },
	{ "syscall-phase", 0, "D",
	  "Hold the system-call trigger during the window's first D (default 30s; where function "
	  "starts can be traced, while some processes of a service are and others are not). While "
	  "it is held, every process of the host pays a "
	  "little for each of its system calls.",
	  false, set_phase },
	{ "syscall-duty", 0, "PERCENT",
	  "Hold it afterwards for PERCENT of each second (default 1 where function starts can be "
	  "traced, else 10).",
	  false, set_duty },
	{ "boundary", 0, "auto|tracepoints|syscalls",
	  "Where connections are seen: tracepoints (Linux 6.3 and later), syscalls, or auto "
	  "(default).",
	  false, set_boundary },
	{ NULL, 0, NULL, NULL, false, NULL },
};

/* With --resume only what is of this run: --status-fd, --quiet, --verbose, --probes, --sign. */
static int check_resume(const struct collect_options *o, struct err *err)
{
	struct collect_options plain;

	collect_options_init(&plain);
	if (o->targets_count || o->output || o->force || o->duration || o->until ||
	    o->challenge_len || o->labels_count || o->boundary != plain.boundary ||
	    o->syscall_phase != plain.syscall_phase || o->syscall_share != plain.syscall_share ||
	    o->samples != plain.samples || o->walk_budget != plain.walk_budget ||
	    o->deep != plain.deep || o->deep_duty != plain.deep_duty)
		return err_set(
			err, ERR_USAGE,
			"--resume takes targets, options and the planned end from the "
			"bundle: give only --sign, --status-fd, --quiet, --verbose or --probes "
			"with it");
	return 0;
}

/* A window of its own. */
static int check_new(const struct collect_options *o, struct err *err)
{
	if (!o->targets_count)
		return err_set(
			err, ERR_USAGE,
			"nothing to collect from: give --port, --pid, --exe, --unit, --cgroup, "
			"--service or -- COMMAND");
	if (o->until && o->duration)
		return err_set(err, ERR_USAGE, "--duration and --until: give one of them");
	if (o->until) {
		struct clock_triple now;

		clock_read(&now);
		if (o->until <= now.realtime)
			return err_set(err, ERR_USAGE, "--until: that time is over");
	}
	if (!o->output || !o->output[0])
		return err_set(err, ERR_USAGE, "no output: give -o FILE");
	return 0;
}

static int run(void *opts, int argc, char **argv, struct err *err)
{
	struct collect_options *o = options_of(opts);
	const char *sign = ((struct options *)opts)->sign;
	struct seal_key *key = NULL;
	int code;

	if (argc) {
		o->command = argv;
		if (add_target(opts, COLLECT_COMMAND, argv[0], 0, err))
			return -1;
	}
	if (o->resume ? check_resume(o, err) : check_new(o, err))
		return -1;
	if (sign) {
		key = seal_key_load(sign, true, err);
		if (!key)
			return -1;
	}
	o->sign = key;
	code = collect_run(o, err);
	seal_key_free(key);
	return code;
}

const struct command cmd_collect = {
	.name = "collect",
	.args = "-o FILE [-- COMMAND...]",
	.summary = "trace services and write an evidence bundle",
	.description =
		"Attaches to running service processes without restarting them, follows their "
		"children, "
		"records which code handles their API calls, and writes one bundle. Says "
		"'collecting:' "
		"once everything is attached. SIGINT or SIGTERM ends the window in order; a second "
		"one "
		"skips the checks of files at the end.\n\n"
		"At least one of --pid, --port, --exe, --unit, --cgroup, --service or a COMMAND is "
		"needed; they add up. With --duration or --until a window goes on while the "
		"service "
		"is down, and takes up its new processes.\n\n"
		"What was collected is on disk within a second. After a crash, a kill or a full "
		"disk "
		"it can be read, and the window can be gone on with: --resume FILE. Needs root, or "
		"CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and "
		"CAP_DAC_READ_SEARCH; before Linux 6.10 function starts take CAP_SYS_ADMIN, too.",
	.options = options,
	.opts_size = sizeof(struct options),
	.takes_command = true,
	.run = run,
	.examples =
		"daylight collect --port 5000 -o keystone.daylight  # until Ctrl-C\n"
		"daylight collect --service keystone --duration 15m -o host.daylight  # 15 min\n"
		"daylight collect --port 5000 --sign host.pem -o host.daylight  # signed\n"
		"daylight collect -o api.daylight -- python3 service.py  # until it ends\n"
		"daylight collect --resume host.daylight  # after the collector was killed",
	.exit_codes = "0 the window ended as asked and nothing was lost\n"
		      "2 wrong usage, or no such pid, port, unit or file\n"
		      "3 this machine cannot: privilege or kernel\n"
		      "4 the bundle was written, but something was lost or the disk failed",
};
