/* What a Python source defines. */
#include "collect/pydefs.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "catalog/arena.h"
#include "catalog/pytext.h"
#include "catalog/pytokens.h"

#define NAMES_MAX 65536
#define LINE_MAX_TOKENS 1000000
#define NESTING_MAX 50
#define BLOCKS_MAX 100 /* nested blocks, as the interpreter has it */

struct binding { /* a name that something other than def and class binds */
	const char *name;
	uint32_t scope;
};

/* A class's attribute that the source assigns from elsewhere: Class.name, cls.name. */
struct attribute {
	const char *name;
};

/* A token of a logical line; depth: brackets open around it, a bracket is outside itself. */
struct part {
	struct pytoken token;
	unsigned int depth;
};

struct block {
	uint32_t indent; /* of its head: how many indents are open */
	uint32_t scope;
	bool function;
};

struct reader {
	struct pydefs out; /* first: what pydefs_free is given */
	struct bytes names, scopes, bindings, attributes;
	struct arena pool;
	struct pytokens tokens;
	struct bytes line; /* struct part, of the logical line */
	uint32_t indent;
	struct block blocks[BLOCKS_MAX];
	size_t depth;
	unsigned int nesting; /* statements on one line that is taken */
	/* Decorators that wait for their def or class. */
	struct bytes decorators;
	uint32_t decorated_line; /* 0: none */
	size_t decorated;
	enum pydefs_decorator decorator;
	bool failed;
};

static size_t line_end(const struct reader *r)
{
	return r->line.len / sizeof(struct part);
}

static const struct part *part(const struct reader *r, size_t i)
{
	static const struct part none = { .token = { .kind = PYTOKEN_END, .text = (uint8_t *)"" } };

	return i < line_end(r) ? (const struct part *)r->line.data + i : &none;
}

static bool is_op(const struct reader *r, size_t i, const char *op)
{
	return pytoken_is(&part(r, i)->token, PYTOKEN_OP, op);
}

static bool is_name(const struct reader *r, size_t i, const char *name)
{
	return pytoken_is(&part(r, i)->token, PYTOKEN_NAME, name);
}

static bool any_name(const struct reader *r, size_t i)
{
	return part(r, i)->token.kind == PYTOKEN_NAME;
}

/* Takes the next logical line. 1, 0 at the end, -1: it cannot be read. */
static int next_line(struct reader *r)
{
	struct part p;

	r->line.len = 0;
	for (;;) {
		switch (pytokens_next(&r->tokens, &p.token)) {
		case PYTOKEN_NEWLINE:
			if (r->line.len)
				return 1;
			break;
		case PYTOKEN_INDENT:
		case PYTOKEN_DEDENT:
			break;
		case PYTOKEN_END:
			return r->line.len > 0;
		case PYTOKEN_BAD:
			return -1;
		default:
			if (!r->line.len)
				r->indent = r->tokens.indent;
			p.depth = r->tokens.brackets;
			if (p.token.kind == PYTOKEN_OP && p.token.len == 1 &&
			    memchr("([{", p.token.text[0], 3))
				p.depth--;
			if (line_end(r) >= LINE_MAX_TOKENS || bytes_put(&r->line, &p, sizeof(p)))
				return -1;
		}
	}
}

/* A copy with a NUL behind it. */
static const char *keep_bytes(struct reader *r, const void *data, size_t len)
{
	char *kept = arena_alloc(&r->pool, len + 1);

	if (!kept) {
		r->failed = true;
		return "";
	}
	memcpy(kept, data, len);
	return kept;
}

static const char *keep(struct reader *r, size_t i)
{
	return keep_bytes(r, part(r, i)->token.text, part(r, i)->token.len);
}

static void put(struct reader *r, struct bytes *list, const void *item, size_t size)
{
	if (list->len / size >= NAMES_MAX || bytes_put(list, item, size))
		r->failed = true;
}

