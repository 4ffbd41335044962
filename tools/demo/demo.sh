#!/bin/bash
# The whole way once, on the sample service: start it, collect while calls are driven through it,
# verify the bundle, analyze it, show the report. Called by `make demo`; needs root.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
DAYLIGHT=${DAYLIGHT:-$HERE/../../build/daylight}
PYTHON=/usr/bin/python3
DAYLIGHT=$(realpath -m "$DAYLIGHT")
OUT=$(dirname "$DAYLIGHT")/demo
SERVICE_PID='' COLLECT_PID='' TMP=''

say() {
	printf '\n== %s\n' "$*"
}

give_up() {
	echo "demo: $*" >&2
	exit 1
}

# Everything that was started here ends here, on every path.
clean_up() {
	local pid
	for pid in $COLLECT_PID $SERVICE_PID; do
		kill -TERM "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	[ -z "$TMP" ] || rm -rf "$TMP"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

[ "$(id -u)" = 0 ] || give_up "eBPF needs root: run 'sudo make demo'"
[ -x "$DAYLIGHT" ] || give_up "no program at $DAYLIGHT: run 'make demo'"
TMP=$(mktemp -d)
if ! "$DAYLIGHT" doctor >"$TMP/doctor" 2>&1; then
	cat "$TMP/doctor" >&2
	give_up "this machine cannot collect; doctor's answer stands above"
fi
mkdir -p "$OUT"
rm -f "$OUT"/sample.daylight "$OUT"/report.json "$OUT"/report.txt "$OUT"/calls.jsonl

say "starting the sample service (tools/demo/sundial)"
umask 077
"$PYTHON" -c 'import secrets; print(secrets.token_hex(16))' >"$TMP/token"
umask 022
PORT=$("$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
(cd "$HERE" && exec "$PYTHON" -B -m sundial --port "$PORT" --data "$TMP") &
SERVICE_PID=$!
"$PYTHON" "$HERE/drive.py" "$PORT" none --wait
echo "process $SERVICE_PID and its workers serve 127.0.0.1:$PORT"

say "daylight collect --port $PORT -o $OUT/sample.daylight"
: >"$OUT/collect.log"
"$DAYLIGHT" collect --port "$PORT" --label service=sundial -o "$OUT/sample.daylight" \
	>"$OUT/collect.log" 2>&1 </dev/null &
COLLECT_PID=$!
for _ in $(seq 300); do
	! grep -q '^collecting:' "$OUT/collect.log" || break
	if ! kill -0 "$COLLECT_PID" 2>/dev/null; then
		COLLECT_PID=''
		cat "$OUT/collect.log" >&2
		give_up "collect ended before it had started to collect"
	fi
	sleep 0.1
done
grep -q '^collecting:' "$OUT/collect.log" || give_up "collect is not ready after 30 s"

echo "driving calls: $("$PYTHON" "$HERE/drive.py" "$PORT" "$(cat "$TMP/token")" --pause 0.03 \
	-o "$OUT/calls.jsonl")"
kill -INT "$COLLECT_PID"
code=0
wait "$COLLECT_PID" || code=$?
COLLECT_PID=''
cat "$OUT/collect.log"
case $code in
0) ;;
4) echo "collect says that something was lost; the report will say so too" ;;
*) give_up "collect ended with exit code $code" ;;
esac

say "daylight verify $OUT/sample.daylight"
"$DAYLIGHT" verify "$OUT/sample.daylight"

say "daylight analyze $OUT/sample.daylight --guideline ... --reference ..."
code=0
"$DAYLIGHT" analyze "$OUT/sample.daylight" --guideline "$HERE/guideline.json" \
	--reference "$HERE/reference.json" -o "$OUT/report.json" >"$OUT/report.txt" || code=$?
[ "$code" = 0 ] || [ "$code" = 4 ] || give_up "analyze ended with exit code $code"
cat "$OUT/report.txt"

say "what came out"
cat <<-END
	$OUT/sample.daylight   the evidence bundle; look into it with
	    $DAYLIGHT inspect $OUT/sample.daylight
	    $DAYLIGHT inspect $OUT/sample.daylight calls
	$OUT/report.json       the report for programs
	$OUT/report.txt        the report that stands above
	$OUT/calls.jsonl       what the client did, to compare with
END
