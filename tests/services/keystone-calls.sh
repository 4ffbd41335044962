#!/bin/bash
# A real keystone: 20 token issues and 200 validations, 4 at a time, some refused. The calls of the
# bundle are those of the client, nothing is lost, validations show keystone's own code, every
# module is identified, and the report says that the code is as packaged.
set -eu
. "$(dirname "$0")/keystone-lib.sh"
DIR=$(mktemp -d)
trap 'keystone_cleanup "$DIR"' EXIT
trap 'exit 143' TERM INT
BUNDLE=$DIR/keystone.daylight
check() {
	"$PYTHON" "$SERVICES_DIR/check.py" "$@" || fail "check.py $1"
}

keystone_need "$DIR"
keystone_prepare "$DIR/keystone"
keystone_start
collect_start "$BUNDLE" --port "$KEYSTONE_PORT"
keystone_drive "$DIR/client.jsonl"
collect_stop
keystone_stop
[ "$COLLECT_CODE" = 0 ] || fail "collect ended with exit code $COLLECT_CODE: $(tail -n 3 "$BUNDLE.log")"

"$DAYLIGHT" verify "$BUNDLE" >"$DIR/verify.txt" || fail "verify: $(cat "$DIR/verify.txt")"
zstd -q -t "$BUNDLE" || fail "zstd -t does not pass"
"$DAYLIGHT" inspect "$BUNDLE" --json >"$DIR/summary.json"
"$DAYLIGHT" inspect "$BUNDLE" calls --jsonl >"$DIR/calls.jsonl"
"$DAYLIGHT" inspect "$BUNDLE" modules --jsonl >"$DIR/modules.jsonl"
[ "$(wc -l <"$DIR/client.jsonl")" = 220 ] || fail "the client did not do 220 calls"
check calls "$DIR/calls.jsonl" "$DIR/client.jsonl"
check lost "$DIR/summary.json"
check handlers "$DIR/calls.jsonl"
check modules "$DIR/modules.jsonl"
section=$(keystone_section "$BUNDLE" "$DIR/report.json")
# "memory" is the stronger one: what ran was compared with the .pyc as well.
case $section in
"observed-as-packaged file+pyc" | "observed-as-packaged memory") ;;
*) fail "auth (v3) API is '$section'" ;;
esac
echo "SHOW 220 calls equal, nothing lost; auth (v3) API: $section;" \
	"$(wc -l <"$DIR/modules.jsonl") modules; $(stat -c %s "$BUNDLE") bytes"
