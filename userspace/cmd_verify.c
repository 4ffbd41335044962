/* daylight verify: is a bundle what its writer wrote? */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/command.h"
#include "base/cleanup.h"
#include "bundle/verify.h"

#define SCHEMA "daylight-verify-0"

struct verify_opts {
	const char *file;
	struct verify_options check;
	bool json;
};

static int verify_set_key(void *opts, const char *text, struct err *err)
{
	struct verify_opts *o = opts;

	(void)err;
	o->check.key = text;
	return 0;
}

static int verify_set_json(void *opts, const char *text, struct err *err)
{
	struct verify_opts *o = opts;

	(void)text;
	(void)err;
	o->json = true;
	return 0;
}

static int verify_argument(void *opts, const char *text, struct err *err)
{
	struct verify_opts *o = opts;

	if (o->file)
		return err_set(
			err, ERR_USAGE,
			"verify takes one FILE, but %s was given too: verify them one by one",
			text);
	o->file = text;
	return 0;
}

static const char *signature_name(enum verify_signature signature)
{
	static const char *const names[] = { "absent", "valid", "invalid" };

	return names[signature];
}

/* A path is bytes; JSON is text: what is no UTF-8 is shown as '?'. */
static json_t *json_path(const char *path)
{
	json_t *text = json_string(path);
	cleanup_free char *copy = NULL;

	if (text)
		return text;
	copy = strdup(path);
	for (char *p = copy; p && *p; p++) {
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	}
	return copy ? json_string(copy) : NULL;
}

static json_t *json_findings(const struct verify_result *r)
{
	json_t *all = json_array();

	for (size_t i = 0; i < r->findings_count; i++) {
		const struct verify_finding *f = &r->findings[i];

		json_array_append_new(all, json_pack("{s:s, s:I, s:I}", "kind",
						     verify_kind_name(f->kind), "frame",
						     (json_int_t)f->frame, "offset",
						     (json_int_t)f->offset));
	}
	return all;
}

/* The file ends early and nothing else is wrong with it. */
static bool verify_only_cut(const struct verify_result *r)
{
	return !r->sealed && r->findings_count == 1 && r->findings[0].kind == VERIFY_CUT;
}

/* Something is wrong with what is there, whatever stands at the end. */
static bool verify_damaged(const struct verify_result *r)
{
	for (size_t i = 0; i < r->findings_count; i++) {
		if (r->findings[i].kind != VERIFY_TRAILING && !verify_only_cut(r))
			return true;
	}
	return false;
}

static int verify_print_json(const char *file, const struct verify_result *r, struct err *err)
{
	json_t *all = json_pack(
		"{s:s, s:o, s:b, s:b, s:b, s:b, s:{s:I, s:I}, s:{s:s, s:s?, s:b}, s:o, s:s, s:s, "
		"s:s?}",
		"schema", SCHEMA, "file", json_path(file), "ok", r->ok, "damaged",
		verify_damaged(r), "sealed", r->sealed, "complete", r->complete, "frames", "total",
		(json_int_t)r->frames_total, "good", (json_int_t)r->frames_good, "signature",
		"state", signature_name(r->signature), "key_sha256",
		r->key_sha256[0] ? r->key_sha256 : NULL, "trusted", r->trusted, "findings",
		json_findings(r), "end_reason", r->end_reason, "sha256", r->sha256, "chain",
		r->chain[0] ? r->chain : NULL);

	if (!all || json_dumpf(all, stdout, JSON_INDENT(2)) || putchar('\n') == EOF) {
		json_decref(all);
		return err_set(err, ERR_INTERNAL, "cannot print the result of %s", file);
	}
	json_decref(all);
	return 0;
}

