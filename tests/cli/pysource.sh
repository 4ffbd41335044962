#!/bin/bash
# The source digests against a second implementation, on Python files of this host: about 100 of
# them, or PYSOURCE_FILES=N, or PYSOURCE_FILES=all. PYSOURCE_PYTHON: another interpreter, with the
# files of its own library.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
python=${PYSOURCE_PYTHON:-/usr/bin/python3}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$root" || exit 1
"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -Iuserspace -include userspace/base/banned.h -O1 -g \
	-fsanitize=address,undefined -fno-sanitize-recover=all -o "$work/print" \
	tests/cli/pysource_print.c userspace/catalog/py{source,string,text,tokens}.c \
	userspace/base/{bytes,digest}.c -lcrypto || exit 1

library=$("$python" -c 'import os; print(os.path.dirname(os.__file__))') || exit 1
places=("$library")
[ "$python" != /usr/bin/python3 ] || places+=(/usr/lib/python3)
find "${places[@]}" -name '*.py' ! -path '*[[:space:]]*' | LC_ALL=C sort >"$work/all"
count=$(wc -l <"$work/all") want=${PYSOURCE_FILES:-100}
[ "$want" = all ] && want=$count
[ "$count" -gt 0 ] || { echo "no Python files below $library"; exit 1; }
awk -v step="$((count / want > 0 ? count / want : 1))" 'NR % step == 0' "$work/all" >"$work/some"
printf '%s\n' tests/fuzz/corpus/pysource/{decorated,nested,formatted,old,new} >>"$work/some"
"$work/print" <"$work/some" >"$work/said" || exit 1
"$python" tests/cli/pysource_check.py "$work/said" || exit 1

# It can fail: a wrong digest is found.
sed '0,/^[0-9]/s/^\([0-9]*\t[0-9]*\t[^\t]*\t\)./\1x/' "$work/said" >"$work/wrong"
if cmp -s "$work/said" "$work/wrong" ||
	"$python" tests/cli/pysource_check.py "$work/wrong" >"$work/out"; then
	echo "a wrong digest is not found"
	exit 1
fi
exit 0
