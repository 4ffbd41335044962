/* Standard output for a reader who may leave early. */
#include "base/output.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static bool unread;

static ssize_t output_write(void *cookie, const char *data, size_t size)
{
	size_t done = 0;

	(void)cookie;
	while (done < size && !unread) {
		ssize_t n = write(STDOUT_FILENO, data + done, size - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno == EPIPE)
			unread = true;
		else if (errno != EINTR)
			return (ssize_t)done;
	}
	return (ssize_t)size;
}

void output_open(void)
{
	FILE *out = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = output_write });

	signal(SIGPIPE, SIG_IGN);
	if (!out)
		return; /* the stream that is there will do */
	setvbuf(out, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, BUFSIZ);
	stdout = out;
}

bool output_unread(void)
{
	return unread;
}
