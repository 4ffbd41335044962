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
# Output that cannot be written is an error, not silence.
code=0
"$DAYLIGHT" --help >/dev/full 2>"$DIR/err" || code=$?
[ "$code" != 0 ] || fail "--help to a full disk: exit code 0"
finish
