"""Download one thing, then start a task for every element of it: three ways to write that.

The list is not known before the download is done, so the tasks cannot all be submitted ahead. Less and less goes
through the client: in the first style all the data, in the second its length, in the third nothing but the answer.

    python examples/three_styles.py          counts the words of this file, three times
    python examples/three_styles.py URI
"""

import sys
from operator import getitem
from pathlib import Path
from urllib.request import urlopen

from fastsched import Client, worker_client


def download_and_convert_to_list(uri):
    with urlopen(uri) as response:
        return response.read().decode().splitlines()


def process_element(line):
    return len(line.split())


def aggregate(counts):
    return sum(counts)


def gather_the_data(client, uri):
    """Bring the list to the client, and submit from there."""
    lines = client.submit(download_and_convert_to_list, uri).result()
    counts = client.map(process_element, lines)
    return client.submit(aggregate, counts).result()


def build_on_futures(client, uri):
    """Bring only the length; elements are tasks too, and the list stays on its worker."""
    lines = client.submit(download_and_convert_to_list, uri)
    length = client.submit(len, lines).result()
    elements = [client.submit(getitem, lines, index) for index in range(length)]
    counts = client.map(process_element, elements)
    return client.submit(aggregate, counts).result()


def process_all(lines):
    """A task that launches tasks: runs on the worker that has the list."""
    with worker_client() as client:
        counts = client.map(process_element, lines)
        return client.submit(aggregate, counts).result()


def submit_from_the_worker(client, uri):
    """Bring nothing but the answer."""
    lines = client.submit(download_and_convert_to_list, uri)
    return client.submit(process_all, lines).result()


STYLES = (gather_the_data, build_on_futures, submit_from_the_worker)


def main(uri):
    with Client() as client:
        for style in STYLES:
            print(f"{style.__name__:>22}: {style(client, uri):,} words")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().as_uri())
