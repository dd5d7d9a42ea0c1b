"""Recording a leg on Asterisk: a MixMonitor, which the leg's own session begins, and AMI pauses and ends.

AMI may not begin one: that takes the right ``system``, with which whoever has our secret runs any command.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from easycall.asterisk.agi import UnsafeValue
from easycall.asterisk.ami import Action
from easycall.asterisk.channel import AsteriskChannel
from easycall.asterisk.control import NEWS_SECONDS, Control
from easycall.asterisk.fastagi import CommandFailed, Session, SessionOver
from easycall.asterisk.link import ActionTimeout, AmiError, LinkDown, LinkLost
from easycall.defer import start, unattended
from easycall.ports import BridgeFailed, CannotRecord, HungUp

__all__ = ["begin", "forget", "mute", "stop", "told"]

log = Logger()

BEGIN_SECONDS = 2.0
"""How long Asterisk may take to begin: it is a matter of a millisecond."""


async def begin(leg: AsteriskChannel, file: str, fetch: Callable[[], Awaitable[None]]) -> None:
    """Begin a recording; ``fetch`` brings the leg home to its errand.  What else is asked of the leg there waits for it.

    Raises CannotRecord, when it is sure that nothing was begun, and what ``fetch`` does.
    """
    begun: list[Deferred[str]] = []

    def do(session: Session) -> None:
        begun.append(start(session.exec("MixMonitor", file, seconds=BEGIN_SECONDS)))

    leg.errand = do
    try:
        if leg.idle:
            leg.run_errand()
        await fetch()
        for one in begun:
            await one
    except SessionOver:
        if leg.gone:
            raise HungUp from None
        log.warn("{leg} went away while its recording began: it is taken for begun", leg=leg)
    except (CommandFailed, UnsafeValue) as failure:
        raise CannotRecord(str(failure)) from None
    finally:
        leg.errand = None
        for one in begun:
            one.addErrback(lambda failure: failure.trap(SessionOver, CommandFailed, UnsafeValue, CancelledError))
            one.cancel()


def forget(session: Session) -> None:
    """End a recording that a daemon before us began: nobody would pause it for digits that it must not hear."""
    unattended(_forget(session))


async def _forget(session: Session) -> None:
    with suppress(SessionOver):
        try:
            await session.exec("StopMixMonitor", seconds=BEGIN_SECONDS)
        except CommandFailed as failure:
            log.warn("a recording of an earlier daemon, if any, was not ended: {failure}", failure=failure)


def mute(leg: AsteriskChannel, muted: bool) -> Action:
    """Let silence be recorded of both sides, or sound again."""
    return Action.of("MixMonitorMute", Channel=leg.id, Direction="both", State="1" if muted else "0")


def stop(leg: AsteriskChannel) -> Action:
    """End the recording."""
    return Action.of("StopMixMonitor", Channel=leg.id)


async def told(leg: AsteriskChannel, action: Action, control: Control, clock: IReactorTime) -> None:
    """Send what may be sent twice until Asterisk answers.  Raises CannotRecord, HungUp."""
    while True:
        try:
            await control.reachable(leg)
            await control.link.send(action)
            return
        except BridgeFailed:
            raise HungUp from None
        except LinkDown:
            await deferLater(clock, NEWS_SECONDS)
        except (LinkLost, ActionTimeout):
            continue
        except AmiError as refusal:
            if leg.gone:
                raise HungUp from None
            raise CannotRecord(str(refusal)) from None
