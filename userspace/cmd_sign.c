/* daylight sign: puts a signature behind a finished bundle. */
#include <stdio.h>

#include "base/bytes.h"
#include "base/command.h"
#include "bundle/seal_file.h"
#include "cmd_memory.h"

struct sign_opts {
	const char *file, *key;
};

static int sign_set_key(void *opts, const char *text, struct err *err)
{
	struct sign_opts *o = opts;

	(void)err;
	o->key = text;
	return 0;
}

static int sign_argument(void *opts, const char *text, struct err *err)
{
	struct sign_opts *o = opts;

	if (o->file)
		return err_set(err, ERR_USAGE, "sign takes one FILE, but %s was given too", text);
	o->file = text;
	return 0;
}

static int sign_run(void *opts, int argc, char **argv, struct err *err)
{
	const struct sign_opts *o = opts;
	char id[2 * BUNDLE_HASH + 1];
	struct seal_key *key;
	int ret;

	(void)argc;
	(void)argv;
	if (!o->file)
		return err_set(err, ERR_USAGE, "sign needs a FILE: name a bundle");
	if (!o->key)
		return err_set(err, ERR_USAGE,
			       "sign needs --key PEM: 'daylight key new' makes one");
	cmd_memory_limit(0);
	key = seal_key_load(o->key, true, err);
	if (!key)
		return -1;
	ret = seal_file_sign(o->file, key, NULL, err);
	bytes_to_hex(key->id, sizeof(key->id), id);
	seal_key_free(key);
	if (!ret)
		printf("%s: signed by %s\n", o->file, id);
	return ret;
}

static const struct command_option sign_options[] = {
	{ "key", 0, "PEM", "The private key.", false, sign_set_key },
	{ 0 },
};

const struct command cmd_sign = {
	.name = "sign",
	.args = "FILE --key PEM",
	.summary = "sign a finished bundle",
	.description =
		"Verifies the bundle FILE and puts a signature behind its end. Only an intact "
		"bundle is signed, and only once. collect --sign does the same when its window "
		"ends; sign is for keys that shall not lie on the host, and for a collector that "
		"was stopped between the end and the signature.\n\n"
		"Who signs later says less: between the end and the signature the file could "
		"have been written anew.",
	.options = sign_options,
	.opts_size = sizeof(struct sign_opts),
	.argument = sign_argument,
	.run = sign_run,
	.examples = "daylight sign host.daylight --key site.pem  # then hand it over",
	.exit_codes = "0 signed\n"
		      "1 the bundle was altered: it is not signed\n"
		      "2 wrong usage, not a bundle, no key, or signed already\n"
		      "4 the bundle ends early, or the disk failed",
};
