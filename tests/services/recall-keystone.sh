#!/bin/bash
# How much of the code that ran is seen, on a real keystone with default settings: 40 token issues
# and 160 validations in turn, 4 at a time. Twice: on a service that records its own functions, which
# is the truth of each single call; and on one that does not, whose interpreter runs as it does
# everywhere, against the truth of its routes.
set -eu
. "$(dirname "$0")/keystone-lib.sh"
DIR=$(mktemp -d)
trap 'keystone_cleanup "$DIR"' EXIT
trap 'exit 143' TERM INT

# one NAME: the load on the service as it is set up; NAME.calls are its calls
one() {
	keystone_prepare "$DIR/$1.service"
	keystone_start
	collect_start "$DIR/$1" --port "$KEYSTONE_PORT"
	keystone_drive "$DIR/$1.client" --issues 40 --validations 160 --mixed
	collect_stop
	keystone_stop
	[ "$COLLECT_CODE" = 0 ] ||
		fail "$1: collect ended with exit code $COLLECT_CODE: $(tail -n 3 "$DIR/$1.log")"
	"$DAYLIGHT" inspect "$DIR/$1" calls --jsonl >"$DIR/$1.calls"
	"$PYTHON" "$SERVICES_DIR/check.py" calls "$DIR/$1.calls" "$DIR/$1.client" ||
		fail "$1: the calls are not those of the client"
}

judge() {
	"$PYTHON" "$SERVICES_DIR/recall.py" "$DIR/recorded.calls" "$DIR/truth" --calls 200 \
		--code "$KEYSTONE_PACKAGE/*" --files 100 --functions 99 --deep 5 "$@"
}

keystone_need "$DIR"
one plain
keystone_record "$DIR/truth"
one recorded
wrong=
judge --show "recorded: " --deep-all 100 || wrong=recorded
judge --show "plain: " --own --plain "$DIR/plain.calls" || wrong="$wrong plain"
[ -z "$wrong" ] || fail "not all that ran was seen, or something that did not run: $wrong"
