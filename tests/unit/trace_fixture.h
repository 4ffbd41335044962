/*
 * A small bundle, always the same, for the tests of trace and inspect: one host, two processes,
 * three calls, a loss, a gap. Parts of it can be left out or broken by the test.
 */
#ifndef DAYLIGHT_TESTS_TRACE_FIXTURE_H
#define DAYLIGHT_TESTS_TRACE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/trace.h"
#include "bundle/writer.h"

struct fixture {
	char folder[32];
	char path[64];
	struct bundle_writer *w;
	struct trace *t;
};

static inline void fixture_open(struct fixture *f)
{
	struct bundle_writer_options options = { 0 };
	struct err err = ERR_INIT;

	memset(f, 0, sizeof(*f));
	snprintf(f->folder, sizeof(f->folder), "/tmp/daylight-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/one.daylight", f->folder);
	f->w = bundle_writer_open(f->path, &options, &err);
	if (!f->w)
		fail_msg("%s", err.text);
}

/* Seals the bundle and loads it. */
static inline void fixture_load(struct fixture *f)
{
	struct err err = ERR_INIT;

	if (bundle_writer_close(f->w, &err))
		fail_msg("%s", err.text);
	f->t = trace_load(f->path, &err);
	if (!f->t)
		fail_msg("%s", err.text);
}

static inline void fixture_release(struct fixture *f)
{
	trace_free(f->t);
	unlink(f->path);
	rmdir(f->folder);
}

/* put(f, CALL, call, .field = value, ...): a record with the next id, which is returned. */
#define put(f, KIND, name, ...)                                                             \
	({                                                                                  \
		struct rec_##name r_ = { .id = bundle_writer_id((f)->w, REC_##KIND##_KIND), \
					 __VA_ARGS__ };                                     \
		assert_int_equal(bundle_writer_put((f)->w, REC_##KIND##_KIND, &r_), 0);     \
		r_.id;                                                                      \
	})

/* Interned text, public / private; bytes from hex. */
#define pub(f, text) bundle_writer_text((f)->w, text, STRING_PUBLIC)
#define priv(f, text) bundle_writer_text((f)->w, text, STRING_PRIVATE)
#define digest(f, byte)                                                      \
	({                                                                   \
		uint8_t d_[32];                                              \
		memset(d_, byte, sizeof(d_));                                \
		bundle_writer_string((f)->w, d_, sizeof(d_), STRING_PUBLIC); \
	})
#define list(...)                                                                    \
	{                                                                            \
		(const uint64_t[]){ __VA_ARGS__ },                                   \
			sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t) \
	}

#define FIXTURE_MONOTONIC 1000000000000ULL
#define FIXTURE_REALTIME 1795385012000000001ULL /* 2026-11-22T22:03:32.000000001Z */
#define at_ms(ms) (FIXTURE_MONOTONIC + (ms)*1000000ULL)

static inline void fixture_window(struct fixture *f)
{
	put(f, WINDOW, window, .window = digest(f, 0xa1), .challenge = digest(f, 0xc4),
	    .monotonic = FIXTURE_MONOTONIC, .boottime = FIXTURE_MONOTONIC + 5000000000ULL,
	    .realtime = FIXTURE_REALTIME, .synced = 1, .start_reason = pub(f, "asked"),
	    .host = priv(f, "node-1"), .kernel = pub(f, "6.1.0-test"),
	    .boot_id = priv(f, "8c7f0aaa-0000-4000-8000-000000000001"), .arch = pub(f, "x86_64"),
	    .version = pub(f, "0.1.0"), .exe_sha256 = digest(f, 0xee),
	    .options = list(pub(f, "--port"), pub(f, "-o")),
	    .boundary_source = pub(f, "socket-tracepoints"));
}

static inline void fixture_window_end(struct fixture *f)
{
	put(f, WINDOW_END, window_end, .monotonic = at_ms(60000),
	    .boottime = at_ms(60000) + 5000000000ULL, .realtime = FIXTURE_REALTIME + 60000000000ULL,
	    .synced = 1, .reason = pub(f, "duration"));
}

/* Window, code and processes: modules 1 to 4, functions 1 to 4, stacks 1 to 3, processes 1 and 2.
 */
