"""What a measured program and the benchmark say to each other: JSON, one line a repetition.

The program prints {"ready": ...} when its imports, data and compilation are behind it, then
measures once for each line that it reads and prints what it measured.
"""

import json
import sys


def serve(measure, **about):
    """Answer every line of standard input with the dict that measure() returns.

    Until the input ends; what else the program prints goes to standard error.
    """
    out, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps({"ready": about}), file=out, flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure()), file=out, flush=True)
