#!/bin/bash
# A keystone whose functions were replaced in memory, in each way, with a preloaded library, a
# sitecustomize, an import hook and a middleware of its own: each is disclosed with its place. The
# same keystone untouched shows none of it.
set -eu
. "$(dirname "$0")/keystone-lib.sh"
DIR=$(mktemp -d)
trap 'keystone_cleanup "$DIR"' EXIT
trap 'exit 143' TERM INT
PLANTED=$DIR/planted

command -v gcc >/dev/null || skip "gcc is not installed (make deps-check)"
keystone_need "$DIR"
keystone_prepare "$DIR/keystone"

# .pth files with code that no package owns may lie on this host: they belong to the truth.
host_pth() {
	local file
	for file in /usr/lib/python3/dist-packages/*.pth /usr/local/lib/python3.*/dist-packages/*.pth; do
		[ -f "$file" ] && grep -q '^import[[:blank:]]' "$file" &&
			! dpkg -S "$file" >/dev/null 2>&1 && echo "pth $file $file"
	done
	return 0
}

# run NAME: starts, collects a few calls, stops.
run() {
	local bundle=$DIR/$1.daylight view
	sleep 0.1
	keystone_start
	collect_start "$bundle" --port "$KEYSTONE_PORT"
	keystone_drive "$DIR/client.jsonl" --issues 3 --validations 8
	collect_stop
	keystone_stop
	[ "$COLLECT_CODE" = 0 ] || fail "$1: collect ended with $COLLECT_CODE: $(tail -n 3 "$bundle.log")"
	for view in interpositions calls modules functions loss; do
		"$DAYLIGHT" inspect "$bundle" "$view" --jsonl >"$DIR/$1.$view"
	done
}

# expect NAME: for each process that answered calls, exactly the lines of NAME.expected,
# "KIND PLACE BY", no more and no less.
expect() {
	"$PYTHON" - "$DIR/$1" <<-'END' || fail "$1: not the interpositions that were planted"
		import json, sys
		name = sys.argv[1]
		def rows(view):
		    with open(name + "." + view, encoding="utf-8") as file:
		        return [json.loads(line) for line in file]
		with open(name + ".expected", encoding="utf-8") as file:
		    wanted = sorted(line.rstrip("\n") for line in file)
		pids = {row["process"]["pid"] for row in rows("calls")}
		found = {pid: [] for pid in pids}
		for row in rows("interpositions"):
		    print("SHOW", row["process"]["pid"], row["kind"], row["place"], row["by_path"], row["detail"])
		    found.setdefault(row["process"]["pid"], []).append(
		        "%s %s %s" % (row["kind"], row["place"], row["by_path"]))
		bad = [pid for pid, lines in found.items() if sorted(lines) != wanted]
		for pid in bad:
		    print("pid", pid, "missing", set(wanted) - set(found[pid]), "too much",
		          sorted(set(found[pid]) - set(wanted)))
		judged = [row for row in rows("loss") if row["stage"] == "patch-names"][0]
		print("SHOW", judged["delivered"], "of", judged["attempted"], "names judged")
		assert judged["attempted"] > 10000 * len(pids), "keystone's modules were not looked at"
		assert judged["delivered"] > judged["attempted"] * 9 // 10, "too few were judged"
		sys.exit(1 if bad or not pids else 0)
	END
}

host_pth >"$DIR/untouched.expected"
run untouched
expect untouched

mkdir "$PLANTED"
cat >"$PLANTED/entry.py" <<'END'
import functools

from keystone.server.wsgi import initialize_public_application
import keystone.api.auth
import keystone.auth.core
import keystone.common.utils
import keystone.identity.core
import keystone.token.provider

import planted_middleware

application = planted_middleware.Counter(initialize_public_application())


def planted(*args, **kwargs):
    return []


def plain(function):
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner


def polite(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner


class Callable:
    def __init__(self, function):
        self.function = function

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)


# Rebound: a function of a module; a method of a class whose metaclass wraps its methods.
keystone.common.utils.flatten_dict = planted
keystone.identity.core.Manager.list_users = planted
# Replaced code: of a plain function; of one below a wrapper of keystone's own.
keystone.api.auth._get_sso_origin_host.__code__ = (lambda: "x").__code__
keystone.token.provider.Manager.check_revocation_v3.__wrapped__.__code__ = (
    lambda self, token: None).__code__
# Wrappers: a closure; one that says so (__wrapped__), around a decorated method and around one that
# the metaclass wrapped; an object; a partial.
keystone.auth.core.load_auth_methods = plain(keystone.auth.core.load_auth_methods)
keystone.api.auth.AuthTokenResource.post = polite(keystone.api.auth.AuthTokenResource.post)
keystone.token.provider.Manager.validate_token = polite(
    keystone.token.provider.Manager.validate_token)
keystone.common.utils.isotime = Callable(keystone.common.utils.isotime)
keystone.common.utils.hash_access_key = functools.partial(keystone.common.utils.hash_access_key)
END
cat >"$PLANTED/planted_middleware.py" <<'END'
class Counter:
    def __init__(self, application):
        self.application = application
        self.count = 0

    def __call__(self, environ, start_response):
        self.count += 1
        return self.application(environ, start_response)
END
cat >"$PLANTED/sitecustomize.py" <<'END'
import sys

import planted_hook

sys.meta_path.insert(0, planted_hook.Finder())
END
cat >"$PLANTED/planted_hook.py" <<'END'
class Finder:
    def find_spec(self, name, path=None, target=None):
        return None
END
echo 'int planted_library(void) { return 1; }' >"$PLANTED/library.c"
gcc -shared -fPIC -o "$PLANTED/library.so" "$PLANTED/library.c"

{
	host_pth
	cat <<-END
		rebound keystone.common.utils:flatten_dict $PLANTED/entry.py
		rebound keystone.identity.core:Manager.list_users $PLANTED/entry.py
		code-replaced keystone.api.auth:_get_sso_origin_host $PLANTED/entry.py
		code-replaced keystone.token.provider:Manager.check_revocation_v3 $PLANTED/entry.py
		wrapper keystone.auth.core:load_auth_methods $PLANTED/entry.py
		wrapper keystone.api.auth:AuthTokenResource.post $PLANTED/entry.py
		wrapper keystone.token.provider:Manager.validate_token $PLANTED/entry.py
		wrapper keystone.common.utils:isotime $PLANTED/entry.py
		wrapper keystone.common.utils:hash_access_key /usr/lib/python3.11/functools.py
		preload LD_PRELOAD $PLANTED/library.so
		sitecustomize sitecustomize $PLANTED/sitecustomize.py
		import-hook sys.meta_path $PLANTED/planted_hook.py
	END
} >"$DIR/patched.expected"
# shellcheck disable=SC2034 # read by keystone_start
KEYSTONE_ARGS=(--wsgi-file "$PLANTED/entry.py")
# shellcheck disable=SC2034 # read by keystone_start
KEYSTONE_ENV=("PYTHONPATH=$PLANTED" "LD_PRELOAD=$PLANTED/library.so")
run patched
expect patched

# The middleware stands on the stacks of the calls; no package owns its file.
"$PYTHON" - "$DIR/patched" "$PLANTED" <<'END' || fail "the middleware is not shown"
import json, sys
name, planted = sys.argv[1:]
def rows(view):
    with open(name + "." + view, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
files = {row["path"]: row for row in rows("modules")}
for file in ("planted_middleware.py", "entry.py"):
    row = files[planted + "/" + file]
    assert row["package"] is None and row["sha256"], row
calls = [row for row in rows("calls") if row["end_reason"] == "complete"]
shown = [row for row in calls
         if any(f["path"] == planted + "/planted_middleware.py" and f["qualname"] == "Counter.__call__"
                for f in row["functions"])]
print("SHOW", len(shown), "of", len(calls), "calls list the middleware")
assert calls and len(shown) >= len(calls) // 2
END
