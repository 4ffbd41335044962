/* daylight timestamp: asks an authority when a bundle existed, and keeps its answer. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/command.h"
#include "bundle/seal_file.h"
#include "cmd_memory.h"

struct timestamp_opts {
	const char *action, *file, *response;
	const char *output;
};

static int timestamp_set_output(void *opts, const char *text, struct err *err)
{
	struct timestamp_opts *o = opts;

	(void)err;
	o->output = text;
	return 0;
}

static int timestamp_argument(void *opts, const char *text, struct err *err)
{
	struct timestamp_opts *o = opts;

	if (!o->action)
		o->action = text;
	else if (!o->file)
		o->file = text;
	else if (!strcmp(o->action, "add") && !o->response)
		o->response = text;
	else
		return err_set(err, ERR_USAGE, "timestamp: '%s' is one argument too many", text);
	return 0;
}

static int timestamp_offer(unsigned int n, char *name, size_t size, const char **after)
{
	if (n > 3)
		return -1;
	snprintf(name, size, n == 1 ? "request|add" : "FILE");
	*after = NULL;
	return 0;
}

static int timestamp_write(const char *path, const struct bytes *data, struct err *err)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 && errno == EEXIST)
		return err_set(err, ERR_USAGE, "%s exists: name another file", path);
	if (fd < 0)
		return err_errno(err, ERR_USAGE, "%s: cannot create the request", path);
	/* A few dozen bytes: they are written at once, or not. */
	if (write(fd, data->data, data->len) == (ssize_t)data->len)
		return 0;
	err_errno(err, ERR_INCOMPLETE, "%s: cannot write the request", path);
	unlink(path);
	return -1;
}

static int timestamp_request(const struct timestamp_opts *o, struct err *err)
{
	struct bytes request = BYTES_INIT;
	int ret;

	if (!o->output || !o->output[0])
		return err_set(err, ERR_USAGE, "timestamp request: give -o FILE for the request");
	ret = seal_file_request(o->file, &request, err);
	if (!ret)
		ret = timestamp_write(o->output, &request, err);
	bytes_release(&request);
	return ret;
}

static int timestamp_add(const struct timestamp_opts *o, struct err *err)
{
	uint8_t response[BUNDLE_TIMESTAMP_MAX + 1];
	cleanup_fclose FILE *f = NULL;
	size_t len;

	if (!o->response)
		return err_set(err, ERR_USAGE, "timestamp add: name the authority's response");
	if (o->output)
		return err_set(err, ERR_USAGE,
			       "timestamp add takes no -o: it adds to the bundle itself");
	f = fopen(o->response, "rbe");
	if (!f)
		return err_errno(err, ERR_USAGE, "%s: cannot open the response", o->response);
	len = fread(response, 1, sizeof(response), f);
	if (ferror(f))
		return err_errno(err, ERR_USAGE, "%s: cannot read the response", o->response);
	return seal_file_stamp(o->file, response, len, err);
}

static int timestamp_run(void *opts, int argc, char **argv, struct err *err)
{
	const struct timestamp_opts *o = opts;
	bool add = o->action && !strcmp(o->action, "add");

	(void)argc;
	(void)argv;
	if (!add && (!o->action || strcmp(o->action, "request")))
		return err_set(err, ERR_USAGE, "timestamp: say what to do: request or add");
	if (!o->file)
		return err_set(err, ERR_USAGE, "timestamp %s needs a FILE: name a bundle",
			       o->action);
	cmd_memory_limit(0);
	return add ? timestamp_add(o, err) : timestamp_request(o, err);
}

static const struct command_option timestamp_options[] = {
	{ "output", 'o', "FILE", "Where request puts the request. Never overwritten.", false,
	  timestamp_set_output },
	{ 0 },
};

const struct command cmd_timestamp = {
	.name = "timestamp",
	.args = "request FILE -o REQUEST | add FILE RESPONSE",
	.summary = "show by an authority's word that a bundle existed by then",
	.description =
		"request writes a request (RFC 3161) for the signature of the bundle FILE, or for "
		"its index when it is not signed. Send it to a timestamp authority by any means: "
		"daylight opens no connection. add takes the authority's response, checks that it "
		"is for this bundle, and puts it behind the end. Sign first: nothing can follow a "
		"timestamp.\n\n"
		"verify --tsa-ca checks who gave the timestamp.",
	.options = timestamp_options,
	.opts_size = sizeof(struct timestamp_opts),
	.argument = timestamp_argument,
	.offer = timestamp_offer,
	.run = timestamp_run,
	.examples = "daylight timestamp request host.daylight -o host.tsq  # send this\n"
		    "daylight timestamp add host.daylight host.tsr  # what came back",
	.exit_codes =
		"0 written, or added\n"
		"1 the bundle was altered\n"
		"2 wrong usage, not a bundle, a response for something else, or one too many\n"
		"4 the bundle ends early, or the disk failed",
};
