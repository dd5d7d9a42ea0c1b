"""What tells who a customer was is taken from every kind of event, and nothing else is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from attrs import NOTHING, evolve, fields
from hypothesis import given
from hypothesis import strategies as st

from easycall import events as facts
from easycall import model
from easycall.config import DialingSettings
from easycall.events import KINDS, Event
from easycall.model import Direction
from easycall.privacy.anonymous import PERSONAL, anonymous, shown_forms, without
from easycall.stats.codec import decode, encode

OF_THE_EVENT = {"at", "contact", "agent"}

KEPT = {
    "agent.assigned": {"skills", "by"},
    "agent.changed": {"reason", "phone", "hindrance", "disposition", "work", "by", "next_reason", "queue"},
    "call.answered": {"leg"},
    "call.cut": {"leg"},
    "call.dialled": {"leg", "trunk", "caller_id", "purpose", "queue"},
    "call.failed": {"leg"},
    "call.ringing": {"leg"},
    "callback.asked": {"callback", "queue", "session", "by"},
    "callback.begun": {"callback", "queue"},
    "callback.changed": {"callback", "queue", "by"},
    "callback.ended": {"callback", "queue", "why", "by"},
    "callback.late": {"callback", "queue"},
    "callback.settled": {"callback", "queue"},
    "conference.joined": {"to"},
    "conference.left": {"who"},
    "conference.muted": {"who"},
    "conference.started": {"to"},
    "consult.answered": {"to"},
    "consult.ended": {"to"},
    "consult.started": {"to"},
    "contact.arrived": {"pbx", "leg", "session", "callback"},
    "contact.disposition": {"queue", "disposition", "by"},
    "contact.joined": {"session", "callback"},
    "contact.transaction": {"name", "outcome", "amount", "currency", "node", "by"},
    "customer.erased": {"by"},
    "donotcall.added": {"number", "reason", "by"},
    "donotcall.removed": {"number", "by"},
    "fax.ended": {"operation", "document"},
    "fax.received": {"fax", "box"},
    "fax.started": {"operation", "document"},
    "ivr.answered": {"node"},
    "ivr.collected": {"node", "name"},
    "ivr.service": {"node", "service", "outcome"},
    "ivr.step": {"flow", "node"},
    "loan.ended": {"flow", "how"},
    "loan.started": {"flow"},
    "offer.made": {"queue"},
    "pbx.corrected": {"pbx", "leg", "what"},
    "pbx.down": {"pbx", "reason"},
    "pbx.up": {"pbx"},
    "queue.amended": {"queue", "skills", "by"},
    "queue.edited": {"queue", "changed", "by"},
    "queue.entered": {"queue", "skills", "owner"},
    "queue.expected": {"queue"},
    "queue.ignored": {"queue", "what"},
    "queue.left": {"queue"},
    "queue.overflowed": {"queue", "to"},
    "queue.resumed": {"queue", "of"},
    "recording.failed": {"recording"},
    "recording.heard": {"recording", "by"},
    "recording.paused": {"recording", "why"},
    "recording.resumed": {"recording", "why"},
    "recording.started": {"recording", "why"},
    "recording.stopped": {"recording", "why"},
    "screen.pop": {"queue", "by", "callback"},
    "screen.revoked": {"by"},
    "strategy.asked": {"queue", "strategy", "first"},
    "supervision.ended": {"supervision", "supervisor", "how", "by"},
    "supervision.mode": {"supervision", "supervisor", "by"},
    "supervision.moved": {"supervision", "supervisor"},
    "supervision.started": {"supervision", "supervisor", "follows", "by"},
    "talk.phone_lost": {"cause"},
    "talk.started": {"queue", "leg"},
    "talk.transferred": {"target", "to"},
    "voicemail.left": {"box", "message"},
    "voicemail.started": {"box"},
    "wrapup.ended": {"queue"},
}
"""What an event says of the site, not of the customer.  A new event, or field, belongs here or into PERSONAL."""


def texts_of(kind: type[Event]) -> set[str]:
    """The fields of an event that can hold words."""
    worded = {one.name for one in fields(kind) if re.match(r"str|Mapping\[str, (str|Any|int|Channel)\]", str(one.type))}
    return worded - OF_THE_EVENT


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_of_each_field_it_is_known_whether_it_tells_of_the_customer(kind: str) -> None:
    event = KINDS[kind]
    personal = set(PERSONAL.get(event, ()))
    assert personal | KEPT.get(kind, set()) == texts_of(event)
    assert not personal & KEPT.get(kind, set())


def planted(kind: type[Event], words: str) -> Event:
    """An event with these words wherever it may tell of the customer."""
    values: dict[str, Any] = {"at": 1.5, "contact": "C", "agent": "ana"}
    for one in fields(kind):
        if one.name in values:
            continue
        of = str(one.type)
        if one.name in PERSONAL.get(kind, ()):
            values[one.name] = words if of == "str" else {"key": words}
        elif of == "str":
            values[one.name] = "ours"
        elif of in ("float", "int"):
            values[one.name] = 1
        elif of == "bool":
            values[one.name] = True
        elif of.startswith("Mapping"):
            values[one.name] = {}
        elif of.startswith("tuple"):
            values[one.name] = ()
        elif one.default is NOTHING:
            values[one.name] = next(iter(getattr(model, of.partition(" ")[0])))
    return kind(**values)


@pytest.mark.parametrize("kind", sorted(kind.kind for kind in PERSONAL))
def test_nothing_of_the_customer_is_left(kind: str) -> None:
    event = planted(KINDS[kind], "Eva Example")
    assert "Eva" in encode(event)
    bare = anonymous(event)
    left = encode(bare)
    if isinstance(event, facts.ContactArrived | facts.ScreenPop):  # the number that was dialled is one of ours
        left = left.replace('"dialled":"Eva Example"', "")
    assert "Eva" not in left
    assert (bare.at, bare.contact, bare.agent, bare.kind) == (1.5, "C", "ana", kind)
    assert decode(kind, encode(bare)) == bare
    assert anonymous(bare) == bare


def test_of_a_call_out_the_number_dialled_is_the_customers() -> None:
    event = planted(facts.ContactArrived, "+49301234567")
    out = anonymous(evolve(event, direction=Direction.OUTBOUND))
    assert (out.caller, out.dialled) == ("+49301234567", "")  # type: ignore[attr-defined]
    came = anonymous(event)
    assert (came.caller, came.dialled) == ("", "+49301234567")  # type: ignore[attr-defined]


def test_somebody_outside_is_not_named_either_and_agents_are() -> None:
    outside = facts.ConsultStarted(at=1.0, contact="C", agent="ana", to="+4930999", attempt=1)
    assert anonymous(outside) == evolve(outside, to="erased")
    assert anonymous(evolve(outside, to="2001")) == evolve(outside, to="2001")
    dialled = facts.CallDialled(
        at=1.0, contact="C", leg="l", number="+4930999", trunk="t", caller_id="+49301", purpose="consult"
    )
    assert anonymous(dialled) == evolve(dialled, number="")


GERMAN = DialingSettings(country="49")


@pytest.mark.parametrize("typed", ["+49301234567", "0301234567", "0049301234567", "030 123-4567", "+49 (0)30 1234567"])
def test_a_number_is_found_however_it_was_shown(typed: str) -> None:
    assert {"+49301234567", "0301234567", "0049301234567", "49301234567"} <= shown_forms(typed, GERMAN)
    assert len(shown_forms(typed, GERMAN)) <= 8


@pytest.mark.parametrize("typed", ["", "0000", "anonymous", "12", "+", "'; DROP TABLE contacts"])
def test_what_is_no_number_is_found_nowhere(typed: str) -> None:
    """Or all who withhold theirs would be one customer."""
    assert shown_forms(typed, GERMAN) == frozenset()


def test_an_extension_is_known_as_it_is() -> None:
    assert shown_forms("2001", DialingSettings()) == {"2001"}


@given(
    st.recursive(
        st.sampled_from(["+4930", "other", 1, None, True]), lambda inner: st.dictionaries(st.text(max_size=3), inner)
    )
)
def test_one_value_is_taken_from_any_body(value: Any) -> None:
    left = json.loads(without(json.dumps({"x": value}), {"+4930"}))
    assert json.loads(json.dumps({"x": value}).replace('"+4930"', '"erased"')) == left or '"+4930":' in json.dumps(value)
