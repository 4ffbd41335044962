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
# A guideline, a reference, a definition or a report's place that cannot be used: what it is, and what
# to do about it.
bundle=$ROOT_DIR/tests/golden/bundles/sealed.daylight
guideline=$ROOT_DIR/tools/demo/guideline.json
printf '{"schema": ' >"$DIR/cut.json"
echo '{}' >"$DIR/bare.json"
truncate -s 3G "$DIR/huge.json"
mkdir "$DIR/services" "$DIR/keys"
cp "$DIR/cut.json" "$DIR/services"
echo '{"x": 1}' >"$DIR/keys/key.json"
analyze() {
	expect 2 "$1" "$DAYLIGHT" analyze "$bundle" "${@:2}"
}
analyze "missing' cannot be opened .give a JSON file" --guideline "$DIR/missing"
analyze "fifo' is not a regular file: give" --guideline "$DIR/fifo"
analyze "huge.json' is larger than .*: give" --guideline "$DIR/huge.json"
analyze "cut.json' is not valid JSON .correct it" --guideline "$DIR/cut.json"
analyze "bare.json' .give one as it was published" --guideline "$DIR/bare.json"
analyze "cut.json' is not valid JSON .correct it" --guideline "$guideline" --reference "$DIR/cut.json"
analyze "bare.json' .docs/evidence.md" --guideline "$guideline" --reference "$DIR/bare.json"
analyze "services/cut.json: line 1.*correct the JSON" --guideline "$guideline" \
	--services "$DIR/services"
analyze "keys/key.json: unknown key 'x' .remove it" --guideline "$guideline" --services "$DIR/keys"
analyze "report .*name a file in a folder" --guideline "$guideline" -o "$DIR/none/report.json"
for name in fifo empty text noise missing; do
	expect 2 "$DIR/$name" "$DAYLIGHT" analyze "$DIR/$name" \
		--guideline "$ROOT_DIR/tools/demo/guideline.json"
done
finish
