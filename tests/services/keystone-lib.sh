# shellcheck shell=bash
# A real keystone for tests and figures: Debian's packages under uwsgi, two processes of one
# thread, sqlite, fernet, on a free port of the loopback. Sourced by bash scripts.
#
#   keystone_need             leaves the test (skip, or fail when CI=true) if something is missing
#   keystone_prepare DIR      configuration, database and keys in DIR (from a cache in the build folder)
#   keystone_start            starts it; sets KEYSTONE_PID (uwsgi's master) and KEYSTONE_PORT
#   keystone_stop             stops it, by pid
#   keystone_password TEXT    changes the admin's password in the database (while it is stopped)
#   keystone_record DIR       the service started next records its functions in DIR (recall_record.py)
#   keystone_drive LOG ARG..  drives the usual calls; the client writes what it did to LOG
#   collect_start FILE ARG... starts `daylight collect` and waits for "collecting:"
#   collect_stop              ends it and keeps its exit code in COLLECT_CODE
#
# Before keystone_start a test may set
#   KEYSTONE_CODE   a folder that stands for the installed keystone package in a mount namespace of
#                   the service's own; the installed files stay as they are
#   KEYSTONE_WSGI   another file for uwsgi than keystone's own
#   KEYSTONE_ARGS   an array of more arguments for uwsgi
#   KEYSTONE_ENV    an array of NAME=VALUE for the service's environment

SERVICES_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT_DIR=$(cd "$SERVICES_DIR/../.." && pwd)
DAYLIGHT=${DAYLIGHT:-$ROOT_DIR/build/daylight}
# The system's interpreter: the first python3 in PATH may be another one.
PYTHON=/usr/bin/python3
KEYSTONE_PASSWORD=fixture-password
GUIDELINE=$ROOT_DIR/../shared/guidelines/2020.06.json
[ -r "$GUIDELINE" ] || GUIDELINE=$SERVICES_DIR/guideline.json
KEYSTONE_PACKAGE=/usr/lib/python3/dist-packages/keystone
KEYSTONE_WSGI=/usr/bin/keystone-wsgi-public
KEYSTONE_ARGS=()
KEYSTONE_ENV=()
KEYSTONE_CODE=
KEYSTONE_PID=
COLLECT_PID=

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

# A missing prerequisite: a skip on a laptop, a failure where everything has to run.
skip() {
	if [ "${CI:-}" = true ]; then
		fail "$*"
	fi
	echo "SKIP: $*" >&2
	exit 77
}

keystone_need() {
	local name
	[ -x "$DAYLIGHT" ] || fail "no $DAYLIGHT: run make first"
	for name in uwsgi keystone-manage sqlite3 dpkg; do
		command -v "$name" >/dev/null || skip "$name is not installed (make deps-check)"
	done
	[ "$(id -u)" = 0 ] || skip "eBPF and the mount namespace need root"
	"$DAYLIGHT" doctor >"$1/doctor.txt" 2>&1 ||
		skip "eBPF is not possible here: $(grep -m 1 . "$1/doctor.txt")"
}

keystone_config() {
	cat >"$1/keystone.conf" <<-CONF
		[DEFAULT]
		log_file = keystone.log
		log_dir = $1
		[database]
		connection = sqlite:///$1/keystone.db
		sqlite_synchronous = false
		[token]
		provider = fernet
		[fernet_tokens]
		key_repository = $1/fernet-keys
		[credential]
		key_repository = $1/credential-keys
		[identity]
		# The lowest cost: the tests are about code, not about hashing.
		password_hash_rounds = 4
	CONF
}

keystone_manage() {
	local dir=$1
	shift
	PYTHONDONTWRITEBYTECODE=1 keystone-manage --config-file "$dir/keystone.conf" "$@" \
		>>"$dir/manage.log" 2>&1 ||
		fail "keystone-manage $1: $(tail -n 1 "$dir/manage.log")"
}

# Folders in the configuration are absolute, so the configuration is written for each test; what
# takes long, the database, is made once.
keystone_cache() {
	local cache=$1 work user group
	[ ! -d "$cache" ] || return 0
	mkdir -p "$(dirname "$cache")"
	work=$(mktemp -d "$cache.XXXXXX")
	user=$(id -un)
	group=$(id -gn)
	keystone_config "$work"
	keystone_manage "$work" db_sync
	keystone_manage "$work" fernet_setup --keystone-user "$user" --keystone-group "$group"
	keystone_manage "$work" credential_setup --keystone-user "$user" --keystone-group "$group"
	keystone_manage "$work" bootstrap --bootstrap-password "$KEYSTONE_PASSWORD" \
		--bootstrap-public-url http://127.0.0.1/v3 --bootstrap-region-id test
	# Readers shall not stand in a writer's way: there are two processes.
	sqlite3 "$work/keystone.db" 'PRAGMA journal_mode = wal' >/dev/null
	mv -T "$work" "$cache" 2>/dev/null || rm -rf "$work"
}

