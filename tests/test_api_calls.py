"""Calls out, the do-not-call list and the trunks over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted

from easycall.outbound.call import CallOut, First
from easycall.outbound.rules import NotDialled, Why
from easycall.verbs import Consult, NotNow, ToNumber

from .fakes_api import ANA, NOTHING, Running, running

CALL = {"agent": "ana", "number": "030 1234567", "queue": "cards"}


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[Running]:
    async with running() as started:
        yield started


async def test_a_call_is_made_and_has_its_contact_at_once(site: Running) -> None:
    code, body, _ = await site.ask("POST", "/api/v1/calls", json={**CALL, "first": "agent", "data": {"order": "1"}})
    assert (code, body) == (201, {"id": "o1"})
    assert site.contacts.called == [CallOut("ana", "030 1234567", "cards", First.AGENT, "", {"order": "1"})]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"agent": "nobody"}, "agent"),
        ({"queue": "nowhere"}, "queue"),
        ({"first": "both"}, "first"),
        ({"number": ""}, "number"),
        ({"number": "1\n2"}, "number"),
        ({"context": "default"}, "context"),
    ],
)
async def test_what_makes_no_call(site: Running, change: dict[str, Any], field: str) -> None:
    code, body, _ = await site.ask("POST", "/api/v1/calls", json={**CALL, **change})
    assert (code, body["field"]) == (422, field)
    assert site.contacts.called == []


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (NotDialled(Why.NOT_A_NUMBER, "is no number"), 422),
        (NotDialled(Why.NOT_ALLOWED, "not allowed"), 403),
        (NotDialled(Why.DO_NOT_CALL, "listed"), 403),
        (NotDialled(Why.CAPPED, "called 3 times"), 403),
        (NotDialled(Why.NO_LINE, "no line is free"), 409),
        (NotNow("ana is talking"), 409),
    ],
)
async def test_why_a_call_is_not_made(site: Running, refusal: NotNow, code: int) -> None:
    site.contacts.refusal = refusal
    answer = await site.ask("POST", "/api/v1/calls", json=CALL)
    assert (answer[0], answer[1]["detail"]) == (code, str(refusal))


@pytest.mark.fault("F78")
async def test_a_repeated_request_makes_one_call(site: Running) -> None:
    key = {"Idempotency-Key": "k1"}
    assert (await site.ask("POST", "/api/v1/calls", json=CALL, headers=key))[:2] == (201, {"id": "o1"})
    assert (await site.ask("POST", "/api/v1/calls", json=CALL, headers=key))[:2] == (200, {"id": "o1"})
    assert (await site.ask("POST", "/api/v1/calls", json={**CALL, "queue": "loans"}, headers=key))[0] == 422
    assert (await site.ask("POST", "/api/v1/calls", json=CALL))[1] == {"id": "o2"}
    assert len(site.contacts.called) == 2


async def test_rights(site: Running) -> None:
    assert (await site.ask("POST", "/api/v1/calls", NOTHING, json=CALL))[0] == 403
    assert (await site.ask("POST", "/api/v1/calls", ANA, json={**CALL, "agent": "bo"}))[0] == 403
    assert (await site.ask("POST", "/api/v1/calls", ANA, json=CALL))[0] == 201
    assert (await site.ask("PUT", "/api/v1/do-not-call/+49301234567", NOTHING, json={}))[0] == 403


async def test_outside_numbers_as_targets(site: Running) -> None:
    site.contacts.add("c1", "ana")
    await site.ask("POST", "/api/v1/contacts/c1/consult", json={"number": "030 1", "caller_id": "030 2"})
    await site.ask("POST", "/api/v1/contacts/c1/consult", json={"queue": "cards"})
    await site.ask("POST", "/api/v1/contacts/c1/transfer", json={"number": "030 1"})
    assert site.contacts.asked == [
        ("c1", Consult(number="030 1", caller_id="030 2")),
        ("c1", Consult(queue="cards")),
        ("c1", ToNumber("030 1")),
    ]
    code, body, _ = await site.ask("POST", "/api/v1/contacts/c1/consult", json={"queue": "cards", "agent": "bo"})
    assert (code, body["detail"]) == (422, "name one of agent, queue and number")


async def test_the_do_not_call_list(site: Running) -> None:
    path = "/api/v1/do-not-call/030%201234567"
    assert (await site.ask("GET", path))[0] == 404
    code, body, _ = await site.ask("PUT", path, json={"reason": "asked us"})
    assert (code, body["number"], body["reason"], body["added_by"]) == (200, "+49301234567", "asked us", "crm")
    assert (await site.ask("GET", path))[1] == body
    await site.ask("PUT", "/api/v1/do-not-call/+4930777777", json={})
    code, page, _ = await site.ask("GET", "/api/v1/do-not-call?limit=1")
    assert ([one["number"] for one in page["numbers"]], page["next"]) == (["+49301234567"], "+49301234567")
    code, page, _ = await site.ask("GET", "/api/v1/do-not-call?limit=5&after=%2B49301234567")
    assert ([one["number"] for one in page["numbers"]], page["next"]) == (["+4930777777"], None)
    assert (await site.ask("DELETE", path))[0] == 200
    assert (await site.ask("DELETE", path))[0] == 404
    assert (await site.ask("PUT", "/api/v1/do-not-call/everybody", json={}))[0] == 422
    assert [(event.kind, event.number, event.by) for event in site.journal.events] == [  # type: ignore[attr-defined]
        ("donotcall.added", "+49301234567", "crm"),
        ("donotcall.added", "+4930777777", "crm"),
        ("donotcall.removed", "+49301234567", "crm"),
    ]


@pytest.mark.requirement("A2")
async def test_the_trunks_and_their_lines(site: Running) -> None:
    assert site.dialling.lines.take("out") is not None
    code, body, _ = await site.ask("GET", "/api/v1/trunks")
    assert code == 200
    assert body["trunks"] == [
        {"id": "out", "pbx": "main", "lines": 2, "used": 1, "free": 1, "caller_ids": ["+49301"]},
    ]
