"""The verbs of call control: what may be asked of a live contact.  Pure data.

Each is put into the contact's mailbox and carried out by the contact's own coroutine, one after another, so no verb can
disturb another.  docs/api.rst has the table of their CSTA names.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

__all__ = [
    "Alternate",
    "AttachData",
    "Cancel",
    "Complete",
    "Consult",
    "Fax",
    "Hold",
    "Lend",
    "NotAllowed",
    "NotNow",
    "Record",
    "RecordPause",
    "RecordResume",
    "RecordStart",
    "RecordStop",
    "Retrieve",
    "TakeOver",
    "ToAgent",
    "ToFlow",
    "ToQueue",
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
    """The agent asks another one, who is rung with the contact's data; the customer hears music."""

    agent: str


@frozen
class Alternate(Verb):
    """The agent changes between the customer and the one who is consulted; the other one hears music."""


@frozen
class Complete(Verb):
    """The customer is joined with the one who is consulted; the first agent is free."""


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
