#!/bin/bash
# A bundle of the sample service through every verb, whole, cut, altered, and written to a disk that
# fills or by a collector that is killed.
set -u
. "$(dirname "$0")/expect.bash"
need_collect
guideline=$ROOT_DIR/tools/demo/guideline.json
whole=$DIR/whole.daylight

# code WANTED COMMAND...: only the exit code counts; stdout goes to $DIR/stdout.
code() {
	local wanted=$1 code=0
	shift
	timeout 60 "$@" >"$DIR/stdout" 2>"$DIR/stderr" </dev/null || code=$?
	[ "$code" = "$wanted" ] ||
		fail "exit code $code instead of $wanted: $* ($(tail -n 1 "$DIR/stderr"))"
}

sample_start
"$DAYLIGHT" key new -o "$DIR/key.pem" --public "$DIR/key.pub" >/dev/null || fail "key new"
collect_start "$whole" --port "$SAMPLE_PORT" --sign "$DIR/key.pem"
sample_drive -o "$DIR/client.jsonl"
expect 2 "$whole" "$DAYLIGHT" collect --port "$SAMPLE_PORT" --duration 1s -o "$whole"
collect_stop
[ "$COLLECT_CODE" = 0 ] || fail "collect: exit code $COLLECT_CODE: $(tail -n 2 "$DIR/collect.log")"
code 0 "$DAYLIGHT" verify --key "$DIR/key.pub" "$whole"
grep -q ': intact, signed by ' "$DIR/stdout" || fail "not signed: $(head -n 1 "$DIR/stdout")"
code 0 zstd -q -t "$whole"
for view in summary calls processes modules functions stacks connections loss; do
	code 0 "$DAYLIGHT" inspect "$whole" "$view"
	[ -s "$DIR/stdout" ] || fail "inspect $view prints nothing"
	code 0 "$DAYLIGHT" inspect "$whole" "$view" --jsonl
	"$PYTHON" -c 'import json, sys
for line in sys.stdin: json.loads(line)' <"$DIR/stdout" || fail "inspect $view --jsonl is not JSON"
done
code 0 "$DAYLIGHT" inspect "$whole" record window 1
code 2 "$DAYLIGHT" inspect "$whole" record window 99
code 2 "$DAYLIGHT" inspect "$whole" record bogus 1

# The sample's routes hide the ids in its paths; all else is equal to what the client did.
code 0 "$DAYLIGHT" inspect "$whole" calls --jsonl
"$PYTHON" - "$DIR/stdout" "$DIR/client.jsonl" <<'END' || fail "the calls are not the client's"
import collections, json, re, sys

def kept(path):
    path = re.sub("^/v1/places/[^/]+/hours/[^/]+$", "/v1/places/{place}/hours/{day}", path)
    return re.sub("^/v1/alarms/[^/]+$", "/v1/alarms/{alarm_id}", path)

def count(name, path):
    with open(name, encoding="utf-8") as file:
        return collections.Counter((c["method"], path(c["path"]), c["status"], c["request_id"])
                                   for c in map(json.loads, file))

got, did = count(sys.argv[1], str), count(sys.argv[2], kept)
print("only the client:", did - got, "only the bundle:", got - did)
sys.exit(got != did or len(did) < 50)
END

code 0 "$DAYLIGHT" analyze "$whole" --guideline "$guideline" \
	--reference "$ROOT_DIR/tools/demo/reference.json" -o "$DIR/report.json"
status() {
	"$PYTHON" -c 'import json, sys
for s in json.load(open(sys.argv[1]))["sections"]:
    if s["section"] == sys.argv[2]: print(s["status"])' "$DIR/report.json" "$1"
}
for section in "hours API" "alarms API" "request handling" "store driver"; do
	[ "$(status "$section")" = observed-unmodified ] || fail "$section: $(status "$section")"
done
# Called by nobody: whatever is known of its presence, it is not "observed".
case $(status "calendar API") in
loaded | not-observed) ;;
*) fail "calendar API: $(status "calendar API")" ;;
esac

