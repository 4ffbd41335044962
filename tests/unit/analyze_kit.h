/*
 * A scene for the tests of analyze: one process, one service definition, a guideline of three
 * sections, and one call that runs functions of two files. Each test bends one part of it.
 */
#ifndef DAYLIGHT_TESTS_ANALYZE_KIT_H
#define DAYLIGHT_TESTS_ANALYZE_KIT_H

#include "trace_fixture.h"

#include <jansson.h>

#include "analyze/analyze.h"

/* Values of 0 are the plain case: everything is as it should be. */
struct scene {
	/* api.py: handler of the route, section "things API"; by package database. */
	uint64_t digest_matches; /* 0: matches; 1: differs; 2: the database has no digest */
	uint64_t changed; /* 0: no; 1: yes; 2: not known */
	bool no_identity, unreadable, deleted;
	uint8_t content; /* byte of the file's digest; 0: 0x22 */
	uint64_t ctime; /* realtime; 0: long before the process */
	/* Its compiled file. */
	bool no_pyc, pyc_absent, pyc_other, pyc_unproven, pyc_header_differs, pyc_changed;
	bool pyc_elsewhere, option_x; /* kept elsewhere: by the record, by the options */
	/* The call and what ties it to the code. */
	uint64_t end_reason, link, source;
	bool no_binding, no_sighting, dangling_function, dangling_stack, dangling_context;
	bool other_service, no_route;
	uint64_t first, last; /* ms of the sighting; 0: inside the binding, 101 and 102 */
	/* The bundle. */
	uint64_t lost;
	bool unsupported, no_window_end, no_call, no_code;
	uint64_t resumed; /* ms at which the window was gone on with; 0: it was not interrupted */
	bool sampled; /* walks were passed over, system calls watched in phases */
	bool listeners; /* two that are not covered */
	uint64_t status; /* of the call; 0: 200 */
	bool elsewhere; /* the one stack is of code outside the component */
	bool native; /* that code is native */
	uint8_t window; /* 0: 0xa1 */
	/* The call lies in a deep span, in which a function was entered: 1 is the handler's. */
	uint64_t entered;
	/* Code of the handler in memory, once for each that is set; of which process (0: 1). */
	bool memory_equal, memory_differs, memory_null;
	uint64_t memory_process;
	/* The handler's source: bytes of the digests; 0: no record. */
	uint8_t tokens, docstring;
	/* Something stands in between: its kind, whose place (a module), in which process (0: 1).
	 */
	const char *between;
	uint64_t between_module, between_process;
	/* Of `elsewhere`: a package owns it, nobody looked, or asked for its package. */
	bool gate_owned, gate_unknown, gate_not_asked;
	/* A second process, forked from the first one, that runs the same code. */
	bool second;
	/* Another process made the call, for one of its own; the call used a cache, and maybe more.
	 */
	bool proxied;
};

static const char *scene_handlers[] = { "demo/api.py" };
static const char *scene_api[] = { "demo/api.py" }, *scene_extra[] = { "demo/extra*.py" };
static const char *scene_except[] = { "demo/extra_not.py" };
static const char *scene_methods[] = { "GET" }, *scene_roots[] = { "/srv/code" };
static struct service_route scene_routes[] = { { .id = "things",
						 .methods = scene_methods,
						 .methods_count = 1,
						 .path = "/v1/things",
						 .handlers = scene_handlers,
						 .handlers_count = 1 } };
static struct service_section scene_sections[] = {
	{ "demo", "things API", scene_api, 1, NULL, 0, "handlers" },
	{ "demo", "extra", scene_extra, 1, scene_except, 1, "the rest" },
	{ "demo", "gone", NULL, 0, NULL, 0, "no code of this version" },
};
static const struct service_definition scene_definition = { .name = "demo-service",
							    .title = "demo",
							    .versions = "1",
							    .roots = scene_roots,
							    .roots_count = 1,
							    .routes = scene_routes,
							    .routes_count = 1,
							    .sections = scene_sections,
							    .sections_count = 3 };
static const struct service_definition scene_stranger = { .name = "stranger",
							  .title = "another",
							  .versions = "1",
							  .roots = scene_roots,
							  .roots_count = 1 };

