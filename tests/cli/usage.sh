#!/bin/bash
# Help of every verb, and what is refused before anything is done.
set -u
. "$(dirname "$0")/expect.bash"

verbs=$("$DAYLIGHT" --help | sed -n '/^verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p')
for verb in inspect verify analyze; do
	grep -qx "$verb" <<<"$verbs" || fail "--help does not name $verb"
done
for verb in $verbs; do
	"$DAYLIGHT" "$verb" --help >"$DIR/help" 2>"$DIR/err" || fail "$verb --help: exit code $?"
	[ ! -s "$DIR/err" ] || fail "$verb --help writes to stderr"
	grep -q "^usage: daylight $verb" "$DIR/help" || fail "$verb --help has no usage line"
	grep -q '^exit codes:' "$DIR/help" || fail "$verb --help names no exit codes"
	expect 2 "unknown option '--bogus'" "$DAYLIGHT" "$verb" --bogus
	# The same form for all: a sentence, then blocks behind an indent of two.
	sed -n 3p "$DIR/help" | grep -Eq '^[A-Z].*[^.]\.$' || fail "$verb --help: line 3 is no sentence"
	sed -n '/^examples:/,/^$/p' "$DIR/help" | grep -Evq '^(  [a-z].*  # .*|examples:|)$' &&
		fail "$verb --help: an example of another form"
	sed -n '/^exit codes:/,$p' "$DIR/help" | grep -Evq '^(  [0-9]  [a-z].*|exit codes:)$' &&
		fail "$verb --help: an exit code of another form"
	"$DAYLIGHT" manual "$verb" | grep -q "^:Manual section: 1" || fail "manual $verb"
done
"$DAYLIGHT" --help | sed -n '/^verbs:/,/^$/p' | grep -Evq '^(  [a-z]+ +[a-z].*[^.]|verbs:|)$' &&
	fail "--help: a summary of another form"
"$DAYLIGHT" manual | grep -qF '  Show what a bundle holds. See **daylight-inspect**\(1).' ||
	fail "manual: the line of inspect"

# A build without the collector says so.
for verb in collect doctor; do
	grep -qx "$verb" <<<"$verbs" ||
		expect 2 "no collector: build without COLLECT=0" "$DAYLIGHT" "$verb"
done
"$DAYLIGHT" --version | grep -Eq '^daylight [0-9]+\.[0-9]+\.[0-9]+$' || fail "--version"

expect 2 "unknown verb 'bogus'" "$DAYLIGHT" bogus
# Exact names: a beginning of a name is not the name.
expect 2 "unknown verb 'veri'" "$DAYLIGHT" veri x
expect 2 "unknown option '--js'" "$DAYLIGHT" verify --js x
expect 2 "FILE" "$DAYLIGHT" verify
expect 2 "FILE" "$DAYLIGHT" inspect
expect 2 "FILE" "$DAYLIGHT" analyze
expect 2 "" "$DAYLIGHT" verify --key
expect 2 "" "$DAYLIGHT" verify one two
code=0
"$DAYLIGHT" >"$DIR/out" 2>"$DIR/err" || code=$?
[ "$code" = 2 ] || fail "without a verb: exit code $code instead of 2"
grep -q '^usage:' "$DIR/err" || fail "without a verb: no usage on stderr"
# A view in the place of the file.
expect 2 "give the file first: daylight inspect FILE calls" "$DAYLIGHT" inspect calls "$DIR/help"
expect 2 "give the file first: daylight inspect FILE calls" "$DAYLIGHT" inspect calls
expect 2 "daylight inspect FILE record KIND ID" "$DAYLIGHT" inspect record call 1 "$DIR/help"
# A reader that leaves is no error: the verb's own exit code, and nothing on stderr.
unread() {
	"$PYTHON" - "$@" <<'END' || fail "unread: $*"
import os, subprocess, sys

for command in sys.argv[2:], sys.argv[2:] + ["--json"]:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=20)
    os.close(writer)
    assert (done.returncode, done.stderr) == (int(sys.argv[1]), b""), done
END
}
bundles=$ROOT_DIR/tests/golden/bundles
unread 0 "$DAYLIGHT" --help
unread 0 "$DAYLIGHT" inspect "$bundles/sealed.daylight"
unread 0 "$DAYLIGHT" inspect "$bundles/sealed.daylight" calls
unread 0 "$DAYLIGHT" verify "$bundles/sealed.daylight"
unread 1 "$DAYLIGHT" verify "$bundles/altered.daylight"
unread 4 "$DAYLIGHT" verify "$bundles/cut.daylight"
# Output that cannot be written is an error, not silence.
code=0
"$DAYLIGHT" --help >/dev/full 2>"$DIR/err" || code=$?
[ "$code" != 0 ] || fail "--help to a full disk: exit code 0"
finish
