"""One sample: a workload on a subject, in this process and its children, which end with it.

`comparing.rounds` starts it and reads the last line that it prints, JSON. By hand it shows one sample:

    python -m benchmarks.sample sync fastsched
"""

from __future__ import annotations

import argparse
import importlib
import json

from benchmarks.workloads.catalogue import SUBJECTS, workload
from benchmarks.workloads.measuring import Sample
from benchmarks.workloads.placing import Placing

__all__ = ["main"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", help="name of a workload")
    parser.add_argument("subject", choices=SUBJECTS, help="what to run it on")
    parser.add_argument("--pinned", action="store_true", help="pin the processes to cores")
    parser.add_argument("--smoke", action="store_true", help="as small as can be")
    options = parser.parse_args()
    entry = workload(options.workload)
    measure = importlib.import_module(entry.module_of(options.subject)).measure
    placing = Placing(options.pinned, entry.apart)
    sample: Sample = measure(options.subject, entry.name, entry.size_for(options.subject, options.smoke), placing)
    print(json.dumps(sample._asdict()))


if __name__ == "__main__":
    main()
