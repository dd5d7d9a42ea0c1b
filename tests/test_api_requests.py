"""Requests over HTTP: what is asked of agents without a call, and the verbs of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from easycall.events import ContactArrived, ContactEnded
from easycall.model import EndedBy, Outcome, Request, Stage
from easycall.policy import Channel
from easycall.ports import StoreUnavailable
from easycall.verbs import Close, Leave, NotNow

from .fakes_api import ANA, BO, NOTHING, SUE, Running, pause, running

CHAT = {"queue": "cards", "channel": "chat", "name": "Carol"}


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[Running]:
    async with running() as started:
        yield started


async def test_a_request_is_taken_with_all_it_says(site: Running) -> None:
    facts = {
        "number": "030 1",
        "address": "carol@example.net",
        "subject": "my order",
        "reference": "https://chat/1",
        "data": {"order": "4711"},
        "skills": "billing >= 2",
        "priority_seconds": 60,
        "wait_since": 1000.5,
    }
    code, body, _ = await site.ask("POST", "/api/v1/requests", json={**CHAT, **facts})
    assert (code, body) == (201, {"id": "r1"})
    asked = site.requests.live["r1"]
    data = {"order": "4711", "subject": "my order", "reference": "https://chat/1", "address": "carol@example.net"}
    wanted = Request(
        "r1", Channel.CHAT, "cards", 1000.5, asked.created, "030 1", "carol@example.net", "Carol", "billing >= 2"
    )
    assert asked == evolve(wanted, priority_seconds=60.0, data=data, created_by="crm")
    assert abs(asked.created - reactor.seconds()) < 5  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"queue": "nowhere"}, "queue"),
        ({"channel": "call"}, "channel"),
        ({"channel": "voicemail"}, "channel"),
        ({"skills": "billing >"}, "skills"),
        ({"wait_since": 4e9}, "wait_since"),
        ({"wait_since": -1}, "wait_since"),
        ({"priority_seconds": 1e6}, "priority_seconds"),
        ({"name": "a\nb"}, "name"),
        ({"channel": "call_me", "number": "12"}, "number"),
        ({"channel": "call_me"}, "number"),
        ({"about": "m1"}, "about"),
    ],
)
async def test_what_is_no_request(site: Running, change: dict[str, Any], field: str) -> None:
    code, body, _ = await site.ask("POST", "/api/v1/requests", json={**CHAT, **change})
    assert (code, body["field"]) == (422, field)
    assert site.requests.live == {}


async def test_a_number_to_be_called_is_brought_into_its_full_form_and_must_be_allowed(site: Running) -> None:
    wish = {"queue": "cards", "channel": "call_me"}
    assert (await site.ask("POST", "/api/v1/requests", json={**wish, "number": "030 1234567"}))[0] == 201
    assert site.requests.live["r1"].number == "+49301234567"
    assert (await site.ask("POST", "/api/v1/requests", json={**wish, "number": "+1 212 5550100"}))[0] == 403


@pytest.mark.parametrize("refusal", [StoreUnavailable("away"), NotNow("10000 requests are not done yet")])
async def test_nothing_is_promised_that_is_not_stored(site: Running, refusal: Exception) -> None:
    site.requests.refusal = refusal
    key = {"Idempotency-Key": "k"}
    code, _, headers = await site.ask("POST", "/api/v1/requests", json=CHAT, headers=key)
    assert code == 503
    assert headers.hasHeader("Retry-After")
    site.requests.refusal = None
    assert (await site.ask("POST", "/api/v1/requests", json=CHAT, headers=key))[0] == 201


@pytest.mark.fault("F78")
async def test_a_repeated_request_is_one_also_while_the_first_is_being_stored(site: Running) -> None:
    key = {"Idempotency-Key": "k1"}
    gate = site.requests.gate = Deferred()
    first = Deferred.fromCoroutine(site.ask("POST", "/api/v1/requests", json=CHAT, headers=key))
    await pause(0.05)
    second = Deferred.fromCoroutine(site.ask("POST", "/api/v1/requests", json=CHAT, headers=key))
    await pause(0.05)
    assert not first.called
    assert not second.called
    site.requests.gate = None
    gate.callback(None)
    assert ((await first)[:2], (await second)[:2]) == ((201, {"id": "r1"}), (200, {"id": "r1"}))
    assert (await site.ask("POST", "/api/v1/requests", json={**CHAT, "name": "Dora"}, headers=key))[0] == 422
    assert list(site.requests.live) == ["r1"]


async def test_requests_are_shown_and_withdrawn(site: Running) -> None:
    await site.ask("POST", "/api/v1/requests", json=CHAT)
    _, body, _ = await site.ask("GET", "/api/v1/requests")
    [shown] = body["requests"]
    assert (shown["id"], shown["channel"], shown["stage"], shown["position"]) == ("r1", "chat", "ivr", None)
    assert (await site.ask("GET", "/api/v1/requests/r1"))[1] == shown
    assert (await site.ask("GET", "/api/v1/requests/r2"))[0] == 404
    assert (await site.ask("DELETE", "/api/v1/requests/r2"))[0] == 404
    assert (await site.ask("DELETE", "/api/v1/requests/r1"))[0] == 202
    assert site.contacts.hung_up == [("r1", EndedBy.CALLER)]


async def test_what_became_of_one_that_is_done(site: Running) -> None:
    facts = {"pbx": "", "leg": "", "caller": "", "caller_name": "", "dialled": ""}
    for contact, channel in (("r7", Channel.CHAT), ("c8", Channel.CALL)):
        site.journal.record(ContactArrived(at=1.0, contact=contact, channel=channel, **facts))
        ended = ContactEnded(at=9.0, contact=contact, outcome=Outcome.ABANDONED, ended_by=EndedBy.CALLER)
        site.journal.record(ended)
    _, body, _ = await site.ask("GET", "/api/v1/requests/r7")
    assert (body["stage"], body["outcome"], body["channel"]) == ("ended", "abandoned", "chat")
    assert (await site.ask("GET", "/api/v1/requests/c8"))[0] == 404


async def test_rights(site: Running) -> None:
    for token in (NOTHING, ANA, BO, SUE):
        assert (await site.ask("POST", "/api/v1/requests", token, json=CHAT))[0] == 403
        assert (await site.ask("DELETE", "/api/v1/requests/r1", token))[0] == 403
        assert (await site.ask("GET", "/api/v1/requests", token))[0] == 403
    assert site.requests.live == {}


async def test_the_verbs_of_the_desk(site: Running) -> None:
    site.contacts.add("c1", agent="ana")
    for verb, body in (("decline", {}), ("close", {}), ("close", {"disposition": "sold"})):
        assert (await site.ask("POST", f"/api/v1/contacts/c1/{verb}", ANA, json=body))[0] == 200
    assert site.contacts.asked == [("c1", Leave()), ("c1", Close()), ("c1", Close("sold"))]


class Boxes:
    """One message."""

    async def page(self, limit: int, before: str = "", box: str = "") -> list[Any]:
        return []

    async def open(self, message: str) -> Any:
        raise FileNotFoundError(message)


async def test_an_agent_hears_the_message_that_is_the_agents_work_and_no_other() -> None:
    async with running(messages=Boxes()) as site:
        path = "/api/v1/voicemails/m1/audio"
        assert (await site.ask("GET", path, BO))[0] == 403
        request = Request("r1", Channel.VOICEMAIL, "cards", 1.0, 1.0, about="m1")
        site.requests.live["r1"] = request
        site.contacts.add("r1", agent="bo")
        assert (await site.ask("GET", path, BO))[0] == 404  # let through, and there is no such file
        assert (await site.ask("GET", "/api/v1/voicemails/m2/audio", BO))[0] == 403
        site.contacts.live["r1"].agent = ""
        site.contacts.live["r1"].stage = Stage.WAITING
        assert (await site.ask("GET", path, BO))[0] == 403
        site.contacts.live["r1"].data["voicemail"] = "m2"  # what an agent attaches opens nothing
        site.contacts.live["r1"].agent = "bo"
        assert (await site.ask("GET", "/api/v1/voicemails/m2/audio", BO))[0] == 403
