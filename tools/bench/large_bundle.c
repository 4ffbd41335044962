/*
 * Writes a bundle of any number of sightings, as a busy service leaves them: 100 for each call,
 * a context for each, a pool of stacks, deep spans now and then. For tools/bench/inspect.sh and
 * tests/cli/large.sh.
 *
 *     large_bundle FILE SIGHTINGS
 *
 * The last line it prints is "CALLS DEEP COUNT": calls, those of them that are deep, and the sum of
 * the sightings' counts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "bundle/writer.h"

#define MODULES 200
#define FUNCTIONS 2000
#define STACKS 5000
#define DEPTH 40
#define INNER 4 /* frames in which stacks differ */
#define NEAR 10 /* stacks that a call uses */
#define PER_CALL 100

static struct bundle_writer *writer;
static uint64_t state = 88172645463325252ULL, lost;

static uint64_t random_below(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

#define put(KIND, name, ...)                                                                \
	({                                                                                  \
		struct rec_##name r_ = { .id = bundle_writer_id(writer, REC_##KIND##_KIND), \
					 __VA_ARGS__ };                                     \
		/* The queue to the disk may be full for a moment. */                       \
		while (bundle_writer_put(writer, REC_##KIND##_KIND, &r_) && lost++ < 1000)  \
			usleep(10000);                                                      \
		r_.id;                                                                      \
	})

static uint64_t text(const char *format, uint64_t n)
{
	char out[128];

	snprintf(out, sizeof(out), format, n);
	return bundle_writer_text(writer, out, STRING_PUBLIC);
}

static void put_code(void)
{
	uint64_t frames[DEPTH];

	for (uint64_t i = 0; i < MODULES; i++)
		put(MODULE, module, .kind = MODULE_FILE, .language = LANGUAGE_PYTHON,
		    .path = text("/usr/lib/python3/dist-packages/service/part_%" PRIu64 ".py", i));
	for (uint64_t i = 0; i < FUNCTIONS; i++)
		put(FUNCTION, function, .module = 1 + i % MODULES, .name = text("do_%" PRIu64, i),
		    .qualname = text("Manager.do_%" PRIu64, i), .line = 10 + i, .offset = REC_NULL);
	for (uint64_t i = 0; i < STACKS; i++) {
		for (size_t j = 0; j < DEPTH; j++)
			frames[j] = j < INNER ? 1 + random_below(FUNCTIONS) : j;
		put(STACK, stack, .process = 1, .frames = { frames, DEPTH });
	}
	for (uint64_t i = 0; i < FUNCTIONS; i++) { /* stacks STACKS + 1 ...: entered */
		frames[0] = i + 1;
		put(STACK, stack, .process = 1, .frames = { frames, 1 }, .partial = 1);
	}
}

/* The call's number decides: the last of each hundred is deep. Returns the sum of the counts. */
static uint64_t put_call(uint64_t n)
{
	uint64_t start = clock_monotonic(), context, call, sum = 0;
	bool deep = n % 100 == 99;

	context = put(CONTEXT, context, .process = 1, .thread = 4001,
		      .flow = 0x7f0000000000 + n * 64, .generation = 1, .start = start);
	for (uint64_t i = 0; i < PER_CALL; i++) {
		uint64_t count = 1 + random_below(9), at = clock_monotonic();

		put(SIGHTING, sighting, .context = context,
		    .stack = deep ? STACKS + 1 + random_below(FUNCTIONS)
				  : 1 + (n * NEAR + random_below(NEAR)) % STACKS,
		    .source = deep ? SOURCE_DEEP : SOURCE_SOCKET, .first = at, .last = at,
		    .count = count);
		sum += count;
	}
	call = put(CALL, call, .process = 1, .connection = 1, .seq = n + 1,
		   .protocol = text("http/1.1", 0), .method = text("GET", 0),
		   .path = text("/v3/items/{id}", 0), .service = text("service", 0),
		   .route = text("items-%" PRIu64, n % 10), .status = n % 1000 ? 200 : 500,
		   .start = start, .first_byte = start, .end = clock_monotonic(),
		   .request_bytes = 300, .response_bytes = 4000,
		   .request_id = text("req-%032" PRIu64, n), .host = REC_NULL);
	put(BINDING, binding, .context = context, .call = call, .from = start,
	    .until = clock_monotonic(), .link = LINK_FLOW);
	if (deep)
		put(DEEP, deep, .process = 1, .from = start, .until = clock_monotonic(),
		    .reason = text("duty", 0));
	bundle_writer_tick(writer, clock_monotonic());
	return sum;
}

int main(int argc, char **argv)
{
	const struct bundle_writer_options options = { .force = true };
	uint64_t calls, sum = 0;
	struct clock_triple now;
	struct err err = ERR_INIT;

	if (argc != 3)
		return 2;
	calls = strtoull(argv[2], NULL, 10) / PER_CALL;
	writer = bundle_writer_open(argv[1], &options, &err);
	if (!writer)
		goto fail;
	clock_read(&now);
	put(WINDOW, window, .window = text("window", 0), .challenge = REC_NULL,
	    .monotonic = now.monotonic, .boottime = now.boottime, .realtime = now.realtime,
	    .host = text("large", 0));
	put(PROCESS, process, .pid = 4001, .start = now.boottime, .parent = REC_NULL, .exe = 1,
	    .seen = now.monotonic);
	put(CONNECTION, connection, .process = 1, .opened = now.monotonic);
	put_code();
	for (uint64_t n = 0; n < calls; n++)
		sum += put_call(n);
	clock_read(&now);
	put(WINDOW_END, window_end, .monotonic = now.monotonic, .boottime = now.boottime,
	    .realtime = now.realtime);
	if (bundle_writer_close(writer, &err))
		goto fail;
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", calls, calls / 100, sum);
	return lost ? 3 : 0;
fail:
	fprintf(stderr, "%s\n", err.text);
	return 1;
}
