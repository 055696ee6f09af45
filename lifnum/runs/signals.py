"""SIGINT and SIGTERM as a flag that is looked at between two steps."""

import os
import signal
import threading


class Interrupted(Exception):
    """SIGINT or SIGTERM came; carries the exit code."""


class Signals:
    """Turns SIGINT and SIGTERM into a flag that the training loop looks at between two steps.

    Where the run belongs to a process, `parent`, the end of that process counts as SIGTERM. Python
    gives signals to the main thread alone: in another nothing is turned.
    """

    def __init__(self, parent=None):
        self.received = None
        self._parent = parent

    def __enter__(self):
        def note(number, frame):
            if self.received is not None:  # a second one does not wait
                raise KeyboardInterrupt
            self.received = number

        self._before = {}
        if threading.current_thread() is not threading.main_thread():
            return self
        self._before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self):
        if self._parent is not None and os.getppid() != self._parent:
            self.received = self.received or signal.SIGTERM
        if self.received is not None:
            raise Interrupted(128 + self.received)
