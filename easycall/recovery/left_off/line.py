"""What events of flows, queues, offers and voice mail boxes say of a contact that no agent has."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from easycall import events as facts
from easycall.model import OfferOutcome, Outcome, OverflowWhen, Stage
from easycall.recovery.left_off.state import LeftOff, Rung, Taker
from easycall.skills import parse

__all__ = ["TAKERS"]


def _step(state: LeftOff, event: facts.FlowStep) -> None:
    if state.side is None and not state.loan:
        state.stage, state.sent_to = Stage.IVR, ""
    if event.flow != state.flow:
        state.values, state.secret_at, state.choices = {}, "", {}
    state.flow, state.node = event.flow, event.node


def _menu(state: LeftOff, event: facts.MenuAnswered) -> None:
    state.contact.answers[event.node] = event.choice
    state.choices[event.node] = event.choice


def _collected(state: LeftOff, event: facts.Collected) -> None:
    if event.value:
        state.values[event.name] = state.contact.answers[event.name] = event.value
    else:
        state.secret_at = state.secret_at or event.node


def _service(state: LeftOff, event: facts.ServiceAsked) -> None:
    state.values |= event.taken
    state.secret_at = ""  # what it was asked for was given: it is not asked for again


def _queued(state: LeftOff, event: facts.Queued) -> None:
    state.stage, state.waits, state.sent_to = Stage.WAITING, event, ""
    state.refused.clear()
    state.met = None
    contact = state.contact
    contact.queue, contact.priority, contact.skills = event.queue, event.offset, parse(event.skills)
    if state.outcome is not Outcome.ANSWERED:
        state.outcome = Outcome.ABANDONED


def _amended(state: LeftOff, event: facts.QueueAmended) -> None:
    state.contact.priority, state.contact.skills = event.priority, parse(event.skills)
    if state.waits is not None:
        state.waits = evolve(state.waits, offset=event.priority, skills=event.skills)


def _left_by_key(state: LeftOff, event: facts.QueueLeft) -> None:
    if state.waits is not None:
        state.kept[event.queue] = state.waits.since
    state.stage, state.waits = Stage.IVR, None


def _overflow(state: LeftOff, event: facts.QueueOverflowed) -> None:
    state.overflowed += 1
    state.sent_to = event.to
    if state.outcome is not Outcome.ANSWERED:
        rules = {OverflowWhen.CLOSED: Outcome.CLOSED, OverflowWhen.FULL: Outcome.FULL}
        state.outcome = rules.get(event.rule, Outcome.OVERFLOWED)


def _offered(state: LeftOff, event: facts.Offered) -> None:
    state.stage = Stage.OFFERED
    state.sent_to = ""
    state.rung[event.attempt] = Rung(event)
    state.contact.queue = state.contact.queue or event.queue
    state.contact.attempts = max(state.contact.attempts, event.attempt)


def _popped(state: LeftOff, event: facts.ScreenPop) -> None:
    if event.attempt in state.rung:
        state.rung[event.attempt].by = event.by


def _offer_ended(state: LeftOff, event: facts.OfferEnded) -> None:
    state.rung.pop(event.attempt, None)
    if event.outcome is OfferOutcome.ANSWERED:
        state.met = event
    else:
        state.refused[event.agent] = (event.outcome, event.at)
        if not state.rung and state.side is None:
            state.stage = Stage.WAITING


def _box(state: LeftOff, event: facts.VoicemailStarted) -> None:
    state.stage, state.box, state.sent_to = Stage.VOICEMAIL, event.box, ""


TAKERS: Mapping[type[facts.Event], Taker] = {
    facts.FlowStep: _step,
    facts.MenuAnswered: _menu,
    facts.Collected: _collected,
    facts.ServiceAsked: _service,
    facts.Queued: _queued,
    facts.QueueAmended: _amended,
    facts.QueueLeft: _left_by_key,
    facts.QueueOverflowed: _overflow,
    facts.Offered: _offered,
    facts.ScreenPop: _popped,
    facts.OfferEnded: _offer_ended,
    facts.VoicemailStarted: _box,
}
