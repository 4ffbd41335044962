#!/bin/bash
# The code in memory of each function that was seen is that of its compiled file, or of its source
# where there is none, after warm-up too. What was changed in memory shows, and nothing else: a
# replaced code object, a constant overwritten before and while the window is open. Code that comes
# from a .pyc of another source shows as that .pyc's. A source that changed after it was loaded is
# not compared.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin
# Not below /tmp: there any folder may have been moved by someone.
SOURCES=$(mktemp -d "${DAYLIGHT_BUILD:-$ROOT_DIR/build}/memory.XXXXXX")
memory_end() {
	local status=$?
	rm -rf "$SOURCES"
	(exit "$status")
	live_end
}
trap memory_end EXIT

# modules PYTHON FOLDER: the modules of server_memory.py, compiled but for `bare`.
modules() {
	mkdir -p "$2"
	cat >"$2/plain.py" <<-'PY'
		"""Many kinds of code and constants."""
		import functools

		LIMIT = 10 ** 30


		def wrapped(function):
		    @functools.wraps(function)
		    def inner(*args, **kwargs):
		        args[0]("i")
		        return function(*args, **kwargs)
		    return inner


		@wrapped
		def constants(send, scale=1.5, *rest, flag=True, **more):
		    """Text."""
		    send("€ constants")
		    table = {1: -2.5, "two": b"bytes", (3, (4, "five")): 6j, None: ...}
		    if scale in {1, 2.5, "three", b"four", (5, 6)}:
		        return LIMIT + 123456789012345678901234567890
		    for i in range(20):
		        scale = scale * 1.01 + i - len(table)
		    try:
		        return [x for x in rest if x] or {flag: more["missing"]}
		    except (KeyError, ValueError) as e:
		        return "%s %r" % (e, lambda: send)


		def numbers(send):
		    send("numbers")
		    for i in range(3):
		        yield i + -7 * 0.5


		class Thing:
		    """Text."""

		    def __init__(self, send):
		        self.send, self.count = send, 0

		    def method(self):
		        self.count += 1
		        self.send("method %d" % self.count)
		        return [n for n in map(lambda a: a + self.count, range(3))]

		    @property
		    def value(self):
		        self.send("property")
		        return __class__


		def run(send):
		    constants(send)
		    sum(numbers(send))
		    thing = Thing(send)
		    thing.method()
		    return thing.value
	PY
	cat >"$2/patched.py" <<-'PY'
		def replaced(send):
		    send("replaced")
		    return 777


		def poked(send):
		    send("a poked text")


		def late(send):
		    send("a late text")


		def untouched(send):
		    send("untouched")
		    return 777


		def run(send):
		    for function in (replaced, poked, late, untouched):
		        function(send)
	PY
	printf 'def genuine(send):\n    send("genuine")\n\n\nrun = genuine\n' >"$2/foreign.py"
	printf 'def genuine(send):\n    send("foreign")\n\n\nrun = genuine\n' >"$2/foreign-other"
	printf 'def bare(send):\n    assert send, "no"\n    send("bare")\n\n\nrun = bare\n' >"$2/bare.py"
	printf 'def later(send):\n    send("later")\n\n\nrun = later\n' >"$2/later.py"
	"$1" -I - "$2" <<-'PY' || fail "the modules do not compile"
		import importlib.util, marshal, os, py_compile, sys
		os.chdir(sys.argv[1])
		for name in "plain", "patched", "later", "foreign":
		    py_compile.compile(os.path.join(sys.argv[1], name + ".py"), doraise=True)
		# The header stays: it names the genuine source.
		path = importlib.util.cache_from_source("foreign.py")
		with open("foreign-other") as f:
		    code = compile(f.read(), os.path.join(sys.argv[1], "foreign.py"), "exec")
		with open(path, "r+b") as f:
		    f.seek(16)
		    f.truncate()
		    f.write(marshal.dumps(code))
	PY
}

# one NAME PYTHON [OPTION]: with -O no .pyc beside the sources is the one that is loaded.
one() {
	local name=$1 python=$2 option=${3:-} file=$WORK/$1.daylight how=()
	modules "$python" "$SOURCES/$name"
	sleep 0.1
	server_start "$name" "$python" ${option:+"$option"} "$LIVE_DIR/server_memory.py" "$SOURCES/$name"
	collect_start "$file" --port "$PORT"
	live_get /
	live_get /
	echo "# more" >>"$SOURCES/$name/later.py"
	live_get /late
	sleep 0.3
	collect_stop
	server_stop "$SERVER"
	collect_ended 0 "$file"
	echo "$name:"
	# The interpreter that compiles must be within reach of a user without privileges.
	if ! setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$python"; then
		how=(--how bare=interpreter-failed)
	elif [ -z "$option" ]; then
		how=(--other-code foreign.py)
	fi
	"$PYTHON" "$LIVE_DIR/memory_check.py" "$file" --only "$SOURCES/$name" --at-least 9 \
		--differs replaced --differs poked --differs late --how later=changed \
		"${how[@]}" || fail "$name"
}

live_get() {
	"$PYTHON" -c 'import sys, urllib.request as u
u.urlopen("http://127.0.0.1:%s%s" % (sys.argv[1], sys.argv[2])).read()' "$PORT" "$1" ||
		fail "no answer to $1"
}

one system "$PYTHON"
one optimised "$PYTHON" -O
for version in 3.8 3.9 3.10 3.11 3.12 3.13; do
	for python in "${PYENV_ROOT:-/root/.pyenv}/versions/$version".*/bin/python3; do
		if [ -x "$python" ]; then
			one "$version" "$python"
		elif [ "${CI:-}" = true ]; then
			fail "CPython $version is not under pyenv"
		else
			echo "SKIP: CPython $version is not under pyenv"
		fi
	done
done
exit 0
