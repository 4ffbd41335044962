/*
 * taps_count BPF_OBJECT PID LIBRARY MAJOR MINOR: finds the taps of an interpreter, attaches to
 * them, says so, and when standard input ends prints what passed, one JSON document. Exit code 3:
 * there are no taps; it says why.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalog/catalog.h"
#include "collect/taps.h"
#include "taps_count.h"

static int give_up(const char *what)
{
	fprintf(stderr, "taps_count: %s\n", what);
	return 1;
}

static void print_counts(pid_t pid, int counts, int others)
{
	uint32_t key = 0, *before = NULL, next;
	uint64_t n = 0;
	const char *comma = "";

	printf("{\"counts\": {");
	while (!bpf_map_get_next_key(counts, before, &next)) {
		struct taps_count value;

		key = next;
		before = &key;
		if (bpf_map_lookup_elem(counts, &key, &value))
			continue;
		printf("%s\"%u\": [%llu, %llu]", comma, key, value.starts, value.resumes);
		comma = ", ";
	}
	key = TAPS_UNREADABLE;
	bpf_map_lookup_elem(others, &key, &n);
	printf("}, \"unreadable\": %llu", (unsigned long long)n);
	key = TAPS_IGNORED;
	bpf_map_lookup_elem(others, &key, &n);
	printf(", \"ignored\": %llu, \"stepped\": %d}\n", (unsigned long long)n, taps_stepped(pid));
}

static int set_rules(int map, const struct taps *taps, const struct python_layout *layout)
{
	const struct python_taps *know = taps->know;
	struct taps_rules r = { .by_entry = know->kind == PYTHON_TAPS_ENTRY,
				.throw_reg = taps->throw_reg,
				.frame_at = (uint64_t)know->frame_at,
				.frame_code = (uint64_t)layout->frame_code,
				.code_firstlineno = (uint64_t)layout->code_firstlineno };
	uint32_t zero = 0;

	for (size_t i = 0; i < sizeof(r.opcodes) && know->opcodes_count; i++)
		r.opcodes[i] = know->opcodes[i < know->opcodes_count ? i : 0];
	return bpf_map_update_elem(map, &zero, &r, BPF_ANY);
}

static void print_taps(const struct taps *taps)
{
	printf("taps");
	for (size_t i = 0; i < taps->count; i++)
		printf(" %#llx:%u", (unsigned long long)taps->at[i].offset, taps->at[i].frame_reg);
	printf("\n");
	fflush(stdout);
}

static int count(const char *path, pid_t pid, const struct taps *taps,
		 const struct python_layout *layout)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;
	char file[64], c;

	if (!object || bpf_object__load(object))
		return give_up("the BPF object cannot be loaded");
	program = bpf_object__find_program_by_name(object, "tapped");
	if (set_rules(bpf_object__find_map_fd_by_name(object, "rules"), taps, layout))
		return give_up("the rules cannot be set");
	snprintf(file, sizeof(file), "/proc/self/fd/%d", taps->fd);
	for (size_t i = 0; i < taps->count; i++) {
		LIBBPF_OPTS(bpf_uprobe_opts, opts, .bpf_cookie = taps->at[i].frame_reg);

		if (!bpf_program__attach_uprobe_opts(program, pid, file, taps->at[i].offset, &opts))
			return give_up("a tap cannot be attached");
	}
	print_taps(taps);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	print_counts(pid, bpf_object__find_map_fd_by_name(object, "counts"),
		     bpf_object__find_map_fd_by_name(object, "others"));
	return 0;
}

/* Exit code 3: no taps, and why. */
static int look(const char *path, pid_t pid, const struct catalog *catalog)
{
	struct python_runtime runtime;
	struct taps taps;
	int ret;

	python_find(pid, catalog, &runtime);
	if (taps_find(pid, &runtime, &taps)) {
		fprintf(stderr, "no taps: %s; runtime: %s\n", taps.why,
			runtime.why[0] ? runtime.why : runtime.version);
		ret = 3;
	} else {
		ret = count(path, pid, &taps, &runtime.live);
	}
	taps_release(&taps);
	return ret;
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	struct catalog *catalog;
	int ret;

	if (argc != 3)
		return give_up("usage: taps_count BPF_OBJECT PID");
	catalog = catalog_load(NULL, &err);
	if (!catalog)
		return give_up(err.text);
	ret = look(argv[1], (pid_t)strtol(argv[2], NULL, 10), catalog);
	catalog_free(catalog);
	return ret;
}
