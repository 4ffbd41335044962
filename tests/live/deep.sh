#!/bin/bash
# Deep calls have exactly the functions that ran for them: none is missing, none is made up. The
# cases are easily missed or made up: generators that are made and never run, calls that the
# interpreter has specialised, addresses that 2,000 functions share, functions that C code calls.
# The truth is from a run of its own. Each route's first call of the window is deep. So under each
# interpreter of pyenv, and Debian's.
set -u
. "$(dirname "$0")/live-lib.sh"
. "$(dirname "$0")/deep-lib.sh"
live_begin
deep_begin

ROUTES=(generators:0:4:0.05 warmed:0:4:0.05 recursion:0:4:0.05 deepest:0:4:0.05 exceptions:0:4:0.05
	closures:0:4:0.05 classes:0:4:0.05 callbacks:0:4:0.05 drops:0:4:0.05 properties:0:4:0.05
	twins:0:4:0.05 reused:0:20:0.02)

# one PYTHON: $file and its truth are its
one() {
	local places
	# shellcheck disable=SC2034 # read by deep_server
	DEEP_PYTHON=$1
	rm -rf "$WORK/truth-plain"*
	deep_truth plain "${ROUTES[@]}"
	deep_server plain
	rm -f "$file"*
	deep_collect "$file" 20
	deep_client "$file" "${ROUTES[@]}"
	deep_stop "$file"
	deep_judge "$file" plain --files 100 --functions 100 --deep 4
	# However often a function started, it was sent once.
	"$PYTHON" - "$file.calls" <<-'PYTHON' || fail "functions of a call are there more than once"
		import json, sys
		with open(sys.argv[1]) as file:
		    found = [(f["count"], c["request_id"], f["qualname"]) for c in map(json.loads, file)
		             for f in c["functions"]
		             if f["sources"] == ["deep"] and "/deep_code" in f["path"]]
		print(len(found), [f for f in found if f[0] != 1][:5])
		sys.exit(len(found) < 300 or any(f[0] != 1 for f in found))
	PYTHON
	places=$(grep -c '^f.*made_' "$WORK/truth-plain/all.truth")
	[ "$places" -gt 200 ] || fail "only $places functions were made and called"
}

file=$WORK/plain
missing=
for version in 2.7 3.6 3.7 3.8 3.9 3.10 3.11 3.12 3.13; do
	found=
	for python in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
		[ -x "$python" ] || continue
		found=1
		echo "CPython $version"
		one "$python" >"$WORK/out" || {
			cat "$WORK/out"
			fail "CPython $version"
		}
		echo "SHOW CPython $version: exact on ${#ROUTES[@]} routes"
	done
	[ -n "$found" ] || missing="$missing $version"
done
one "$PYTHON"

# The check itself: one function more in the truth, one less.
sed -i 's/^c\treq-twins-1\t\(.*\)\t2\t\(.*\)$/c\treq-twins-1\t\1\t3\t\2 0/' "$WORK/truth-plain/all.truth"
(deep_judge "$file" plain --deep 4) >"$WORK/out" 2>&1 && fail "a missing function is not found"
grep -q "1 deep calls without" "$WORK/out" || fail "a missing function is not named"
if [ -n "$missing" ]; then
	echo "SHOW SKIP: not under pyenv:$missing"
	[ "${CI:-}" != true ] || fail "not under pyenv:$missing"
fi
exit 0
