/* Compiled Python files: where one stands, whether its header fits, whether its code is proven. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "collect/identity.h"
#include "collect/procfs.h"
#include "collect/pyc_helper.h"
#include "collect/rootfile.h"

#define FILE_MAX (32ULL * 1024 * 1024) /* of one source or compiled file */
/*
 * PEP 552, from 3.7 on: magic, flags, then mtime and size, or a hash of the source. Before: magic,
 * mtime and, in version 3, size.
 */
#define HEADER 16
#define HEADER_WITHOUT_SIZE 8
#define HASH_BASED 1
#define ITEM_NS 10000000000ULL /* for one item, start of the interpreter included */

static int sha256_of(const struct bytes *b, uint8_t out[32])
{
	return EVP_Digest(b->data, b->len, out, NULL, EVP_sha256(), NULL) ? 0 : -1;
}

/* ---- looking ---- */

/*
 * PEP 3147: "/a/b/name.py" is compiled to "/a/b/__pycache__/name.TAG.pyc"; without a tag, to
 * "/a/b/name.pyc".
 */
static int cache_path(const char *source, const char *tag, char *out, size_t cap)
{
	const char *slash = strrchr(source, '/');
	size_t len = strlen(source);
	int n;

	if (source[0] != '/' || len < 4 || strcmp(source + len - 3, ".py") ||
	    slash == source + len - 4)
		return -1;
	if (!tag)
		n = snprintf(out, cap, "%sc", source);
	else
		n = snprintf(out, cap, "%.*s/__pycache__/%.*s.%s.pyc", (int)(slash - source),
			     source, (int)(len - 3 - (size_t)(slash + 1 - source)), slash + 1, tag);
	return n < 0 || (size_t)n >= cap ? -1 : 0;
}

static int header_matches(const struct bytes *file, unsigned int magic, unsigned int header,
			  const struct identity *source)
{
	struct bytes_reader r = { .data = file->data, .len = file->len };
	uint32_t word = bytes_get_le32(&r), flags = header < HEADER ? 0 : bytes_get_le32(&r);
	uint32_t mtime = bytes_get_le32(&r);
	uint32_t size = header == HEADER_WITHOUT_SIZE ? (uint32_t)source->size : bytes_get_le32(&r);

	if (r.bad || word != ((magic & 0xffff) | 0x0a0d0000u))
		return 0;
	if (flags & HASH_BASED)
		return -1;
	if (flags)
		return 0; /* the interpreter refuses flags that it does not know */
	if (strcmp(source->how, ROOTFILE_OPEN))
		return -1;
	return mtime == (uint32_t)(source->mtime / 1000000000ULL) && size == (uint32_t)source->size;
}

int pyc_look(pid_t pid, const char *source_path, const struct identity *source, const char *tag,
	     unsigned int magic, unsigned int header, uint64_t since, struct pyc *out)
{
	cleanup_close int root = -1;
	struct bytes file = BYTES_INIT;
	struct stat st = { 0 };

	memset(out, 0, sizeof(*out));
	out->header_matches = -1;
	out->how = "absent";
	/* Without its source, what is in __pycache__ is passed over; what stands beside is loaded.
	 */
	if (!strcmp(source->how, ROOTFILE_MISSING))
		tag = NULL;
	if (cache_path(source_path, tag, out->path, sizeof(out->path))) {
		out->path[0] = 0;
		return 0;
	}
	root = rootfile_root(pid, &out->how);
	if (root < 0) {
		out->changed_after = -1;
		return 0;
	}
	out->changed_after = identity_changed_since(pid, out->path, NULL, since);
	out->how = rootfile_slurp(root, out->path, FILE_MAX, &file, &st);
	out->size = (uint64_t)st.st_size;
	out->mtime = rootfile_ns(&st.st_mtim);
	out->ctime = rootfile_ns(&st.st_ctim);
	if (!strcmp(out->how, ROOTFILE_MISSING) || !strcmp(out->how, ROOTFILE_BEHIND)) {
		out->how = "absent";
	} else if (!strcmp(out->how, ROOTFILE_OPEN)) {
		out->has_sha256 = !sha256_of(&file, out->sha256);
		out->header_matches = header_matches(&file, magic, header, source);
		if (file.len >= 2 && (file.data[0] | file.data[1] << 8) != (int)(magic & 0xffff))
			out->how = "unsupported-magic";
	}
	bytes_release(&file);
	return 0;
}

/* ---- kept elsewhere ---- */

#define STRINGS_MAX (8u << 20) /* more than a new program may be given */

/* Does this string of an environment set the prefix? An empty value sets none. */
static bool variable_names(const char *text)
{
	static const char name[] = "PYTHONPYCACHEPREFIX=";

	return !strncmp(text, name, sizeof(name) - 1) && text[sizeof(name) - 1];
}

/* Is this argument the value of -X, alone or with other options before it (-BXpycache_prefix=)? */
static bool option_names(const char *text)
{
	static const char name[] = "pycache_prefix";

	if (!strncmp(text, name, sizeof(name) - 1))
		return true;
	if (text[0] != '-')
		return false;
	text += 1 + strcspn(text + 1, "X");
	return *text && !strncmp(text + 1, name, sizeof(name) - 1);
}

