#!/bin/bash
# Programs and libraries that an upgrade has replaced while they run: the service is known, its code is
# seen as before, and what is mapped is named as deleted, with the digest of the file that runs and not
# of the one that has its name now.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

digest() { sha256sum <"$1" | cut -d' ' -f1; }

# replaced FILE OLD NEW: FILE, mapped as OLD's content, has NEW's now. FILE's modules are told by both.
replaced() {
	"$PYTHON" - "$file.modules" "$1" "$2" <<-'PYTHON' || fail "$1"
		import json, sys
		with open(sys.argv[1], encoding="utf-8") as file:
		    found = [m for m in map(json.loads, file) if m["path"].startswith(sys.argv[2])]
		print("SHOW", [(m["path"][len(sys.argv[2]):], m["kind"], (m["sha256"] or "-")[:12],
		                m["changed_after_load"]) for m in found], sys.argv[2].split("/")[-1])
		sys.exit([(m["path"], m["kind"], m["sha256"], m["digest"]["how"]) for m in found] !=
		         [(sys.argv[2] + " (deleted)", "deleted", sys.argv[3], "open")])
	PYTHON
}

# The interpreter itself, as an upgrade does it: another file is put in its place.
mkdir "$WORK/bin"
cp "$(readlink -f "$PYTHON")" "$WORK/bin/python3.11"
old=$(digest "$WORK/bin/python3.11")
server_start python "$WORK/bin/python3.11" "$LIVE_DIR/server_threads.py" --truth "$WORK/python.truth"
cp /bin/true "$WORK/bin/new" && mv "$WORK/bin/new" "$WORK/bin/python3.11"
file=$WORK/python.daylight
collect_start "$file" --port "$PORT" --deep 20
live_client "$WORK/client" --mix keepalive --conversations 5
sleep 0.2
collect_stop
server_stop "$SERVER"
collect_ended 0 "$file"
live_look "$file"
replaced "$WORK/bin/python3.11" "$old"
"$PYTHON" - "$file.calls" "$file.processes" <<-'PYTHON' || fail "the code of a replaced interpreter is not seen"
	import json, sys
	with open(sys.argv[1], encoding="utf-8") as file:
	    calls = [json.loads(line) for line in file]
	with open(sys.argv[2], encoding="utf-8") as file:
	    processes = [json.loads(line) for line in file]
	shown = [c for c in calls if any(f["path"].endswith("/server_threads.py") for f in c["functions"])]
	deep = [c for c in calls if c["evidence"] == "deep"]
	print("SHOW %s: %d of %d calls show its code, %d are deep" % (processes[0]["runtime"], len(shown),
	                                                         len(calls), len(deep)))
	sys.exit(not calls or len(shown) != len(calls) or not deep)
PYTHON

# Where the kernel does not let us reach what was deleted, that is said.
cp "$(readlink -f "$PYTHON")" "$WORK/bin/python3.11"
server_start hidden "$WORK/bin/python3.11" "$LIVE_DIR/server_threads.py" --truth "$WORK/hidden.truth"
rm "$WORK/bin/python3.11"
file=$WORK/hidden.daylight
# shellcheck disable=SC2034 # read by collect_start
COLLECT_UNDER=(setpriv --bounding-set "-sys_admin,-checkpoint_restore")
collect_start "$file" --port "$PORT"
# shellcheck disable=SC2034 # read by collect_start
COLLECT_UNDER=()
live_client "$WORK/client" --mix keepalive --conversations 3
sleep 0.2
collect_stop
server_stop "$SERVER"
collect_ended 0 "$file"
live_look "$file"
live_check "$file" unsupported hidden "$PORT" "" \
	"the interpreter's file was deleted, and what is mapped cannot be read"

# A stripped server and its library: its frames are unwound all the same.
flags=(-std=gnu11 -D_GNU_SOURCE -O2 -fomit-frame-pointer -Wall -Wextra -Werror)
gcc "${flags[@]}" -shared -fPIC -s -o "$WORK/libnative.so" "$LIVE_DIR/native_lib.c" &&
	gcc "${flags[@]}" -s -o "$WORK/native_server" "$LIVE_DIR/native_server.c" -L"$WORK" -lnative \
		-Wl,-rpath,"$WORK" || fail "native_server.c does not compile"
program=$(digest "$WORK/native_server") library=$(digest "$WORK/libnative.so")
server_start native "$WORK/native_server" secret
cp "$WORK/libnative.so" "$WORK/new" && echo more >>"$WORK/new" && mv "$WORK/new" "$WORK/libnative.so"
rm "$WORK/native_server"
file=$WORK/native.daylight
collect_start "$file" --pid "$SERVER"
"$PYTHON" - "$PORT" <<-'CLIENT' || fail "the client did not get its answers"
	import sys, time, urllib.request
	for _ in range(60):
	    urllib.request.urlopen("http://127.0.0.1:%s/" % sys.argv[1], timeout=20).read()
	    time.sleep(0.01)  # copies of one place are paced
CLIENT
sleep 0.3
collect_stop
server_stop "$SERVER"
collect_ended 0 "$file"
live_look "$file"
replaced "$WORK/native_server" "$program"
replaced "$WORK/libnative.so" "$library"
"$PYTHON" "$LIVE_DIR/native_check.py" chain "$file" "$WORK/native.out" "$WORK/libnative.so (deleted)" ||
	fail "native_check.py chain"

# Replaced while the window is open: known as it was, and as it is in the end.
gcc "${flags[@]}" -s -o "$WORK/native_server" "$LIVE_DIR/native_server.c" -L"$WORK" -lnative \
	-Wl,-rpath,"$WORK" || fail "native_server.c does not compile"
library=$(digest "$WORK/libnative.so")
server_start later "$WORK/native_server" secret
file=$WORK/later.daylight
collect_start "$file" --pid "$SERVER"
"$PYTHON" -c 'import sys, urllib.request as u
u.urlopen("http://127.0.0.1:%s/" % sys.argv[1], timeout=20).read()' "$PORT" || fail "no answer"
sleep 1
cp "$WORK/libnative.so" "$WORK/new" && echo more >>"$WORK/new" && mv "$WORK/new" "$WORK/libnative.so"
sleep 0.2
collect_stop
server_stop "$SERVER"
collect_ended 0 "$file"
live_look "$file"
"$PYTHON" - "$file.modules" "$WORK/libnative.so" <<-'PYTHON' || fail "a library that was replaced meanwhile"
	import json, sys
	with open(sys.argv[1], encoding="utf-8") as file:
	    found = [m for m in map(json.loads, file) if m["path"] == sys.argv[2]]
	print("SHOW", [(m["kind"], m["digest"]["how"], m["changed_after_load"]) for m in found])
	sys.exit([(m["kind"], m["changed_after_load"]) for m in found] != [("file", True)])
PYTHON
