"""Records in a service itself which Python functions start for each of its requests.

    Recorder(app)            a WSGI application in front of app
    recorder_filter          the same as a filter factory of Paste Deploy, under eventlet

The files go to the folder $RECALL_TRUTH, one for each process: lines of words between tabs.

    f  NUMBER LINE FILE QUALNAME              a function, before it is first named
    c  REQUEST_ID METHOD PATH STATUS UPTO W   a request whose response was given, and closed

W are words NUMBER, NUMBER+ or NUMBER^, in the order in which they were first seen:

    NUMBER    a function that started
    NUMBER+   a generator or coroutine that went on
    NUMBER!   a generator into which an exception was thrown, or which was closed: it may have run
    NUMBER^   ran before the application began: on whose frames it stands, or, where the server is
              written in Python, what read the request

The first UPTO of them were seen before the last part of the response was handed to the server. What
comes later sends it, or belongs to no call.

It shall not disturb: a profile function takes note of code objects, by the greenlet that runs
(sys.setprofile). On 3.11 that changes no opcodes. Only functions of this file are added to those
that the service starts; nothing else is called but what is written in C. The profile function makes
no objects that the garbage collector counts: a collection that it caused would run functions which
no one hears of.
"""
import posix
import sys

from greenlet import getcurrent

GENERATORS = 0x20 | 0x80 | 0x200  # co_flags: generator, coroutine, asynchronous generator
FOLDER = posix.environ[b"RECALL_TRUTH"].decode()
# Opcodes of 3.11. A profile function is called with a generator's frame at one of its RESUMEs, whose
# argument is 0 at its start; elsewhere when an exception is thrown into it, and behind its
# RETURN_GENERATOR when it has not even started.
RESUME = 151
RETURN_GENERATOR = 75

HOW = ("", "+", "!", "^")

requests = {}  # greenlet -> Request
numbers = {}  # (file, qualname, line) -> number; of this process
output = [0, -1]  # pid and descriptor: processes fork after they have loaded this


def how_of_generator(code, place):
    """What happens to a generator's frame: a place in HOW; -1: nothing that makes it run."""
    text = code.co_code
    if text[place] == RESUME:
        return 1 if text[place + 1] else 0
    return -1 if text[place] == RETURN_GENERATOR else 2


def hook(frame, event, _):
    if event != "call":
        return
    request = requests.get(getcurrent())
    if request is None:
        return
    code = frame.f_code
    key = id(code) << 2
    if key in request.seen:
        return
    if code.co_flags & GENERATORS:
        how = how_of_generator(code, frame.f_lasti)
        if how < 0:
            return
        key += how
    request.seen.setdefault(key, code)


class Request:
    def __init__(self, frame):
        self.method = self.path = self.status = self.name = "-"
        self.seen = {}  # (id of code << 2) + how -> code, which keeps the id taken
        self.upto = 0
        while frame:
            self.seen.setdefault((id(frame.f_code) << 2) + 3, frame.f_code)
            frame = frame.f_back

    def begin(self, environ):
        """The application starts now."""
        self.seen = {key | 3: code for key, code in self.seen.copy().items()}
        self.method = environ["REQUEST_METHOD"]
        self.path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")

    def head(self, status, headers):
        self.status = status.partition(" ")[0]
        for name, value in headers:
            if name.lower() == "x-openstack-request-id":
                self.name = value

    def write(self):
        pid = posix.getpid()
        if output[0] != pid:
            output[0] = pid
            output[1] = posix.open("%s/%d.truth" % (FOLDER, pid),
                                   posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC)
            numbers.clear()
        text, words = [], []
        for seen, code in self.seen.copy().items():
            key = (code.co_filename, code.co_qualname, code.co_firstlineno)
            if key[0] == __file__:
                key = ("recorder", "", 0)
            if key not in numbers:
                numbers[key] = len(numbers)
                text.append("f\t%d\t%d\t%s\t%s\n" % (numbers[key], key[2], key[0], key[1]))
            words.append("%d%s" % (numbers[key], HOW[seen & 3]))
        text.append("c\t%s\t%s\t%s\t%s\t%d\t%s\n" % (self.name, self.method, self.path, self.status,
                                                     self.upto, " ".join(words)))
        data = "".join(text).encode()
        while data:
            data = data[posix.write(output[1], data):]


class Answer:
    """The response's parts; the request lasts until they are closed."""

    def __init__(self, request, parts):
        self.request = request
        self.parts = parts
        self.iterator = None

    def __iter__(self):
        return self

    def __next__(self):
        sys.setprofile(hook)
        if self.iterator is None:
            self.iterator = iter(self.parts)
        try:
            part = next(self.iterator)
        except StopIteration:
            self.request.upto = self.request.upto or len(self.request.seen)
            raise
        if part:
            self.request.upto = len(self.request.seen)
        return part

    def close(self):
        sys.setprofile(hook)
        try:
            if hasattr(self.parts, "close"):
                self.parts.close()
        finally:
            self.request.upto = self.request.upto or len(self.request.seen)
            requests.pop(getcurrent(), None)
            self.request.write()


class AnswerOfParts(Answer):
    """Servers ask a whole response for its length."""

    def __len__(self):
        return len(self.parts)


class Recorder:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        request = requests.get(getcurrent())
        if request is None:
            request = Request(sys._getframe(0).f_back)

        def start(status, headers, *more):
            request.head(status, headers)
            return start_response(status, headers, *more)

        request.begin(environ)
        requests[getcurrent()] = request
        # For this frame and those that it calls; frames below keep what they have.
        sys.setprofile(hook)
        try:
            parts = self.app(environ, start)
            return (AnswerOfParts if hasattr(parts, "__len__") else Answer)(request, parts)
        except BaseException:
            requests.pop(getcurrent(), None)
            raise


def recorder_filter(_, **__):
    from eventlet.wsgi import HttpProtocol
    handle = HttpProtocol.handle_one_request

    def handle_one_request(self):
        requests[getcurrent()] = Request(sys._getframe(0).f_back)
        sys.setprofile(hook)
        try:
            return handle(self)
        finally:
            requests.pop(getcurrent(), None)

    HttpProtocol.handle_one_request = handle_one_request
    return Recorder
