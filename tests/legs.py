"""Legs and what became of them: what tests of call control on one Asterisk try and look at."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from easycall.asterisk.channel import AsteriskChannel
from easycall.asterisk.wake import LOOK_SECONDS
from easycall.defer import start
from easycall.events import Corrected
from easycall.model import OfferOutcome
from easycall.ports import NotAnswered

from .fakes_wires import FakePbx, event


class Tried:
    """What became of something that was tried."""

    def __init__(self, work: Coroutine[Any, Any, Any] | Deferred[Any]) -> None:
        self.result: Any = None
        self.raised: type[BaseException] | None = None
        self.running = work if isinstance(work, Deferred) else start(work)
        self.running.addCallbacks(self._done, self._failed)

    def _done(self, result: Any) -> None:
        self.result = "done" if result is None else result

    def _failed(self, failure: Any) -> None:
        self.raised = failure.type

    @property
    def pending(self) -> bool:
        return self.result is None and self.raised is None


def outcome_of(leg: AsteriskChannel) -> OfferOutcome:
    """Why the leg was not answered."""
    why: list[Any] = []
    start(leg.answered()).addErrback(lambda failure: why.append(failure.value))
    assert isinstance(why[0], NotAnswered)
    return why[0].outcome


def corrections(pbx: FakePbx) -> list[tuple[str, str]]:
    return [(one.leg, one.what) for one in pbx.notes.of(Corrected)]


def hung_up(pbx: FakePbx) -> list[str]:
    return [headers["Channel"] for headers in pbx.manager.of("Hangup")]


def nothing_left(pbx: FakePbx) -> None:
    """No leg, no timer of a leg: only the audit goes on; the watch over an Asterisk that is away ends with its legs."""
    assert len(pbx.switch.legs) == 0
    pbx.clock.advance(0 if pbx.switch.up else LOOK_SECONDS)
    assert len(pbx.clock.getDelayedCalls()) == int(pbx.switch.up)
    assert not pbx.switch.legs._timers


class Joining:
    """A caller and an agent at home, and a bridge asked for."""

    def __init__(self, *answers: Any) -> None:
        self.pbx = FakePbx()
        self.caller, self.caller_home = self.pbx.caller("c1")
        self.agent, self.agent_home = self.pbx.agent("a1")
        self.pbx.manager.script("Bridge", *answers)

    def ask(self) -> Tried:
        return Tried(self.pbx.switch.bridge(self.caller, self.agent))

    def bridged(self, *, told: bool = True) -> None:
        """Asterisk carries it out."""
        for leg, session in (("c1", self.caller_home), ("a1", self.agent_home)):
            self.pbx.manager.channels[leg] = {"BridgeID": "b1"}
            session.ends()
            if told:
                self.pbx.tells(event("BridgeEnter", Uniqueid=leg, BridgeUniqueid="b1"))

    @property
    def sent(self) -> int:
        return len(self.pbx.manager.of("Bridge"))
