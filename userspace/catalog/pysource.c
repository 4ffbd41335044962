/* The functions of a Python source file and the digests of their tokens. */
#include "catalog/pysource.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "catalog/pytext.h"
#include "catalog/pytokens.h"

#define FUNCTIONS_MAX 65536 /* classes included */
#define QUALNAME_MAX 1024 /* longer: ends in nothing that can be found */
#define SCOPES_MAX PYTOKENS_INDENTS
#define FUNCTIONS_DEEP 32 /* functions in functions: each is hashed with all it holds */

/* While the file is read, names are offsets into `names`: it may move. */
struct entry {
	struct pysource_function f;
	size_t name, qualname;
};

struct pysource {
	struct bytes names;
	struct bytes entries; /* struct entry */
};

enum docstring { DOC_FIRST, DOC_STRINGS, DOC_NONE, DOC_FOUND };

struct scope {
	size_t entry;
	bool is_class;
	bool one_line;
	unsigned int indent; /* of its body; 0: not begun */
	/* A def's place in the stream: */
	size_t start;
	enum docstring doc;
	size_t doc_from, doc_to, doc_end; /* its strings, and behind the token that ends it */
};

/* What is awaited of a header: `def` behind `async`, the name, the colon, and what follows it. */
enum header { NONE, ASYNC, NAME, COLON, BODY, BLOCK };

struct parse {
	struct pytokens tokens;
	struct pysource *out;
	struct bytes stream; /* what is hashed, of the outermost open def or of this line */
	struct scope scopes[SCOPES_MAX];
	size_t depth, defs; /* open scopes, and those of them that are functions */
	size_t line_at; /* where this logical line begins in the stream */
	bool line_start;
	bool decorated, at_sign; /* decorators wait for their def; their expression begins now */
	size_t decorated_at;
	uint32_t line, line_last;
	unsigned int indent; /* open indents, up to this token */
	enum header header;
	bool header_class;
	unsigned int lambdas; /* whose colon is to come */
	size_t header_at;
};

static struct entry *entry_at(const struct pysource *p, size_t i)
{
	return &((struct entry *)(void *)p->entries.data)[i];
}

static size_t entries(const struct pysource *p)
{
	return p->entries.len / sizeof(struct entry);
}

/* ---- the stream ---- */

/* A letter, the text, a zero byte. */
static int put_token(struct bytes *b, const struct pytoken *t)
{
	static const char letters[] = {
		[PYTOKEN_NAME] = 'n',	[PYTOKEN_NUMBER] = 'd',	 [PYTOKEN_STRING] = 's',
		[PYTOKEN_OP] = 'o',	[PYTOKEN_NEWLINE] = 'L', [PYTOKEN_INDENT] = 'I',
		[PYTOKEN_DEDENT] = 'D',
	};

	if (bytes_put_u8(b, (uint8_t)letters[t->kind]) || bytes_put(b, t->text, t->len) ||
	    bytes_put_u8(b, 0))
		return -1;
	return 0;
}

/* The docstring, once the body's first statement is over. */
static void follow_docstring(struct parse *p, const struct pytoken *t, size_t from)
{
	struct scope *s = p->depth ? &p->scopes[p->depth - 1] : NULL;

	if (!s || s->is_class || (!s->indent && !s->one_line) || s->doc >= DOC_NONE)
		return;
	if (t->kind == PYTOKEN_STRING && t->docstring) {
		if (s->doc == DOC_FIRST)
			s->doc_from = from;
		s->doc = DOC_STRINGS;
	} else if (s->doc == DOC_STRINGS &&
		   (t->kind == PYTOKEN_NEWLINE || pytoken_is(t, PYTOKEN_OP, ";"))) {
		s->doc = DOC_FOUND;
		s->doc_to = from;
		s->doc_end = p->stream.len;
	} else {
		s->doc = DOC_NONE;
	}
}

static int digest_scope(struct parse *p, const struct scope *s)
{
	struct pysource_function *f = &entry_at(p->out, s->entry)->f;
	const uint8_t *stream = p->stream.data;
	struct bytes rest = BYTES_INIT;
	int ret;

	if (s->doc != DOC_FOUND)
		return digest_sha256(stream + s->start, p->stream.len - s->start, f->tokens);
	f->has_docstring = true;
	ret = bytes_put(&rest, stream + s->start, s->doc_from - s->start) ||
	      bytes_put(&rest, stream + s->doc_end, p->stream.len - s->doc_end) ||
	      digest_sha256(rest.data, rest.len, f->tokens) ||
	      digest_sha256(stream + s->doc_from, s->doc_to - s->doc_from, f->docstring);
	bytes_release(&rest);
	return ret ? -1 : 0;
}

/* ---- scopes ---- */

