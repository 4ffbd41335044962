#!/usr/bin/python3
"""A small HTTP server for the test of replaced functions. What is wanted of it comes as arguments:

    plain      nothing is replaced, though much here looks like it
    patched    patches_other.py replaces functions of patches_code.py
    restless   functions, classes and modules come and go all the time; none is replaced for long
    site       a .pth file with code in a site-packages folder of --folder
"""
import http.server
import os
import site
import sys
import threading
import types

import patches_code
import patches_text


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        patches_text.work()
        os.stat(__file__)
        body = patches_code.answer().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def churn():
    """Dicts grow, shrink and move; objects are freed and made again at the same places."""
    count = 0
    while True:
        count += 1
        name = "restless_%d" % (count % 500)
        module = types.ModuleType(name)
        module.__file__ = patches_code.__file__
        for i in range(count % 90):
            setattr(module, "name%d" % i, lambda: i)
        sys.modules[name] = module
        sys.modules.pop("restless_%d" % ((count + 250) % 500), None)
        setattr(patches_code.Plain, "extra%d" % (count % 200), types.FunctionType(
            churn.__code__, {}, name))
        if count % 200 == 0:
            for i in range(200):
                delattr(patches_code.Plain, "extra%d" % i) if hasattr(
                    patches_code.Plain, "extra%d" % i) else None


def main():
    if "patched" in sys.argv:
        import patches_other  # noqa: F401
    if "restless" in sys.argv:
        threading.Thread(target=churn, daemon=True).start()
    if "site" in sys.argv:
        site.addsitedir(os.path.join(sys.argv[sys.argv.index("--folder") + 1], "site-packages"))
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    print("port", server.server_port, flush=True)
    server.serve_forever()


main()
