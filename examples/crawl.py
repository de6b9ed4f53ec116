"""Hash everything below a directory: a task for each directory launches tasks for what it finds in there.

Only the tasks know what there is to do. The digest of a directory is made of those of its entries, so equal trees have
equal digests. Small files take microseconds to hash, large ones milliseconds: the former stay where they were found,
the latter travel.

    python examples/crawl.py
    python examples/crawl.py /usr/share/doc
"""

import hashlib
import os
import sys
import sysconfig
from time import perf_counter

from fastsched import Client, worker_client


def hash_file(path):
    """Digest, files, bytes."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return digest.hexdigest(), 1, file.tell()
    except OSError as error:  # vanished, or not for us
        return f"unreadable: {error.errno}", 1, 0


def crawl(path):
    """Digest, files, bytes of all that is below."""
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        return f"unreadable: {error.errno}", 0, 0
    with worker_client() as client:
        tasks = [
            client.submit(crawl if entry.is_dir(follow_symlinks=False) else hash_file, entry.path, pure=False)
            for entry in entries
            if not entry.is_symlink()
        ]
        found = client.gather(tasks)
    digest = hashlib.sha256("".join(text for text, _, _ in found).encode()).hexdigest()
    return digest, sum(files for _, files, _ in found), sum(size for _, _, size in found)


def main(path):
    with Client(n_workers=2, threads_per_worker=2) as client:
        start = perf_counter()
        digest, files, size = client.submit(crawl, path).result()
        seconds = perf_counter() - start
    print(f"{path}: {digest[:16]}")
    print(f"{files} files, {size / 1e6:.1f} MB in {seconds:.2f} s")


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else os.path.join(sysconfig.get_path("stdlib"), "email"))
