#!/bin/sh
# Line coverage by file, the least first, and of all, from a build tree made with COVERAGE=1.
cd "$(dirname "$0")/.." || exit 1
find "$1" -name '*.gcda' -path '*userspace*' -print0 | xargs -0 gcov -n -s "$PWD" -r 2>/dev/null |
	awk '/^File/ { file = $2 }
		/^Lines/ && file {
			sub("Lines executed:", "")
			print $0, file
			ran += $1 * $3 / 100
			lines += $3
			file = ""
		}
		END { if (lines) printf "%.2f%% of %d in all\n", 100 * ran / lines, lines }' |
	sort -t% -k1,1n
