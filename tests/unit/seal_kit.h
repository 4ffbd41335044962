/* Helpers of the seal tests: keys, signed bundles, a timestamp authority of their own. */
#ifndef DAYLIGHT_TESTS_SEAL_KIT_H
#define DAYLIGHT_TESTS_SEAL_KIT_H

#include "bundle_kit.h"

#include "bundle/seal_file.h"

/* A key that is made once; its files are beside the scratch bundle. */
struct kit_key {
	struct seal_key *key;
	char secret[128], public[128];
};

static inline void kit_key_make(struct kit_key *k, const char *name)
{
	struct err err = ERR_INIT;

	snprintf(k->secret, sizeof(k->secret), "%s/%s.pem", kit_folder, name);
	snprintf(k->public, sizeof(k->public), "%s/%s.pub", kit_folder, name);
	k->key = seal_key_new(&err);
	assert_non_null(k->key);
	if (seal_key_write(k->key, true, k->secret, &err) ||
	    seal_key_write(k->key, false, k->public, &err))
		fail_msg("%s", err.text);
}

static inline void kit_key_remove(struct kit_key *k)
{
	unlink(k->secret);
	unlink(k->public);
	seal_key_free(k->key);
}

static inline void kit_sign(const struct seal_key *key)
{
	struct err err = ERR_INIT;

	if (seal_file_sign(kit_path, key, NULL, &err))
		fail_msg("%s", err.text);
}

/* Verifies kit_path; release the result. */
static inline void kit_verify(const char *key, const char *authorities, struct verify_result *out)
{
	const struct verify_options options = { key, authorities };
	struct err err = ERR_INIT;

	if (bundle_verify(kit_path, &options, out, &err))
		fail_msg("%s", err.text);
}

/* The findings as text: "kind@frame ...". */
static inline const char *kit_findings(const struct verify_result *r)
{
	static char text[1024];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < r->findings_count && len < sizeof(text) - 64; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s@%llu", len ? " " : "",
					verify_kind_name(r->findings[i].kind),
					(unsigned long long)r->findings[i].frame);
	return text;
}

#endif
