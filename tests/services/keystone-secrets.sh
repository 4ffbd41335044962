#!/bin/bash
# Secrets in every place where a keystone and its callers keep or send them: none, no part of one, in
# no encoding, is in the bundle.
set -eu
. "$(dirname "$0")/keystone-lib.sh"
DIR=$(mktemp -d)
trap 'keystone_cleanup "$DIR"' EXIT
trap 'exit 143' TERM INT
BUNDLE=$DIR/secrets.daylight
secrets() {
	local verb=$1
	shift
	"$PYTHON" "$SERVICES_DIR/planted.py" "$verb" "$DIR/secrets.json" "$@"
}

keystone_need "$DIR"
keystone_prepare "$DIR/keystone"
secrets make
keystone_password "$(secrets show password)"
# shellcheck disable=SC2034 # read by keystone_start
KEYSTONE_ARGS=(--set "one=$(secrets show argv)" "--set=two=$(secrets show argv_joined)")
# shellcheck disable=SC2034
KEYSTONE_ENV=("OS_TOKEN=$(secrets show environment)")
keystone_start
tr '\0' '\n' <"/proc/$KEYSTONE_PID/cmdline" | grep -q "two=$(secrets show argv_joined)" ||
	fail "the service's command line does not hold the planted secret"
collect_start "$BUNDLE" --port "$KEYSTONE_PORT"
secrets drive "$KEYSTONE_PORT" "$DIR/ids" || fail "the calls could not be driven"
collect_stop
keystone_stop
[ "$COLLECT_CODE" = 0 ] || fail "collect ended with exit code $COLLECT_CODE: $(tail -n 3 "$BUNDLE.log")"

# Every request was seen: otherwise nothing was there to leak.
"$DAYLIGHT" inspect "$BUNDLE" calls --jsonl >"$DIR/calls.jsonl"
while read -r id; do
	grep -qF "\"$id\"" "$DIR/calls.jsonl" || fail "no call with the request id $id in the bundle"
done <"$DIR/ids"
[ "$(wc -l <"$DIR/calls.jsonl")" = $(($(wc -l <"$DIR/ids") + 3)) ] ||
	fail "$(wc -l <"$DIR/calls.jsonl") calls in the bundle, $(wc -l <"$DIR/ids") and 3 were sent"

zstd -q -dc "$BUNDLE" >"$DIR/plain"
cat "$BUNDLE" >>"$DIR/plain"
known=("$(tail -n 1 "$DIR/ids")" /usr/lib/python3/dist-packages/keystone/api/auth.py)
secrets find "$DIR/plain" "${known[@]}" || fail "a secret reached the bundle"
"$DAYLIGHT" inspect "$BUNDLE" --json >"$DIR/inspect"
cat "$DIR/calls.jsonl" "$BUNDLE.log" >>"$DIR/inspect"
secrets find "$DIR/inspect" "$(tail -n 1 "$DIR/ids")" || fail "a secret reached an output"
echo "SHOW none of $(grep -c : "$DIR/secrets.json") secrets in $(stat -c %s "$DIR/plain") bytes"
