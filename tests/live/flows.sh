#!/bin/bash
# Whose work it is in a process of many threads: with stacks of any size that lie side by side, with
# Python below C code, and beside a thread that is C code alone, no call is credited with what
# another one's thread does.
set -u
. "$(dirname "$0")/live-lib.sh"
. "$(dirname "$0")/flow-lib.sh"
live_begin
command -v uwsgi_python3 >/dev/null || skip "no uwsgi_python3: make deps"

overlap=(slow:0:4 fast:0.1:30 nested:0.2:2 slow:0.8:2 nested:0.8:2 fast:0.9:10)
bound=(--bound slow=thread --bound nested=thread --bound fast=thread)
server_start small-stacks "$PYTHON" "$LIVE_DIR/flow_wsgi.py" --threads 6 --threads-stacksize 512
flow_watch small-stacks 0 "${overlap[@]}" -- "${bound[@]}"
server_start large-stacks "$PYTHON" "$LIVE_DIR/flow_wsgi.py" --threads 6
flow_watch large-stacks 0 "${overlap[@]}" -- "${bound[@]}"

gcc -std=gnu11 -O1 -Wall -Wextra -Werror -shared -fPIC -pthread -o "$WORK/flow_native.so" \
	"$LIVE_DIR/flow_native.c" || fail "flow_native.c does not compile"
server_start native "$PYTHON" "$LIVE_DIR/flow_native.py" "$WORK/flow_native.so"
flow_watch native 0 native:0:20 -- --empty native
