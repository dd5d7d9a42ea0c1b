"""The verbs of call control: what may be asked of a live contact.  Pure data.

Each is put into the contact's mailbox and carried out by the contact's own coroutine, one after another, so no verb can
disturb another.  docs/api.rst has the table of their CSTA names.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from easycall.model import Party
from easycall.skills import Requirement

__all__ = [
    "Alternate",
    "Amend",
    "Answer",
    "AttachData",
    "Cancel",
    "Close",
    "Complete",
    "Consult",
    "Drop",
    "Fax",
    "Hold",
    "Leave",
    "Lend",
    "Merge",
    "Mute",
    "NotAllowed",
    "NotNow",
    "Park",
    "Pick",
    "Record",
    "RecordPause",
    "RecordResume",
    "RecordStart",
    "RecordStop",
    "Retrieve",
    "SendDigits",
    "TakeOver",
    "ToAgent",
    "ToFlow",
    "ToNumber",
    "ToQueue",
    "ToVoicemail",
    "Verb",
]


class NotNow(Exception):
    """What was asked for makes no sense at this moment, or cannot be had; the text says why.  Nothing was changed."""


class NotAllowed(Exception):
    """Who asks may not have it; the text says why.  Nothing was changed."""


@frozen
class Verb:
    """Something asked of a live contact."""


@frozen
class Hold(Verb):
    """The customer hears music; the agent's line is kept."""


@frozen
class Retrieve(Verb):
    """The customer comes back to the agent."""


@frozen
class Consult(Verb):
    """The agent asks another one, who is rung with the contact's data; the customer hears music, a conference goes on.

    One of the three is given.
    """

    agent: str = ""
    queue: str = ""
    """Whoever of that queue is free longest."""
    number: str = ""
    """Somebody outside."""
    caller_id: str = ""
    """The number shown to somebody outside; empty: the queue's or the trunk's."""


@frozen
class Alternate(Verb):
    """The agent changes between the customer and the one who is consulted; the other one hears music.

    A conference goes on, with the agent or without.
    """


@frozen
class Complete(Verb):
    """The customer is joined with the one who is consulted; the first agent is free."""


@frozen
class Merge(Verb):
    """Customer, agent and the one who is consulted hear each other, and those who did before."""


@frozen
class Mute(Verb):
    """One of a conference is not heard by the others, or is heard again."""

    party: Party
    muted: bool = True
    who: str = ""
    """Of several who were consulted: an agent, or a number outside."""


@frozen
class Drop(Verb):
    """One of a conference leaves it; the others talk on."""

    party: Party
    who: str = ""
    """Of several who were consulted: an agent, or a number outside."""


@frozen
class Leave(Verb):
    """The agent's own leg is hung up, as if the agent had put the phone down; an offer of what is no call is declined."""


@frozen
class Answer(Verb):
    """The phone that rings for the contact answers by itself; what is no call is accepted."""

    agent: str = ""
    """Whose, where several ring at once; empty: there is one."""


@frozen
class Close(Verb):
    """The agent is done with a contact that is no call."""

    disposition: str = ""
    """What came of it."""


@frozen
class SendDigits(Verb):
    """Keys are sent to the customer's line, for the machine at its other end."""

    digits: str = field(repr=False)
    """1 to 32 of ``0-9*#A-D``, and ``w`` for a pause of half a second."""


@frozen
class Park(Verb):
    """The customer waits in no queue until an agent picks the contact; the agent is free at once."""


@frozen
class Pick(Verb):
    """A contact that is parked, or waits in a queue, goes to this agent, whose phone is rung."""

    agent: str


@frozen
class Cancel(Verb):
    """The consultation, the loan to the IVR or the fax is broken off; the customer comes back to the agent."""


@frozen
class ToAgent(Verb):
    """The contact goes to another agent without asking; the first one is free at once."""

    agent: str


@frozen
class ToQueue(Verb):
    """The contact goes into a queue with all its data; the agent is free at once."""

    queue: str
    wait: bool = True
    """False: only if an agent is free for it now."""


@frozen
class ToFlow(Verb):
    """The contact goes to an IVR flow for good; the agent is free at once."""

    flow: str


@frozen
class ToNumber(Verb):
    """The contact goes to somebody outside; the agent is free at once."""

    number: str
    caller_id: str = ""
    """The number shown; empty: the queue's or the trunk's."""


@frozen
class ToVoicemail(Verb):
    """The customer leaves a message in a box; the agent is free at once."""

    box: str


@frozen
class Lend(Verb):
    """The customer goes to an IVR flow and then comes back to the same agent, who hears music meanwhile."""

    flow: str
    parameters: Mapping[str, str] = field(factory=dict)
    """Of a function."""


@frozen
class TakeOver(Verb):
    """The customer goes to the supervisor who listens; the agent is free at once."""

    supervision: str


@frozen
class Fax(Verb):
    """A document goes to the customer's fax machine, or one comes from there; then the customer is back at the agent."""

    document: str = ""
    """The id of the document to send; empty: receive one."""


@frozen
class Amend(Verb):
    """A contact that waits has another priority, or asks for other skills; None: as before."""

    priority: float | None
    skills: Requirement | None
    by: str
    """The name of the token that asks."""


@frozen
class AttachData(Verb):
    """Data that travels with the contact from now on; an empty value takes one away."""

    data: Mapping[str, str] = field(factory=dict)


@frozen
class Record(Verb):
    """Something asked of the recording."""


@frozen
class RecordStart(Record):
    """The talk is recorded from now on."""


@frozen
class RecordPause(Record):
    """Silence is recorded until it is resumed."""


@frozen
class RecordResume(Record):
    """The agent's pause is over."""


@frozen
class RecordStop(Record):
    """The recording is over; nothing of this contact is recorded again unless it is asked for."""