/* NULL: no string of the file is one that `names` looks for. */
static const char *search(pid_t pid, const char *file, bool (*names)(const char *text))
{
	struct bytes text = BYTES_INIT;
	const char *how = NULL;

	/* Room for all of it at once: growing would leave copies behind. */
	if (bytes_reserve(&text, STRINGS_MAX + 65536 + 1))
		return ROOTFILE_FAILED;
	errno = 0;
	if (procfs_read(pid, file, STRINGS_MAX, &text))
		how = errno == EACCES || errno == EPERM ? ROOTFILE_DENIED : ROOTFILE_GONE;
	/* The command line of a process that has ended is empty. */
	else if (!text.len && names == option_names)
		how = ROOTFILE_GONE;
	for (size_t at = 0; !how && at < text.len; at += strlen((char *)text.data + at) + 1)
		if (names((char *)text.data + at))
			how = "elsewhere";
	explicit_bzero(text.data, text.len);
	bytes_release(&text);
	return how;
}

const char *pyc_elsewhere(pid_t pid)
{
	const char *how = search(pid, "environ", variable_names);

	return how ? how : search(pid, "cmdline", option_names);
}

/* ---- proving ---- */

static bool own_root(int root)
{
	struct stat ours, theirs;

	return !stat("/", &ours) && !fstat(root, &theirs) && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino;
}

const char *pyc_fetch(pid_t pid, bool ours, const char *path, const uint8_t *sha256,
		      struct bytes *out)
{
	const char *how = "";
	cleanup_close int root = rootfile_root(pid, &how);
	uint8_t now[32];
	struct stat st;

	if (root < 0 && pid)
		root = rootfile_root(0, &how);
	if (root < 0)
		return how;
	if (ours && !own_root(root))
		return "other-root";
	how = rootfile_slurp(root, path, FILE_MAX, out, &st);
	if (strcmp(how, ROOTFILE_OPEN))
		return how;
	if (!sha256 || sha256_of(out, now) || memcmp(now, sha256, sizeof(now)))
		return ROOTFILE_CHANGED;
	return "";
}

static const char *fetch_item(const struct pyc_item *item, struct bytes *source, struct bytes *pyc)
{
	const char *how;

	if (!item->pyc_path)
		return "absent";
	how = pyc_fetch(item->pid, true, item->source_path, item->source_sha256, source);
	return *how ? how : pyc_fetch(item->pid, true, item->pyc_path, item->pyc_sha256, pyc);
}

static void take_answer(struct pyc_item *item, int answer)
{
	item->why = "";
	switch (answer) {
	case PYC_SAME:
		item->proven = 1;
		break;
	case PYC_OTHER:
		item->proven = 0;
		break;
	case PYC_MAGIC:
		item->why = "unsupported-magic";
		break;
	case PYC_SOURCE:
		item->why = "source-not-compiled";
		break;
	case PYC_DAMAGED:
		item->why = "damaged";
		break;
	case PYC_ASK_TIMEOUT:
		item->why = "timeout";
		break;
	default:
		item->why = "failed";
	}
}

/* The helper takes one kind of header: others get its length. Of it only the magic counts there. */
static int long_header(const struct pyc_item *item, struct bytes *pyc)
{
	size_t more = HEADER - item->header;

	if (!item->header || item->header >= HEADER || pyc->len < item->header)
		return 0;
	if (bytes_reserve(pyc, more))
		return -1;
	memmove(pyc->data + HEADER, pyc->data + item->header, pyc->len - item->header);
	memset(pyc->data + 4, 0, HEADER - 4);
	pyc->len += more;
	return 0;
}

/* Asks the running helper about one item. */
static void prove_one(struct pyc_helper *h, struct pyc_item *item, const struct bytes *source,
		      const struct bytes *pyc, uint64_t deadline)
{
	struct bytes path = { (uint8_t *)item->source_path, strlen(item->source_path), 0 };
	int answer;

	answer = pyc_helper_ask(h, &path, source, pyc, deadline);
	take_answer(item, answer);
	/* A crash or a hang is this item's alone: the next one gets a new helper. */
	if (answer < 0)
		pyc_helper_stop(h);
}

int pyc_prove(const char *exe, struct pyc_item *items, size_t count, uint64_t timeout_ns,
	      struct err *err)
{
	struct pyc_helper helper = PYC_HELPER_INIT;
	struct bytes source = BYTES_INIT, pyc = BYTES_INIT;
	uint64_t deadline = clock_monotonic() + timeout_ns;
	const char *broken = NULL;
	int ret = 0;

	if (access(exe, X_OK)) {
		broken = "interpreter-missing";
		ret = err_errno(err, ERR_MACHINE,
				"cannot run the interpreter %s; compiled files stay unproven", exe);
	}
	for (size_t i = 0; i < count; i++) {
		uint64_t now = clock_monotonic(), end = now + ITEM_NS;

		items[i].proven = -1;
		items[i].why = broken ? broken : now < deadline ? "" : "timeout";
		if (!*items[i].why)
			items[i].why = fetch_item(&items[i], &source, &pyc);
		if (!*items[i].why && long_header(&items[i], &pyc))
			items[i].why = "failed";
		if (*items[i].why)
			continue;
		if (end > deadline)
			end = deadline;
		if (helper.pid <= 0 && pyc_helper_start(&helper, exe, end, timeout_ns, err)) {
			items[i].why = broken = "interpreter-failed";
			ret = -1;
			continue;
		}
		prove_one(&helper, &items[i], &source, &pyc, end);
	}
	pyc_helper_stop(&helper);
	bytes_release(&source);
	bytes_release(&pyc);
	return ret;
}