static int put_name(struct bytes *names, const void *text, size_t len)
{
	return bytes_put(names, text, len) || bytes_put_u8(names, 0) ? -1 : 0;
}

/* "Class.", "function.<locals>." and the name; empty when it is too long to be anybody's. */
static int put_qualname(struct parse *p, const struct pytoken *name)
{
	struct bytes *names = &p->out->names;
	const struct scope *s = p->depth ? &p->scopes[p->depth - 1] : NULL;
	size_t at = s ? entry_at(p->out, s->entry)->qualname : 0;
	size_t len = s ? strlen((const char *)names->data + at) : 0;
	const char *link = !s ? "" : s->is_class ? "." : ".<locals>.";

	if ((s && !len) || len + strlen(link) + name->len > QUALNAME_MAX)
		return put_name(names, "", 0);
	/* Before it is read from, so that it does not move. */
	if (bytes_reserve(names, QUALNAME_MAX + 1) ||
	    (len && bytes_put(names, names->data + at, len)))
		return -1;
	if (bytes_put(names, link, strlen(link)))
		return -1;
	return put_name(names, name->text, name->len);
}

/* 0, 1: cannot be, -1: memory. */
static int open_scope(struct parse *p, const struct pytoken *name)
{
	struct entry e = {
		.f = { .line = p->line, .line_last = p->line_last, .is_class = p->header_class },
		.name = p->out->names.len
	};
	struct scope *s = &p->scopes[p->depth];

	if (p->depth == SCOPES_MAX || entries(p->out) == FUNCTIONS_MAX ||
	    (!p->header_class && p->defs == FUNCTIONS_DEEP))
		return 1;
	*s = (struct scope){ .entry = entries(p->out),
			     .is_class = p->header_class,
			     .start = p->header_at };
	if (put_name(&p->out->names, name->text, name->len))
		return -1;
	e.qualname = p->out->names.len;
	if (put_qualname(p, name) || bytes_put(&p->out->entries, &e, sizeof(e)))
		return -1;
	p->depth++;
	p->defs += !p->header_class;
	return 0;
}

static int close_scope(struct parse *p)
{
	const struct scope *s = &p->scopes[p->depth - 1];

	if (!s->is_class && digest_scope(p, s))
		return -1;
	p->defs -= !s->is_class;
	p->depth--;
	return 0;
}

/* ---- logical lines ---- */

/* The first token of a logical line: is it the header of a scope, or a decorator? 1: cannot be. */
static int begin_line(struct parse *p, const struct pytoken *t)
{
	bool at = pytoken_is(t, PYTOKEN_OP, "@"), is_class = pytoken_is(t, PYTOKEN_NAME, "class");

	if (at) {
		if (!p->decorated) {
			p->decorated_at = p->line_at;
			p->line = p->line_last = t->line;
			p->at_sign = true;
		}
		p->decorated = true;
		return 0;
	}
	if (is_class || pytoken_is(t, PYTOKEN_NAME, "def"))
		p->header = NAME;
	else if (pytoken_is(t, PYTOKEN_NAME, "async"))
		p->header = ASYNC;
	else
		return p->decorated;
	p->header_class = is_class;
	p->header_at = p->decorated ? p->decorated_at : p->line_at;
	if (!p->decorated)
		p->line = p->line_last = t->line;
	return 0;
}

/* Looks for the colon that ends the header; an annotation may be a lambda, which has its own. */
static void follow_header(struct parse *p, const struct pytoken *t)
{
	if (p->tokens.brackets)
		return;
	if (pytoken_is(t, PYTOKEN_NAME, "lambda"))
		p->lambdas++;
	else if (pytoken_is(t, PYTOKEN_OP, ":") && p->lambdas)
		p->lambdas--;
	else if (pytoken_is(t, PYTOKEN_OP, ":"))
		p->header = BODY;
}

/* A token behind the first of its line. 1: cannot be. */
static int follow_line(struct parse *p, const struct pytoken *t)
{
	bool def = pytoken_is(t, PYTOKEN_NAME, "def");

	if (p->at_sign && !pytoken_is(t, PYTOKEN_OP, "(")) {
		p->line_last = t->line;
		p->at_sign = false;
	}
	switch (p->header) {
	case ASYNC:
		p->header = def ? NAME : NONE;
		return !def && p->decorated;
	case NAME:
		if (t->kind != PYTOKEN_NAME)
			return 1;
		p->header = COLON;
		p->decorated = false;
		p->lambdas = 0;
		return open_scope(p, t);
	case COLON:
		if (t->kind == PYTOKEN_NEWLINE)
			return 1;
		follow_header(p, t);
		break;
	case BODY:
		p->header = t->kind == PYTOKEN_NEWLINE ? BLOCK : NONE;
		p->scopes[p->depth - 1].one_line = p->header == NONE;
		break;
	default:
		break;
	}
	/* Both are keywords everywhere: they begin a line. */
	return def || pytoken_is(t, PYTOKEN_NAME, "class");
}

