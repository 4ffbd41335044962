#!/bin/bash
# How much of the code that ran is seen where calls overlap in one thread: a real glance under
# eventlet, default settings, 280 calls on 7 routes, 4 at a time. Twice, as recall-keystone.sh does:
# no call may have a function that did not run for it.
set -eu
. "$(dirname "$0")/keystone-lib.sh"
. "$(dirname "$0")/glance-lib.sh"
DIR=$(mktemp -d)
trap 'glance_cleanup "$DIR"' EXIT
trap 'exit 143' TERM INT

# one NAME: the load on the service as it is set up; NAME.calls are its calls
one() {
	glance_start
	collect_start "$DIR/$1" --port "$GLANCE_PORT" --probes "$DIR/probes"
	glance_drive "$DIR/$1.client"
	collect_stop
	glance_stop
	[ "$COLLECT_CODE" = 0 ] ||
		fail "$1: collect ended with exit code $COLLECT_CODE: $(tail -n 3 "$DIR/$1.log")"
	"$DAYLIGHT" inspect "$DIR/$1" calls --jsonl >"$DIR/$1.calls"
}

judge() {
	"$PYTHON" "$SERVICES_DIR/recall.py" "$DIR/recorded.calls" "$DIR/truth" --calls 280 \
		--code '/usr/lib/python3/dist-packages/glance/*' --files 100 --functions 99 --deep 5 \
		--overlap 50 "$@"
}

glance_need "$DIR"
# A definition of the routes that are used here: without it all images were routes of their own.
cp -r "$ROOT_DIR/probes" "$DIR/probes"
cp "$SERVICES_DIR/glance-probe.json" "$DIR/probes/services/glance.json"
glance_prepare "$DIR/plain.service"
one plain
glance_prepare "$DIR/recorded.service"
glance_record "$DIR/truth"
one recorded
wrong=
judge --show "recorded: " --deep-all 100 || wrong=recorded
judge --show "plain: " --own --plain "$DIR/plain.calls" || wrong="$wrong plain"
[ -z "$wrong" ] || fail "not all that ran was seen, or something that did not run: $wrong"
