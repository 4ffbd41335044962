#!/bin/bash
# Without root, with the capabilities that the manual names: the calls are seen with their stacks, and
# nothing is lost. Where the kernel asks for more to trace function starts, doctor and collect say so,
# once, and no call is called deep.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

CAPS=+bpf,+perfmon,+sys_ptrace,+dac_read_search
# In a folder that nobody may reach, for the tests run as root.
mkdir -m 777 "$WORK/open"
chmod 755 "$WORK"
cp "$DAYLIGHT" "$WORK/open/daylight"
chmod 755 "$WORK/open/daylight"
DAYLIGHT=$WORK/open/daylight

# one NAME CAPABILITIES: some calls of a server of two threads, collected as nobody.
one() {
	local file=$WORK/open/$1.daylight as=(setpriv --reuid 65534 --regid 65534 --clear-groups
		--inh-caps "$2" --ambient-caps "$2" --)
	"${as[@]}" "$DAYLIGHT" doctor >"$file.doctor" || fail "$1: doctor: $(cat "$file.doctor")"
	live_threads "$1"
	COLLECT_UNDER=("${as[@]}")
	collect_start "$file" --port "$PORT" --deep=5
	# shellcheck disable=SC2034 # for collect_start
	COLLECT_UNDER=()
	live_client "$WORK/$1.client" --mix keepalive --conversations 10 --pace 20
	sleep 0.2
	collect_stop
	server_stop "$SERVER"
	collect_ended 0 "$file"
	live_look "$file"
	same_calls "$WORK/$1.client" "$file"
	live_check "$file" lossless
	! grep -q '"evidence": *"none"' "$file.calls" || fail "$1: calls without stacks"
	DEEP=$(grep -c '"evidence": *"deep"' "$file.calls")
	WARNINGS=$(grep -c 'warning: .*function starts: the kernel refuses uprobes' "$file.log")
	UNSUPPORTED=$(grep -c '"what": *"function starts"' "$file.json")
	ROW=$(sed -n 's/^\([a-zA-Z]*\) *function starts .*/\1/p' "$file.doctor")
	echo "$1: $DEEP deep calls, $WARNINGS warnings; doctor: $ROW"
}

one admin "$CAPS,+sys_admin"
[ "$DEEP" -gt 0 ] && [ "$WARNINGS $UNSUPPORTED $ROW" = "0 0 ok" ] || fail "function starts are not traced"
one named "$CAPS"
case "$WARNINGS $UNSUPPORTED $ROW" in
"1 1 note") [ "$DEEP" = 0 ] || fail "calls are deep that were not traced" ;;
"0 0 ok") [ "$DEEP" -gt 0 ] || fail "function starts are not traced, and nobody says so" ;;
*) fail "$WARNINGS warnings, $UNSUPPORTED records, doctor says $ROW" ;;
esac
