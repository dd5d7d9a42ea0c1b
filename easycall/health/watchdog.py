"""A thread that watches the reactor, and ends the process when that stands still, so that it is started anew.

Callers notice a standing reactor as silence, and a restart costs none of them the call.  Where the reactor stands is written
to standard error and to a file: of each thread the lines of code, no values.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

__all__ = ["Watchdog"]

LOOKS = 10
"""So often within the limit the thread looks."""
LARGEST = 1_000_000
"""Bytes; a larger file is begun anew."""
GRACE = 1.0
"""Seconds after the limit in which the thread itself should have ended the process."""


class Watchdog:
    """Ends this process by SIGABRT when :meth:`beat` was not called for ``seconds``.

    Code in C that keeps Python's lock stops this thread too.  For that case the limit, and a second, is also kept by
    :func:`faulthandler.dump_traceback_later`, which needs no lock and ends the process with status 1.
    """

    def __init__(self, seconds: float, file: Path) -> None:
        """``file``: where the stacks are added."""
        self._seconds = seconds
        self._path = file
        self._file: IO[str] | None = None
        self._beaten = 0.0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def beat(self, now: float = 0.0) -> None:
        """The reactor turns."""
        self._beaten = time.monotonic()

    async def start(self) -> None:
        """Watch from now on.  A limit of 0: never."""
        if not self._seconds:
            return
        self.beat()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if os.fstat(descriptor).st_size > LARGEST:
            os.truncate(descriptor, 0)
        self._file = os.fdopen(descriptor, "w")
        self._thread = threading.Thread(target=self._watch, args=(self._file,), name="watchdog", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Watch no more."""
        self._over.set()
        if self._thread is not None and self._file is not None:
            self._thread.join(2.0)
            faulthandler.cancel_dump_traceback_later()
            self._file.close()

    def _watch(self, file: IO[str]) -> None:
        while True:
            left = self._seconds - (time.monotonic() - self._beaten)
            if left <= 0:
                self._end(file)
            faulthandler.dump_traceback_later(left + GRACE, file=file, exit=True)
            if self._over.wait(min(left, self._seconds / LOOKS)):
                return

    def _end(self, ours: IO[str]) -> None:
        faulthandler.cancel_dump_traceback_later()
        why = f"easycall's reactor stood still for {self._seconds:g} s, the process ends.  Where it stands:"
        for file in (sys.__stderr__, ours):
            with suppress(Exception):  # one of the two may be gone: what matters is the end
                if file is not None:
                    print(why, file=file, flush=True)
                    faulthandler.dump_traceback(file, all_threads=True)
        os.abort()
