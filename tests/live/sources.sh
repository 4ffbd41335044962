#!/bin/bash
# The source digests of functions that ran are those of their definitions, for every shape of
# function; of a file that changes while the service runs there are none.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin
export DAYLIGHT

for change in "" later; do
	# In their place: nothing is written around them, so they are not taken for changed.
	app=$LIVE_DIR file=$WORK/bundle$change.daylight
	if [ -n "$change" ]; then
		app=$WORK/app
		mkdir "$app"
		cp "$LIVE_DIR"/sources_{server,shapes}.py "$app"
	fi
	server_start "shapes$change" "$PYTHON" "$app/sources_server.py"
	collect_start "$file" --port "$PORT"
	for _ in 1 2 3 4 5 6; do
		"$PYTHON" -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1]).read()' \
			"http://127.0.0.1:$PORT/" || fail "no answer"
	done
	[ -z "$change" ] || echo "# more" >>"$app/sources_shapes.py"
	collect_stop
	server_stop "$SERVER"
	collect_ended 0 "$file"
	live_look "$file"
	"$PYTHON" "$LIVE_DIR/sources_check.py" "$file" "$file.functions" "$app" \
		"$([ -z "$change" ] && echo source || echo changed)" || fail "wrong source digests"
done
exit 0