/* INDENT and DEDENT. 1: cannot be. */
static int take_block(struct parse *p, const struct pytoken *t)
{
	struct scope *s = p->depth ? &p->scopes[p->depth - 1] : NULL;
	int ret = 0;

	if (p->decorated)
		return 1;
	if (t->kind == PYTOKEN_INDENT) {
		p->indent++;
		if (p->header == BLOCK && s)
			s->indent = p->indent;
		p->header = NONE;
		return 0;
	}
	/* A body of one line was closed at the line's end, so this one has a block. */
	if (s && s->indent == p->indent)
		ret = close_scope(p);
	p->indent--;
	return ret;
}

/* 0, 1: no interpreter would have run this, -1: memory. */
static int take(struct parse *p, const struct pytoken *t)
{
	size_t from;
	int ret;

	if (p->header == BLOCK && t->kind != PYTOKEN_INDENT)
		return 1;
	if (p->line_start && t->kind < PYTOKEN_NEWLINE) {
		if (!p->defs && !p->decorated)
			p->stream.len = 0;
		p->line_at = p->stream.len;
	}
	from = p->stream.len;
	if (put_token(&p->stream, t))
		return -1;
	if (t->kind == PYTOKEN_INDENT || t->kind == PYTOKEN_DEDENT)
		return take_block(p, t);
	ret = p->line_start ? begin_line(p, t) : follow_line(p, t);
	if (ret)
		return ret;
	follow_docstring(p, t, from);
	p->line_start = t->kind == PYTOKEN_NEWLINE;
	if (p->line_start && p->depth && p->scopes[p->depth - 1].one_line)
		return close_scope(p);
	return 0;
}

/* ---- the file ---- */

static const char *read_text(struct pysource *out, const struct bytes *text)
{
	struct parse p = { .out = out, .line_start = true };
	struct pytoken t;
	int ret = 0;

	pytokens_begin(&p.tokens, text->data, text->len);
	while (!ret && pytokens_next(&p.tokens, &t) < PYTOKEN_END)
		ret = take(&p, &t);
	if (!ret && (t.kind == PYTOKEN_BAD || p.decorated || p.header != NONE))
		ret = 1;
	bytes_release(&p.stream);
	return !ret ? PYSOURCE_OK : ret > 0 ? PYSOURCE_NOT_TOKENIZED : PYSOURCE_FAILED;
}

struct pysource *pysource_read(const uint8_t *data, size_t len, const char **how)
{
	struct pysource *p = NULL;
	struct bytes text = BYTES_INIT;
	int ret;

	*how = PYSOURCE_TOO_LARGE;
	if (len > PYSOURCE_FILE_MAX)
		return NULL;
	ret = pytext_read(data, len, &text);
	*how = ret > 0 ? PYSOURCE_ENCODING : PYSOURCE_FAILED;
	if (!ret)
		p = calloc(1, sizeof(*p));
	if (p)
		*how = read_text(p, &text);
	bytes_release(&text);
	if (p && strcmp(*how, PYSOURCE_OK)) {
		pysource_free(p);
		return NULL;
	}
	for (size_t i = 0; p && i < entries(p); i++) {
		struct entry *e = entry_at(p, i);

		e->f.name = (const char *)p->names.data + e->name;
		e->f.qualname = (const char *)p->names.data + e->qualname;
	}
	return p;
}

void pysource_free(struct pysource *p)
{
	if (!p)
		return;
	bytes_release(&p->names);
	bytes_release(&p->entries);
	free(p);
}

size_t pysource_count(const struct pysource *p)
{
	return entries(p);
}

const struct pysource_function *pysource_at(const struct pysource *p, size_t i)
{
	return i < entries(p) ? &entry_at(p, i)->f : NULL;
}

/* "b.c" of "a.b.c". */
static bool ends_in(const char *qualname, const char *end)
{
	size_t len = strlen(qualname), n = strlen(end);

	if (!n || n > len || strcmp(qualname + len - n, end))
		return false;
	return n == len || qualname[len - n - 1] == '.';
}

const struct pysource_function *pysource_find(const struct pysource *p, const char *name,
					      const char *qualname, uint64_t line)
{
	size_t low = 0, high = entries(p);
	const struct pysource_function *f;

	/* No two begin on one line, so the last that begins no later is the only one. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (entry_at(p, middle)->f.line <= line)
			low = middle + 1;
		else
			high = middle;
	}
	f = low ? &entry_at(p, low - 1)->f : NULL;
	if (!f || line > f->line_last || strcmp(f->name, name) || !ends_in(f->qualname, qualname))
		return NULL;
	return f;
}
