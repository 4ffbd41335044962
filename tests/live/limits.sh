#!/bin/bash
# A disk that fills, and files that are no files: the collector says so, keeps what it has, and does
# not hang.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

# No more than 48 KiB of a file can be written.
live_threads disk
file=$WORK/disk.daylight
COLLECT_UNDER=(prlimit --fsize=49152 --)
collect_start "$file" --port "$PORT"
# shellcheck disable=SC2034 # for collect_start
COLLECT_UNDER=()
"$PYTHON" "$LIVE_DIR/client.py" "127.0.0.1:$PORT" --truth "$WORK/disk.client" --mix keepalive \
	--conversations 100000 --pace 25 --parallel 2 >/dev/null 2>&1 &
busy=$!
STARTED+=("$busy")
collect_wait
server_stop "$busy"
server_stop "$SERVER"
collect_ended 4 "$file"
grep -qi 'file too large\|no space\|disk' "$file.log" || fail "what ended it? $(cat "$file.log")"
live_look "$file" 4
echo "full disk: $(tail -n 1 "$file.log")"
live_check "$file" cut

# Python code and a mapping whose files are none that can be read.
mkdir "$WORK/modules"
mkfifo "$WORK/modules/fifo.py"
truncate -s 2G "$WORK/modules/huge.py" "$WORK/modules/huge.so"
ln -s /dev/zero "$WORK/modules/device.py"
mkdir "$WORK/modules/folder.py"
ln -s loop.py "$WORK/modules/loop.py"
ln -s fifo.py "$WORK/modules/link.py"
echo '# not what ran' >"$WORK/modules/plain.py"
live_threads odd --modules "$WORK/modules" --map "$WORK/modules/huge.so"
file=$WORK/odd.daylight
start=$SECONDS
collect_start "$file" --port "$PORT"
names=fifo.py,huge.py,device.py,folder.py,loop.py,link.py,none.py,plain.py
# The system-call trigger leaves some out: again, and each comes.
live_client "$WORK/odd.client" --mix as --names "$names" --conversations 10 --pace 50
sleep 0.2
collect_stop
[ $((SECONDS - start)) -lt 15 ] || fail "that took $((SECONDS - start)) s"
collect_ended 0 "$file"
live_look "$file"
echo "odd files:"
same_calls "$WORK/odd.client" "$file"
live_check "$file" lossless
live_check "$file" identities "$WORK/modules" fifo.py=not-regular huge.py=too-large \
	huge.so=too-large device.py=not-regular folder.py=not-regular loop.py=missing \
	link.py=not-regular none.py=missing plain.py=open
