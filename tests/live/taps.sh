#!/bin/bash
# Taps: the instructions at which interpreters start functions. What passes them is held against
# what ran, for each interpreter under pyenv, Debian's, and libpython in uwsgi: nothing is missed,
# nothing that did not run passes, and the kernel single-steps nothing. Prints one row for each.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin
[ "$(id -u)" = 0 ] || skip "needs root"

PROGRAM=$(dirname "$DAYLIGHT")/live/taps_count
OBJECT=$(dirname "$DAYLIGHT")/live/taps.bpf.o
[ -x "$PROGRAM" ] && [ -r "$OBJECT" ] || fail "no $PROGRAM or no $OBJECT: run make check-build"
LOAD=$LIVE_DIR/taps_load.py
bad=0

row() {
	"$PYTHON" "$LIVE_DIR/taps_check.py" "$PROGRAM" "$OBJECT" "$@" >"$WORK/row" 2>&1 || bad=1
	sed 's/^/SHOW /' "$WORK/row"
}

# missing NAME WHY: a row that cannot be tried.
missing() {
	printf 'SHOW %-12s SKIP: %s\n' "$1" "$2"
	[ "${CI:-}" != true ] || bad=1
}

for version in 2.7 3.6 3.7 3.8 3.9 3.10 3.11 3.12 3.13; do
	found=
	for python in "$HOME/.pyenv/versions/$version".*/bin/python; do
		[ -x "$python" ] || continue
		found=1
		row "$(basename "$(dirname "$(dirname "$python")")")" "$python" -B -S "$LOAD"
	done
	[ -n "$found" ] || missing "$version" "not in ~/.pyenv/versions"
done
row debian "$PYTHON" -B -S "$LOAD"

# libpython in another program, in a sub-interpreter.
if command -v uwsgi >/dev/null; then
	port=$("$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	: >"$WORK/uwsgi.log"
	uwsgi --plugin python3 --http-socket "127.0.0.1:$port" --wsgi-file "$LOAD" --need-app \
		--disable-logging --die-on-term --enable-threads --buffer-size 8192 \
		>>"$WORK/uwsgi.log" 2>&1 &
	uwsgi=$!
	STARTED+=("$uwsgi")
	uwsgi_is_up() { grep -q 'spawned uWSGI worker' "$WORK/uwsgi.log"; }
	wait_for 20 uwsgi_is_up || fail "uwsgi does not start: $(tail -n 1 "$WORK/uwsgi.log")"
	row uwsgi --http "$uwsgi" "$port"
	server_stop "$uwsgi"
else
	missing uwsgi "not installed"
fi

# Where a breakpoint stands already, there are no taps.
mkfifo "$WORK/load" "$WORK/first"
exec 8<>"$WORK/load" 9<>"$WORK/first"
"$PYTHON" -B -S "$LOAD" <&8 >"$WORK/load.out" 9>&- &
held=$!
STARTED+=("$held")
wait_for 10 grep -q ready "$WORK/load.out" || fail "the interpreter does not start"
"$PROGRAM" "$OBJECT" "$held" <&9 >"$WORK/first.out" 2>&1 &
STARTED+=("$!")
wait_for 10 grep -q '^taps' "$WORK/first.out" || fail "no taps: $(cat "$WORK/first.out")"
code=0
"$PROGRAM" "$OBJECT" "$held" </dev/null >"$WORK/second.out" 2>&1 || code=$?
[ "$code" = 3 ] && grep -q breakpoint "$WORK/second.out" ||
	fail "a breakpoint at a tap was not noticed: $code $(cat "$WORK/second.out")"
exit $bad
