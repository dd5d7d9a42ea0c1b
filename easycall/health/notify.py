"""What systemd is told: that we are up, how we are, that we live, that we stop (sd_notify).

A line of text in a datagram to the socket that ``NOTIFY_SOCKET`` names.  Without that variable nothing is told.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["Notifier"]

log = Logger()

STATUS_EVERY = 10.0
"""Seconds between two lines of status, where no watchdog asks for more."""
LONGEST = 500
"""Characters of a status."""


class Notifier:
    """Tells systemd.  ``status()`` is what ``systemctl status`` shows."""

    def __init__(
        self, clock: IReactorTime, status: Callable[[], str], environ: Mapping[str, str] = os.environ, pid: int = 0
    ) -> None:
        """``pid``: ours, if it is another than that of this process."""
        self._clock = clock
        self._status = status
        self._address = environ.get("NOTIFY_SOCKET", "")
        period = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", "") in ("", str(pid or os.getpid()))
        self._guarded = ours and period.isdecimal() and int(period) > 0
        self._every = min(int(period) / 1e6 / 3, STATUS_EVERY) if self._guarded else STATUS_EVERY
        self._socket: socket.socket | None = None
        self._timer: IDelayedCall | None = None
        self._complained = False

    async def start(self) -> None:
        """We are up.  From now on the status is told, and that we live if somebody wants to know."""
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            self._tell("READY=1")
            self._beat()

    async def stop(self) -> None:
        """We stop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._tell("STOPPING=1", "STATUS=stopping")
            self._socket.close()
            self._socket = None

    def _beat(self) -> None:
        self._timer = self._clock.callLater(self._every, self._beat)
        try:
            status = ["STATUS=" + " ".join(self._status().split())[:LONGEST]]
        except Exception:
            log.failure("the status for systemd failed")
            status = []
        self._tell(*(["WATCHDOG=1"] if self._guarded else []), *status)

    def _tell(self, *lines: str) -> None:
        if self._socket is None or not lines:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            self._socket.sendto("\n".join(lines).encode(), address)
        except OSError as why:
            if not self._complained:
                self._complained = True
                log.error("systemd cannot be told at {socket}: {why}", socket=self._address, why=str(why))
