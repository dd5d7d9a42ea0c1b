"""Structured waiting on Deferreds: nothing runs unowned, nothing waits without an end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

__all__ = ["Bell", "background", "cancelled", "dropped", "first", "limited", "start", "unattended"]

T = TypeVar("T")
log = Logger()


def start(work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """Start a coroutine now; the caller owns the Deferred."""
    return Deferred.fromCoroutine(work)


def unattended(work: Coroutine[Deferred[Any], Any, Any]) -> None:
    """Start work that nobody waits for; what goes wrong in it is logged."""
    start(work).addErrback(_log_unless_cancelled)


def dropped(work: Deferred[Any]) -> None:
    """Cancel ``work`` that nobody waits for any more, without waiting for it."""
    work.addErrback(_log_unless_cancelled)
    work.cancel()


async def cancelled(work: Deferred[Any]) -> None:
    """Cancel ``work`` and wait until it has cleaned up.  A failure on its way out is logged."""
    work.cancel()
    try:
        await work
    except CancelledError:
        pass
    except Exception:
        log.failure("background work failed while it was being stopped")


@asynccontextmanager
async def background(work: Coroutine[Deferred[Any], Any, Any]) -> AsyncIterator[Deferred[Any]]:
    """Run ``work`` beside the body of the ``async with``; it is cancelled and awaited at the end of the body.

    Its failure is logged: the body is the story, the background only accompanies it.
    """
    running = start(work)
    finished = running.addErrback(lambda failure: _log_unless_cancelled(failure))
    try:
        yield finished
    finally:
        await cancelled(finished)


def _log_unless_cancelled(failure: Failure) -> None:
    if not failure.check(CancelledError):
        log.failure("background work failed", failure)


async def first(*works: Deferred[Any]) -> int:
    """Wait until one of ``works`` has a result, cancel the others, and return its index.

    A failure of the first to finish is raised.  Each must be the caller's own Deferred (it is consumed).
    """
    done: Deferred[int] = Deferred()

    def finish(result: Any, index: int) -> None:
        if not done.called:
            if isinstance(result, Failure):
                done.errback(result)
            else:
                done.callback(index)

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