static inline void scene_put_file(struct fixture *f, const struct scene *s, uint64_t process)
{
	if (!s->no_identity)
		put(f, IDENTITY, identity, .module = 1, .process = process, .device = 1, .inode = 2,
		    .size = 3, .mtime = 4, .ctime = s->ctime ? s->ctime : 5,
		    .sha256 = s->unreadable ? REC_NULL : digest(f, s->content ? s->content : 0x22),
		    .build_id = REC_NULL, .package_manager = pub(f, "dpkg"),
		    .package = pub(f, "python3-demo"), .package_version = pub(f, "1.0-1"),
		    .digest_matches = s->digest_matches == 2 ? REC_NULL : !s->digest_matches,
		    .how = pub(f, s->unreadable ? "denied" : "open"), .when = at_ms(60),
		    .changed_after_load = s->changed == 2 ? REC_NULL : s->changed);
	if (!s->no_pyc)
		put(f, PYC, pyc, .module = 1, .process = process, .path = pub(f, "api.pyc"),
		    .sha256 = s->pyc_absent ? REC_NULL : digest(f, 0x33), .size = 5, .mtime = 6,
		    .ctime = 5, .header_matches = s->pyc_absent ? REC_NULL : !s->pyc_header_differs,
		    .proven = s->pyc_absent || s->pyc_unproven ? REC_NULL : !s->pyc_other,
		    .how = pub(f, s->pyc_elsewhere ? "elsewhere"
				  : s->pyc_absent  ? "absent"
						   : "open"),
		    .when = at_ms(61), .changed_after_load = s->pyc_changed);
}

/* Modules: 1 api.py, 2 extra.py (loaded, never sighted), 3 werkzeug, 4 extra_not.py (in no
 * section). */
static inline void scene_put_code(struct fixture *f, const struct scene *s)
{
	if (s->no_code)
		return;
	if (s->elsewhere) {
		put(f, MODULE, module, .kind = MODULE_FILE, .path = pub(f, "/srv/lib/gate.py"),
		    .language = LANGUAGE_PYTHON);
		if (!s->gate_unknown)
			put(f, IDENTITY, identity, .module = 1, .process = 1,
			    .sha256 = digest(f, 0x77), .build_id = REC_NULL,
			    .package_manager = s->gate_owned	   ? pub(f, "dpkg")
					       : s->gate_not_asked ? REC_NULL
								   : REC_EMPTY,
			    .package = s->gate_owned ? pub(f, "gates") : REC_EMPTY,
			    .package_version = REC_EMPTY, .digest_matches = REC_NULL,
			    .how = pub(f, "open"), .when = at_ms(60), .changed_after_load = 0);
		put(f, FUNCTION, function, .module = 1, .name = pub(f, "gate"),
		    .qualname = pub(f, "gate"), .line = s->native ? REC_NULL : 1,
		    .offset = s->native ? 0x1000 : REC_NULL);
		put(f, STACK, stack, .process = 1, .frames = list(1), .partial = 0);
		return;
	}
	put(f, MODULE, module, .kind = s->deleted ? MODULE_DELETED : MODULE_FILE,
	    .path = pub(f, "/srv/code/demo/api.py"), .language = LANGUAGE_PYTHON);
	put(f, MODULE, module, .kind = MODULE_FILE, .path = pub(f, "/srv/code/demo/extra.py"),
	    .language = LANGUAGE_PYTHON);
	put(f, MODULE, module, .kind = MODULE_FILE,
	    .path = pub(f, "/srv/lib/site-packages/werkzeug/serving.py"),
	    .language = LANGUAGE_PYTHON);
	put(f, MODULE, module, .kind = MODULE_FILE, .path = pub(f, "/srv/code/demo/extra_not.py"),
	    .language = LANGUAGE_PYTHON);
	scene_put_file(f, s, 1);
	put(f, FUNCTION, function, .module = s->dangling_function ? 99 : 1, .name = pub(f, "get"),
	    .qualname = pub(f, "Things.get"), .line = 10, .offset = REC_NULL);
	put(f, FUNCTION, function, .module = 2, .name = pub(f, "more"), .qualname = pub(f, "more"),
	    .line = 1, .offset = REC_NULL);
	put(f, FUNCTION, function, .module = 3, .name = pub(f, "run"), .qualname = pub(f, "run"),
	    .line = 5, .offset = REC_NULL);
	put(f, FUNCTION, function, .module = 4, .name = pub(f, "not"), .qualname = pub(f, "not"),
	    .line = 2, .offset = REC_NULL);
	put(f, STACK, stack, .process = 1, .frames = list(1, 4, 3, 3), .partial = 0);
	put(f, STACK, stack, .process = 1, .frames = list(2), .partial = 0);
}

