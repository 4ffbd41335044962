#!/bin/bash
# What inspect and verify say of the bundles of tests/golden/bundles, and the same calls from the
# second reader. GOLDEN_ADD=1 writes expected files and digests where there are none.
set -u
. "$(dirname "$0")/expect.bash"
cd "$ROOT_DIR/tests/golden/bundles" || exit 1
codes=expected/codes

for file in *.daylight; do
	name=${file%.daylight}
	inspected=0 verified=0 second=0
	timeout 20 "$DAYLIGHT" inspect "$file" calls --jsonl >"$DIR/calls.jsonl" 2>"$DIR/err" ||
		inspected=$?
	timeout 20 "$DAYLIGHT" inspect "$file" summary --json >"$DIR/summary.json" 2>>"$DIR/err" ||
		[ $? = "$inspected" ] || fail "$name: calls and summary differ in their exit codes"
	timeout 20 "$DAYLIGHT" verify "$file" --json >"$DIR/verify.json" 2>>"$DIR/err" || verified=$?
	timeout 20 "$PYTHON" -B ../../cli/second_reader.py "$file" >"$DIR/second" 2>>"$DIR/err" ||
		second=$?
	if [ "${GOLDEN_ADD:-}" = 1 ] && ! grep -q "^$name " "$codes"; then
		echo "$name $inspected $verified" >>"$codes"
		sha256sum "$file" >>SHA256SUMS
		for what in calls.jsonl summary.json verify.json; do
			cp "$DIR/$what" "expected/$name.$what"
		done
	fi
	grep -qx "$name $inspected $verified" "$codes" ||
		fail "$name: exit codes $inspected $verified: not as in $codes"
	[ $second = $inspected ] || fail "$name: the second reader's exit code is $second"
	"$PYTHON" -B - "expected/$name" "$DIR" <<'END' || fail "$name"
import json
import sys


def load(path):
    text = open(path).read()
    return [json.loads(line) for line in text.splitlines()] if path.endswith("l") else \
        json.loads(text) if text else None


def differs(want, got, where):
    """Where they do; what is wanted may lack keys."""
    if isinstance(want, dict) and isinstance(got, dict):
        return next((d for k in want for d in [differs(want[k], got.get(k, "no such key"),
                                                       f"{where}.{k}")] if d), None)
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        return next((d for i, w in enumerate(want)
                     for d in [differs(w, got[i], f"{where}[{i}]")] if d), None)
    return None if want == got else f"{where}: {got} instead of {want}"


expected, now = sys.argv[1:]
bad = [differs(load(f"{expected}.{what}"), load(f"{now}/{what}"), what)
       for what in ("calls.jsonl", "summary.json", "verify.json")]
rows = load(f"{now}/calls.jsonl")
for row in rows:
    for key in "evidence", "caller", "caller_by":
        del row[key]
    for hop in row["hops"]:
        del hop["note"], hop["peer"]
with open(f"{now}/second") as f:
    second = [json.loads(line) for line in f]
if rows != second:
    bad.append(f"the second reader: {second}\ninspect: {rows}")
for line in filter(None, bad):
    print(line)
sys.exit(any(bad))
END
done

# What was written once stays as it is.
sha256sum --quiet -c SHA256SUMS || fail "golden bundles have changed"
cut -d' ' -f3 SHA256SUMS | sort >"$DIR/sums"
find . -name '*.daylight' -printf '%P\n' | sort | cmp -s - "$DIR/sums" ||
	fail "SHA256SUMS does not list the bundles"
# Nothing is expected of a bundle that is not there.
while read -r name _; do
	[ -f "$name.daylight" ] || fail "$name.daylight is gone"
done <"$codes"
[ "$(wc -l <"$codes")" -ge 25 ] || fail "$codes: bundles are gone"
finish
