/* Fields of records as JSON values, and the objects that many rows share. */
#include "inspect/rows.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

void inspect_source_init(struct inspect_source *s, struct trace *t,
			 const struct inspect_filter *filter)
{
	static const struct inspect_filter all;
	size_t functions = trace_count(t, REC_FUNCTION_KIND);

	memset(s, 0, sizeof(*s));
	s->t = t;
	s->filter = filter ? filter : &all;
	s->functions = calloc(functions + 1, sizeof(*s->functions));
	s->functions_fit = calloc(functions + 1, sizeof(*s->functions_fit));
	s->failed = !s->functions || !s->functions_fit;
}

void inspect_source_release(struct inspect_source *s)
{
	size_t functions = trace_count(s->t, REC_FUNCTION_KIND);

	for (size_t i = 0; s->functions && i < functions; i++)
		json_decref(s->functions[i]);
	free(s->functions);
	free(s->functions_fit);
	free(s->stacks);
	for (size_t i = 0; i < sizeof(s->links) / sizeof(s->links[0]); i++)
		json_decref(s->links[i]);
	for (size_t i = 0; i < sizeof(s->sources) / sizeof(s->sources[0]); i++)
		json_decref(s->sources[i]);
	json_decref(s->losses);
}

void inspect_set(struct inspect_source *s, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new_nocheck(object, key, value))
		s->failed = true;
}

void inspect_append(struct inspect_source *s, json_t *array, json_t *value)
{
	if (json_array_append_new(array, value))
		s->failed = true;
}

void inspect_add(struct inspect_source *s, json_t *object, const char *key, uint64_t n)
{
	json_t *clean = inspect_bytes(key, strlen(key));
	const char *name = json_string_value(clean);

	if (name) {
		const json_t *old = json_object_get(object, name);
		uint64_t sum = json_is_integer(old) ? (uint64_t)json_integer_value(old) : 0;

		if (__builtin_add_overflow(sum, n, &sum) || sum > INT64_MAX)
			sum = INT64_MAX;
		inspect_set(s, object, name, inspect_number(sum));
	} else {
		s->failed = true;
	}
	json_decref(clean);
}

json_t *inspect_bytes(const void *data, size_t len)
{
	const uint8_t *p = data;
	struct bytes clean = BYTES_INIT;
	json_t *out = json_stringn(data, len);

	for (size_t i = 0, n; !out && i < len; i += n) {
		char escape[8];
		uint32_t code;

		n = inspect_utf8(p + i, len - i, &code);
		snprintf(escape, sizeof(escape), "\\x%02x", p[i]);
		if (n ? bytes_put(&clean, p + i, n) : bytes_put(&clean, escape, 4))
			break;
		n = n ? n : 1;
		if (i + n == len)
			out = json_stringn((const char *)clean.data, clean.len);
	}
	bytes_release(&clean);
	return out;
}

json_t *inspect_string(const struct inspect_source *s, uint64_t string)
{
	const struct bundle_string *text = trace_string(s->t, string);

	return text && !text->hidden ? inspect_bytes(text->data, text->len) : json_null();
}

json_t *inspect_hex(const struct inspect_source *s, uint64_t string)
{
	const struct bundle_string *text = trace_string(s->t, string);
	cleanup_free char *hex = NULL;

	if (!text || text->hidden)
		return json_null();
	hex = malloc(2 * text->len + 1);
	if (!hex)
		return NULL;
	bytes_to_hex(text->data, text->len, hex);
	return json_stringn_nocheck(hex, 2 * text->len);
}

json_t *inspect_number(uint64_t v)
{
	char text[32];

	if (v == REC_NULL)
		return json_null();
	if (v <= INT64_MAX)
		return json_integer((json_int_t)v);
	snprintf(text, sizeof(text), "%" PRIu64, v);
	return json_string_nocheck(text);
}

json_t *inspect_bool(uint64_t v)
{
	return v == REC_NULL ? json_null() : json_boolean(v);
}

json_t *inspect_realtime(uint64_t ns)
{
	char text[CLOCK_TEXT];

	if (ns == REC_NULL)
		return json_null();
	clock_format(ns, text);
	return json_string_nocheck(text);
}

json_t *inspect_monotonic(const struct inspect_source *s, uint64_t ns)
{
	return inspect_realtime(trace_realtime(s->t, ns));
}

