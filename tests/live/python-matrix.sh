#!/bin/bash
# Every CPython that Daylight walks, and every way that Debian's is embedded: of a known service, the
# expected functions come out exactly, by module, name and line, from 3.11 on by qualified name, frame
# by frame. Prints a row for each. Rows of interpreters that are missing are left out and said so.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin
export DAYLIGHT

PYENV=${PYENV_ROOT:-$HOME/.pyenv}
VERSIONS=(2.7 3.6 3.7 3.8 3.9 3.10 3.11 3.12 3.13)
missing=0
bad=0
ROWS=()   # name, interpreter and what matrix_check.py is told, in turn
URLS=()
TARGETS=() # for collect

# row NAME PYTHON URL-PATH CHECK: the service that was started last.
row() {
	ROWS+=("$1" "$2" "$4")
	URLS+=("http://127.0.0.1:$PORT$3")
	TARGETS+=(--port "$PORT")
}

# plain NAME PYTHON COMMAND...: the command, with the truth's file behind it, is the service.
plain() {
	local name=$1 python=$2
	shift 2
	server_start "$name" "$@" "$WORK/$name.truth"
	row "$name" "$python" / ""
}

left_out() {
	echo "SKIP $1: $2" >&2
	missing=$((missing + 1))
}

answers() { (: >"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# under_port NAME COMMAND...: a server that does not say its port: PORT in its environment.
under_port() {
	local name=$1
	shift
	PORT=$(free_port)
	case $1 in
	uwsgi) set -- "$@" --http-socket "127.0.0.1:$PORT" ;;
	esac
	PORT=$PORT MATRIX_TRUTH=$WORK/$name.truth "$@" >"$WORK/$name.out" 2>&1 </dev/null &
	SERVER=$!
	STARTED+=("$SERVER")
	wait_for 10 answers "$PORT" || fail "$name did not start: $(tail -n 3 "$WORK/$name.out")"
}

# Interpreters as programs.
for version in "${VERSIONS[@]}"; do
	python=$(find "$PYENV/versions" -path "$PYENV/versions/$version.*/bin/python$version" 2>/dev/null |
		head -n 1)
	if [ -z "$python" ]; then
		left_out "pyenv-$version" "no CPython $version under $PYENV"
	else
		plain "pyenv-$version" "$python" "$python" "$LIVE_DIR/matrix_app.py"
	fi
done
# Without their local symbols, as distributions have them.
for version in 2.7 3.6; do
	library=$(find "$PYENV/versions" -path "$PYENV/versions/$version.*/lib/libpython$version*.so.1.0" \
		2>/dev/null | head -n 1)
	if [ -z "$library" ]; then
		left_out "stripped-$version" "no shared CPython $version under $PYENV"
	else
		mkdir -p "$WORK/stripped"
		strip --strip-all -o "$WORK/stripped/$(basename "$library")" "$library"
		python=${library%/lib/*}/bin/python$version
		LD_LIBRARY_PATH=$WORK/stripped plain "stripped-$version" "$python" "$python" \
			"$LIVE_DIR/matrix_app.py"
	fi
done
plain debian "$PYTHON" "$PYTHON" "$LIVE_DIR/matrix_app.py"

# Where its code may come from.
mkdir "$WORK/venv" "$WORK/zip" "$WORK/compiled"
"$PYTHON" -m venv --without-pip "$WORK/venv"
plain virtualenv "$PYTHON" "$WORK/venv/bin/python" "$LIVE_DIR/matrix_app.py"
cp "$LIVE_DIR"/matrix_{app,names,shapes}.py "$WORK/zip"
"$PYTHON" -m zipapp "$WORK/zip" -o "$WORK/app.pyz" -m matrix_app:main
plain zipapp "$PYTHON" "$PYTHON" "$WORK/app.pyz"
ROWS[-1]="--behind-file $WORK/app.pyz"
cp "$LIVE_DIR"/matrix_{app,names,shapes}.py "$WORK/compiled"
"$PYTHON" -m compileall -q -b "$WORK/compiled"
rm "$WORK/compiled"/*.py
plain sourceless "$PYTHON" "$PYTHON" "$WORK/compiled/matrix_app.pyc"
ROWS[-1]="--compiled $WORK/compiled"
# A folder that only its processes see.
# shellcheck disable=SC2016
server_start namespace unshare --mount --propagation private bash -c '
	mount -t tmpfs matrix "$1" && cp "$2"/matrix_*.py "$1" && exec "$3" "$1/matrix_app.py" "$4"' \
	- /srv "$LIVE_DIR" "$PYTHON" "$WORK/namespace.truth"
row namespace "$PYTHON" / "--open /srv"

# libpython in other programs: forked workers; threads of two apps, each with an interpreter of its
# own; apache's threads, which run Python in sub-interpreters.
UWSGI=(uwsgi --plugin python3 --die-on-term --no-orphans --need-app --enable-threads
	--pythonpath "$LIVE_DIR")
under_port uwsgi "${UWSGI[@]}" --master --processes 2 --wsgi-file "$LIVE_DIR/matrix_app.py"
row uwsgi "$PYTHON" / ""
under_port uwsgi-apps "${UWSGI[@]}" --threads 3 --manage-script-name \
	--mount "/a=$LIVE_DIR/matrix_app.py" --mount "/b=$LIVE_DIR/matrix_app.py"
row uwsgi-apps "$PYTHON" /b ""
URLS+=("http://127.0.0.1:$PORT/a")
ROWS[-1]="--requests 6 --interpreters 2"
cat >"$WORK/apache.conf" <<CONF
ServerRoot $WORK
ServerName localhost
PidFile $WORK/apache.pid
Mutex pthread
ErrorLog $WORK/apache.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so
StartServers 1
ServerLimit 1
ThreadsPerChild 8
MaxRequestWorkers 8
WSGIPythonPath $LIVE_DIR
WSGIScriptAlias /a $LIVE_DIR/matrix_app.py
WSGIScriptAlias /b $LIVE_DIR/matrix_app.py
CONF
# One process: nothing is left when it is killed.
under_port mod_wsgi apache2 -X -f "$WORK/apache.conf" -C "Listen 127.0.0.1:\${PORT}"
row mod_wsgi "$PYTHON" /a ""
URLS+=("http://127.0.0.1:$PORT/b")
ROWS[-1]="--requests 6 --interpreters 2"
# It loads the program with the first request.
"$PYTHON" "$LIVE_DIR/matrix_ask.py" "${URLS[@]: -2}" || fail "mod_wsgi did not answer"

# 3.13 says itself where things are: what its file says of the same is wrong here, and must not count.
cp -r "$ROOT_DIR/probes" "$WORK/probes"
"$PYTHON" - "$WORK/probes/python/cpython-3.13.json" <<'PYTHON' || fail "the layout of 3.13 has no table"
import json, sys
with open(sys.argv[1]) as file:
    layout = json.load(file)
for name in layout["debug_offsets"]["fields"]:
    layout["offsets"][name] += 1024
with open(sys.argv[1], "w") as file:
    json.dump(layout, file)
sys.exit(len(layout["debug_offsets"]["fields"]) < 15)
PYTHON

# All services under one collector, each judged alone.
file=$WORK/matrix.daylight
collect_start "$file" --probes "$WORK/probes" "${TARGETS[@]}"
"$PYTHON" "$LIVE_DIR/matrix_ask.py" "${URLS[@]}" || fail "a service did not answer"
sleep 0.2
collect_stop
collect_ended 0 "$file"
live_look "$file"
for ((i = 0; i < ${#ROWS[@]}; i += 3)); do
	# shellcheck disable=SC2086 # words
	"$PYTHON" "$LIVE_DIR/matrix_check.py" ${ROWS[i + 2]} "${ROWS[i]}" "$file" \
		"$WORK/${ROWS[i]}.truth" "${ROWS[i + 1]}" || bad=$((bad + 1))
done
[ "$bad" = 0 ] || fail "$bad rows are wrong"
if [ "$missing" != 0 ]; then
	[ "${CI:-}" != true ] || fail "$missing rows were left out"
	echo "$missing rows were left out"
fi
