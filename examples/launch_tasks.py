"""Tasks that launch tasks, on real input (`make demo`).

A small web server on this machine offers the source tree of Python's standard library, with an index. One task
downloads the index. Only then is it known what there is to do, so that task launches the rest: one task per file, which
downloads and tokenizes it, and a last one, which adds up what they found. It returns their futures, and the program
draws a progress bar from them.

Then the same with a deep tree instead of a wide one: the recursive Fibonacci.

    python examples/launch_tasks.py
    python examples/launch_tasks.py --files 100 --workers 4
"""

import argparse
import keyword
import os
import platform
import sys
import sysconfig
import threading
import tokenize
from collections import Counter
from contextlib import closing, contextmanager
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from time import perf_counter
from urllib.parse import quote, urljoin, urlsplit

from fibonacci import fib

import fastsched
from fastsched import Client, as_completed, worker_client

FIB_100 = 354224848179261915075
INDEX = "index.txt"
NAMES_SHOWN = 12


# -- what runs on the workers ------------------------------------------------------------------------------------------


def process_all(index_uri, limit):
    """The first task: launch one task per line of the index, and one that needs them all. Returns the futures."""
    lines = download(index_uri).decode().splitlines()
    uris = [urljoin(index_uri, line) for line in lines[:limit]]
    with worker_client() as client:
        parts = client.map(names_in_file, uris)
        return parts, client.submit(aggregate, parts)


def names_in_file(uri):
    """Download one file and count its names, keywords left out."""
    source = download(uri)
    names = Counter()
    try:
        for token in tokenize.tokenize(BytesIO(source).readline):
            if token.type == tokenize.NAME and not keyword.iskeyword(token.string):
                names[token.string] += 1
    except (tokenize.TokenError, SyntaxError, UnicodeError):
        pass  # the standard library's tests hold files that are broken on purpose: what came before the fault counts
    return {"lines": source.count(b"\n"), "names": names}


def aggregate(parts):
    """Add up what was found in all files."""
    times, files = Counter(), Counter()
    for part in parts:
        times.update(part["names"])
        files.update(part["names"].keys())
    top = [(name, count, files[name]) for name, count in times.most_common(NAMES_SHOWN)]
    return {"top": top, "different": len(times), "names": times.total(), "lines": sum(part["lines"] for part in parts)}


def download(uri):
    """One file. Not by urllib: that would look for a proxy on the way to this very machine."""
    place = urlsplit(uri)
    with closing(HTTPConnection(place.netloc, timeout=30)) as connection:
        connection.request("GET", place.path)
        response = connection.getresponse()
        if response.status != HTTPStatus.OK:
            raise OSError(f"{uri}: {response.status} {response.reason}")
        return response.read()


# -- the web server ----------------------------------------------------------------------------------------------------


class SourceTree(SimpleHTTPRequestHandler):
    """Serves the Python files under `directory`, and their list as ``/index.txt``."""

    def do_GET(self):
        if self.path != f"/{INDEX}":
            super().do_GET()
            return
        index = "".join(f"{quote(name)}\n" for name in python_files(self.directory)).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(index)))
        self.end_headers()
        self.wfile.write(index)

    def log_message(self, *args):
        """A line for each of two thousand downloads helps nobody."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serve(directory):
    """Serve `directory` from a thread of this process; yields the address of the index."""
    with Server(("127.0.0.1", 0), partial(SourceTree, directory=directory)) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{INDEX}"
        server.shutdown()


def python_files(directory):
    """The paths in `directory` of the Python files under it; packages that were installed into it are left out."""
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(set(folders) - {"site-packages", "dist-packages", "__pycache__"})
        for path in sorted(Path(folder, name) for name in names if name.endswith(".py")):
            if path.is_file():  # and not a link to nowhere
                yield path.relative_to(directory).as_posix()


def source_tree():
    """Where the standard library lies as files; if this Python keeps it in an archive, a package that does."""
    places = [sysconfig.get_path("stdlib"), Path(os.__file__).parent, Path(fastsched.__file__).parent]
    return next(place for place in places if any(python_files(place)))


# -- what the user sees ------------------------------------------------------------------------------------------------


def show_progress(futures, width=50):
    """A bar that grows as the futures end; outside a terminal only its last state is printed."""
    total = len(futures)
    step = max(total // 500, 1) if sys.stdout.isatty() else total
    for done, _ in enumerate(as_completed(futures), 1):
        if done % step == 0 or done == total:
            bar = "#" * (done * width // total)
            end = "\n\n" if done == total else "\r"
            print(f"[{bar:{width}}] {done:,} of {total:,} files", end=end, flush=True)


def show_table(result, files):
    print(f"{'name':<20}{'times':>12}{'in files':>12}")
    for name, times, in_files in result["top"]:
        print(f"{name:<20}{times:>12,}{in_files:>12,}")
    print(f"\n{result['names']:,} names ({result['different']:,} different ones)", end=" ")
    print(f"in {result['lines']:,} lines of {files:,} files")


def show_time(tasks, seconds):
    print(f"{tasks:,} tasks in {seconds:.3g} s, {seconds / tasks * 1e3:.3g} ms per task\n")


def main(limit, workers):
    tree = source_tree()
    with Client(n_workers=workers) as client, serve(tree) as index_uri:
        threads = sum(client.nthreads().values())
        print(f"fastsched {fastsched.__version__}, Python {platform.python_version()}, {threads} tasks at a time")
        print(f"the Python files of the standard library, as listed by {index_uri}\n")

        start = perf_counter()
        parts, total = client.submit(process_all, index_uri, limit).result()
        show_progress(parts)
        result = total.result()
        seconds = perf_counter() - start
        show_table(result, len(parts))
        show_time(len(parts) + 2, seconds)

        start = perf_counter()
        value = client.submit(fib, 100).result()
        seconds = perf_counter() - start
        print(f"fib(100) = {value}")
        show_time(101, seconds)
    return value == FIB_100


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Tasks that launch tasks, on the standard library's source files.")
    parser.add_argument("--files", type=int, metavar="N", help="only the first N files")
    parser.add_argument("--workers", type=int, metavar="N", help="worker processes (default: one per core)")
    options = parser.parse_args()
    sys.exit(not main(options.files, options.workers))
