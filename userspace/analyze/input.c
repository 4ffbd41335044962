/* JSON input files: bounded, regular, each key once. */
#include "analyze/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/digest.h"

static int read_whole(const char *path, const char *what, struct bytes *out, struct err *err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	uint8_t part[65536];
	ssize_t n;

	if (fd < 0)
		return err_errno(err, ERR_USAGE,
				 "%s '%s' cannot be opened (give a JSON file that you may read)",
				 what, path);
	if (fstat(fd, &st))
		return err_errno(err, ERR_USAGE, "%s '%s'", what, path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE, "%s '%s' is not a regular file: give a JSON file",
			       what, path);
	while ((n = read(fd, part, sizeof(part))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_USAGE, "%s '%s' cannot be read", what, path);
		if (out->len + (size_t)n > INPUT_MAX)
			return err_set(err, ERR_USAGE,
				       "%s '%s' is larger than %u MiB: give the published file",
				       what, path, INPUT_MAX >> 20);
		if (bytes_put(out, part, (size_t)n))
			return err_set(err, ERR_INTERNAL, "out of memory");
	}
	return 0;
}

json_t *input_parse(const void *data, size_t len, const char *what, const char *name,
		    struct err *err)
{
	json_error_t bad;
	json_t *root = json_loadb(len ? data : "", len, JSON_REJECT_DUPLICATES, &bad);

	if (!root) {
		err_set(err, ERR_USAGE,
			"%s '%s' is not valid JSON (correct it, or fetch it again): line %d: %s",
			what, name, bad.line, bad.text);
		return NULL;
	}
	if (!json_is_object(root)) {
		err_set(err, ERR_USAGE, "%s '%s' is not a JSON object: give the published file",
			what, name);
		json_decref(root);
		return NULL;
	}
	return root;
}

json_t *input_load(const char *path, const char *what, char sha256[65], struct err *err)
{
	struct bytes data = BYTES_INIT;
	json_t *root = NULL;
	uint8_t digest[32];

	if (!read_whole(path, what, &data, err)) {
		if (digest_sha256(data.data, data.len, digest)) {
			err_set(err, ERR_INTERNAL, "%s '%s': no SHA-256 in libcrypto", what, path);
			goto out;
		}
		bytes_to_hex(digest, sizeof(digest), sha256);
		root = input_parse(data.data, data.len, what, path, err);
	}
out:
	bytes_release(&data);
	return root;
}

bool input_is_utf8(const char *text)
{
	json_t *utf8 = json_string(text);

	json_decref(utf8);
	return utf8 != NULL;
}

int input_is_name(const char *text)
{
	size_t len = strlen(text);

	if (!len || len > INPUT_TEXT_MAX)
		return 0;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return 0;
	return input_is_utf8(text);
}

const char *input_text(const json_t *object, const char *key, const char *where, struct err *err)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);

	if (!text || !input_is_name(text)) {
		err_set(err, ERR_USAGE, "%s: '%s' %s", where, key,
			!value ? "is missing" : "must be a text of 1 to 1024 printable bytes");
		return NULL;
	}
	return text;
}