json_t *inspect_boottime(const struct inspect_source *s, uint64_t ns)
{
	const struct rec_window *w = trace_window(s->t);
	uint64_t out;

	if (ns == REC_NULL || !w || w->boottime == REC_NULL || w->realtime == REC_NULL)
		return json_null();
	if (ns <= w->boottime ? __builtin_sub_overflow(w->realtime, w->boottime - ns, &out)
			      : __builtin_add_overflow(w->realtime, ns - w->boottime, &out))
		return json_null();
	return inspect_realtime(out);
}

json_t *inspect_strings(struct inspect_source *s, const struct rec_list *list)
{
	json_t *out = json_array();

	for (uint32_t i = 0; i < list->count; i++)
		inspect_append(s, out, inspect_string(s, list->items[i]));
	return out;
}

json_t *inspect_address(const struct inspect_source *s, uint64_t family, uint64_t address,
			uint64_t port)
{
	json_t *text = inspect_string(s, address), *out;

	if (!json_is_string(text) || family == FAMILY_UNIX || port == REC_NULL)
		return text;
	out = json_sprintf(family == FAMILY_TCP6 ? "[%s]:%" PRIu64 : "%s:%" PRIu64,
			   json_string_value(text), port);
	json_decref(text);
	return out;
}

json_t *inspect_module_path(const struct inspect_source *s, uint64_t module)
{
	const struct rec_module *m = trace_find(s->t, REC_MODULE_KIND, module);

	return m ? inspect_string(s, m->path) : json_null();
}

json_t *inspect_process(struct inspect_source *s, uint64_t process)
{
	const struct rec_process *p = trace_find(s->t, REC_PROCESS_KIND, process);
	json_t *out = json_object();

	inspect_set(s, out, "id", inspect_number(process));
	inspect_set(s, out, "pid", inspect_number(p ? p->pid : REC_NULL));
	inspect_set(s, out, "exe", p ? inspect_module_path(s, p->exe) : json_null());
	return out;
}

static json_t *function_build(struct inspect_source *s, uint64_t id, const struct rec_function *f)
{
	const struct rec_module *m = f ? trace_find(s->t, REC_MODULE_KIND, f->module) : NULL;
	json_t *out = json_object();

	inspect_set(s, out, "function", inspect_number(id));
	inspect_set(s, out, "name", f ? inspect_string(s, f->name) : json_null());
	inspect_set(s, out, "qualname", f ? inspect_string(s, f->qualname) : json_null());
	inspect_set(s, out, "module", inspect_number(f ? f->module : REC_NULL));
	inspect_set(s, out, "path", f ? inspect_module_path(s, f->module) : json_null());
	inspect_set(s, out, "line", inspect_number(f ? f->line : REC_NULL));
	inspect_set(s, out, "offset", inspect_number(f ? f->offset : REC_NULL));
	inspect_set(s, out, "language",
		    m ? json_string(rec_language_name(m->language)) : json_null());
	return out;
}

json_t *inspect_function(struct inspect_source *s, uint64_t function)
{
	const struct rec_function *f = trace_find(s->t, REC_FUNCTION_KIND, function);
	size_t row;

	if (!f || !s->functions)
		return function_build(s, function, f);
	row = (size_t)(f - (const struct rec_function *)trace_at(s->t, REC_FUNCTION_KIND, 0));
	if (!s->functions[row])
		s->functions[row] = function_build(s, function, f);
	return json_incref(s->functions[row]);
}

json_t *inspect_frames(struct inspect_source *s, const struct rec_list *frames)
{
	json_t *out = json_array();

	for (uint32_t i = 0; i < frames->count; i++)
		inspect_append(s, out, inspect_function(s, frames->items[i]));
	return out;
}

static json_t *bit_names(struct inspect_source *s, json_t **shared, uint32_t bits,
			 const char *(*name)(uint64_t value))
{
	if (!shared[bits]) {
		shared[bits] = json_array();
		for (unsigned int i = 0; bits >> i; i++)
			if (bits >> i & 1)
				inspect_append(s, shared[bits], json_string_nocheck(name(i)));
	}
	return json_incref(shared[bits]);
}

json_t *inspect_links(struct inspect_source *s, uint32_t bits)
{
	return bit_names(s, s->links, bits, rec_link_name);
}

json_t *inspect_sources(struct inspect_source *s, uint32_t bits)
{
	return bit_names(s, s->sources, bits, rec_source_name);
}
