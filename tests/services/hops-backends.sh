#!/bin/bash
# A service under uwsgi that uses MariaDB (by TCP and Unix socket), memcached and RabbitMQ by the
# libraries of OpenStack, and a worker that takes its messages. Each call shows which of them it
# used, and what is spoken with the broker; the worker's own call of the service is tied to no other
# one, and the report says that such work is not tied. Once with all of these as targets, once with
# the service alone.
set -u
# shellcheck source=tests/live/live-lib.sh
. "$(dirname "$0")/../live/live-lib.sh"
live_begin
HERE=$ROOT_DIR/tests/services
# shellcheck source=tests/services/backends-lib.sh
. "$HERE/backends-lib.sh"
command -v uwsgi >/dev/null || skip "uwsgi is not installed (make deps-check)"
backends_begin

says_working() { grep -q '^working' "$WORK/worker.log"; }

# with NAME: a window over all processes, or the service alone, and what it shows.
with() {
	local name=$1 file=$WORK/$1.daylight targets
	PORT=$(free_port)
	backend_run "service-$name" uwsgi --plugin python3 --master --processes 2 --threads 1 \
		--enable-threads --die-on-term --need-app --disable-logging \
		--wsgi-file "$HERE/backends_app.py" --http-socket "127.0.0.1:$PORT"
	SERVICE=$BACKEND
	backend_listens "service-$name" 30 "$PORT"
	backend_run worker "$PYTHON" "$HERE/backends_app.py" worker "$PORT"
	WORKER=$BACKEND
	wait_for 30 says_working || fail "the worker: $(tail -n 3 "$WORK/worker.log")"
	targets=(--pid "$SERVICE")
	[ "$name" = alone ] ||
		targets+=(--pid "$DB" --pid "$BROKER" --pid "$CACHE" --pid "$WORKER")
	# Hops need walks at socket data alone; their budget shall not be spent on others.
	collect_start "$file" "${targets[@]}" --syscall-phase=0 --syscall-duty=0 --samples=0
	"$PYTHON" "$HERE/backends_check.py" drive "$PORT" "$WORK/$name.truth" ||
		fail "the client did not get its answers: $(tail -n 3 "$WORK/service-$name.log")"
	collect_stop
	server_stop "$WORKER"
	server_stop "$SERVICE"
	# The first stacks of so much code may take more time than walks have: that alone may be lost.
	[ "$CODE" = 4 ] || collect_ended 0 "$file"
	live_look "$file"
	"$DAYLIGHT" analyze "$file" --guideline "$HERE/guideline.json" -o "$WORK/report.json" \
		>"$WORK/report.txt" || fail "analyze: $(tail -n 1 "$WORK/report.txt")"
	"$PYTHON" "$HERE/backends_check.py" check "$name" "$file" "$WORK/$name.truth" "$WORK" ||
		fail "$name: the hops are not those of the service"
	sed -n '/^Connections/,/^$/{/shown by/d;s/^  /SHOW   /p}' "$WORK/report.txt"
}

broker_start
database_start
cache_start
broker_wait
export DB_PORT DB_SOCKET CACHE_PORT AMQP_PORT
with all
with alone
for pid in "$CACHE" "$BROKER" "$DB"; do
	server_stop "$pid"
done