static inline void fixture_host(struct fixture *f)
{
	fixture_window(f);
	put(f, LABEL, label, .key = pub(f, "site"), .value = priv(f, "north"));
	put(f, PROBE, probe, .name = pub(f, "python/cpython-3.11.json"), .sha256 = digest(f, 1),
	    .shipped = 1);
	put(f, PROGRAM, program, .name = pub(f, "on_recv"),
	    .tag = bundle_writer_string(f->w, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8,
					STRING_PUBLIC));
	put(f, TARGET, target, .how = pub(f, "port"), .value = priv(f, "5000"));
	put(f, LISTENER, listener, .family = FAMILY_TCP4, .address = priv(f, "127.0.0.1"),
	    .port = 5000, .covered = 1, .process = 1, .seen = at_ms(0));
	put(f, LISTENER, listener, .family = FAMILY_TCP6, .address = priv(f, "::1"), .port = 25,
	    .covered = 0, .process = REC_NULL, .seen = at_ms(0));
	put(f, GAP, gap, .process = 2, .from = at_ms(0), .until = at_ms(10),
	    .what = pub(f, "attach"));
	put(f, UNSUPPORTED, unsupported, .process = 2, .what = pub(f, "python"),
	    .version = pub(f, "3.14.0"));

	put(f, MODULE, module, .kind = MODULE_FILE, .path = pub(f, "/usr/bin/uwsgi-core"),
	    .language = LANGUAGE_NATIVE);
	put(f, MODULE, module, .kind = MODULE_FILE,
	    .path = pub(f, "/usr/lib/python3/dist-packages/keystone/api/auth.py"),
	    .language = LANGUAGE_PYTHON);
	put(f, MODULE, module, .kind = MODULE_FROZEN,
	    .path = pub(f, "<frozen importlib._bootstrap>"), .language = LANGUAGE_PYTHON);
	put(f, MODULE, module, .kind = MODULE_FILE,
	    .path = pub(f, "/usr/lib/python3/dist-packages/keystone/a/folder/with/a/very/long/name/"
			   "that/goes/past/the/width/of/the/line/token.py"),
	    .language = LANGUAGE_PYTHON);
	/* The newest identity of a module holds. */
	put(f, IDENTITY, identity, .module = 2, .process = 1, .device = 1, .inode = 2, .size = 3,
	    .mtime = 4, .ctime = 5, .sha256 = digest(f, 0x21), .build_id = REC_NULL,
	    .package_manager = REC_EMPTY, .package = REC_EMPTY, .package_version = REC_EMPTY,
	    .digest_matches = REC_NULL, .how = pub(f, "changed"), .when = at_ms(1),
	    .changed_after_load = REC_NULL);
	put(f, IDENTITY, identity, .module = 2, .process = 1, .device = 65025, .inode = 4711,
	    .size = 22334, .mtime = 1700000000000000000ULL, .ctime = 1700000001000000000ULL,
	    .sha256 = digest(f, 0x22), .build_id = REC_NULL, .package_manager = pub(f, "dpkg"),
	    .package = pub(f, "python3-keystone"), .package_version = pub(f, "2:22.0.0-2"),
	    .digest_matches = 1, .how = pub(f, "open"), .when = at_ms(2), .changed_after_load = 0);
	put(f, IDENTITY, identity, .module = 1, .process = 1, .device = 65025, .inode = 4712,
	    .size = 99, .mtime = 1700000000000000000ULL, .ctime = 1700000001000000000ULL,
	    .sha256 = digest(f, 0x11), .build_id = digest(f, 0xb1), .package_manager = REC_NULL,
	    .package = REC_NULL, .package_version = REC_NULL, .digest_matches = REC_NULL,
	    .how = pub(f, "open"), .when = at_ms(2), .changed_after_load = 1);
	put(f, PYC, pyc, .module = 2, .process = 1, .path = pub(f, "__pycache__/auth.pyc"),
	    .sha256 = digest(f, 0x33), .size = 5, .mtime = 6, .ctime = 7, .header_matches = 1,
	    .proven = 1, .how = pub(f, "open"), .when = at_ms(3), .changed_after_load = 0);
	put(f, FUNCTION, function, .module = 2, .name = pub(f, "post"),
	    .qualname = pub(f, "AuthTokenResource.post"), .line = 100, .offset = REC_NULL);
	put(f, FUNCTION, function, .module = 2, .name = pub(f, "get"),
	    .qualname = pub(f, "AuthTokenResource.get"), .line = 90, .offset = REC_NULL);
	put(f, FUNCTION, function, .module = 4, .name = pub(f, "validate"),
	    .qualname = pub(f, "TokenProviderWithALongClassName.validate_a_token_in_some_way"),
	    .line = 7, .offset = REC_NULL);
	put(f, FUNCTION, function, .module = 3, .name = pub(f, "_find"),
	    .qualname = pub(f, "_find"), .line = 1, .offset = REC_NULL);
	put(f, STACK, stack, .process = 1, .frames = list(3, 2, 4, 4), .partial = 0);
	put(f, STACK, stack, .process = 1, .frames = list(1, 4), .partial = 1);
	put(f, STACK, stack, .process = 1, .frames = list(1), .partial = 0);

	put(f, PROCESS, process, .pid = 4001, .start = FIXTURE_MONOTONIC, .parent = REC_NULL,
	    .exe = 1, .comm = pub(f, "uwsgi"), .argv0 = priv(f, "uwsgi-core"),
	    .options = list(pub(f, "--http-socket")), .origin = ORIGIN_EXISTING, .seen = at_ms(0),
	    .uid = 110, .cgroup = priv(f, "/system.slice/keystone.service"),
	    .runtime = pub(f, "cpython-3.11"), .service = pub(f, "keystone"));
	put(f, PROCESS, process, .pid = 4002, .start = FIXTURE_MONOTONIC + 1, .parent = 1, .exe = 1,
	    .comm = pub(f, "uwsgi"), .argv0 = REC_NULL, .origin = ORIGIN_FORK, .seen = at_ms(5),
	    .uid = 110, .cgroup = REC_NULL, .runtime = REC_NULL, .service = REC_NULL);
	put(f, PROCESS_END, process_end, .process = 2, .time = at_ms(50000), .exit_code = 9);
	put(f, MAPPING, mapping, .process = 1, .module = 1, .time = at_ms(0));
}

