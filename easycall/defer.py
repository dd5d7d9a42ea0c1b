"""Structured waiting on Deferreds: nothing runs unowned, nothing waits without an end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

__all__ = ["Bell", "background", "cancelled", "dropped", "first", "limited", "shielded", "start", "unattended"]

T = TypeVar("T")
log = Logger()


def start(work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """Start a coroutine now; the caller owns the Deferred.

    It cannot be cancelled by what it calls itself: Twisted loses a cancel that comes while the coroutine runs (see
    :func:`shielded`).
    """
    return Deferred.fromCoroutine(work)


def shielded(work: Coroutine[Deferred[Any], Any, T], *refusals: type[Exception]) -> Deferred[T]:
    """Start ``work`` and wait for it on a Deferred of one's own: cancelling that leaves the work running.

    Work that may end up cancelling the one who waits for it must be awaited so.  Its failure is logged when nobody waits
    any more, unless it is one of ``refusals``: those only matter to who asked.
    """
    waiting: Deferred[T] = Deferred()

    def tell(result: Any) -> None:
        if not isinstance(result, Failure):
            if not waiting.called:
                waiting.callback(result)
        elif not waiting.called:
            waiting.errback(result)
        elif not result.check(*refusals):
            _log_unless_cancelled(result)

    start(work).addBoth(tell)
    return waiting


def unattended(work: Coroutine[Deferred[Any], Any, Any]) -> None:
    """Start work that nobody waits for; what goes wrong in it is logged."""
    start(work).addErrback(_log_unless_cancelled)


def dropped(work: Deferred[Any]) -> None:
    """Cancel ``work`` that nobody waits for any more, without waiting for it."""
    work.addErrback(_log_unless_cancelled)
    work.cancel()


async def cancelled(work: Deferred[Any]) -> None:
    """Cancel ``work`` and wait until it has cleaned up.  A failure on its way out is logged.

    Its being cancelled is expected and not raised; the one who waits here being cancelled is.
    """
    over: Deferred[None] = Deferred()

    def leave(result: Any) -> None:
        if isinstance(result, Failure):
            _log_unless_cancelled(result)
        if not over.called:
            over.callback(None)

    work.addBoth(leave)
    work.cancel()
    await over


@asynccontextmanager
async def background(work: Coroutine[Deferred[Any], Any, Any]) -> AsyncIterator[Deferred[Any]]:
    """Run ``work`` beside the body of the ``async with``; it is cancelled and awaited at the end of the body.

    Its failure is logged: the body is the story, the background only accompanies it.
    """
    running = start(work)
    finished = running.addErrback(_log_unless_cancelled)
    try:
        yield finished
    finally:
        await cancelled(finished)


def _log_unless_cancelled(failure: Failure) -> None:
    if not failure.check(CancelledError):
        log.failure("background work failed", failure)


async def first(*works: Deferred[Any]) -> int:
    """Wait until one of ``works`` has a result, cancel the others, and return its index.

    A failure of the first to finish is raised, one of another is logged.  Each must be the caller's own Deferred (it is
    consumed).
    """
    done: Deferred[int] = Deferred()

    def finish(result: Any, index: int) -> None:
        if not isinstance(result, Failure):
            if not done.called:
                done.callback(index)
        elif done.called:
            _log_unless_cancelled(result)
        else:
            done.errback(result)

    for index, work in enumerate(works):
        work.addBoth(finish, index)
    try:
        return await done
    finally:
        for work in works:
            work.cancel()


async def limited(work: Deferred[T], seconds: float, clock: IReactorTime) -> T:
    """The result of ``work``; after ``seconds`` it is cancelled and TimeoutError is raised."""
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        work.cancel()

    timer = clock.callLater(seconds, expire)
    try:
        return await work
    except CancelledError:
        if expired:
            raise TimeoutError(f"no result within {seconds:g} s") from None
        raise
    finally:
        if timer.active():
            timer.cancel()


class Bell:
    """Something that happens once, with any number of waiters, each on a Deferred of its own.

    Cancelling one waiter does not disturb the others.
    """

    __slots__ = ("_rung", "_waiters")

    def __init__(self) -> None:
        self._rung = False
        self._waiters: list[Deferred[None]] = []

    @property
    def rung(self) -> bool:
        """True once it has happened."""
        return self._rung

    def wait(self) -> Deferred[None]:
        """A new Deferred that fires when the bell rings, at once if it has rung."""
        waiter: Deferred[None] = Deferred(self._forget)
        if self._rung:
            waiter.callback(None)
        else:
            self._waiters.append(waiter)
        return waiter

    def ring(self) -> None:
        """Let it happen.  A second time does nothing."""
        self._rung = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.called:  # one waiter's callback may have cancelled another
                waiter.callback(None)

    def _forget(self, waiter: Deferred[None]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