keystone_prepare() {
	local version cache
	KEYSTONE_DIR=$1
	version=$(dpkg-query -W -f '${Version}' python3-keystone)
	cache=${DAYLIGHT_BUILD:-$ROOT_DIR/build}/keystone-fixture-${version//[^0-9A-Za-z.+-]/_}
	keystone_cache "$cache"
	mkdir -p "$KEYSTONE_DIR"
	cp -a "$cache/keystone.db" "$cache/fernet-keys" "$cache/credential-keys" "$KEYSTONE_DIR/"
	keystone_config "$KEYSTONE_DIR"
}

keystone_password() {
	keystone_manage "$KEYSTONE_DIR" bootstrap --bootstrap-password "$1"
	KEYSTONE_PASSWORD=$1
}

keystone_start() {
	local service=(
		uwsgi --plugin python3 --master --processes 2 --threads 1 --die-on-term
		--need-app --disable-logging --buffer-size 65535
		--wsgi-file "$KEYSTONE_WSGI"
	)
	local attempt
	KEYSTONE_PORT=$("$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	service+=(--http-socket "127.0.0.1:$KEYSTONE_PORT" "${KEYSTONE_ARGS[@]}")
	if [ -n "$KEYSTONE_CODE" ]; then
		# shellcheck disable=SC2016 # expanded by the inner shell
		service=(
			unshare --mount --propagation private sh -c
			'mount --bind "$1" "$2" && shift 2 && exec "$@"' sh
			"$KEYSTONE_CODE" "$KEYSTONE_PACKAGE" "${service[@]}"
		)
	fi
	env -u PYTHONPATH PYTHONDONTWRITEBYTECODE=1 \
		OS_KEYSTONE_CONFIG_FILES="$KEYSTONE_DIR/keystone.conf" "${KEYSTONE_ENV[@]}" \
		"${service[@]}" >>"$KEYSTONE_DIR/uwsgi.log" 2>&1 </dev/null &
	KEYSTONE_PID=$!
	for attempt in $(seq 150); do
		kill -0 "$KEYSTONE_PID" 2>/dev/null ||
			fail "keystone ended: $(tail -n 1 "$KEYSTONE_DIR/uwsgi.log")"
		if "$PYTHON" "$SERVICES_DIR/keystone-client.py" ready "$KEYSTONE_PORT"; then
			return
		fi
		sleep 0.2
	done
	fail "keystone did not answer on port $KEYSTONE_PORT within $((attempt / 5)) s"
}

keystone_stop() {
	[ -n "$KEYSTONE_PID" ] || return 0
	kill -TERM "$KEYSTONE_PID" 2>/dev/null || true
	wait "$KEYSTONE_PID" 2>/dev/null || true
	KEYSTONE_PID=
}

keystone_record() {
	mkdir -p "$1"
	# A name by which the service is known.
	KEYSTONE_WSGI=$1/keystone-wsgi-public
	ln -s "$SERVICES_DIR/recall_wsgi.py" "$KEYSTONE_WSGI"
	KEYSTONE_ENV+=("RECALL_TRUTH=$1" "RECALL_CODE=$SERVICES_DIR")
}

keystone_drive() {
	local log=$1
	shift
	KEYSTONE_PASSWORD=$KEYSTONE_PASSWORD "$PYTHON" "$SERVICES_DIR/keystone-client.py" run \
		"$KEYSTONE_PORT" -o "$log" "$@"
}

collect_start() {
	local file=$1 attempt
	shift
	COLLECT_LOG=$file.log
	: >"$COLLECT_LOG"
	"$DAYLIGHT" collect -o "$file" "$@" >"$COLLECT_LOG" 2>&1 </dev/null &
	COLLECT_PID=$!
	for attempt in $(seq 300); do
		! grep -q '^collecting:' "$COLLECT_LOG" || return 0
		if ! kill -0 "$COLLECT_PID" 2>/dev/null; then
			COLLECT_PID=
			fail "collect ended: $(tail -n 1 "$COLLECT_LOG")"
		fi
		sleep 0.1
	done
	fail "collect did not say \"collecting:\" within $((attempt / 10)) s"
}

collect_stop() {
	[ -n "$COLLECT_PID" ] || return 0
	kill -INT "$COLLECT_PID" 2>/dev/null || true
	COLLECT_CODE=0
	# shellcheck disable=SC2034 # for the caller
	wait "$COLLECT_PID" || COLLECT_CODE=$?
	COLLECT_PID=
}

# keystone_section BUNDLE REPORT: analyzes; prints "STATUS COMPARED" of the section "auth (v3) API".
keystone_section() {
	local code=0
	"$DAYLIGHT" analyze "$1" --guideline "$GUIDELINE" -o "$2" >"$2.txt" 2>&1 || code=$?
	[ "$code" = 0 ] || fail "analyze ended with exit code $code: $(tail -n 1 "$2.txt")"
	"$PYTHON" "$SERVICES_DIR/check.py" section "$2" keystone "auth (v3) API"
}

# For `trap ... EXIT`: nothing that was started here outlives the test.
keystone_cleanup() {
	collect_stop
	keystone_stop
	rm -rf "$1"
}
