/* What the operator sees while a window is open. */
#include "collect/progress.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "collect/calls.h"
#include "collect/modules.h"
#include "collect/processes.h"
#include "collect/sightings.h"
#include "collect/window.h"

static bool line_open;

static void format(struct session *s, uint64_t lost, char *out, size_t size)
{
	struct sightings_stats sightings;
	struct bundle_writer_stats writer = { 0 };
	struct stat st;
	struct calls_stats calls;

	sightings_stats(s->sightings, &sightings);
	calls_stats(s->calls, &calls);
	if (s->writer)
		bundle_writer_stats(s->writer, &writer);
	else if (!stat(s->options->output, &st))
		writer.bytes = (uint64_t)st.st_size;
	snprintf(out, size,
		 "%llu calls  %llu stacks  %llu modules  %zu processes  %llu KiB  %llu lost",
		 (unsigned long long)calls.calls, (unsigned long long)sightings.stacks,
		 (unsigned long long)modules_count(s->modules),
		 s->writer ? processes_alive(s->processes) : processes_count(s->processes),
		 (unsigned long long)writer.bytes / 1024, (unsigned long long)lost);
}

void progress_tick(struct session *s, uint64_t now, uint64_t lost)
{
	static uint64_t next;
	bool terminal = isatty(STDERR_FILENO);
	char line[256];

	if (log_get_level() < LOG_NORMAL || now < next)
		return;
	if (!next) {
		next = now + 1000000000ULL * (terminal ? 1 : 10);
		return;
	}
	next = now + 1000000000ULL * (terminal ? 1 : 10);
	format(s, lost, line, sizeof(line));
	if (terminal) {
		fprintf(stderr, "\r\033[K%s", line);
		line_open = true;
	} else {
		log_info("%s", line);
	}
}

void progress_clear(void)
{
	if (line_open)
		fprintf(stderr, "\r\033[K");
	line_open = false;
}

static void lost_line(const char *stage, const char *cause, uint64_t count)
{
	log_info("lost: %llu of %s: %s", (unsigned long long)count, stage, cause);
}

void progress_summary(struct session *s, uint64_t elapsed_ns, uint64_t lost)
{
	char line[256];

	format(s, lost, line, sizeof(line));
	log_info("%s: %llu.%llu s: %s", s->options->output,
		 (unsigned long long)elapsed_ns / 1000000000ULL,
		 (unsigned long long)elapsed_ns / 100000000ULL % 10, line);
	if (lost)
		window_lost(s, lost_line);
}
