#!/bin/bash
# Whose work it is when the flow does not show, or changes: below more frames than are walked, when
# one thread receives a request and another one answers it, and when threads do each other's work.
set -u
. "$(dirname "$0")/live-lib.sh"
. "$(dirname "$0")/flow-lib.sh"
live_begin
"$PYTHON" -c 'import eventlet' 2>/dev/null || skip "no python3-eventlet: make deps"

# A stack of more frames than are walked shows no flow: nothing is bound by the thread, which has
# other greenlets, and the loss is counted.
server_start deep "$PYTHON" "$LIVE_DIR/flow_deep.py"
flow_watch deep 4 deep:0:6 deep:0.7:3 -- --partial --without deep=thread
server_start shallow "$PYTHON" "$LIVE_DIR/flow_deep.py"
# shellcheck disable=SC2034 # for flow_watch
PORT=$(sed -n 's/^shallow //p' "$WORK/shallow.out")
flow_watch shallow 0 shallow:0:10 shallow:0.7:3 -- --bound shallow=flow

# 400 connections, each received by one thread and answered by another: that one's work is the
# call's. What the first did after it had handed the call on might be for any.
server_start pairs "$PYTHON" "$LIVE_DIR/flow_pairs.py"
flow_watch pairs 0 pairs:0:400:0.005 -- --bound pairs=flow:sending

# Threads that answer each other's requests: what one did for the other's call is not its own call's.
server_start swap "$PYTHON" "$LIVE_DIR/flow_swap.py"
flow_watch swap 0 alpha:0:40 beta:0:40 --