static void bind(struct reader *r, uint32_t scope, size_t i)
{
	struct binding b = { keep(r, i), scope };

	put(r, &r->bindings, &b, sizeof(b));
}

static void bind_attribute(struct reader *r, size_t i)
{
	struct attribute a = { keep(r, i) };

	put(r, &r->attributes, &a, sizeof(a));
}

/* ---- statements ---- */

/* "@name.name" or "@name.name(...)": remembered for the def or class below. */
static void decorator(struct reader *r, size_t i)
{
	enum pydefs_decorator what = PYDEFS_DECORATED;

	if (!r->decorated_line)
		r->decorated_line = part(r, i)->token.line;
	r->decorated++;
	i++;
	if (i + 1 >= line_end(r)) {
		if (is_name(r, i, "classmethod"))
			what = PYDEFS_CLASSMETHOD;
		else if (is_name(r, i, "staticmethod"))
			what = PYDEFS_STATICMETHOD;
		else if (is_name(r, i, "property"))
			what = PYDEFS_PROPERTY;
	}
	r->decorator = r->decorated > 1 ? PYDEFS_DECORATED : what;
	for (; any_name(r, i); i += 2) {
		r->failed |= bytes_put(&r->decorators, part(r, i)->token.text,
				       part(r, i)->token.len) != 0;
		if (!is_op(r, i + 1, ".") || !any_name(r, i + 2))
			break;
		r->failed |= bytes_put(&r->decorators, ".", 1) != 0;
	}
	r->failed |= bytes_put(&r->decorators, "", 1) != 0;
}

static void forget_decorators(struct reader *r)
{
	r->decorated_line = 0;
	r->decorated = 0;
	r->decorator = PYDEFS_PLAIN;
	r->decorators.len = 0;
}

static uint32_t add_scope(struct reader *r, uint32_t parent, const char *name)
{
	const struct pydefs_scope *above = (const struct pydefs_scope *)r->scopes.data + parent;
	char qualname[1024];
	struct pydefs_scope scope = { .name = name, .parent = parent };
	int n = snprintf(qualname, sizeof(qualname), "%s%s%s", above->qualname,
			 above->qualname[0] ? "." : "", name);

	r->failed |= n < 0 || (size_t)n >= sizeof(qualname);
	if (r->failed)
		return 0;
	scope.qualname = keep_bytes(r, qualname, strlen(qualname));
	put(r, &r->scopes, &scope, sizeof(scope));
	return (uint32_t)(r->scopes.len / sizeof(scope)) - 1;
}

/* i: the name. Returns the class's scope. */
static uint32_t define(struct reader *r, uint32_t scope, size_t i, bool class)
{
	struct pydefs_name n = {
		.scope = scope,
		.line = r->decorated_line ? r->decorated_line : part(r, 0)->token.line,
		.decorator = r->decorator,
		.decorators = "",
	};

	if (!any_name(r, i)) {
		r->failed = true;
		return 0;
	}
	n.name = keep(r, i);
	if (r->decorators.len)
		n.decorators = keep_bytes(r, r->decorators.data, r->decorators.len);
	if (class)
		n.own_scope = add_scope(r, scope, n.name);
	forget_decorators(r);
	put(r, &r->names, &n, sizeof(n));
	return n.own_scope;
}

static void push(struct reader *r, uint32_t scope, bool function)
{
	if (r->depth == BLOCKS_MAX) {
		r->failed = true;
		return;
	}
	r->blocks[r->depth++] =
		(struct block){ .indent = r->indent, .scope = scope, .function = function };
}

