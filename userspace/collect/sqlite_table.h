/*
 * Reads all rows of one table of an SQLite 3 database file: pages, b-trees, overflow chains,
 * records; no indexes, no SQL, no write-ahead log. The file is hostile: each page is read at most
 * once, everything is bounded.
 */
#ifndef DAYLIGHT_COLLECT_SQLITE_TABLE_H
#define DAYLIGHT_COLLECT_SQLITE_TABLE_H

#include <stddef.h>
#include <stdint.h>

/*
 * fd: a regular file of `size` bytes. For each row of the table: the bytes of its column (from 0)
 * when it holds text or a blob, in no order; of other rows nothing is told. The bytes are gone when
 * the call returns. What is not 0 ends it. 0; -1: no such table, a damaged file, a row of more than
 * row_max bytes, memory is short, or `row` ended it.
 */
int sqlite_table_read(int fd, uint64_t size, const char *table, unsigned int column,
		      uint32_t row_max, int (*row)(void *ctx, const uint8_t *data, size_t len),
		      void *ctx);

#endif
