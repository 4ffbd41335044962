/* daylight key: keys that sign bundles. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/command.h"
#include "bundle/seal_key.h"

struct key_opts {
	const char *action, *file;
	const char *output, *public;
};

static int key_set_output(void *opts, const char *text, struct err *err)
{
	struct key_opts *o = opts;

	(void)err;
	o->output = text;
	return 0;
}

static int key_set_public(void *opts, const char *text, struct err *err)
{
	struct key_opts *o = opts;

	(void)err;
	o->public = text;
	return 0;
}

static int key_argument(void *opts, const char *text, struct err *err)
{
	struct key_opts *o = opts;

	if (!o->action)
		o->action = text;
	else if (!strcmp(o->action, "show") && !o->file)
		o->file = text;
	else
		return err_set(err, ERR_USAGE, "key: '%s' is one argument too many", text);
	return 0;
}

static int key_offer(unsigned int n, char *name, size_t size, const char **after)
{
	if (n > 2)
		return -1;
	snprintf(name, size, n == 1 ? "new|show" : "PEM");
	*after = n == 2 ? "show" : NULL;
	return 0;
}

static void key_print(const struct seal_key *key)
{
	char id[2 * BUNDLE_HASH + 1];

	bytes_to_hex(key->id, sizeof(key->id), id);
	printf("key: %s\n", id);
}

static int key_new(const struct key_opts *o, struct err *err)
{
	struct seal_key *key;
	int ret;

	if (!o->output || !o->output[0])
		return err_set(err, ERR_USAGE, "key new: give -o FILE for the private key");
	key = seal_key_new(err);
	if (!key)
		return -1;
	ret = seal_key_write(key, true, o->output, err);
	if (!ret && o->public) {
		ret = seal_key_write(key, false, o->public, err);
		if (ret)
			unlink(o->output);
	}
	if (!ret)
		key_print(key);
	seal_key_free(key);
	return ret;
}

static int key_show(const struct key_opts *o, struct err *err)
{
	struct seal_key *key;
	cleanup_free char *text = NULL;

	if (!o->file)
		return err_set(err, ERR_USAGE, "key show: name a FILE with a key");
	if (o->output || o->public)
		return err_set(err, ERR_USAGE, "key show takes no option: it prints");
	key = seal_key_load(o->file, false, err);
	if (!key)
		return -1;
	text = seal_key_text(key);
	key_print(key);
	printf("kind: %s\n%s", key->secret ? "private" : "public", text ? text : "");
	seal_key_free(key);
	return text ? 0 : err_set(err, ERR_INTERNAL, "out of memory");
}

static int key_run(void *opts, int argc, char **argv, struct err *err)
{
	const struct key_opts *o = opts;

	(void)argc;
	(void)argv;
	if (o->action && !strcmp(o->action, "new"))
		return key_new(o, err);
	if (o->action && !strcmp(o->action, "show"))
		return key_show(o, err);
	return err_set(err, ERR_USAGE, "key: say what to do: new or show");
}

static const struct command_option key_options[] = {
	{ "output", 'o', "PEM", "Where new puts the private key (mode 0600). Never overwritten.",
	  false, key_set_output },
	{ "public", 0, "PEM", "Where new puts the public key as well.", false, key_set_public },
	{ 0 },
};

const struct command cmd_key = {
	.name = "key",
	.args = "new -o PEM | show PEM",
	.summary = "make a key that signs bundles, or show one",
	.description =
		"new makes an Ed25519 key. Keep the private file where only the signer reads it; "
		"give the public one to those who verify, by a way that they trust. show prints "
		"the key's id and its public part, of a private or a public file.\n\n"
		"The id is what verify calls the signer: SHA-256 of the public key "
		"(SubjectPublicKeyInfo, DER). Files are PEM as openssl writes and reads them; "
		"private keys are not encrypted.",
	.options = key_options,
	.opts_size = sizeof(struct key_opts),
	.argument = key_argument,
	.offer = key_offer,
	.run = key_run,
	.examples = "daylight key new -o host.pem --public host.pub  # once\n"
		    "daylight key show host.pub  # whose is it?",
	.exit_codes = "0 made, or shown\n"
		      "2 wrong usage, no key, or a file that exists\n"
		      "3 no such keys can be made here\n"
		      "4 the disk failed",
};
