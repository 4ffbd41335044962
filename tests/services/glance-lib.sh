# shellcheck shell=bash
# A real glance for tests: Debian's python3-glance under eventlet, one process whose greenlets work
# on several calls at a time; sqlite, files in a folder, no authentication. Sourced after
# keystone-lib.sh, which has collect_start and what else is common.
#
#   glance_need DIR        leaves the test (skip, or fail when CI=true) if something is missing
#   glance_prepare DIR     configuration, database and folders in DIR
#   glance_record DIR      the service started next records its functions in DIR (recall_record.py)
#   glance_start           starts it; sets GLANCE_PID and GLANCE_PORT
#   glance_stop            stops it, by pid
#   glance_drive LOG ARG.. drives overlapping calls; the client writes what it did to LOG
#   glance_cleanup DIR     for `trap ... EXIT`

GLANCE_PID=
GLANCE_ENV=()

glance_need() {
	"$PYTHON" -c 'import eventlet, glance' 2>/dev/null ||
		skip "python3-glance is not installed (make deps-check)"
	[ "$(id -u)" = 0 ] || skip "eBPF needs root"
	"$DAYLIGHT" doctor >"$1/doctor.txt" 2>&1 ||
		skip "eBPF is not possible here: $(grep -m 1 . "$1/doctor.txt")"
}

# glance_paste FILTER...: what stands before the application. The recorder's filter is the outermost.
glance_paste() {
	cat <<-INI
		[pipeline:glance-api]
		pipeline = $* cors http_proxy_to_wsgi versionnegotiation unauthenticated-context rootapp
		[composite:rootapp]
		paste.composite_factory = glance.api:root_app_factory
		/: apiversions
		/v2: apiv2app
		[app:apiversions]
		paste.app_factory = glance.api.versions:create_resource
		[app:apiv2app]
		paste.app_factory = glance.api.v2.router:API.factory
		[filter:recorder]
		paste.filter_factory = recall_record:recorder_filter
		[filter:cors]
		paste.filter_factory = oslo_middleware.cors:filter_factory
		oslo_config_project = glance
		oslo_config_program = glance-api
		[filter:http_proxy_to_wsgi]
		paste.filter_factory = oslo_middleware:HTTPProxyToWSGI.factory
		[filter:versionnegotiation]
		paste.filter_factory = glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory
		[filter:unauthenticated-context]
		paste.filter_factory = glance.api.middleware.context:UnauthenticatedContextMiddleware.factory
	INI
}

glance_config() {
	GLANCE_PORT=$("$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	cat >"$GLANCE_DIR/glance-api.conf" <<-CONF
		[DEFAULT]
		bind_host = 127.0.0.1
		bind_port = $GLANCE_PORT
		# One process: its greenlets take turns.
		workers = 0
		log_file = $GLANCE_DIR/glance.log
		node_staging_uri = file://$GLANCE_DIR/staging
		[database]
		connection = sqlite:///$GLANCE_DIR/glance.db
		sqlite_synchronous = false
		[glance_store]
		stores = file
		default_store = file
		filesystem_store_datadir = $GLANCE_DIR/images
		[oslo_concurrency]
		lock_path = $GLANCE_DIR/locks
		[paste_deploy]
		config_file = $GLANCE_DIR/paste.ini
	CONF
}

# glance_python NAME MODULE ARG...: a command of the package glance-api, which is not installed: its
# service would be another one.
glance_python() {
	local name=$1 module=$2
	shift 2
	cat >"$GLANCE_DIR/bin/$name" <<-SCRIPT
		import sys
		from $module import main
		sys.exit(main())
	SCRIPT
	exec env -u PYTHONPATH PYTHONDONTWRITEBYTECODE=1 "${GLANCE_ENV[@]}" \
		"$PYTHON" "$GLANCE_DIR/bin/$name" --config-file "$GLANCE_DIR/glance-api.conf" "$@"
}

glance_prepare() {
	GLANCE_DIR=$1
	mkdir -p "$GLANCE_DIR/bin" "$GLANCE_DIR/images" "$GLANCE_DIR/staging" "$GLANCE_DIR/locks"
	glance_paste >"$GLANCE_DIR/paste.ini"
	glance_config
	(glance_python glance-manage glance.cmd.manage db sync) >"$GLANCE_DIR/manage.log" 2>&1 ||
		fail "glance-manage: $(tail -n 1 "$GLANCE_DIR/manage.log")"
}

glance_record() {
	mkdir -p "$1"
	glance_paste recorder >"$GLANCE_DIR/paste.ini"
	GLANCE_ENV+=("RECALL_TRUTH=$1" "PYTHONPATH=$SERVICES_DIR")
}

glance_start() {
	local attempt
	glance_python glance-api glance.cmd.api >>"$GLANCE_DIR/out.log" 2>&1 </dev/null &
	GLANCE_PID=$!
	for attempt in $(seq 150); do
		kill -0 "$GLANCE_PID" 2>/dev/null ||
			fail "glance ended: $(tail -n 1 "$GLANCE_DIR/out.log")"
		if "$PYTHON" "$SERVICES_DIR/glance-client.py" ready "$GLANCE_PORT"; then
			return
		fi
		sleep 0.2
	done
	fail "glance did not answer on port $GLANCE_PORT within $((attempt / 5)) s"
}

glance_stop() {
	[ -n "$GLANCE_PID" ] || return 0
	kill -TERM "$GLANCE_PID" 2>/dev/null || true
	wait "$GLANCE_PID" 2>/dev/null || true
	GLANCE_PID=
}

glance_drive() {
	local log=$1
	shift
	"$PYTHON" "$SERVICES_DIR/glance-client.py" run "$GLANCE_PORT" -o "$log" "$@"
}

glance_cleanup() {
	collect_stop
	glance_stop
	rm -rf "$1"
}
