#!/bin/bash
# Code that is easily taken for other code: modules of the same names, lines and sizes at the same
# addresses are told apart by their paths; callers far from the innermost frame all show.
set -u
. "$(dirname "$0")/live-lib.sh"
. "$(dirname "$0")/flow-lib.sh"
live_begin

server_start code "$PYTHON" "$LIVE_DIR/flow_code.py"
# Which of a short call's system calls is walked is left to chance: enough of them.
flow_watch code 0 plugin:0:60:0.02 callers:1.4:100:0.01 -- --bound plugin=flow --seen callers=flow
made=$(grep -c '^address ' "$WORK/code.out")
places=$(grep '^address ' "$WORK/code.out" | sort -u | wc -l)
echo "$made modules at $places addresses"
[ "$places" -lt $((made / 2)) ] || fail "the modules did not share their addresses"
