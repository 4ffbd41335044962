#!/bin/bash
# Files that are no bundles: one line, exit code 2, no waiting.
set -u
. "$(dirname "$0")/expect.bash"

mkfifo "$DIR/fifo"
: >"$DIR/empty"
echo "not a bundle" >"$DIR/text"
head -c 100000 /dev/urandom >"$DIR/noise"
echo data | zstd -q -o "$DIR/other.zst"
for verb in verify inspect; do
	for name in fifo empty text noise other.zst missing; do
		expect 2 "$DIR/$name" "$DAYLIGHT" "$verb" "$DIR/$name"
	done
	expect 2 "$DIR" "$DAYLIGHT" "$verb" "$DIR"
	expect 2 /dev/zero "$DAYLIGHT" "$verb" /dev/zero
done
expect 2 bogus "$DAYLIGHT" inspect "$DIR/text" bogus
expect 2 "guideline" "$DAYLIGHT" analyze "$DIR/text"
for name in fifo empty text noise missing; do
	expect 2 "$DIR/$name" "$DAYLIGHT" analyze "$DIR/$name" \
		--guideline "$ROOT_DIR/tools/demo/guideline.json"
done
finish
