#!/bin/bash
# A real keystone, warmed up by a few hundred calls so that its code is specialised: the code in
# memory of every function that was seen has the digest of its compiled file, all of them. Only the
# code of modules, which the interpreter lets go of once it has run, may be gone.
set -eu
. "$(dirname "$0")/keystone-lib.sh"
DIR=$(mktemp -d)
trap 'keystone_cleanup "$DIR"' EXIT
trap 'exit 143' TERM INT
BUNDLE=$DIR/keystone.daylight

keystone_need "$DIR"
keystone_prepare "$DIR/keystone"
keystone_start
keystone_drive "$DIR/warm.jsonl"
collect_start "$BUNDLE" --port "$KEYSTONE_PORT"
keystone_drive "$DIR/client.jsonl"
collect_stop
keystone_stop
[ "$COLLECT_CODE" = 0 ] || fail "collect ended with exit code $COLLECT_CODE: $(tail -n 3 "$BUNDLE.log")"
"$PYTHON" "$SERVICES_DIR/../live/memory_check.py" "$BUNDLE" --at-least 400 --may '<module>=gone' ||
	fail "not all functions are in memory as in their compiled files"
