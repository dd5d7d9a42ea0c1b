"""A contact's events as a story a person can read, one line an event.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from attrs import frozen

from easycall import events as facts
from easycall.model import CallbackSource, CallbackState, DialOutcome, Direction, OfferOutcome
from easycall.policy import AT_DESK, Channel

__all__ = ["Step", "journey"]

_OFFER_ENDS = {
    OfferOutcome.ANSWERED: "answers",
    OfferOutcome.NO_ANSWER: "does not answer",
    OfferOutcome.DECLINED: "declines",
    OfferOutcome.UNREACHABLE: "cannot be reached",
    OfferOutcome.BUSY: "is on a private call",
    OfferOutcome.CALLER_LEFT: "is no longer rung: the caller left",
    OfferOutcome.CANCELLED: "is no longer asked",
    OfferOutcome.LOST: "was lost before the talk began",
    OfferOutcome.ELSEWHERE: "is no longer rung: another agent answered",
}


_CALL_FAILS = {
    DialOutcome.BUSY: "is busy",
    DialOutcome.NO_ANSWER: "does not answer",
    DialOutcome.DECLINED: "declines",
    DialOutcome.UNALLOCATED: "does not exist",
    DialOutcome.CONGESTION: "cannot be put through",
    DialOutcome.UNREACHABLE: "cannot be reached",
    DialOutcome.CANCELLED: "is no longer called",
    DialOutcome.LOST: "was lost",
}


_CALLED_BACK = {
    CallbackSource.ASKED: "the caller asks for it",
    CallbackSource.ABANDONED: "the caller broke off",
    CallbackSource.CLOSED: "the queue was closed",
    CallbackSource.FULL: "the queue sent the caller away",
    CallbackSource.UNANSWERED: "the customer was not reached",
    CallbackSource.REQUESTED: "somebody requests it",
    CallbackSource.APPOINTMENT: "an agent has promised it",
    CallbackSource.OUTAGE: "the call was lost",
}

_CALLBACK_ENDS = {
    CallbackState.REACHED: "customer and agent have talked",
    CallbackState.CALLED_IN: "the customer has called in",
    CallbackState.MET: "an agent has talked with the customer otherwise",
    CallbackState.CANCELLED: "it is cancelled",
    CallbackState.EXPIRED: "its time is over",
    CallbackState.EXHAUSTED: "there are no more attempts",
    CallbackState.REFUSED: "the number must not be called",
}


@frozen
class Step:
    """One line of the story."""

    seq: int
    at: float
    after: float
    """Seconds since the first event; never negative."""
    kind: str
    agent: str
    text: str


def journey(numbered: Iterable[tuple[int, facts.Event]]) -> list[Step]:
    """The story of one contact from its numbered events, told in the order they were recorded."""
    events: Sequence[tuple[int, facts.Event]] = sorted(numbered, key=lambda pair: pair[0])
    first = events[0][1].at if events else 0.0
    return [
        Step(sequence, event.at, max(0.0, round(event.at - first, 3)), event.kind, event.agent, _text(event))
        for sequence, event in events
    ]


def _text(event: facts.Event) -> str:
    match event:
        case facts.ContactArrived(channel=Channel.CALL_ME):
            return f"{event.caller_name or event.dialled} asks to be called at {event.dialled}"
        case facts.ContactArrived(channel=Channel.CALLBACK):
            return f"{event.dialled} is to be called back, for callback {event.callback} of session {event.session}"
        case facts.ContactArrived(channel=channel) if channel in AT_DESK:
            return f"a {channel.value} comes from {event.caller_name or event.caller or 'somebody'}"
        case facts.ContactArrived(direction=Direction.OUTBOUND):
            return f"{event.dialled} is to be called for {event.agent} from {event.pbx}"
        case facts.CallDialled():
            return f"{event.number} is dialled on {event.trunk}"
        case facts.CallRinging():
            return f"the telephone of {event.number} rings"
        case facts.CallAnswered():
            return f"{event.number} answers"
        case facts.CallCut():
            return f"the call to {event.number} is ended: it lasted {event.seconds:.0f} s, as long as it may"
        case facts.CallEnding():
            return f"is ended in {event.seconds:.0f} s, when it has lasted as long as it may"
        case facts.CallFailed():
            cause = f" (cause {event.cause})" if event.cause else ""
            return f"{event.number} {_CALL_FAILS.get(event.outcome, event.outcome.value)}{cause}"
        case facts.OutsideStarted():
            return f"talks with {event.number} outside"
        case facts.OutsideEnded():
            return f"the talk with {event.number} ends, by the {event.ended_by.value}"
        case facts.ContactArrived():
            return f"{event.caller or 'a withheld number'} calls {event.dialled} on {event.pbx}"
        case facts.FlowStep():
            return f"flow {event.flow} reaches {event.node}"
        case facts.MenuAnswered():
            return f"chooses {event.choice} at {event.node}"
        case facts.Collected():
            return f"keys {event.name} at {event.node}"
        case facts.ServiceAsked():
            return f"the service {event.service} is asked at {event.node} ({event.outcome})"
        case facts.Queued(channel=Channel.CALLBACK):
            waiting = f", as one who waits for {event.at - event.since:.0f} s" if event.at - event.since >= 1 else ""
            return f"is in the line of {event.queue} at place {event.position}{waiting}"
        case facts.Queued():
            return f"waits in {event.queue} at place {event.position}"
        case facts.WaitExpected(formula=None):
            return f"has to wait in {event.queue}"
        case facts.WaitExpected():
            return f"has to wait in {event.queue}, for {event.formula:.0f} s as it looks"
        case facts.AskIgnored():
            return f"waits in {event.queue} without the {event.what} its flow asks for: {event.why}"
        case facts.QueueAmended():
            skills = f", asks for {event.skills}" if event.skills else ""
            return f"has priority {event.priority:g}{skills} in {event.queue} from now, by {event.by}"
        case facts.SessionJoined():
            return f"was to be called back: goes on with session {event.session}, callback {event.callback} is over"
        case facts.QueueResumed():
            return f"has the place in {event.queue} that contact {event.of} gave up"
        case facts.QueueLeft():
            return f"leaves the line of {event.queue} by a key, its place is kept"
        case facts.QueueOverflowed():
            to = event.to.replace(":", " ").replace("_", " ")
            why = event.rule.value.replace("_", " ")
            return f"does not stay in {event.queue} ({why}) after {event.waited:.1f} s of waiting: {to}"
        case facts.Offered():
            return f"is offered to {event.agent} (attempt {event.attempt})"
        case facts.ScreenPop(channel=channel) if channel in AT_DESK:
            return f"the screen of {event.agent} pops"
        case facts.ScreenPop():
            return f"the phone of {event.agent} rings, the screen pops"
        case facts.ScreenPopRevoked():
            return f"the screen of {event.agent} drops the pop{f': {event.by} has answered' if event.by else ''}"
        case facts.OfferEnded():
            return f"{event.agent} {_OFFER_ENDS[event.outcome]}"
        case facts.Answered():
            return f"talks with {event.agent} after {event.waited:.1f} s of waiting"
        case facts.Held():
            return f"{event.agent} puts the customer on hold"
        case facts.Retrieved():
            return f"{event.agent} has the customer back"
        case facts.ConsultStarted():
            return f"{event.agent} asks {event.to}"
        case facts.ConsultAnswered():
            return f"{event.agent} and {event.to} talk, and nobody hears them"
        case facts.ConsultEnded():
            return f"the question of {event.agent} to {event.to} is over ({event.outcome.value.replace('_', ' ')})"
        case facts.ConferenceStarted():
            return f"the customer, {event.agent} and {event.to} talk"
        case facts.ConferenceJoined():
            return f"{event.to} comes into the conference"
        case facts.ConferenceLeft():
            return f"{event.who} leaves the conference, which goes on"
        case facts.PartyMuted():
            who = event.who or f"the {event.party.value}"
            return f"{who} is {'not heard' if event.muted else 'heard again'} in the conference"
        case facts.ConferenceEnded():
            return f"the {event.left.value} leaves the conference"
        case facts.DigitsSent():
            return f"{event.agent} sends {event.number} keys to the customer's line"
        case facts.Parked():
            return f"{event.agent} parks the contact"
        case facts.Picked():
            return f"{event.agent} picks the contact"
        case facts.ParkEnded():
            back = f"the phone of {event.agent} is rung" if event.agent else "it goes to its queue"
            return f"nobody picks the contact: {back}"
        case facts.VoicemailStarted():
            return f"reaches the voice mail box {event.box}"
        case facts.VoicemailLeft():
            return f"leaves a message of {event.seconds:.0f} s in {event.box}"
        case facts.Transferred(target="park"):
            return f"{event.agent} gives the contact away, to be parked"
        case facts.Transferred():
            return f"{event.agent} gives the contact to the {event.target} {event.to}"
        case facts.Lent():
            return f"{event.agent} sends the customer to the flow {event.flow}"
        case facts.LoanEnded():
            back = "the customer is back from" if event.back else "there is an end to"
            status = f", {event.result['status']}" if "status" in event.result else ""
            return f"{back} the flow {event.flow} ({event.how}{status})"
        case facts.FaxStarted(operation="send"):
            return f"{event.agent} sends the document {event.document} to the customer's fax machine"
        case facts.FaxStarted():
            return "the customer's fax machine sends"
        case facts.FaxProgress():
            return f"the fax is at page {event.page}"
        case facts.FaxEnded():
            error = f" ({event.error})" if event.error else ""
            return f"the fax is over: {event.outcome.value}, {event.pages} pages{error}"
        case facts.FaxReceived():
            return f"{event.pages} pages of fax are in the box {event.box}"
        case facts.DataAttached():
            return f"data is attached: {', '.join(sorted(event.data)) or 'none'}"
        case facts.SupervisionStarted():
            return f"{event.supervisor} begins to supervise the {event.follows} ({event.mode.value})"
        case facts.SupervisionMoved():
            if not event.hears:
                return f"{event.supervisor} hears nothing of it any more"
            return f"{event.supervisor} hears it{f' with {event.agent}' if event.agent else ''} ({event.mode.value})"
        case facts.SupervisionChanged():
            return f"{event.supervisor} changes to {event.mode.value}"
        case facts.SupervisionEnded():
            return f"the supervision by {event.supervisor} ends ({event.how.replace('_', ' ')})"
        case facts.RecordingStarted():
            return f"is recorded from now on, as the {event.why} wants"
        case facts.RecordingPaused():
            return f"the recording is paused ({event.why})"
        case facts.RecordingResumed():
            return f"the recording's pause is over ({event.why})"
        case facts.RecordingStopped():
            return f"the recording ends ({event.why})"
        case facts.RecordingFailed():
            return f"is not recorded as it should be: {event.why}"
        case facts.RecordingHeard():
            return f"{event.by} listens to the recording"
        case facts.PhoneLost():
            return f"the phone of {event.agent} died (cause {event.cause})"
        case facts.TalkEnded():
            return f"the talk with {event.agent} ends, by the {event.ended_by.value}"
        case facts.ContactEnded():
            found = " (found out later)" if event.end_estimated else ""
            return f"ends as {event.outcome.value.replace('_', ' ')}, by the {event.ended_by.value}{found}"
        case facts.DispositionSet():
            return f"{event.agent} says what came of it: {event.disposition}"
        case facts.WrapUpEnded():
            return f"{event.agent} has wrapped up, after {event.at - event.started:.1f} s"
        case facts.TransactionReported():
            amount = f" {event.amount} {event.currency}".rstrip()
            reference = f" ({event.reference})" if event.reference else ""
            return f"{event.name}{amount}{reference}: {event.outcome}, says {event.by or event.node}"
        case facts.CallbackAsked() | facts.CallbackBegun() | facts.CallbackChanged() | facts.CallbackEnded():
            return _of_callback(event)
        case facts.CallbackSettled():
            how = event.outcome.value.replace("_", " ")
            attempt = f"{how}{f' (cause {event.cause})' if event.cause else ''}" if event.dialled else "it was not dialled"
            return f"callback {event.callback} is tried again at {_clock(event.due)}: {attempt}"
        case facts.CallbackLate():
            return f"callback {event.callback} is late: it was due at {_clock(event.due)}, and is everybody's now"
        case facts.AgentChanged():
            hindered = f", {event.hindrance}" if event.hindrance else ""
            return f"{event.agent} is {event.state.value.replace('_', ' ')}{hindered}"
        case _:
            return event.kind


def _of_callback(
    event: facts.CallbackAsked | facts.CallbackBegun | facts.CallbackChanged | facts.CallbackEnded,
) -> str:
    """A step in the life of a callback."""
    whose = f" by {event.agent}" if event.agent else ""
    match event:
        case facts.CallbackAsked():
            place = ", and keeps the place" if event.since else ""
            about = f", about {event.reason}" if event.reason else ""
            asked = f", asked by {event.by}" if event.by else ""
            why = f"{_CALLED_BACK[event.source]}{place}{about}{asked}"
            return (
                f"is to be called back{whose} for {event.queue} from {_clock(event.due)} (callback {event.callback}): {why}"
            )
        case facts.CallbackBegun():
            alone = f", for {event.agent} alone at first" if event.agent else ""
            return f"attempt {event.attempt} of callback {event.callback} begins{alone}"
        case facts.CallbackChanged():
            return f"callback {event.callback} is due at {_clock(event.due)}{whose} for {event.queue} now, by {event.by}"
    said = f": {event.why}" if event.why else ""
    asked = f", by {event.by}" if event.by else ""
    return f"callback {event.callback} is over, {_CALLBACK_ENDS.get(event.state, event.state.value)}{asked}{said}"


def _clock(at: float) -> str:
    """A moment as a person reads it, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
