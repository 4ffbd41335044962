"""keystone's WSGI application behind the recorder, for uwsgi's --wsgi-file."""
import os
import sys

sys.path.insert(0, os.environ["RECALL_CODE"])
from recall_record import Recorder  # noqa: E402

WSGI = "/usr/bin/keystone-wsgi-public"
names = {"__name__": "keystone_wsgi_public", "__file__": WSGI}
with open(WSGI, encoding="utf-8") as file:
    exec(compile(file.read(), WSGI, "exec"), names)
application = Recorder(names["application"])
