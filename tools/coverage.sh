#!/bin/sh
# Line coverage by file from a build tree made with COVERAGE=1.
cd "$(dirname "$0")/.." || exit 1
find "$1" -name '*.gcda' -path '*userspace*' -print0 | xargs -0 gcov -n -s "$PWD" -r 2>/dev/null |
	awk '/^File/ {f=$2} /^Lines/ {sub("Lines executed:", ""); print $0, f}' | sort -t% -k1,1n
