# shellcheck shell=bash
# Real backends on the loopback, in folders below $WORK: MariaDB, RabbitMQ, memcached. Sourced after
# live-lib.sh and live_begin.
#
#   backends_begin      leaves the test when one is not installed
#   database_start      sets DB (pid), DB_PORT, DB_SOCKET; with a database `work`
#   broker_start        sets BROKER (pid of Erlang), AMQP_PORT
#   broker_wait         until it takes connections
#   cache_start         sets CACHE (pid), CACHE_PORT

# Where the script is that can become Erlang; the one in PATH changes its user first.
BROKER_LIB=/usr/lib/rabbitmq/bin

backends_begin() {
	local name
	for name in mariadbd mariadb-install-db epmd memcached "$BROKER_LIB/rabbitmq-server"; do
		command -v "$name" >/dev/null || PATH=$PATH:/usr/sbin command -v "$name" >/dev/null ||
			skip "$name is not installed (make deps-check)"
	done
	"$PYTHON" -c 'import pymysql, sqlalchemy, memcache, oslo_messaging' 2>/dev/null ||
		skip "python3-pymysql or another library is not installed (make deps-check)"
	PATH=$PATH:/usr/sbin
}

listens() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# backend_run NAME COMMAND...: in the background; sets BACKEND.
backend_run() {
	local name=$1
	shift
	"$@" >"$WORK/$name.log" 2>&1 </dev/null &
	BACKEND=$!
	STARTED+=("$BACKEND")
}

# backend_listens NAME SECONDS PORT
backend_listens() {
	wait_for "$2" listens "$3" || fail "$1 does not listen: $(tail -n 3 "$WORK/$1.log")"
}

database_start() {
	DB_PORT=$(free_port)
	DB_SOCKET=$WORK/database.sock
	mariadb-install-db --no-defaults --user=root --datadir="$WORK/database" --force \
		--auth-root-authentication-method=normal --skip-test-db >"$WORK/database.log" 2>&1 ||
		fail "mariadb-install-db: $(tail -n 3 "$WORK/database.log")"
	backend_run database mariadbd --no-defaults --user=root --datadir="$WORK/database" \
		--socket="$DB_SOCKET" --bind-address=127.0.0.1 --port="$DB_PORT" \
		--pid-file="$WORK/database.pid"
	# shellcheck disable=SC2034 # for the test
	DB=$BACKEND
	backend_listens database 60 "$DB_PORT"
	"$PYTHON" - "$DB_SOCKET" <<-'PYTHON' || fail "the database work cannot be made"
		import pymysql, sys
		cursor = pymysql.connect(user="root", unix_socket=sys.argv[1], autocommit=True).cursor()
		cursor.execute("CREATE DATABASE work")
		cursor.execute("CREATE TABLE work.done (number INT)")
	PYTHON
}

# Erlang finds its nodes by epmd, and starts one that stays if there is none: so one is started
# here, on a port of its own. All of them listen on the loopback alone.
broker_start() {
	local folder=$WORK/broker
	mkdir "$folder"
	AMQP_PORT=$(free_port)
	export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT
	ERL_EPMD_PORT=$(free_port)
	backend_run epmd epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT"
	backend_listens epmd 10 "$ERL_EPMD_PORT"
	printf 'listeners.tcp.local = 127.0.0.1:%s\n' "$AMQP_PORT" >"$folder/rabbitmq.conf"
	: >"$folder/plugins"
	# `detached`: the script becomes Erlang, whose pid this is then.
	backend_run broker env HOME="$folder" detached=1 RABBITMQ_NODENAME="daylight@localhost" \
		RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" \
		RABBITMQ_MNESIA_BASE="$folder/data" RABBITMQ_LOG_BASE="$folder/log" \
		RABBITMQ_ENABLED_PLUGINS_FILE="$folder/plugins" RABBITMQ_DIST_PORT="$(free_port)" \
		RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-noinput -kernel inet_dist_use_interface {127,0,0,1} +sbwt none' \
		"$BROKER_LIB/rabbitmq-server"
	BROKER=$BACKEND
}

broker_wait() {
	backend_listens broker 120 "$AMQP_PORT"
	[ "$(cat "/proc/$BROKER/comm")" = beam.smp ] || fail "the broker's process is not Erlang's"
	# Nothing but the loopback.
	! ss -Htlnp | grep "pid=$BROKER," | awk '{ print $4 }' | grep -v '^127\.0\.0\.1:' ||
		fail "the broker listens elsewhere"
}

cache_start() {
	CACHE_PORT=$(free_port)
	backend_run memcached memcached -u nobody -l 127.0.0.1 -p "$CACHE_PORT" -U 0 -t 2
	# shellcheck disable=SC2034 # for the test
	CACHE=$BACKEND
	backend_listens memcached 10 "$CACHE_PORT"
}
