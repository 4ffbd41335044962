/*
 * What the code of Python functions was in memory. A thread of its own reads each code object soon
 * after it was met, while it lives; at the end of the window all are read again, in every live
 * process of the memory image, and compared with the code that stands for their module.
 * Records: function_memory. What is compared with what: docs/evidence.md.
 */
#ifndef DAYLIGHT_COLLECT_FUNCTION_MEMORY_H
#define DAYLIGHT_COLLECT_FUNCTION_MEMORY_H

#include "base/digest.h"
#include "collect/pymemory.h"
#include "collect/session.h"
#include "wire.h"

struct module_files; /* module_files.h */
struct process; /* processes.h */

struct function_memory;

struct function_memory *function_memory_new(struct session *s, struct err *err);
void function_memory_free(struct function_memory *f);

/* A code object of a module that is a file was met: it is read as soon as may be. */
void function_memory_add(struct function_memory *f, const struct process *p, uint64_t module,
			 uint64_t function, const struct wire_code *code);
/*
 * The window is over: waits a little for what is not read yet, and reads all once more. Not
 * thorough: neither.
 */
void function_memory_look_again(struct function_memory *f, bool thorough);
/* Compares, and puts the records. Not thorough: nothing is compared. */
void function_memory_finish(struct function_memory *f, struct module_files *files, bool thorough);

/* ---- one reading, for function_compare.c ---- */

struct function_reading {
	uint64_t module, function, process;
	const struct function_item *item;
	const char *why; /* NULL: there is a digest */
	uint8_t digest[DIGEST_SIZE];
	uint64_t when;
};

struct function_item {
	uint64_t module, function;
	uint32_t process;
	uint32_t image; /* memory image: shared by forks */
	uint64_t address;
	uint64_t since; /* realtime ns: the oldest process that may have loaded it */
	unsigned int magic; /* of its interpreter */
	int optimize; /* level of the interpreter; -1: not known */
	const char *qualname; /* UTF-8; NULL: this version has none */
	size_t qualname_len;
	bool qualname_cut;
	struct pymemory_expected expected;
};

/* Sorts by module; compares and puts what there is to say of each function in each process, once.
 */
void function_compare(struct session *s, struct module_files *files,
		      struct function_reading *readings, size_t count, bool thorough);

#endif
