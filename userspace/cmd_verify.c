/* daylight verify: is a bundle what its writer wrote? */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/command.h"
#include "bundle/verify.h"
#include "cmd_memory.h"

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

static int verify_set_authorities(void *opts, const char *text, struct err *err)
{
	struct verify_opts *o = opts;

	(void)err;
	o->check.authorities = text;
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

static const char *timestamp_name(enum verify_timestamp timestamp)
{
	static const char *const names[] = { "absent", "unchecked", "valid", "invalid" };

	return names[timestamp];
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
		if (r->findings[i].kind != VERIFY_TRAILING &&
		    r->findings[i].kind != VERIFY_RESIGNED && !verify_only_cut(r))
			return true;
	}
	return false;
}

static json_t *json_timestamp(const struct verify_result *r)
{
	char time[CLOCK_TEXT];

	if (r->timestamp_time != REC_NULL)
		clock_format(r->timestamp_time, time);
	return json_pack("{s:s, s:s?, s:s?}", "state", timestamp_name(r->timestamp), "time",
			 r->timestamp_time != REC_NULL ? time : NULL, "authority",
			 r->authority[0] ? r->authority : NULL);
}

static int verify_print_json(const char *file, const struct verify_result *r, struct err *err)
{
	json_t *all = json_pack(
		"{s:s, s:o, s:b, s:b, s:b, s:b, s:{s:I, s:I}, s:{s:s, s:s?, s:b}, s:o, s:o, s:s, "
		"s:s, s:s?}",
		"schema", SCHEMA, "file", json_path(file), "ok", r->ok, "damaged",
		verify_damaged(r), "sealed", r->sealed, "complete", r->complete, "frames", "total",
		(json_int_t)r->frames_total, "good", (json_int_t)r->frames_good, "signature",
		"state", signature_name(r->signature), "key_sha256",
		r->key_sha256[0] ? r->key_sha256 : NULL, "trusted", r->trusted, "timestamp",
		json_timestamp(r), "findings", json_findings(r), "end_reason", r->end_reason,
		"sha256", r->sha256, "chain", r->chain[0] ? r->chain : NULL);

	if (!all || json_dumpf(all, stdout, JSON_INDENT(2)) || putchar('\n') == EOF) {
		json_decref(all);
		return err_set(err, ERR_INTERNAL, "cannot print the result of %s", file);
	}
	json_decref(all);
	return 0;
}

/* One line that says what can be relied on. */
static void verify_print_first(const char *file, const struct verify_result *r, bool asked)
{
	if (!r->ok)
		printf("%s: not ok\n", file);
	else if (r->signature == VERIFY_SIGNATURE_ABSENT)
		printf("%s: intact, not signed\n", file);
	else if (asked)
		printf("%s: intact, signed by %s\n", file, r->key_sha256);
	else
		printf("%s: intact, signer %s not checked\n", file, r->key_sha256);
}

static void verify_print_signature(const struct verify_result *r, bool asked)
{
	printf("signature: %s", signature_name(r->signature));
	if (r->unfinished == VERIFY_UNFINISHED_SIGNATURE)
		printf(", though one was begun or promised ('daylight sign' puts it there)");
	else if (r->signature == VERIFY_SIGNATURE_VALID)
		printf(", by %s%s", r->key_sha256,
		       r->trusted ? ""
		       : asked	  ? ", which is not the key given"
				  : ", not checked whose key that is (--key)");
	putchar('\n');
}

static void verify_print_timestamp(const struct verify_result *r)
{
	char time[CLOCK_TEXT];

	printf("timestamp: %s", timestamp_name(r->timestamp));
	if (r->timestamp_time != REC_NULL) {
		clock_format(r->timestamp_time, time);
		printf(", says %s", time);
	}
	if (r->authority[0])
		printf(", by %s", r->authority);
	if (r->unfinished == VERIFY_UNFINISHED_TIMESTAMP)
		printf(", though one was begun ('daylight timestamp add' puts it there)");
	if (r->timestamp == VERIFY_TIMESTAMP_UNCHECKED)
		printf(", not checked who that is (--tsa-ca)");
	putchar('\n');
}

static void verify_print(const char *file, const struct verify_result *r, bool asked)
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
		verify_print_first(file, r, asked);
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
	verify_print_signature(r, asked);
	verify_print_timestamp(r);
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
	cmd_memory_limit(0);
	ret = bundle_verify(o->file, &o->check, &result, err);
	if (!ret) {
		if (o->json)
			ret = verify_print_json(o->file, &result, err);
		else
			verify_print(o->file, &result, o->check.key);
	}
	if (!ret)
		ret = verify_exit_code(&result);
	/* What is asked for must be there: a bundle without it must not pass for one with it. */
	if (!ret && o->check.key && result.signature == VERIFY_SIGNATURE_ABSENT)
		ret = err_set(err, ERR_USAGE,
			      "%s has no signature that --key could check: is it the file that was "
			      "signed?",
			      o->file);
	if (!ret && o->check.authorities && result.timestamp == VERIFY_TIMESTAMP_ABSENT)
		ret = err_set(err, ERR_USAGE,
			      "%s has no timestamp that --tsa-ca could check: is it the file that "
			      "was stamped?",
			      o->file);
	verify_result_release(&result);
	return ret;
}

static const struct command_option verify_options[] = {
	{ "key", 0, "PEM",
	  "The key that the bundle must be signed with, public or private. Get it from the signer "
	  "by a way that you trust.",
	  false, verify_set_key },
	{ "tsa-ca", 0, "PEM",
	  "Certificates of the authorities whose timestamps you trust; the chain is judged as of "
	  "the time that the timestamp states.",
	  false, verify_set_authorities },
	{ "json", 0, NULL, "Print one JSON document.", false, verify_set_json },
	{ 0 },
};

const struct command cmd_verify = {
	.name = "verify",
	.args = "FILE",
	.summary = "check that a bundle is what its writer wrote",
	.description =
		"Reads the bundle FILE and checks its chain of hashes, its signature and its "
		"timestamp: whether a byte was changed, "
		"whether frames were removed, moved, repeated or added, and whether it ends as its "
		"writer ended it. Each finding names its kind, the number of the frame and the "
		"offset in the file. A file that is cut may be intact up to there.\n\n"
		"Kinds of findings: altered, cut (frames are missing here, or the file ends here "
		"without its index), reordered, inserted, trailing (bytes behind the end), "
		"resigned (signed by another key or authority than the one given, or twice).\n\n"
		"Without --key, verify says 'intact, signer FINGERPRINT not checked': anybody can "
		"sign with a key of his own. Without --tsa-ca it says the same of a timestamp.\n\n"
		"chain is the value of the last chain frame, sha256 the digest of the whole file: "
		"compare it with one that you got by another way.\n\n"
		"Without a signature, verify finds damage and careless changes. It cannot find "
		"that somebody wrote the whole file anew. With one it still cannot tell whether "
		"what was signed is true.",
	.options = verify_options,
	.opts_size = sizeof(struct verify_opts),
	.argument = verify_argument,
	.run = verify_run,
	.examples =
		"daylight verify host.daylight  # is it intact?\n"
		"daylight verify --key host.pub host.daylight  # and signed by whom it should be?\n"
		"daylight verify --json host.daylight  # the same for programs",
	.exit_codes = "0 intact\n1 altered, or signed by another than --key or --tsa-ca names\n"
		      "2 wrong usage, not a bundle, or without what --key or --tsa-ca asks for\n"
		      "4 cut, but intact so far",
};