static inline void scene_put_call(struct fixture *f, const struct scene *s)
{
	put(f, CALL, call, .process = 1, .connection = 1, .seq = 1, .protocol = pub(f, "http/1.1"),
	    .method = pub(f, "GET"), .path = priv(f, "/v1/things"),
	    .service = pub(f, s->other_service ? "stranger" : "demo-service"),
	    .route = s->no_route ? REC_NULL : pub(f, "/v1/things"),
	    .status = s->status ? s->status : 200, .start = at_ms(100), .first_byte = at_ms(108),
	    .end = at_ms(109), .end_reason = s->end_reason, .request_bytes = 1, .response_bytes = 2,
	    .request_id = REC_NULL, .host = REC_NULL, .lost = 0);
	put(f, CONTEXT, context, .process = 1, .thread = 7, .flow = 1, .generation = 1,
	    .start = at_ms(100));
	if (!s->no_binding)
		put(f, BINDING, binding, .context = s->dangling_context ? 99 : 1, .call = 1,
		    .from = at_ms(100), .until = at_ms(109), .link = s->link);
	if (!s->no_sighting)
		put(f, SIGHTING, sighting, .context = 1, .stack = s->dangling_stack ? 99 : 1,
		    .source = s->source == SOURCE_DEEP ? SOURCE_SYSCALL : s->source,
		    .first = at_ms(s->first ? s->first : 101),
		    .last = at_ms(s->last ? s->last : 102), .count = 2);
	if (s->second) {
		put(f, PROCESS, process, .pid = 12, .start = FIXTURE_MONOTONIC, .parent = 1,
		    .exe = REC_NULL, .origin = ORIGIN_FORK, .seen = at_ms(1));
		put(f, CONTEXT, context, .process = 2, .thread = 12, .flow = 1, .generation = 1,
		    .start = at_ms(100));
		put(f, BINDING, binding, .context = 2, .call = 1, .from = at_ms(100),
		    .until = at_ms(109), .link = LINK_THREAD);
		put(f, STACK, stack, .process = 2, .frames = list(1), .partial = 0);
		put(f, SIGHTING, sighting, .context = 2, .stack = 3, .source = SOURCE_SYSCALL,
		    .first = at_ms(103), .last = at_ms(103), .count = 1);
	}
}

static inline uint64_t scene_connection(struct fixture *f, uint64_t process,
					enum direction direction, uint64_t local, uint64_t remote)
{
	return put(f, CONNECTION, connection, .process = process, .family = FAMILY_TCP4,
		   .local = pub(f, "127.0.0.1"), .local_port = local, .remote = pub(f, "127.0.0.1"),
		   .remote_port = remote, .direction = direction, .cookie = REC_NULL,
		   .opened = at_ms(90), .netns = 1, .inode = REC_NULL, .peer_inode = REC_NULL);
}

static inline void scene_hop(struct fixture *f, uint64_t connection, uint64_t context, uint64_t ms)
{
	put(f, HOP, hop, .call = REC_NULL, .connection = connection, .time = at_ms(ms),
	    .context = context, .last = at_ms(ms + 1), .received = 3, .sent = 4, .process = 1,
	    .protocol = REC_NULL);
}

/* Goes behind the call: its connection is 1. */
static inline void scene_put_proxy(struct fixture *f)
{
	uint64_t in = scene_connection(f, 1, DIRECTION_IN, 80, 4000), out, cache, queue;
	uint64_t module = put(f, MODULE, module, .kind = MODULE_FILE, .path = pub(f, "/opt/proxy"),
			      .language = LANGUAGE_NATIVE);
	uint64_t proxy = put(f, PROCESS, process, .pid = 20, .start = FIXTURE_MONOTONIC,
			     .parent = REC_NULL, .exe = module, .seen = at_ms(0));
	uint64_t call =
		put(f, CALL, call, .process = proxy, .connection = 99, .seq = 1,
		    .method = pub(f, "GET"), .path = priv(f, "/*"), .service = REC_NULL,
		    .route = REC_NULL, .start = at_ms(98), .first_byte = at_ms(112),
		    .end = at_ms(112), .end_reason = CALL_END_COMPLETE, .request_id = REC_NULL);
	uint64_t context = put(f, CONTEXT, context, .process = proxy, .start = at_ms(98)), unsure;

	assert_int_equal(in, 1);
	put(f, IDENTITY, identity, .module = module, .process = proxy,
	    .package_manager = pub(f, "dpkg"), .package = pub(f, "proxy"),
	    .package_version = pub(f, "3"), .how = pub(f, "open"), .when = at_ms(0),
	    .sha256 = REC_NULL, .build_id = REC_NULL);
	put(f, BINDING, binding, .context = context, .call = call, .from = at_ms(98),
	    .until = at_ms(112), .link = LINK_THREAD);
	out = scene_connection(f, proxy, DIRECTION_OUT, 4000, 80);
	cache = scene_connection(f, 1, DIRECTION_OUT, 4001, 11211);
	queue = scene_connection(f, 1, DIRECTION_OUT, 4002, 5672);
	scene_hop(f, out, context, 99);
	scene_hop(f, out, context, 110);
	scene_hop(f, cache, 1, 103);
	unsure = put(f, CONTEXT, context, .process = 1, .start = at_ms(104));
	put(f, BINDING, binding, .context = unsure, .call = 1, .from = at_ms(104),
	    .until = at_ms(109), .link = LINK_AMBIGUOUS);
	scene_hop(f, queue, unsure, 105);
}

