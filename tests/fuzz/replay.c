/* Feeds every file of tests/fuzz/corpus/NAME to a fuzz target, without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	size_t len;

	if (!f)
		return -1;
	data = malloc(1 << 20);
	len = data ? fread(data, 1, 1 << 20, f) : 0;
	fclose(f);
	if (data)
		LLVMFuzzerTestOneInput(data, len);
	free(data);
	return data ? 0 : -1;
}

int main(int argc, char **argv)
{
	const char *name = strstr(argv[0], "replay_");
	char dir[512], path[1024];
	struct dirent *e;
	int files = 0;
	DIR *d;

	if (argc > 1)
		return replay_file(argv[1]) ? 1 : 0;
	snprintf(dir, sizeof(dir), "tests/fuzz/corpus/%s", name ? name + 7 : "");
	d = opendir(dir);
	if (!d) {
		fprintf(stderr, "%s: no corpus; run from the top of the tree\n", dir);
		return 1;
	}
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (replay_file(path)) {
			fprintf(stderr, "%s: cannot be read\n", path);
			return 1;
		}
		files++;
	}
	closedir(d);
	printf("%d inputs replayed\n", files);
	return files ? 0 : 1;
}
