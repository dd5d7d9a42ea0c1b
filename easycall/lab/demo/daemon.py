"""``twistd easycall`` as a user starts it, as a child process that ends with us, however we end."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from easycall.defer import Bell, limited
from easycall.lab.layout import LabError
from easycall.lab.root import DIES_WITH_ITS_PARENT

__all__ = ["DaemonProcess"]

STOP_SECONDS = 8.0
"""How long an orderly stop may take before the daemon is killed."""

TWISTD = "from twisted.scripts.twistd import run; run()"
"""The program ``twistd``, wherever its script was installed."""


class DaemonProcess(ProcessProtocol):
    """One daemon."""

    transport: IProcessTransport

    def __init__(self, file: Path, log: Path) -> None:
        """``file``: its configuration; ``log``: where everything goes that it prints."""
        self.file = file
        self.log = log
        self.ended = ""
        """How it ended; empty while it runs."""
        self._over = Bell()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.transport.pid or 0

    def start(self, reactor: Any) -> None:
        """Start it.  It is in a session of its own: a Ctrl-C at the terminal is for us, and we end it in order.

        Raises LabError.
        """
        setsid = shutil.which("setsid")
        if setsid is None:
            raise LabError("there is no setsid on this machine: install util-linux")
        # No pid file: the daemon is ours, and there may be others started from the same folder.
        twistd = [sys.executable, "-c", TWISTD, "--nodaemon", "--pidfile=", "easycall", "-c", str(self.file)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # easycall from where we have it
        with self.log.open("ab") as log, open(os.devnull) as nothing:
            reactor.spawnProcess(
                self,
                setsid,
                ["setsid", *DIES_WITH_ITS_PARENT, *twistd],
                environment,
                path=str(self.file.parent),
                childFDs={0: nothing.fileno(), 1: log.fileno(), 2: log.fileno()},
            )

    def when_over(self) -> Any:
        """A Deferred that fires when it has ended."""
        return self._over.wait()

    async def stop(self, clock: Any) -> None:
        """Let it stop in order; one that does not is killed."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._over.rung or self.transport is None:
                return
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess(number)
            with suppress(TimeoutError):
                await limited(self._over.wait(), STOP_SECONDS, clock)

    def last_words(self, lines: int) -> list[str]:
        """The last lines of its log."""
        with suppress(OSError), self.log.open(encoding="utf-8", errors="replace") as log:
            return [line.rstrip() for line in deque(log, lines)]
        return []

    def processEnded(self, reason: Failure) -> None:
        """It is gone."""
        status: Any = reason.value
        if isinstance(status, ProcessDone):
            self.ended = "it ended by itself"
        elif status.signal is not None:
            self.ended = f"it was killed by signal {status.signal}"
        else:
            self.ended = f"it ended with exit code {status.exitCode}"
        self._over.ring()
