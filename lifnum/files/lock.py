"""Claims on output paths: one process at a time writes a file; readers see whether one does."""

import os
import time
from pathlib import Path

from lifnum.errors import TraceError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Lock:
    """Exclusive claim on an output path, through a file beside it that the system unlocks.

    Raises
    ------
    TraceError
        Another process holds it.
    OSError
        The file system refuses, or the system has no fcntl.
    """

    def __init__(self, path, tries=10):
        if fcntl is None:
            why = "for this system has no fcntl; accepted: Linux, macOS or WSL"
            raise OSError(f"{path}: can not be claimed, {why}")
        self.path = Path(f"{path}.lock")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            self._file = open(self.path, "a")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # the file may have been removed between opening and locking it
                if os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path)):
                    return
                self._file.close()
            except BlockingIOError:  # a reader that looks holds it for a moment
                self._file.close()
                tries -= 1
                if not tries:
                    raise TraceError(f"{path}: another process is writing it") from None
                time.sleep(0.01)
            except FileNotFoundError:
                self._file.close()

    def release(self):
        """Give the claim back."""
        if not self._file.closed:
            self.path.unlink(missing_ok=True)
            self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()


def is_claimed(path):
    """Whether a process holds the `Lock` of a path."""
    if fcntl is None:
        return False
    try:
        with open(f"{path}.lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