static inline void scene_put_memory(struct fixture *f, const struct scene *s, uint64_t matches)
{
	put(f, FUNCTION_MEMORY, function_memory, .function = 1,
	    .process = s->memory_process ? s->memory_process : 1, .magic = 3495,
	    .memory = digest(f, 0x61), .compiled = digest(f, matches ? 0x61 : 0x62),
	    .matches = matches, .how = pub(f, "memory"), .when = at_ms(110));
}

/* What is known of code beside its files. */
static inline void scene_put_more(struct fixture *f, const struct scene *s)
{
	if (s->entered) {
		uint64_t stack = put(f, STACK, stack, .process = 1, .frames = list(s->entered),
				     .partial = 1);

		put(f, DEEP, deep, .process = 1, .from = at_ms(90), .until = at_ms(120),
		    .reason = pub(f, "first-calls"));
		put(f, SIGHTING, sighting, .context = 1, .stack = stack, .source = SOURCE_DEEP,
		    .first = at_ms(101), .last = at_ms(101), .count = 1);
	}
	if (s->memory_equal)
		scene_put_memory(f, s, 1);
	if (s->memory_differs)
		scene_put_memory(f, s, 0);
	if (s->memory_null)
		scene_put_memory(f, s, REC_NULL);
	if (s->tokens)
		put(f, FUNCTION_SOURCE, function_source, .function = 1,
		    .tokens = digest(f, s->tokens),
		    .docstring = s->docstring ? digest(f, s->docstring) : REC_NULL,
		    .how = pub(f, "source"));
	if (s->between)
		put(f, INTERPOSITION, interposition,
		    .process = s->between_process ? s->between_process : 1,
		    .kind = pub(f, s->between), .place = pub(f, "demo.api.Things.get"),
		    .module = s->between_module ? s->between_module : REC_NULL, .by = 3,
		    .detail = REC_EMPTY, .when = at_ms(70));
}

#define SCENE_START (FIXTURE_MONOTONIC - 1000000000000ULL) /* of the process, boot-time ns */
/* The same in realtime: the window's clocks are 5 s apart (fixture_window). */
#define SCENE_START_REAL (FIXTURE_REALTIME - 1005000000000ULL)

static inline void scene_put_walks(struct fixture *f)
{
	put(f, LOSS, loss, .time = at_ms(5), .stage = pub(f, "stack-walks"),
	    .class = LOSS_ATTEMPTED, .cause = REC_EMPTY, .count = 4653);
	put(f, LOSS, loss, .time = at_ms(5), .stage = pub(f, "stack-walks"),
	    .class = LOSS_DELIVERED, .cause = REC_EMPTY, .count = 873);
	put(f, LOSS, loss, .time = at_ms(5), .stage = pub(f, "stack-walks"), .class = LOSS_SKIPPED,
	    .cause = pub(f, "paced"), .count = 3666);
	put(f, LOSS, loss, .time = at_ms(5), .stage = pub(f, "stack-walks"), .class = LOSS_SKIPPED,
	    .cause = pub(f, "repeat"), .count = 114);
}