/* Names of an import from i up to the statement's end. */
static void import(struct reader *r, uint32_t scope, size_t i, size_t end)
{
	bool from = is_name(r, i, "from");
	struct pydefs_name *names = (struct pydefs_name *)r->names.data;

	if (from)
		while (i < end && !is_name(r, i, "import"))
			i++;
	for (i++; i < end; i++) {
		if (is_op(r, i, "*"))
			/* What stands before it may be bound again. */
			for (size_t k = 0; k < r->names.len / sizeof(*names); k++)
				names[k].again |= names[k].scope == scope;
		if (!any_name(r, i))
			continue;
		if (is_name(r, i + 1, "as")) {
			i += 2;
			bind(r, scope, i);
		} else {
			bind(r, scope, i);
			while (i + 2 < end && is_op(r, i + 1, "."))
				i += 2;
		}
	}
}

/* The names between i and end that an assignment, a loop or the like binds. */
static void targets(struct reader *r, uint32_t scope, bool function, size_t i, size_t end)
{
	int subscript = 0;

	for (; i < end; i++) {
		if (subscript ||
		    (is_op(r, i, "[") && i &&
		     (any_name(r, i - 1) || is_op(r, i - 1, ")") || is_op(r, i - 1, "]")))) {
			subscript += is_op(r, i, "[") - is_op(r, i, "]");
			continue;
		}
		if (!any_name(r, i))
			continue;
		if (is_op(r, i + 1, ".") && any_name(r, i + 2)) {
			/* Class.name = ...; an instance's own attribute is none of a class. */
			bool instance = is_name(r, i, "self");

			while (is_op(r, i + 1, ".") && any_name(r, i + 2))
				i += 2;
			if (!instance)
				bind_attribute(r, i);
			continue;
		}
		if (!function)
			bind(r, scope, i);
	}
}

/* Where, from i, the depth-0 operator stands; end: nowhere. */
static size_t find_op(const struct reader *r, size_t i, size_t end, const char *op)
{
	for (; i < end; i++)
		if (!part(r, i)->depth && is_op(r, i, op))
			return i;
	return end;
}

/* "a = b = value", "a: int = value", "a += value". */
static void assignment(struct reader *r, uint32_t scope, bool function, size_t i, size_t end)
{
	static const char *const augmented[] = { "+=", "-=", "*=", "/=",  "//=", "%=", "@=",
						 "&=", "|=", "^=", ">>=", "<<=", "**=" };
	size_t last = end, next;

	for (next = i; (next = find_op(r, next, end, "=")) < end; next++)
		last = next;
	if (last < end) {
		next = find_op(r, i, last, ":");
		targets(r, scope, function, i, next < last ? next : last);
		return;
	}
	for (size_t k = 0; k < sizeof(augmented) / sizeof(augmented[0]); k++) {
		next = find_op(r, i, end, augmented[k]);
		if (next < end)
			targets(r, scope, function, i, next);
	}
}

static void statement(struct reader *r, uint32_t scope, bool function, size_t i, size_t end);

/* What a compound statement's head binds; then what stands behind its colon. */
static void compound(struct reader *r, uint32_t scope, bool function, size_t i, size_t end)
{
	size_t colon = find_op(r, i, end, ":");

	/* The colon of a lambda is none. */
	for (size_t k = i; k < colon; k++)
		if (is_name(r, k, "lambda") && !part(r, k)->depth)
			colon = find_op(r, colon + 1, end, ":");
	if (is_name(r, i, "for")) {
		size_t in = i + 1;

		while (in < colon && !(is_name(r, in, "in") && !part(r, in)->depth))
			in++;
		targets(r, scope, function, i + 1, in);
	} else if (is_name(r, i, "case")) {
		targets(r, scope, function, i + 1, colon);
	} else {
		size_t as = i;

		while (as < colon && !is_name(r, as, "as"))
			as++;
		targets(r, scope, function, as + 1, colon);
	}
	if (colon + 1 < end)
		statement(r, scope, function, colon + 1, end);
}

static bool is_compound(const struct reader *r, size_t i, size_t end)
{
	static const char *const words[] = { "if",	"elif", "else",	 "try", "except",
					     "finally", "for",	"while", "with" };

	for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
		if (is_name(r, i, words[k]))
			return true;
	/* Soft keywords: a statement that ends in, or has, a colon and is no annotation. */
	return (is_name(r, i, "match") || is_name(r, i, "case")) && !is_op(r, i + 1, ":") &&
	       !is_op(r, i + 1, "=") && !is_op(r, i + 1, ".") && find_op(r, i, end, ":") < end;
}

