#!/bin/bash
# What the report says when keystone's code is not the package's, or cannot be known to be. The
# service sees a copy of the package in a mount namespace of its own; the installed files stay.
set -eu
. "$(dirname "$0")/keystone-lib.sh"
DIR=$(mktemp -d)
trap 'keystone_cleanup "$DIR"' EXIT
trap 'exit 143' TERM INT
CODE=$DIR/code
SOURCE=$CODE/api/auth.py
PYC=$CODE/api/__pycache__/auth.cpython-311.pyc

# A fresh copy with the times of the original; ctimes lie before the service's start.
fresh_copy() {
	rm -rf "$CODE"
	cp -a "$KEYSTONE_PACKAGE" "$CODE"
	[ -f "$PYC" ] || fail "no $PYC: the package's compiled files are missing"
}

edit() {
	sed -i 's/^class AuthTokenResource(.*/&\n    edited = True/' "$SOURCE"
	grep -q 'edited = True' "$SOURCE" || fail "the edit did not work"
}

start() {
	sleep 0.1
	# shellcheck disable=SC2034 # read by keystone_start
	KEYSTONE_CODE=$CODE
	keystone_start
}

# Collects a few calls, ends the service; sets STATUS and COMPARED of "auth (v3) API".
collect() {
	local bundle=$DIR/$1.daylight
	collect_start "$bundle" --port "$KEYSTONE_PORT"
	keystone_drive "$DIR/client.jsonl" --issues 3 --validations 8
	collect_stop
	keystone_stop
	[ "$COLLECT_CODE" = 0 ] || fail "$1: collect ended with $COLLECT_CODE: $(tail -n 3 "$bundle.log")"
	read -r STATUS COMPARED <<<"$(keystone_section "$bundle" "$DIR/$1.json")"
	echo "SHOW $1: $STATUS ($COMPARED)"
}

expect_not_unchanged() {
	case $STATUS in
	observed-unmodified | observed-as-packaged) fail "$1: $STATUS" ;;
	observed-* | unknown) ;;
	*) fail "$1: '$STATUS' is no status for code that ran" ;;
	esac
}

keystone_need "$DIR"
keystone_prepare "$DIR/keystone"

# The copy alone changes nothing: what the others show is not the mount's doing.
fresh_copy
start
collect untouched
case "$STATUS $COMPARED" in
"observed-as-packaged file+pyc" | "observed-as-packaged memory") ;;
*) fail "untouched: $STATUS $COMPARED" ;;
esac

fresh_copy
edit
start
collect edited-and-restarted
[ "$STATUS" = observed-modified ] || fail "edited and restarted: $STATUS"

# Other code under a header that names the untouched source.
fresh_copy
edit
"$PYTHON" - "$SOURCE" "$PYC" <<-'END'
	import marshal, sys
	source, pyc = sys.argv[1:]
	with open(pyc, "rb") as file:
	    header = file.read(16)
	path = "/usr/lib/python3/dist-packages/keystone/api/auth.py"
	with open(source, "rb") as file:
	    code = compile(file.read(), path, "exec", dont_inherit=True)
	with open(pyc, "wb") as file:
	    file.write(header + marshal.dumps(code))
END
cp -a "$KEYSTONE_PACKAGE/api/auth.py" "$SOURCE"
start
collect pyc-changed
expect_not_unchanged "only the .pyc changed"

fresh_copy
start
edit
collect edited-without-restart
expect_not_unchanged "edited without a restart"

# The service loaded other code; the file was put back before anybody looked.
fresh_copy
edit
start
cp -a "$KEYSTONE_PACKAGE/api/auth.py" "$SOURCE"
collect put-back
expect_not_unchanged "edited, started, put back"
