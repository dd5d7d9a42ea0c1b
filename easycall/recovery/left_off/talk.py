"""What events of talks say of a contact: who has the customer, and with whom the customer is."""

from __future__ import annotations

from collections.abc import Mapping

from easycall import events as facts
from easycall.model import Outcome, Party, Role, Stage
from easycall.recovery.left_off.state import LeftOff, Second, Side, Taker

__all__ = ["TAKERS"]


def _answered(state: LeftOff, event: facts.Answered) -> None:
    leg = event.leg or state.leg_of(state.contact.attempts)
    number = leg.removesuffix("b").rpartition("-")[2]
    state.side = Side(
        event.agent, int(number) if number.isdecimal() else state.contact.attempts, leg, event.at, event.waited
    )
    state.stage = Stage.CONFERENCE if len(state.guests) > 1 else Stage.TALKING
    state.with_customer, state.waits, state.outcome, state.sent_to = True, None, Outcome.ANSWERED, ""
    state.parked = state.met = None
    state.kept.clear()
    state.rung.clear()
    state.contact.queue = event.queue


def _held(state: LeftOff, event: facts.Held) -> None:
    state.stage, state.with_customer = Stage.CONSULTING if state.asked is not None else Stage.HELD, False


def _retrieved(state: LeftOff, event: facts.Retrieved) -> None:
    state.stage, state.with_customer = Stage.TALKING, True


def _consult(state: LeftOff, event: facts.ConsultStarted) -> None:
    state.asked = Second(event.to, event.attempt)
    leg = f"ec-{state.contact.id}-{Role.OUTSIDE.value}-{event.attempt}"
    state.asked.dialled = state.dialled.get(leg)
    state.stage = Stage.ASIDE if state.guests else Stage.CONSULTING
    state.contact.attempts = max(state.contact.attempts, event.attempt)


def _consult_answered(state: LeftOff, event: facts.ConsultAnswered) -> None:
    if state.asked is not None:
        state.asked.answered = True


def _consult_ended(state: LeftOff, event: facts.ConsultEnded) -> None:
    if state.asked is not None and state.asked.attempt == event.attempt:
        state.asked = None
        if state.side is None and state.stage is Stage.CONSULTING:
            state.stage = Stage.WAITING
        elif state.side is not None:
            state.stage = _with_agent(state)
    state.guests = [guest for guest in state.guests if guest.attempt != event.attempt]


def _with_agent(state: LeftOff) -> Stage:
    if state.guests:
        return Stage.CONFERENCE
    return Stage.TALKING if state.with_customer else Stage.HELD


def _conference(state: LeftOff, event: facts.ConferenceStarted) -> None:
    state.stage, state.with_customer = Stage.CONFERENCE, True
    if state.asked is not None and state.asked.name == event.to:
        state.room = state.asked.dialled.told.leg if state.asked.dialled else state.leg_of(state.asked.attempt)
        state.guests, state.asked = [state.asked], None


def _joined(state: LeftOff, event: facts.ConferenceJoined) -> None:
    state.stage, state.with_customer = Stage.CONFERENCE, True
    if state.asked is not None and state.asked.name == event.to:
        state.guests.append(state.asked)
        state.asked = None


def _conference_ended(state: LeftOff, event: facts.ConferenceEnded) -> None:
    if event.left is Party.AGENT and state.guests:
        state.asked = state.guests[0]  # who has the customer now
    state.guests, state.room, state.with_customer = [], "", not event.held
    state.stage = Stage.HELD if event.held else Stage.TALKING


def _lent(state: LeftOff, event: facts.Lent) -> None:
    state.stage, state.loan = Stage.LENT, event.flow
    state.flow = state.node = ""


def _loan_ended(state: LeftOff, event: facts.LoanEnded) -> None:
    state.loan = ""
    state.stage, state.with_customer = (Stage.TALKING, True) if event.back else (Stage.WAITING, False)
    state.contact.answers |= event.answers


def _fax_started(state: LeftOff, event: facts.FaxStarted) -> None:
    state.fax = event
    if state.side is not None:
        state.stage = Stage.FAX


def _fax_ended(state: LeftOff, event: facts.FaxEnded) -> None:
    state.fax = None
    if state.side is not None:
        state.stage, state.with_customer = Stage.TALKING, True


def _fax_received(state: LeftOff, event: facts.FaxReceived) -> None:
    state.contact.faxes += 1


def _parked(state: LeftOff, event: facts.Parked) -> None:
    state.stage, state.parked, state.sent_to = Stage.PARKED, event, ""


def _park_ended(state: LeftOff, event: facts.ParkEnded) -> None:
    state.stage, state.parked = Stage.WAITING, None


def _transferred(state: LeftOff, event: facts.Transferred) -> None:
    state.sent_to = f"{event.target}:{event.to}"


def _talk_ended(state: LeftOff, event: facts.TalkEnded) -> None:
    if state.side is None or state.side.agent != event.agent:
        return
    state.side = None
    if state.asked is not None and not state.asked.answered:
        state.stage = Stage.OFFERED  # who is rung gets the customer
    elif not state.loan and state.stage is not Stage.FAX:
        state.stage = Stage.WAITING


TAKERS: Mapping[type[facts.Event], Taker] = {
    facts.Answered: _answered,
    facts.Held: _held,
    facts.Retrieved: _retrieved,
    facts.ConsultStarted: _consult,
    facts.ConsultAnswered: _consult_answered,
    facts.ConsultEnded: _consult_ended,
    facts.ConferenceStarted: _conference,
    facts.ConferenceJoined: _joined,
    facts.ConferenceEnded: _conference_ended,
    facts.Lent: _lent,
    facts.LoanEnded: _loan_ended,
    facts.FaxStarted: _fax_started,
    facts.FaxEnded: _fax_ended,
    facts.FaxReceived: _fax_received,
    facts.Parked: _parked,
    facts.ParkEnded: _park_ended,
    facts.Transferred: _transferred,
    facts.TalkEnded: _talk_ended,
}
