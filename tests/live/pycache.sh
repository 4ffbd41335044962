#!/bin/bash
# A service whose interpreter keeps compiled files elsewhere: that is said, and nothing is proven.
# The same service without it: its compiled files are looked for beside the sources.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

# hows FILE: how the compiled files of modules were looked at, one a line.
hows() {
	local id
	for id in $(seq 200); do
		"$DAYLIGHT" inspect "$1" record pyc "$id" --json 2>/dev/null || break
	done | "$PYTHON" -c '
import json, sys
text, at, decoder = sys.stdin.read(), 0, json.JSONDecoder()
while text[at:].strip():
    record, end = decoder.raw_decode(text[at:].lstrip())
    at = len(text) - len(text[at:].lstrip()) + end
    print(record["how"], record["proven"])'
}

for prefix in "" "$WORK/cache"; do
	file=$WORK/bundle${prefix:+-elsewhere}.daylight
	PYTHONPYCACHEPREFIX=$prefix live_threads "pycache${prefix:+-elsewhere}"
	collect_start "$file" --port "$PORT"
	live_client "$file.client" --conversations 6 --mix plain --pace 20
	collect_stop
	server_stop "$SERVER"
	collect_ended 0 "$file"
	hows "$file" >"$file.hows"
	[ -s "$file.hows" ] || fail "no compiled file was looked for"
	if [ -n "$prefix" ]; then
		! grep -v '^elsewhere None$' "$file.hows" || fail "not all are elsewhere"
		zstd -dcq "$file" | grep -qa "$WORK/cache" && fail "the folder's name is in the bundle"
	else
		grep -q '^elsewhere' "$file.hows" && fail "nothing is elsewhere"
		grep -q '^open True$' "$file.hows" || fail "nothing was proven: $(sort "$file.hows" | uniq -c)"
	fi
	sort "$file.hows" | uniq -c
done
exit 0
