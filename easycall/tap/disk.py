"""What works on files, in threads."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool

from easycall.config import FaxSettings
from easycall.fax import Documents, FaxDesk, Inbox
from easycall.stats.crash_point import CrashPoint

__all__ = ["crash_point", "fax_desk", "in_thread"]


def in_thread(reactor: Any) -> Callable[..., Deferred[Any]]:
    """What runs blocking work in a thread."""

    def run(work: Callable[..., Any], /, *arguments: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)

    return run


def fax_desk(settings: FaxSettings, clock: IReactorTime, reactor: Any) -> FaxDesk | None:
    """The fax desk, if there is fax at all."""
    if not settings.lines:
        return None

    made = settings, clock, reactor, in_thread(reactor)
    return FaxDesk(settings, Documents(*made), Inbox(*made), clock)


def crash_point(environ: Mapping[str, str]) -> tuple[CrashPoint | None, str]:
    """Where a test lets this process die, and why we refuse to."""
    wanted = environ.get("EASYCALL_CRASH_AT", "")
    if not wanted:
        return None, ""
    if environ.get("EASYCALL_TEST") != "1":
        return None, "EASYCALL_CRASH_AT kills the daemon: it is for tests, with EASYCALL_TEST=1"
    try:
        return CrashPoint(wanted, lambda: os.kill(os.getpid(), signal.SIGKILL)), ""
    except ValueError as why:
        return None, f"EASYCALL_CRASH_AT = {why}"
