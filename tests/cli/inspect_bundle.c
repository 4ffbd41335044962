/* Writes the fixed bundle of the unit tests to the path given, for the tests of the command line.
 */
#include "../unit/trace_fixture.h"

int main(int argc, char **argv)
{
	struct bundle_writer_options options = { .force = true };
	struct err err = ERR_INIT;
	struct fixture f = { 0 };

	if (argc != 2)
		return 2;
	f.w = bundle_writer_open(argv[1], &options, &err);
	if (f.w) {
		fixture_host(&f);
		fixture_calls(&f);
		fixture_window_end(&f);
		if (!bundle_writer_close(f.w, &err))
			return 0;
	}
	fprintf(stderr, "%s\n", err.text);
	return 1;
}