static inline uint64_t fixture_call(struct fixture *f, uint64_t connection, uint64_t seq,
				    const char *method, const char *path, uint64_t ms)
{
	return put(f, CALL, call, .process = 1, .connection = connection, .seq = seq,
		   .protocol = pub(f, "http/1.1"), .method = pub(f, method), .path = priv(f, path),
		   .service = pub(f, "keystone"), .route = pub(f, "v3-auth-tokens"), .status = 200,
		   .start = at_ms(ms), .first_byte = at_ms(ms + 8), .end = at_ms(ms + 9),
		   .end_reason = CALL_END_COMPLETE, .request_bytes = 300, .response_bytes = 4000,
		   .request_id = pub(f, "req-1"),
		   .request_ids = list(pub(f, "X-Openstack-Request-Id"), pub(f, "req-1"),
				       pub(f, "X-Openstack-Request-Id"), pub(f, "req-client")),
		   .ids_answered = 1, .host = priv(f, "keystone.example:5000"), .lost = 0);
}

/*
 * Connections, three calls, their evidence. Call 1: thread and flow, deep. Call 2: stacks. Call 3:
 * only an ambiguous binding, cut off by the end of the window. Sighting 6 is bound to nothing.
 */
static inline void fixture_calls(struct fixture *f)
{
	put(f, CONNECTION, connection, .process = 1, .family = FAMILY_TCP4,
	    .local = priv(f, "127.0.0.1"), .local_port = 5000, .remote = priv(f, "127.0.0.1"),
	    .remote_port = 40000, .direction = DIRECTION_IN, .cookie = 77, .opened = at_ms(90),
	    .joined = 0);
	put(f, CONNECTION, connection, .process = 1, .family = FAMILY_UNIX,
	    .local = priv(f, "/run/db.sock"), .local_port = REC_NULL, .remote = REC_NULL,
	    .remote_port = REC_NULL, .direction = DIRECTION_OUT, .cookie = 78, .opened = at_ms(101),
	    .joined = 0);
	put(f, CONNECTION, connection, .process = 2, .family = FAMILY_TCP6, .local = priv(f, "::1"),
	    .local_port = 5000, .remote = priv(f, "::1"), .remote_port = 40001,
	    .direction = DIRECTION_IN, .cookie = UINT64_MAX - 1, .opened = at_ms(95), .joined = 1);
	put(f, CONNECTION_END, connection_end, .connection = 1, .time = at_ms(400),
	    .reason = pub(f, "closed"), .received = 900, .sent = 12000, .calls = 3,
	    .undecoded = REC_EMPTY, .suspect = 0);
	put(f, CONNECTION_END, connection_end, .connection = 3, .time = at_ms(500),
	    .reason = pub(f, "window_stop"), .received = 10, .sent = 20, .calls = 0,
	    .undecoded = pub(f, "joined"), .suspect = 2);

	put(f, CONTEXT, context, .process = 1, .thread = 4001, .flow = 0x7f0000001000,
	    .generation = 1, .start = at_ms(100));
	put(f, CONTEXT, context, .process = 1, .thread = 4001, .flow = 0, .generation = 1,
	    .start = at_ms(100));
	put(f, SIGHTING, sighting, .context = 1, .stack = 1, .source = SOURCE_DEEP,
	    .first = at_ms(101), .last = at_ms(102), .count = 2);
	put(f, SIGHTING, sighting, .context = 1, .stack = 2, .source = SOURCE_SOCKET,
	    .first = at_ms(103), .last = at_ms(103), .count = 1);
	/* In the time of calls 1 and 2, in the thread's context. */
	put(f, SIGHTING, sighting, .context = 2, .stack = 1, .source = SOURCE_SYSCALL,
	    .first = at_ms(105), .last = at_ms(203), .count = 10);
	put(f, SIGHTING, sighting, .context = 2, .stack = 3, .source = SOURCE_SAMPLE,
	    .first = at_ms(205), .last = at_ms(205), .count = 1);
	put(f, SIGHTING, sighting, .context = 2, .stack = 3, .source = SOURCE_SOCKET,
	    .first = at_ms(301), .last = at_ms(301), .count = 1);
	put(f, SIGHTING, sighting, .context = 2, .stack = 2, .source = SOURCE_SOCKET,
	    .first = at_ms(900), .last = at_ms(900), .count = 1);

	fixture_call(f, 1, 1, "POST", "/v3/auth/tokens", 100);
	fixture_call(f, 1, 2, "GET", "/v3/auth/tokens", 200);
	put(f, CALL, call, .process = 1, .connection = 1, .seq = 3, .protocol = pub(f, "http/1.1"),
	    .method = pub(f, "GET"), .path = priv(f, "/v3/users/{user_id}/projects"),
	    .service = pub(f, "keystone"), .route = REC_NULL, .status = REC_NULL,
	    .start = at_ms(300), .first_byte = REC_NULL, .end = at_ms(310),
	    .end_reason = CALL_END_WINDOW_STOP, .request_bytes = 200, .response_bytes = 0,
	    .request_id = REC_NULL, .host = REC_NULL, .lost = 1);
	put(f, BINDING, binding, .context = 1, .call = 1, .from = at_ms(100), .until = at_ms(109),
	    .link = LINK_FLOW);
	put(f, BINDING, binding, .context = 2, .call = 1, .from = at_ms(100), .until = at_ms(109),
	    .link = LINK_THREAD);
	put(f, BINDING, binding, .context = 2, .call = 2, .from = at_ms(200), .until = at_ms(209),
	    .link = LINK_THREAD);
	put(f, BINDING, binding, .context = 2, .call = 3, .from = at_ms(300), .until = at_ms(310),
	    .link = LINK_AMBIGUOUS);
	put(f, HOP, hop, .call = REC_NULL, .connection = 2, .time = at_ms(102), .context = 1,
	    .last = at_ms(104), .received = 1200, .sent = 300, .process = 1, .protocol = REC_NULL);

	put(f, DEEP, deep, .process = 1, .from = at_ms(99), .until = at_ms(150),
	    .reason = pub(f, "first-calls"));

	/* Long after the calls, and after a reading without loss. */
	put(f, LOSS, loss, .time = at_ms(30000), .stage = pub(f, "stacks"), .class = LOSS_ATTEMPTED,
	    .cause = REC_EMPTY, .count = 5);
	put(f, LOSS, loss, .time = at_ms(40000), .stage = pub(f, "stacks"), .class = LOSS_LOST,
	    .cause = pub(f, "map-full"), .count = 1);
	put(f, LOSS, loss, .time = at_ms(41000), .stage = pub(f, "stacks"), .class = LOSS_ATTEMPTED,
	    .cause = REC_EMPTY, .count = 30);
	put(f, LOSS, loss, .time = at_ms(41000), .stage = pub(f, "stacks"), .class = LOSS_DELIVERED,
	    .cause = REC_EMPTY, .count = 17);
	put(f, LOSS, loss, .time = at_ms(41000), .stage = pub(f, "stacks"), .class = LOSS_SKIPPED,
	    .cause = pub(f, "repeat"), .count = 10);
	put(f, LOSS, loss, .time = at_ms(41000), .stage = pub(f, "stacks"), .class = LOSS_LOST,
	    .cause = pub(f, "map-full"), .count = 2);
	put(f, LOSS, loss, .time = at_ms(41000), .stage = pub(f, "stacks"), .class = LOSS_LOST,
	    .cause = pub(f, "budget"), .count = 1);
	put(f, LOSS, loss, .time = at_ms(41000), .stage = pub(f, "bundle"), .class = LOSS_ATTEMPTED,
	    .cause = REC_EMPTY, .count = 8);
	put(f, LOSS, loss, .time = at_ms(41000), .stage = pub(f, "bundle"), .class = LOSS_DELIVERED,
	    .cause = REC_EMPTY, .count = 8);
}