static void simple(struct reader *r, uint32_t scope, bool function, size_t i, size_t end)
{
	if (is_name(r, i, "global")) {
		for (i++; i < end; i++)
			if (any_name(r, i)) {
				bind(r, 0, i);
				if (!function)
					bind(r, scope, i);
			}
		return;
	}
	if (is_name(r, i, "import") || is_name(r, i, "from")) {
		if (!function)
			import(r, scope, i, end);
		return;
	}
	if (is_name(r, i, "del"))
		targets(r, scope, function, i + 1, end);
	else
		assignment(r, scope, function, i, end);
}

static void one_statement(struct reader *r, uint32_t scope, bool function, size_t i, size_t end)
{
	if (is_name(r, i, "async"))
		i++;
	if (is_name(r, i, "def")) {
		size_t colon = find_op(r, i, end, ":");

		if (!function)
			define(r, scope, i + 1, false);
		push(r, scope, true);
		if (!r->failed && colon + 1 < end)
			statement(r, scope, true, colon + 1, end);
		return;
	}
	if (is_name(r, i, "class")) {
		size_t colon = find_op(r, i, end, ":");
		uint32_t own = function ? 0 : define(r, scope, i + 1, true);

		push(r, own, function);
		if (!function && !r->failed && colon + 1 < end)
			statement(r, own, false, colon + 1, end);
		return;
	}
	if (is_compound(r, i, end)) {
		compound(r, scope, function, i, end);
		return;
	}
	while (i < end) {
		size_t stop = find_op(r, i, end, ";");

		simple(r, scope, function, i, stop);
		i = stop + 1;
	}
}

static void statement(struct reader *r, uint32_t scope, bool function, size_t i, size_t end)
{
	/* "if a: if b: ..." is no Python, but may stand in a file. */
	if (r->nesting == NESTING_MAX) {
		r->failed = true;
		return;
	}
	r->nesting++;
	one_statement(r, scope, function, i, end);
	r->nesting--;
}

/* Names that bind others by their text, and names that make code. */
static void look_for_text(struct reader *r, const struct block *block, size_t i)
{
	static const struct {
		const char *name;
		bool here; /* where it stands, not later */
		bool makes; /* code, not only a binding */
	} words[] = {
		{ "globals", true, false },  { "locals", true, false },
		{ "vars", true, false },     { "setattr", true, false },
		{ "__dict__", true, false }, { "exec", true, true },
		{ "exec_", true, true },     { "delattr", false, false },
		{ "modules", false, false }, { "__code__", false, true },
		{ "eval", false, true },     { "compile", false, true },
	};

	for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
		if (!is_name(r, i, words[k].name))
			continue;
		r->out.dynamic |= !words[k].makes;
		r->out.generates |= words[k].makes;
		if (words[k].here && !block->function) {
			((struct pydefs_scope *)r->scopes.data)[block->scope].by_text = true;
			r->out.sets_attributes |= is_name(r, i, "setattr");
		}
	}
}

static void take_line(struct reader *r)
{
	const struct block *block;

	while (r->depth > 1 && r->indent <= r->blocks[r->depth - 1].indent)
		r->depth--;
	block = &r->blocks[r->depth - 1];
	for (size_t i = 0; i < line_end(r); i++) {
		if (!any_name(r, i))
			continue;
		look_for_text(r, block, i);
		if (is_op(r, i + 1, ":=") && !block->function)
			bind(r, block->scope, i);
	}
	if (is_op(r, 0, "@") && !block->function) {
		decorator(r, 0);
		return;
	}
	statement(r, block->scope, block->function, 0, line_end(r));
	forget_decorators(r);
}

