/* What the strings of a service definition must look like: methods, templates, globs. */
#include "catalog/service_checks.h"

#include <stdbool.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

const char *service_check_method(const char *text)
{
	if (strlen(text) > 32 || text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_")])
		return "must be a method in upper case, at most 32 letters (\"GET\")";
	return NULL;
}

/* A placeholder segment, without its braces checked at both ends; last: nothing stands behind. */
static const char *check_placeholder(const char *segment, size_t len, bool last)
{
	size_t name = len < 2 ? 0 : len - 2;

	if (len < 2 || segment[len - 1] != '}')
		return "has a segment with only a part in braces (a placeholder is a whole "
		       "segment: /users/{user_id}/tags)";
	if (name && segment[1 + name - 1] == '*') {
		if (!last)
			return "has {name*} before the end (it stands for all that is left, so it "
			       "must be the last segment)";
		name--;
	}
	if (!name)
		return "has a placeholder without a name (write {user_id})";
	if (strspn(segment + 1, LETTERS DIGITS "_") < name)
		return "has a placeholder whose name is not made of a-z A-Z 0-9 _ (rename it)";
	return NULL;
}

static size_t name_length(const char *placeholder)
{
	return strcspn(placeholder + 1, "*}");
}

static bool name_repeats(const char *text)
{
	for (const char *a = strchr(text, '{'); a; a = strchr(a + 1, '{')) {
		size_t len = name_length(a);

		for (const char *b = strchr(a + 1, '{'); b; b = strchr(b + 1, '{'))
			if (name_length(b) == len && !memcmp(a + 1, b + 1, len))
				return true;
	}
	return false;
}

const char *service_check_template(const char *text)
{
	static const char literal[] = LETTERS DIGITS "-._~!$&'()+,;=:@";
	size_t segments = 0;

	if (*text != '/')
		return "must start with '/' (write the path as a client sends it, without host "
		       "and query)";
	if (strlen(text) > TEMPLATE_BYTES_MAX)
		return "is longer than 1024 bytes (shorten it)";
	if (!text[1])
		return NULL;
	for (const char *p = text; *p;) {
		size_t len = strcspn(++p, "/");
		const char *complaint = NULL;

		if (!len && !p[len])
			return "must not end with '/' (a path's trailing slash is ignored)";
		if (!len)
			return "has an empty segment (remove a '/')";
		if (++segments > TEMPLATE_SEGMENTS_MAX)
			return "has more than 64 segments (end it with {name*})";
		if (*p == '{')
			complaint = check_placeholder(p, len, !p[len]);
		else if (memchr(p, '{', len) || memchr(p, '}', len))
			complaint = check_placeholder(p, 0, false);
		else if (strspn(p, literal) < len)
			complaint = "has a character that a literal may not have (leave out query "
				    "and percent-encoding)";
		if (complaint)
			return complaint;
		p += len;
	}
	return name_repeats(text) ? "has two placeholders of one name (rename one)" : NULL;
}

const char *service_check_glob(const char *text)
{
	if (strpbrk(text, "[]\\"))
		return "has '[', ']' or '\\' (globs know only ?, * and **)";
	return NULL;
}

/* The segments of a path glob; a leading '/' is already skipped. */
static const char *check_segments(const char *text)
{
	if (service_check_glob(text))
		return service_check_glob(text);
	for (const char *p = text;; p++) {
		size_t len = strcspn(p, "/");

		if (!len && !p[len])
			return "must not end with '/' (write NAME/** for all that a folder holds)";
		if (!len || (len == 1 && *p == '.') || (len == 2 && !memcmp(p, "..", 2)))
			return "has an empty, '.' or '..' segment (write the plain path)";
		for (size_t i = 0; i + 1 < len; i++)
			if (p[i] == '*' && p[i + 1] == '*' && len != 2)
				return "has '**' beside other characters (it must be a whole "
				       "segment: dir/**/x.py)";
		p += len;
		if (!*p)
			return NULL;
	}
}

const char *service_check_file_glob(const char *text)
{
	if (*text == '/')
		return "must not start with '/' (globs are relative to a root)";
	return check_segments(text);
}

const char *service_check_root_glob(const char *text)
{
	if (*text != '/')
		return "must start with '/' (a root is an absolute folder)";
	return check_segments(text + 1);
}