static inline void scene_write(struct fixture *f, const struct scene *s)
{
	uint64_t options[3], process_options[2];

	fixture_open(f);
	options[0] = pub(f, "syscall-phase=30000ms");
	options[1] = pub(f, "syscall-duty=100ms/1000ms");
	options[2] = pub(f, "duration=60000ms");
	process_options[0] = pub(f, "-m");
	process_options[1] = pub(f, "-X");
	put(f, WINDOW, window, .window = digest(f, s->window ? s->window : 0xa1),
	    .challenge = s->sampled ? digest(f, 0xc4) : REC_NULL,
	    .options = { options, s->sampled ? 3 : 0 }, .monotonic = FIXTURE_MONOTONIC,
	    .boottime = FIXTURE_MONOTONIC + 5000000000ULL, .realtime = FIXTURE_REALTIME,
	    .synced = 1, .start_reason = pub(f, "asked"), .host = priv(f, "node-1"),
	    .kernel = pub(f, "6.1"), .boot_id = REC_NULL, .arch = pub(f, "x86_64"),
	    .version = pub(f, "0.1.0"), .exe_sha256 = digest(f, 0xee), .boundary_source = REC_NULL);
	put(f, PROCESS, process, .pid = 11, .start = SCENE_START, .parent = REC_NULL,
	    .exe = REC_NULL, .origin = ORIGIN_EXISTING, .seen = at_ms(0),
	    .options = { process_options, s->option_x ? 2 : 1 });
	scene_put_code(f, s);
	if (!s->no_call)
		scene_put_call(f, s);
	if (s->proxied)
		scene_put_proxy(f);
	scene_put_more(f, s);
	if (s->resumed)
		put(f, RESUME, resume, .monotonic = at_ms(s->resumed), .last = at_ms(40));
	if (s->lost)
		put(f, LOSS, loss, .time = at_ms(5), .stage = pub(f, "walk"), .class = LOSS_LOST,
		    .cause = pub(f, "map-full"), .count = s->lost);
	if (s->sampled)
		scene_put_walks(f);
	if (s->listeners) {
		put(f, LISTENER, listener, .family = FAMILY_TCP4, .address = priv(f, "10.1.2.3"),
		    .port = 8774, .covered = 0, .process = REC_NULL, .seen = at_ms(0));
		put(f, LISTENER, listener, .family = FAMILY_TCP6, .address = pub(f, "::1"),
		    .port = 25, .covered = 0, .process = REC_NULL, .seen = at_ms(0));
	}
	if (s->unsupported)
		put(f, UNSUPPORTED, unsupported, .process = 1, .what = pub(f, "python"),
		    .version = pub(f, "3.99"));
	if (!s->no_window_end)
		fixture_window_end(f);
	{
		struct err err = ERR_INIT;

		if (bundle_writer_close(f->w, &err))
			fail_msg("%s", err.text);
	}
}

#define SCENE_GUIDELINE "tests/golden/guidelines/demo.json"

/* Definitions: the scene's, and one of a stranger. */
static inline int scene_run(const char **bundles, size_t count, const char *reference,
			    struct analyze_result *out, struct err *err)
{
	static const struct catalog_file file = { "services/demo.json", "", false };
	const struct analyze_definition definitions[] = { { &scene_definition, &file },
							  { &scene_stranger, &file } };
	const struct analyze_options options = { .bundles = bundles,
						 .bundles_count = count,
						 .guideline = SCENE_GUIDELINE,
						 .references = &reference,
						 .references_count = reference ? 1 : 0,
						 .definitions = definitions,
						 .definitions_count = 2 };

	return analyze_run(&options, out, err);
}

/* The report of a scene; the caller releases it. */
static inline json_t *scene_report_with(const struct scene *s, const char *reference,
					struct analyze_result *result)
{
	struct err err = ERR_INIT;
	struct fixture f;
	const char *path = f.path;

	scene_write(&f, s);
	if (scene_run(&path, 1, reference, result, &err))
		fail_msg("%s", err.text);
	fixture_release(&f);
	return result->report;
}

static inline json_t *scene_report(const struct scene *s)
{
	struct analyze_result result;

	return scene_report_with(s, NULL, &result);
}

/* The row of `key` in an array by a member's text. */
static inline json_t *row_by(json_t *report, const char *array, const char *key, const char *text)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(report, array), i, row) {
		const char *have = json_string_value(json_object_get(row, key));

		if (have && !strcmp(have, text))
			return row;
	}
	fail_msg("no %s with %s %s", array, key, text);
	return NULL;
}

static inline const char *text_in(json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "(null)";
}

/* What weakens a claim: the first of that kind, or NULL. */
static inline json_t *weakness(json_t *report, const char *claim, const char *what)
{
	json_t *row = row_by(report, "claims", "id", claim), *weak;
	size_t i;

	json_array_foreach(json_object_get(row, "weakened_by"), i, weak)
		if (!strcmp(text_in(weak, "what"), what))
			return weak;
	return NULL;
}

#endif