/* ---- what was bound again ---- */

static int compare_bindings(const void *a, const void *b)
{
	const struct binding *x = a, *y = b;

	if (x->scope != y->scope)
		return x->scope < y->scope ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int compare_attributes(const void *a, const void *b)
{
	return strcmp(((const struct attribute *)a)->name, ((const struct attribute *)b)->name);
}

static void settle(struct reader *r)
{
	struct pydefs_name *names = (struct pydefs_name *)r->names.data;
	struct pydefs_scope *scopes = (struct pydefs_scope *)r->scopes.data;
	size_t names_count = r->names.len / sizeof(*names);
	size_t bindings = r->bindings.len / sizeof(struct binding);
	size_t attributes = r->attributes.len / sizeof(struct attribute);
	struct binding *defined;
	const struct binding *b = (const struct binding *)r->bindings.data;

	for (size_t i = 0; i < bindings; i++)
		if (!strcmp(b[i].name, "__module__") || !strcmp(b[i].name, "__qualname__"))
			scopes[b[i].scope].names_module = true;
	for (size_t i = 0; i < names_count; i++)
		if (!strcmp(names[i].name, "__module__") || !strcmp(names[i].name, "__qualname__"))
			scopes[names[i].scope].names_module = true;
	if (bindings)
		qsort(r->bindings.data, bindings, sizeof(struct binding), compare_bindings);
	if (attributes)
		qsort(r->attributes.data, attributes, sizeof(struct attribute), compare_attributes);
	defined = calloc(names_count + 1, sizeof(*defined));
	if (!defined) {
		r->failed = true;
		return;
	}
	for (size_t i = 0; i < names_count; i++)
		defined[i] = (struct binding){ names[i].name, names[i].scope };
	qsort(defined, names_count, sizeof(*defined), compare_bindings);
	for (size_t i = 0; i < names_count; i++) {
		struct binding key = { names[i].name, names[i].scope };
		struct attribute attribute = { names[i].name };
		const struct binding *same =
			bsearch(&key, defined, names_count, sizeof(key), compare_bindings);

		names[i].again |=
			(same > defined && !compare_bindings(same - 1, &key)) ||
			(same + 1 < defined + names_count && !compare_bindings(same + 1, &key)) ||
			(bindings && bsearch(&key, r->bindings.data, bindings, sizeof(key),
					     compare_bindings)) ||
			(attributes && bsearch(&attribute, r->attributes.data, attributes,
					       sizeof(attribute), compare_attributes));
	}
	free(defined);
	r->out.names = names;
	r->out.names_count = names_count;
	r->out.scopes = scopes;
	r->out.scopes_count = r->scopes.len / sizeof(*scopes);
}

struct pydefs *pydefs_read(const void *text, size_t len)
{
	struct reader *r = calloc(1, sizeof(*r));
	static const struct pydefs_scope module = { .name = "", .qualname = "" };
	struct bytes utf8 = BYTES_INIT;
	int more = 0;

	if (!r)
		return NULL;
	r->failed = pytext_read(text, len, &utf8) != 0;
	pytokens_begin(&r->tokens, utf8.data, utf8.len);
	put(r, &r->scopes, &module, sizeof(module));
	r->blocks[r->depth++] = (struct block){ 0 };
	while (!r->failed && (more = next_line(r)) > 0)
		take_line(r);
	if (!r->failed && !more)
		settle(r);
	bytes_release(&utf8);
	bytes_release(&r->line);
	bytes_release(&r->bindings);
	bytes_release(&r->attributes);
	bytes_release(&r->decorators);
	if (r->failed || more) {
		pydefs_free(&r->out);
		return NULL;
	}
	return &r->out;
}

void pydefs_free(struct pydefs *d)
{
	struct reader *r = (struct reader *)d;

	if (!r)
		return;
	bytes_release(&r->names);
	bytes_release(&r->scopes);
	arena_release(&r->pool);
	free(r);
}