/*
 * What more may be known of the code: a function that was entered (stack 4), a native one (5) below
 * a Python one (stack 5), digests of sources and of memory, code that stands between. Goes behind
 * fixture_calls.
 */
static inline void fixture_code(struct fixture *f)
{
	put(f, STACK, stack, .process = 1, .frames = list(3), .partial = 1);
	put(f, FUNCTION, function, .module = 1, .name = REC_EMPTY, .qualname = REC_EMPTY,
	    .line = REC_NULL, .offset = 0x1f30);
	put(f, STACK, stack, .process = 1, .frames = list(5, 3, 5), .partial = 0);
	/* More than one frame: not what a tap leaves. */
	put(f, STACK, stack, .process = 1, .frames = list(3, 4), .partial = 1);
	for (uint64_t stack = 4; stack <= 6; stack += 2)
		put(f, SIGHTING, sighting, .context = 1, .stack = stack, .source = SOURCE_DEEP,
		    .first = at_ms(104), .last = at_ms(104), .count = 1);
	put(f, FUNCTION_SOURCE, function_source, .function = 1, .tokens = digest(f, 0x51),
	    .docstring = digest(f, 0x52), .how = pub(f, "source"));
	put(f, FUNCTION_SOURCE, function_source, .function = 4, .tokens = REC_NULL,
	    .docstring = REC_NULL, .how = pub(f, "no-source"));
	put(f, FUNCTION_MEMORY, function_memory, .function = 1, .process = 1, .magic = 3495,
	    .memory = digest(f, 0x61), .compiled = digest(f, 0x61), .matches = 1,
	    .how = pub(f, "memory"), .when = at_ms(110));
	put(f, FUNCTION_MEMORY, function_memory, .function = 2, .process = 1, .magic = 3495,
	    .memory = digest(f, 0x62), .compiled = digest(f, 0x63), .matches = 0,
	    .how = pub(f, "memory"), .when = at_ms(110));
	put(f, FUNCTION_MEMORY, function_memory, .function = 2, .process = 2, .magic = 3495,
	    .memory = digest(f, 0x63), .compiled = digest(f, 0x63), .matches = 1,
	    .how = pub(f, "memory"), .when = at_ms(111));
	put(f, FUNCTION_MEMORY, function_memory, .function = 3, .process = 1, .magic = REC_NULL,
	    .memory = REC_NULL, .compiled = REC_NULL, .matches = REC_NULL, .how = pub(f, "gone"),
	    .when = at_ms(112));
	put(f, INTERPOSITION, interposition, .process = 1, .kind = pub(f, "rebound"),
	    .place = pub(f, "keystone.api.auth.AuthTokenResource.get"), .module = 2, .by = 4,
	    .detail = pub(f, "validate"), .when = at_ms(120));
	put(f, INTERPOSITION, interposition, .process = 1, .kind = pub(f, "preload"),
	    .place = pub(f, "LD_PRELOAD"), .module = REC_NULL, .by = 1, .detail = REC_EMPTY,
	    .when = at_ms(121));
}

/* For cmocka: a fixture that is open. */
static inline int fixture_setup(void **state)
{
	struct fixture *f = malloc(sizeof(*f));

	assert_non_null(f);
	fixture_open(f);
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	fixture_release(*state);
	free(*state);
	return 0;
}

/* A test with such a fixture as its state. */
#define fixture_test(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

#endif
