#!/bin/bash
# Replaced functions of a small service are found, each with its kind and place; one that does much
# that looks like it, and one whose objects move all the time, show none. A .pth file with code is
# named. The same under each interpreter of pyenv.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

CALLS_PAUSE=0.1

# run NAME ARGUMENT...: collects some calls of the server.
run() {
	local name=$1 file=$WORK/$1.daylight _
	shift
	server_start "$name" "$PYTHON" "$LIVE_DIR/patches_server.py" "$@"
	collect_start "$file" --port "$PORT"
	for _ in $(seq 6); do
		/usr/bin/python3 -c 'import sys, urllib.request as u
u.urlopen("http://127.0.0.1:%s/" % sys.argv[1]).read()' "$PORT" || fail "$name does not answer"
		sleep "$CALLS_PAUSE"
	done
	kill -0 "$SERVER" 2>/dev/null || fail "$name ended"
	collect_stop
	server_stop "$SERVER"
	collect_ended 0 "$file"
	"$DAYLIGHT" inspect "$file" interpositions --jsonl >"$file.found"
	"$DAYLIGHT" inspect "$file" loss >"$file.loss"
}

# found NAME: "KIND PLACE BY", of the service's own modules.
found() {
	"$PYTHON" -c 'import json, os, sys
for line in open(sys.argv[1], encoding="utf-8"):
    row = json.loads(line)
    if row["place"].startswith("patches_") or "planted" in row["place"]:
        print(row["kind"], row["place"].replace(sys.argv[2], "WORK"),
              os.path.basename(row["by_path"] or "-"))' "$WORK/$1.daylight.found" "$WORK" | sort
}

run plain plain
[ -z "$(found plain)" ] || fail "an untouched service shows: $(found plain)"
grep 'patch-names' "$WORK/plain.daylight.loss"

cat >"$WORK/expected" <<-END
	code-replaced patches_code:Wrapped.hit_code patches_other.py
	code-replaced patches_code:hit_code patches_other.py
	rebound patches_code:Abstract.Nested.hit_nested patches_other.py
	rebound patches_code:Abstract.__hit_private patches_other.py
	rebound patches_code:Abstract.hit_property patches_other.py
	rebound patches_code:Decorated.hit_rebound patches_other.py
	rebound patches_code:HitClass patches_other.py
	rebound patches_code:hit_own_name patches_other.py
	rebound patches_code:hit_rebound patches_other.py
	wrapper patches_code:Abstract.hit_of_class patches_other.py
	wrapper patches_code:Wrapped.hit_wrapper patches_other.py
	wrapper patches_code:hit_decorated patches_other.py
	wrapper patches_code:hit_partial functools.py
	wrapper patches_code:hit_wrapper patches_other.py
END
run patched patched
found patched >"$WORK/found"
diff "$WORK/expected" "$WORK/found" || fail "not what was replaced (< expected, > found)"

CALLS_PAUSE=1 # long enough for the first look, too
run restless restless
CALLS_PAUSE=0.1
[ -z "$(found restless)" ] || fail "a restless service shows: $(found restless)"

mkdir "$WORK/site-packages"
printf '# a comment\nimport os; planted = 1\n' >"$WORK/site-packages/planted.pth"
echo "$WORK" >"$WORK/site-packages/planted-folder.pth"
run site site --folder "$WORK"
[ "$(found site)" = "pth WORK/site-packages/planted.pth planted.pth" ] ||
	fail "the .pth file: $(found site)"
# The other versions whose objects are known.
missing=
for version in 3.6 3.7 3.8 3.9 3.10 3.11 3.12 3.13; do
	PYTHON=
	for python in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python3; do
		[ ! -x "$python" ] || PYTHON=$python
	done
	if [ -z "$PYTHON" ]; then
		missing="$missing $version"
		continue
	fi
	run "plain-$version" plain
	[ -z "$(found "plain-$version")" ] ||
		fail "$version: an untouched service shows: $(found "plain-$version")"
	run "patched-$version" patched
	# The class partial says of itself that it is Python's from 3.9 on.
	found "patched-$version" | sed 's/hit_partial .*/hit_partial functools.py/' >"$WORK/found"
	diff "$WORK/expected" "$WORK/found" ||
		fail "$version: not what was replaced (< expected, > found)"
	echo "CPython $version: $(grep patch-names "$WORK/patched-$version.daylight.loss")"
done
if [ -n "$missing" ]; then
	echo "SKIP: not under pyenv:$missing"
	[ "${CI:-}" != true ] || fail "not under pyenv:$missing"
fi
exit 0
