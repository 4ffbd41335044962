#!/bin/bash
# A disk that is full, fails, or becomes read-only: the collector says so and ends with exit code 4,
# what was durable can be read, and on a full disk the window is gone on with when there is room.
set -u
. "$(dirname "$0")/live-lib.sh"
# The small file system is in a mount namespace of its own.
[ -n "${DISK_NAMESPACE:-}" ] || exec env DISK_NAMESPACE=1 unshare --mount --propagation private "$0"
live_begin

# Some calls, until the collector ends by itself.
until_it_ends() {
	local n=0
	until collect_is_gone; do
		"$PYTHON" "$LIVE_DIR/client.py" "127.0.0.1:$PORT" --truth "$WORK/client" \
			--mix keepalive --conversations 4 --pace 20 --seed $((n++)) \
			>"$WORK/client.out" || fail "the client did not get its answers"
		[ "$n" -lt 400 ] || fail "the disk does not fail"
	done
	collect_wait
}

# judged NAME TEXT: the collector ended with code 4 and said TEXT; the bundle can be read.
judged() {
	collect_ended 4 "$file"
	grep -q "$2" "$file.log" || fail "$1: \"$2\" is not in: $(cat "$file.log")"
	live_look "$file" 4
	echo "$1: $(grep "$2" "$file.log" | sed "s|$WORK/||g")"
	live_check "$file" durable "$file.status" 1
}

live_threads threads

# What fails is the file alone, so the rest of the test has its disk.
mkdir "$WORK/small"
mount -t tmpfs -o size=32k,mode=700 none "$WORK/small" || fail "no file system can be mounted"
file=$WORK/full.daylight
collect_run "$file" -o "$WORK/small/full.daylight" --port "$PORT" --status-fd 3 --duration 120s
until_it_ends
cp "$WORK/small/full.daylight" "$file"
judged full "No space left on device"
mount -o remount,size=4m "$WORK/small" || fail "no remount"
collect_run "$file" --resume "$WORK/small/full.daylight" --status-fd 3
live_client "$WORK/more.client" --mix keepalive --conversations 5 --seed 7
collect_stop
cp "$WORK/small/full.daylight" "$file"
collect_ended 0 "$file"
live_look "$file"
echo "with more room:"
live_check "$file" among "$WORK/more.client"
umount "$WORK/small"

gcc -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -shared -fPIC -o "$WORK/fail_disk.so" \
	"$LIVE_DIR/fail_disk.c" || fail "fail_disk.c does not compile"
# fails NAME CALL ERRNO TEXT
fails() {
	file=$WORK/$1.daylight
	COLLECT_UNDER=(env LD_PRELOAD="$WORK/fail_disk.so" FAIL_CALL="$2" FAIL_ERROR="$3"
		FAIL_AFTER=20000)
	collect_run "$file" -o "$file" --port "$PORT" --status-fd 3 --duration 120s
	until_it_ends
	# shellcheck disable=SC2034 # of live-lib.sh
	COLLECT_UNDER=()
	judged "$1" "$4"
}

fails io-error write 5 "Input/output error"
fails sync-error fdatasync 5 "Input/output error"
fails read-only write 30 "Read-only file system"