static void verify_print(const char *file, const struct verify_result *r)
{
	/* Frames behind a cut belong to no link, so nothing can be said of them. */
	bool cut = verify_only_cut(r);
	uint64_t total = cut ? r->findings[0].frame : r->frames_total;

	if (cut && total)
		printf("%s: cut; intact as far as it goes (%" PRIu64 " of %" PRIu64
		       " frames good)\n",
		       file, r->frames_good, total);
	else if (cut)
		printf("%s: cut before its first chain frame: nothing can be checked\n", file);
	else
		printf("%s: %s\n", file, r->ok ? "ok" : "not ok");
	for (size_t i = 0; i < r->findings_count; i++)
		printf("  %s: frame %llu at offset %llu\n", verify_kind_name(r->findings[i].kind),
		       (unsigned long long)r->findings[i].frame,
		       (unsigned long long)r->findings[i].offset);
	printf("frames: %" PRIu64 " of %" PRIu64 " good", r->frames_good, total);
	if (r->frames_total > total)
		printf("; %" PRIu64 " more behind the cut", r->frames_total - total);
	printf("\nend: %s%s%s\n", r->end_reason,
	       r->ok && !r->complete ? ", without the end of the window" : "",
	       verify_damaged(r) ? ", but the bundle is damaged" : "");
	printf("signature: %s\n", signature_name(r->signature));
	printf("chain: %s\n", r->chain[0] ? r->chain : "-");
	printf("sha256: %s\n", r->sha256);
}

/* 0 intact, 4 cut at the end and nothing else, 1 anything worse. */
static int verify_exit_code(const struct verify_result *r)
{
	if (r->ok)
		return ERR_NONE;
	if (verify_only_cut(r))
		return ERR_INCOMPLETE;
	return ERR_ALTERED;
}

static int verify_run(void *opts, int argc, char **argv, struct err *err)
{
	const struct verify_opts *o = opts;
	struct verify_result result;
	int ret;

	(void)argc;
	(void)argv;
	if (!o->file)
		return err_set(err, ERR_USAGE, "verify needs a FILE: name a bundle");
	ret = bundle_verify(o->file, &o->check, &result, err);
	if (!ret) {
		if (o->json)
			ret = verify_print_json(o->file, &result, err);
		else
			verify_print(o->file, &result);
	}
	if (!ret)
		ret = verify_exit_code(&result);
	/* A key asks for a signature; a bundle without one must not pass for a signed one. */
	if (!ret && o->check.key && result.signature == VERIFY_SIGNATURE_ABSENT)
		ret = err_set(err, ERR_USAGE,
			      "%s has no signature that --key could check (format 0 has none): "
			      "leave --key out",
			      o->file);
	verify_result_release(&result);
	return ret;
}

static const struct command_option verify_options[] = {
	{ "key", 0, "PEM",
	  "Public key that the bundle must be signed with. Bundles of format 0 are not signed.",
	  false, verify_set_key },
	{ "json", 0, NULL, "Print one JSON document.", false, verify_set_json },
	{ 0 },
};

const struct command cmd_verify = {
	.name = "verify",
	.args = "FILE",
	.summary = "check that a bundle is what its writer wrote",
	.description =
		"Reads the bundle FILE and checks its chain of hashes: whether a byte was changed, "
		"whether frames were removed, moved, repeated or added, and whether it ends as its "
		"writer ended it. Each finding names its kind, the number of the frame and the "
		"offset in the file. A file that is cut may be intact up to there.\n\n"
		"Kinds of findings: altered, cut (frames are missing here, or the file ends here "
		"without its index), reordered, inserted, trailing (bytes behind the end), "
		"resigned.\n\n"
		"chain is the value of the last chain frame, sha256 the digest of the whole file: "
		"compare it with one that you got by another way.\n\n"
		"Without a signature, verify finds damage and careless changes. It cannot find "
		"that somebody wrote the whole file anew.",
	.options = verify_options,
	.opts_size = sizeof(struct verify_opts),
	.argument = verify_argument,
	.run = verify_run,
	.examples = "daylight verify host.daylight  # is it intact?\n"
		    "daylight verify --json host.daylight  # the same for programs",
	.exit_codes =
		"0 intact\n1 altered\n2 wrong usage, or not a bundle\n4 cut, but intact so far",
};
