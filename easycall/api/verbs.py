"""The verbs of call control as the API takes them: the address' last word, and what the body may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from attrs import frozen

from easycall import verbs
from easycall.api.problems import Problem
from easycall.api.schemas import Id, Nothing, Text
from easycall.model import Party

__all__ = ["WISHES", "Attached", "Wish"]

Attached = Annotated[dict[Annotated[str, msgspec.Meta(min_length=1, max_length=40)], Text], msgspec.Meta(max_length=50)]
"""Attached data."""
Number = Annotated[str, msgspec.Meta(max_length=60, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
"""A telephone number as people write it."""


class Agent(msgspec.Struct, forbid_unknown_fields=True):
    """Which agent."""

    agent: Id


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """Who is asked: an agent, whoever of a queue is free, or a number outside."""

    agent: Id = ""
    queue: Id = ""
    number: Number = ""
    caller_id: Number = ""
    """Of a number: what it is shown."""


class Answering(msgspec.Struct, forbid_unknown_fields=True):
    """Whose phone answers, where several ring at once."""

    agent: Id = ""


class Mute(msgspec.Struct, forbid_unknown_fields=True):
    """Which of a conference."""

    party: Literal["customer", "agent", "consulted"]
    who: Number = ""
    """Of several who were consulted: an agent, or a number outside."""


class Drop(msgspec.Struct, forbid_unknown_fields=True):
    """Which of a conference leaves it."""

    party: Literal["agent", "consulted"]
    who: Number = ""
    """Of several who were consulted: an agent, or a number outside."""


class Digits(msgspec.Struct, forbid_unknown_fields=True):
    """Keys."""

    digits: Annotated[str, msgspec.Meta(pattern=r"^[0-9*#A-Dw]{1,32}\Z")]


class Loan(msgspec.Struct, forbid_unknown_fields=True):
    """Which flow, and the parameters of a function."""

    flow: Id
    parameters: Annotated[
        dict[Annotated[str, msgspec.Meta(min_length=1, max_length=40)], Text], msgspec.Meta(max_length=50)
    ] = {}


class Target(msgspec.Struct, forbid_unknown_fields=True):
    """To whom: an agent, a queue, a flow, a voice mail box or a number outside."""

    agent: Id = ""
    queue: Id = ""
    wait: bool = True
    """Of a queue: False refuses when nobody is free."""
    flow: Id = ""
    number: Number = ""
    caller_id: Number = ""
    """Of a number: what it is shown."""
    voicemail: Id = ""


class Fax(msgspec.Struct, forbid_unknown_fields=True):
    """What is faxed: a document to send, or one to receive."""

    document: Id = ""
    receive: bool = False


class Data(msgspec.Struct, forbid_unknown_fields=True):
    """What is attached; an empty value takes one away."""

    data: Attached


class Closing(msgspec.Struct, forbid_unknown_fields=True):
    """What came of it."""

    disposition: Id = ""


class Recording(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked of the recording."""

    action: Literal["start", "pause", "resume", "stop"]


_RECORD: Mapping[str, verbs.Verb] = {
    "start": verbs.RecordStart(),
    "pause": verbs.RecordPause(),
    "resume": verbs.RecordResume(),
    "stop": verbs.RecordStop(),
}


@frozen
class Wish:
    """How one verb is asked for."""

    body: type[msgspec.Struct]
    verb: Callable[[Any], verbs.Verb]
    """The body -> what is asked of the contact.  Raises Problem."""


def _consult(who: Asked) -> verbs.Verb:
    if sum(map(bool, (who.agent, who.queue, who.number))) != 1:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "name one of agent, queue and number", field="agent")
    return verbs.Consult(who.agent, who.queue, who.number, who.caller_id)


def _transfer(to: Target) -> verbs.Verb:
    if sum(map(bool, (to.agent, to.queue, to.flow, to.voicemail, to.number))) != 1:
        text = "name one of agent, queue, flow, voicemail and number"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, text, field="agent")
    if to.number:
        return verbs.ToNumber(to.number, to.caller_id)
    if to.voicemail:
        return verbs.ToVoicemail(to.voicemail)
    if to.agent:
        return verbs.ToAgent(to.agent)
    return verbs.ToQueue(to.queue, to.wait) if to.queue else verbs.ToFlow(to.flow)


def _fax(wish: Fax) -> verbs.Verb:
    if bool(wish.document) is wish.receive:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "name a document, or say receive", field="document")
    return verbs.Fax(wish.document)


WISHES: Mapping[str, Wish] = {
    "hold": Wish(Nothing, lambda body: verbs.Hold()),
    "retrieve": Wish(Nothing, lambda body: verbs.Retrieve()),
    "alternate": Wish(Nothing, lambda body: verbs.Alternate()),
    "complete": Wish(Nothing, lambda body: verbs.Complete()),
    "cancel": Wish(Nothing, lambda body: verbs.Cancel()),
    "merge": Wish(Nothing, lambda body: verbs.Merge()),
    "mute": Wish(Mute, lambda body: verbs.Mute(Party(body.party), who=body.who)),
    "unmute": Wish(Mute, lambda body: verbs.Mute(Party(body.party), muted=False, who=body.who)),
    "drop": Wish(Drop, lambda body: verbs.Drop(Party(body.party), body.who)),
    "leave": Wish(Nothing, lambda body: verbs.Leave()),
    "decline": Wish(Nothing, lambda body: verbs.Leave()),
    "close": Wish(Closing, lambda body: verbs.Close(body.disposition)),
    "answer": Wish(Answering, lambda body: verbs.Answer(body.agent)),
    "digits": Wish(Digits, lambda body: verbs.SendDigits(body.digits)),
    "park": Wish(Nothing, lambda body: verbs.Park()),
    "pick": Wish(Agent, lambda body: verbs.Pick(body.agent)),
    "consult": Wish(Asked, _consult),
    "lend": Wish(Loan, lambda body: verbs.Lend(body.flow, body.parameters)),
    "fax": Wish(Fax, _fax),
    "transfer": Wish(Target, _transfer),
    "record": Wish(Recording, lambda body: _RECORD[body.action]),
    "data": Wish(Data, lambda body: verbs.AttachData(body.data)),
}
"""The address' last word -> how it is asked for."""
