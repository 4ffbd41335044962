#!/bin/bash
# A collector that is killed, again and again: what --status-fd said to be durable can be read, and
# the window is gone on with, in the same file, until its planned end.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

# refuses TEXT FILE COMMAND...: collect --resume FILE, run by COMMAND, says TEXT and changes nothing.
refuses() {
	local text=$1 file=$2 before code=0
	shift 2
	before=$(sha256sum <"$file")
	timeout 30 "$@" "$DAYLIGHT" collect --resume "$file" >"$WORK/refused" 2>&1 || code=$?
	[ "$code" = 2 ] || fail "--resume $file: exit code $code, not 2: $(cat "$WORK/refused")"
	grep -qF -e "$text" "$WORK/refused" ||
		fail "--resume $file does not say \"$text\": $(cat "$WORK/refused")"
	[ "$(wc -l <"$WORK/refused")" = 1 ] || fail "more than a line: $(cat "$WORK/refused")"
	[ "$before" = "$(sha256sum <"$file")" ] || fail "--resume $file changed it"
}

# Two more reports: what was seen before is on disk.
durable_again() { [ "$(grep -c durable "$file.status")" -ge $((said + 2)) ]; }

# traffic N: a client, and its calls are on disk.
traffic() {
	live_client "$WORK/client.$1" --mix keepalive --conversations 20 --pace 20 --seed "$1"
	cat "$WORK/client.$1" >>"$WORK/clients"
	said=$(grep -c durable "$file.status")
	live_client /dev/null --mix keepalive --conversations 1 --seed 99
	wait_for 15 durable_again || fail "no durable lines: $(cat "$file.status")"
}

killed() {
	# Somewhere within a second: before, while or after a frame is written.
	sleep "0.$((RANDOM % 10))"
	kill -KILL "$COLLECT"
	wait "$COLLECT" 2>/dev/null
	COLLECT=
}

live_threads threads
file=$WORK/killed.daylight
until=$(date -u -d '+50 seconds' +%Y-%m-%dT%H:%M:%S.5Z)
: >"$WORK/clients"
collect_start "$file" --port "$PORT" --status-fd 3 --until "$until"
refuses "still being written" "$file"
traffic 1
killed
live_look "$file" 4
live_check "$file" durable "$file.status"
refuses "is of another host" "$file" unshare --uts sh -c 'hostname elsewhere && exec "$@"' sh
echo 00000000-0000-4000-8000-000000000000 >"$WORK/boot"
refuses "is of another boot" "$file" unshare --mount sh -c \
	'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"' "$WORK/boot"

for n in 2 3; do
	collect_resume "$file" --status-fd 3
	traffic "$n"
	killed
	live_look "$file" 4
	live_check "$file" durable "$file.status"
done
# A tail that was never synced.
head -c 5000 /dev/urandom >>"$file"
collect_resume "$file" --status-fd 3
traffic 4
collect_wait
collect_ended 0 "$file"
live_look "$file"
live_check "$file" lossless
live_check "$file" stopped until
live_check "$file" resumed 3 5000 "$until"
# Those of the clients, each once; besides, those that only waited for the disk.
live_check "$file" among "$WORK/clients"
refuses "is sealed" "$file"
server_stop "$SERVER"

# A bundle that is to be signed is signed in the end, or not gone on with.
"$DAYLIGHT" key new -o "$WORK/key.pem" --public "$WORK/key.pub" >/dev/null || fail "no key"
live_threads signed
file=$WORK/signed.daylight
collect_start "$file" --port "$PORT" --sign "$WORK/key.pem" --status-fd 3
traffic 5
killed
refuses "is to be signed: give --sign" "$file"
collect_resume "$file" --sign "$WORK/key.pem"
collect_stop
collect_ended 0 "$file"
"$DAYLIGHT" verify "$file" --key "$WORK/key.pub" >"$file.verify" ||
	fail "a bundle that was gone on with is signed wrongly: $(cat "$file.verify")"
server_stop "$SERVER"

# A window whose planned end has come, or whose processes are gone, is not gone on with.
live_threads other
file=$WORK/over.daylight
collect_start "$file" --pid "$SERVER" --duration 4s --status-fd 3
traffic 6
killed
server_stop "$SERVER"
refuses "none of its targets is there" "$file"
sleep 4
refuses "which is over" "$file"
