#!/bin/bash
# Deep calls have exactly the functions that ran for them: none is missing, none is made up. The
# cases are easily missed or made up: generators that are made and never run, calls that the
# interpreter has specialised, addresses that 2,000 functions share, functions that C code calls.
# The truth is from a run of its own. Each route's first call of the window is deep.
set -u
. "$(dirname "$0")/live-lib.sh"
. "$(dirname "$0")/deep-lib.sh"
live_begin
deep_begin

ROUTES=(generators:0:4:0.05 warmed:0:4:0.05 recursion:0:4:0.05 deepest:0:4:0.05 exceptions:0:4:0.05
	closures:0:4:0.05 classes:0:4:0.05 callbacks:0:4:0.05 drops:0:4:0.05 properties:0:4:0.05
	twins:0:4:0.05 reused:0:20:0.02)
deep_truth plain "${ROUTES[@]}"

deep_server plain
file=$WORK/plain
deep_collect "$file" 20
deep_client "$file" "${ROUTES[@]}"
deep_stop "$file"
deep_judge "$file" plain --files 100 --functions 100 --deep 4
places=$(grep -c '^f.*made_' "$WORK/truth-plain/all.truth")
[ "$places" -gt 200 ] || fail "only $places functions were made and called"

# The check itself: one function more in the truth, one less.
sed -i 's/^c\treq-twins-1\t\(.*\)\t2\t\(.*\)$/c\treq-twins-1\t\1\t3\t\2 0/' "$WORK/truth-plain/all.truth"
(deep_judge "$file" plain --deep 4) >"$WORK/out" 2>&1 && fail "a missing function is not found"
grep -q "1 deep calls without" "$WORK/out" || fail "a missing function is not named"
exit 0
