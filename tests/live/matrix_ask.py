"""Asks each service three times, one request after the other, all services at once.

  matrix_ask.py URL...
"""
import sys
import threading
import urllib.request

failed = []


def ask(url):
    for _ in range(3):
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                if answer.read() != b"done\n":
                    failed.append(url + ": another answer")
        except OSError as error:
            failed.append("%s: %s" % (url, error))


threads = [threading.Thread(target=ask, args=(url,)) for url in sys.argv[1:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("\n".join(failed), file=sys.stderr)
sys.exit(1 if failed else 0)