# Guidelines that are none.
mkfifo "$DIR/fifo"
expect 2 "$DIR/fifo" "$DAYLIGHT" analyze "$whole" --guideline "$DIR/fifo"
expect 2 "$DIR/none" "$DAYLIGHT" analyze "$whole" --guideline "$DIR/none"
head -c 300 "$guideline" >"$DIR/half.json"
expect 2 "$DIR/half.json" "$DAYLIGHT" analyze "$whole" --guideline "$DIR/half.json"
sed 's/"schema": "2.0"/"schema": "9.9"/' "$guideline" >"$DIR/new.json"
expect 2 "schema" "$DAYLIGHT" analyze "$whole" --guideline "$DIR/new.json"
expect 2 "$DIR/half.json" "$DAYLIGHT" analyze "$whole" --guideline "$guideline" \
	--reference "$DIR/half.json"
code 2 "$DAYLIGHT" analyze "$whole" --guideline "$guideline" -o "$DIR/none/report.json"

# Cut: what is there is read, and everyone says that it ends early.
size=$(stat -c %s "$whole")
head -c $((size * 2 / 3)) "$whole" >"$DIR/cut.daylight"
code 4 "$DAYLIGHT" verify "$DIR/cut.daylight"
code 4 "$DAYLIGHT" inspect "$DIR/cut.daylight"
code 4 "$DAYLIGHT" analyze "$DIR/cut.daylight" --guideline "$guideline" -o "$DIR/cut.json"
[ -s "$DIR/cut.json" ] || fail "no report of a cut bundle"

# One bit in the middle.
cp "$whole" "$DIR/altered.daylight"
"$PYTHON" -c 'import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2])); b = f.read(1)[0]; f.seek(int(sys.argv[2])); f.write(bytes([b ^ 1]))' \
	"$DIR/altered.daylight" $((size / 2))
code 1 "$DAYLIGHT" verify "$DIR/altered.daylight"
code 1 "$DAYLIGHT" analyze "$DIR/altered.daylight" --guideline "$guideline" -o "$DIR/altered.json"

# A collector that is killed leaves what was durable.
collect_start "$DIR/killed.daylight" --port "$SAMPLE_PORT" --sign "$DIR/key.pem"
sample_drive
sleep 2.5
kill -KILL "$COLLECT_PID"
wait "$COLLECT_PID" 2>/dev/null
COLLECT_PID=''
code 4 "$DAYLIGHT" verify "$DIR/killed.daylight"
code 4 "$DAYLIGHT" inspect "$DIR/killed.daylight" calls --jsonl
[ "$(wc -l <"$DIR/stdout")" -ge 50 ] || fail "killed: $(wc -l <"$DIR/stdout") calls are left"
# It was to be signed, and whoever goes on with it signs it.
expect 2 "to be signed" "$DAYLIGHT" collect --resume "$DIR/killed.daylight"
: >"$DIR/collect.log"
"$DAYLIGHT" collect --resume "$DIR/killed.daylight" --sign "$DIR/key.pem" \
	>"$DIR/collect.log" 2>&1 </dev/null &
COLLECT_PID=$!
wait_collecting "$DIR/collect.log"
collect_stop
code 0 "$DAYLIGHT" verify --key "$DIR/key.pub" "$DIR/killed.daylight"

# A disk that fills: exit code 4, and what fitted is kept.
mkdir "$DIR/small"
cat >"$DIR/full" <<'END'
mount -t tmpfs -o size=64k none "$2/small" || exit 99
"$1" collect -o "$2/small/full.daylight" --port "$3" >"$2/full.log" 2>&1 &
pid=$!
echo $pid >"$2/full.pid"
trap 'kill -INT $pid' INT TERM
wait $pid
code=$?
while kill -0 $pid 2>/dev/null; do wait $pid; code=$?; done
cp "$2/small/full.daylight" "$2/full.daylight"
exit $code
END
unshare --mount --propagation private sh "$DIR/full" "$DAYLIGHT" "$DIR" "$SAMPLE_PORT" \
	2>"$DIR/full.err" </dev/null &
COLLECT_PID=$!
: >>"$DIR/full.log"
wait_collecting "$DIR/full.log"
for _ in 1 2 3 4 5 6; do sample_drive; done
sleep 1.5
collect_stop
[ "$COLLECT_CODE" = 4 ] || fail "full disk: exit code $COLLECT_CODE: $(tail -n 2 "$DIR/full.log")"
code 4 "$DAYLIGHT" verify "$DIR/full.daylight"
finish
