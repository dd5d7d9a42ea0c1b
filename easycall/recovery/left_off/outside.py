"""What events of numbers that were dialled say of a contact, and of somebody outside who has the customer."""

from __future__ import annotations

from collections.abc import Mapping

from easycall import events as facts
from easycall.model import Outcome, Stage
from easycall.recovery.left_off.state import Dialled, LeftOff, Taker

__all__ = ["TAKERS"]


def _call_dialled(state: LeftOff, event: facts.CallDialled) -> None:
    state.dialled[event.leg] = Dialled(event)
    if event.leg == state.contact.leg:
        state.stage = Stage.DIALLING
        state.contact.caller, state.contact.queue = event.caller_id, event.queue
    elif event.purpose == "transfer":
        state.stage, state.sent_to = Stage.DIALLING, ""
    number = event.leg.rpartition("-")[2]
    if event.leg != state.contact.leg and number.isdecimal():
        state.contact.attempts = max(state.contact.attempts, int(number))


def _call_answered(state: LeftOff, event: facts.CallAnswered) -> None:
    if (one := state.dialled.get(event.leg)) is not None:
        one.answered = event.at
    if event.leg == state.contact.leg:
        state.answered_at, state.outcome = event.at, Outcome.ABANDONED


def _call_failed(state: LeftOff, event: facts.CallFailed) -> None:
    if (one := state.dialled.get(event.leg)) is not None:
        one.over = True


def _outside(state: LeftOff, event: facts.OutsideStarted) -> None:
    state.stage, state.sent_to = Stage.OUTSIDE, ""
    state.outside.append(event.number)
    state.guests, state.asked = [], None


def _outside_ended(state: LeftOff, event: facts.OutsideEnded) -> None:
    state.outside = [number for number in state.outside if number != event.number]
    if not state.outside:
        state.stage = Stage.WAITING


TAKERS: Mapping[type[facts.Event], Taker] = {
    facts.CallDialled: _call_dialled,
    facts.CallAnswered: _call_answered,
    facts.CallFailed: _call_failed,
    facts.OutsideStarted: _outside,
    facts.OutsideEnded: _outside_ended,
}
