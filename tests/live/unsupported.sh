#!/bin/bash
# Interpreters that are not walked: their calls are listed, their code is not, and the bundle says
# so and why. Those that cannot be had everywhere are played by a small server with an interpreter's
# symbols.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

ROWS=() # name, port, version and reason of each, in turn

# fake NAME VERSION REASON FLAG...: under a name that an interpreter has
fake() {
	local name=$1 version=$2 reason=$3
	shift 3
	gcc -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -pthread -rdynamic "$@" \
		-o "$WORK/python-$name" "$LIVE_DIR/server_small.c" "$LIVE_DIR/fake_python.c" ||
		fail "fake_python.c does not compile"
	server_start "$name" "$WORK/python-$name" --truth "$WORK/$name.truth"
	ROWS+=("$name" "$PORT" "$version" "$reason")
}

fake unknown 3.99.1 "no layout for this CPython version" -DVERSION=0x036301f0
fake candidate 3.13.0-pre "not a released CPython version" -DVERSION=0x030d00c1
fake threads 3.13.0 "a free-threaded build of CPython" -DVERSION=0x030d00f0 -DFREE_THREADED
fake debug 3.13.0 "a debug build of CPython" -DVERSION=0x030d00f0 -DDEBUG_BUILD
fake tracing 3.11.2 "self-check: objects have another head (a build that traces references?)" \
	-DVERSION=0x030b02f0 -DTRACES_REFERENCES
fake table 3.13.0 "its table of offsets is of another version" -DVERSION=0x030d00f0 -DOTHER_TABLE
fake anchor 3.11.2 "the symbol that leads to its interpreters is missing" -DVERSION=0x030b02f0 \
	-DNO_ANCHOR

# A real one, whose evaluator was replaced before it served.
gcc -shared -fPIC -O1 -Wall -Wextra -Werror -o "$WORK/evaluator.so" "$LIVE_DIR/matrix_evaluator.c" ||
	fail "matrix_evaluator.c does not compile"
cat >"$WORK/replaced.py" <<'PY'
import ctypes, runpy, signal, sys
api, own = ctypes.pythonapi, ctypes.CDLL(sys.argv[1])
get = api.PyInterpreterState_Get
get.restype = ctypes.c_void_p
put = api._PyInterpreterState_SetEvalFrameFunc
put.argtypes, put.restype = [ctypes.c_void_p, ctypes.c_void_p], None
def replace(*_):
    put(get(), ctypes.cast(own.evaluate_too, ctypes.c_void_p))
if sys.argv[2] == "now":
    replace()
else:
    signal.signal(signal.SIGUSR1, replace)
sys.argv = sys.argv[3:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
PY
server_start replaced "$PYTHON" "$WORK/replaced.py" "$WORK/evaluator.so" now \
	"$LIVE_DIR/server_threads.py" --truth "$WORK/replaced.truth"
ROWS+=(replaced "$PORT" "$("$PYTHON" -c 'import platform; print(platform.python_version())')"
	"the evaluator was replaced (PEP 523)")

file=$WORK/all.daylight
targets=()
for ((i = 0; i < ${#ROWS[@]}; i += 4)); do
	targets+=(--port "${ROWS[i + 1]}")
done
collect_start "$file" "${targets[@]}"
for ((i = 0; i < ${#ROWS[@]}; i += 4)); do
	PORT=${ROWS[i + 1]}
	live_client "$WORK/client" --mix keepalive --conversations 3
done
sleep 0.2
collect_stop
collect_ended 0 "$file"
live_look "$file"
live_check "$file" lossless
live_check "$file" unsupported "${ROWS[@]}"

# It may be replaced at any time: code is seen until then, and the bundle says so.
server_start later "$PYTHON" "$WORK/replaced.py" "$WORK/evaluator.so" later \
	"$LIVE_DIR/server_threads.py" --truth "$WORK/later.truth"
file=$WORK/later.daylight
said() {
	live_client "$WORK/client" --mix plain --conversations 1
	"$DAYLIGHT" inspect "$file" --json 2>/dev/null | grep -q "the evaluator was replaced"
}
collect_start "$file" --port "$PORT"
live_client "$WORK/client" --mix keepalive --conversations 3
kill -USR1 "$SERVER"
wait_for 30 said || fail "a replaced evaluator is not noticed"
collect_stop
collect_ended 0 "$file"
live_look "$file"
head -n 1 "$file.calls" | grep -q 'server_threads.py' || fail "no code was seen before the change"
tail -n 1 "$file.calls" | grep -q 'server_threads.py' && fail "code was seen after the change"
echo "later      the evaluator was replaced while it served"
