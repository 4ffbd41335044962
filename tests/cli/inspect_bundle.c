/*
 * Writes the fixed bundle of the unit tests to the path given, for the tests of the command line.
 * With a second argument: also the end of process 1, and more causes of loss than a line holds.
 */
#include "../unit/trace_fixture.h"

static void more(struct fixture *f)
{
	char cause[32];

	put(f, PROCESS_END, process_end, .process = 1, .time = at_ms(50001), .exit_code = 3 << 8);
	for (int i = 1; i <= 12; i++) {
		snprintf(cause, sizeof(cause), "some-cause-%d", i);
		put(f, LOSS, loss, .time = at_ms(900), .stage = pub(f, "events"),
		    .class = LOSS_SKIPPED, .cause = pub(f, cause), .count = (uint64_t)i);
	}
}

int main(int argc, char **argv)
{
	struct bundle_writer_options options = { .force = true };
	struct err err = ERR_INIT;
	struct fixture f = { 0 };

	if (argc != 2 && argc != 3)
		return 2;
	f.w = bundle_writer_open(argv[1], &options, &err);
	if (f.w) {
		fixture_host(&f);
		fixture_calls(&f);
		fixture_code(&f);
		if (argc == 3)
			more(&f);
		fixture_window_end(&f);
		if (!bundle_writer_close(f.w, &err))
			return 0;
	}
	fprintf(stderr, "%s\n", err.text);
	return 1;
}
