/* What is inside of an object that stands under a name: wrappers are looked through. */
#include "collect/patch_inside.h"

#include <string.h>

#define DEPTH_MAX 6 /* wrappers inside each other that are looked through */
#define VISITS_MAX 128
#define ITEMS_MAX 32

bool patch_read_code(struct patch_look *look, uint64_t object, struct patch_code *out)
{
	struct pyobjects_code code;

	if (!pyobjects_code(&look->o, object, &code) ||
	    !pyobjects_text(&look->o, code.filename, out->file, sizeof(out->file)) ||
	    !pyobjects_text(&look->o, code.qualname ? code.qualname : code.name, out->qualname,
			    sizeof(out->qualname)))
		return false;
	out->line = code.line;
	return true;
}

bool patch_is_original(const struct patch_look *look, const struct pydefs_name *name,
		       const char *qualname, const struct patch_code *code)
{
	return code->line == name->line &&
	       !strcmp(code->qualname, look->o.layout->code_qualname < 0 ? name->name : qualname) &&
	       (!strcmp(code->file, look->file) || !strncmp(code->file, "<frozen ", 8));
}

struct search {
	struct patch_look *look;
	const struct pydefs_name *name;
	const char *qualname;
	unsigned int visits;
	struct patch_inside *found;
};

static void search(struct search *s, uint64_t object, int depth);

static int each_value(void *ctx, uint64_t key, uint64_t value)
{
	struct search *s = ((void **)ctx)[0];

	(void)key;
	search(s, value, *(int *)((void **)ctx)[1]);
	return s->visits >= VISITS_MAX;
}

/* The values of an instance that may hold a function: its first words, and its attributes. */
static void search_words(struct search *s, uint64_t object, int depth)
{
	struct pyobjects *o = &s->look->o;

	for (int32_t at = -4 * 8; at < ITEMS_MAX * 8; at += 8) {
		uint64_t word;

		if (!pyobjects_word(o, object, at, &word))
			continue;
		if (at == -4 * 8 || at == -3 * 8) {
			/* Attributes of an instance lie in a table in front of it (3.11, 3.12). */
			for (int32_t i = 0; i < ITEMS_MAX * 8; i += 8) {
				uint64_t value;

				if (!pyobjects_word(o, word & ~7ULL, i, &value))
					break;
				if (pyobjects_kind(o, value) == PYOBJECT_FUNCTION)
					search(s, value, depth);
			}
			continue;
		}
		switch (at < 0 ? PYOBJECT_NONE : pyobjects_kind(o, word)) {
		case PYOBJECT_FUNCTION:
		case PYOBJECT_METHOD:
		case PYOBJECT_CLASSMETHOD:
		case PYOBJECT_STATICMETHOD:
		case PYOBJECT_PROPERTY:
		case PYOBJECT_DICT:
			search(s, word, depth);
			break;
		default:
			break;
		}
	}
}

static void search_function(struct search *s, uint64_t object, int depth)
{
	struct pyobjects *o = &s->look->o;
	void *ctx[2] = { s, &depth };
	struct pyobjects_function f;
	uint64_t cells[ITEMS_MAX];
	char qualname[PYOBJECTS_TEXT];
	struct patch_code code;
	size_t count;

	if (!pyobjects_function(o, object, &f) || !patch_read_code(s->look, f.code, &code))
		return;
	if (patch_is_original(s->look, s->name, s->qualname, &code)) {
		s->found->original = true;
		return;
	}
	/* A wrapper of the module's own may have taken over the name of what it wraps. */
	if (!s->found->impostor && f.globals == s->look->dict &&
	    pyobjects_text(o, f.qualname, qualname, sizeof(qualname)) &&
	    !strcmp(qualname, s->qualname) &&
	    (strcmp(code.file, s->look->file) || !pyobjects_get(o, f.dict, "__wrapped__")))
		s->found->impostor = object;
	count = pyobjects_kind(o, f.closure) == PYOBJECT_TUPLE
			? pyobjects_items(o, f.closure, cells, ITEMS_MAX)
			: 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t value;

		if (pyobjects_kind(o, cells[i]) == PYOBJECT_CELL &&
		    pyobjects_word(o, cells[i], o->layout->objects.cell_value, &value))
			search(s, value, depth);
	}
	if (pyobjects_kind(o, f.dict) == PYOBJECT_DICT)
		pyobjects_dict(o, f.dict, each_value, ctx);
}

uint64_t patch_unwrap(struct patch_look *look, uint64_t object)
{
	const struct python_objects *at = &look->o.layout->objects;
	uint64_t inner = 0;
	int32_t place;

	switch (pyobjects_kind(&look->o, object)) {
	case PYOBJECT_METHOD:
		place = at->method_function;
		break;
	case PYOBJECT_CLASSMETHOD:
		place = at->classmethod_callable;
		break;
	case PYOBJECT_STATICMETHOD:
		place = at->staticmethod_callable;
		break;
	case PYOBJECT_PROPERTY:
		place = at->property_get;
		break;
	default:
		return 0;
	}
	pyobjects_word(&look->o, object, place, &inner);
	return inner;
}

static void search(struct search *s, uint64_t object, int depth)
{
	void *ctx[2] = { s, &depth };
	uint64_t items[ITEMS_MAX];
	size_t count;

	if (s->found->original || depth >= DEPTH_MAX || s->visits >= VISITS_MAX)
		return;
	s->visits++;
	depth++;
	switch (pyobjects_kind(&s->look->o, object)) {
	case PYOBJECT_FUNCTION:
		search_function(s, object, depth);
		break;
	case PYOBJECT_METHOD:
	case PYOBJECT_CLASSMETHOD:
	case PYOBJECT_STATICMETHOD:
	case PYOBJECT_PROPERTY:
		search(s, patch_unwrap(s->look, object), depth);
		break;
	case PYOBJECT_TUPLE:
	case PYOBJECT_LIST:
		count = pyobjects_items(&s->look->o, object, items, ITEMS_MAX);
		for (size_t i = 0; i < count; i++)
			search(s, items[i], depth);
		break;
	case PYOBJECT_DICT:
		pyobjects_dict(&s->look->o, object, each_value, ctx);
		break;
	case PYOBJECT_OTHER:
		search_words(s, object, depth);
		break;
	default:
		break;
	}
}

void patch_look_inside(struct patch_look *look, const struct pydefs_name *name,
		       const char *qualname, uint64_t object, struct patch_inside *out)
{
	struct search s = { .look = look, .name = name, .qualname = qualname, .found = out };

	memset(out, 0, sizeof(*out));
	search(&s, object, 0);
}
