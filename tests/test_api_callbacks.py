"""Callbacks over HTTP: asked for, seen with why they are not made yet, and steered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet.defer import Deferred

from easycall.callback.shelf import Filter
from easycall.callback.wish import Change, Wish
from easycall.model import Attempt, CallbackSource, CallbackState, Outcome
from easycall.outbound import rules
from easycall.outbound.rules import NotDialled
from easycall.ports import StoreUnavailable
from easycall.verbs import NotNow

from .fakes_api import ANA, BO, NOTHING, OTHER, SUE, pause
from .fakes_callbacks import IN_LINE, NUMBER, Office, office

WISH = {"queue": "cards", "number": "030 1234567"}


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[Office]:
    async with office() as started:
        yield started


async def ask(site: Office, verb: str, path: str = "", *token: str, **body: Any) -> tuple[int, Any]:
    code, answer, _ = await site.ask(verb, f"/api/v1/callbacks{path}", *token, **({} if verb == "GET" else {"json": body}))
    return code, answer


async def test_a_callback_is_asked_for_with_all_it_says(site: Office) -> None:
    now = site.api._clock.seconds()
    more = {
        "name": "Eva",
        "reason": "the invoice",
        "zone": "Europe/Berlin",
        "skills": "billing >= 2",
        "priority_seconds": 60,
    }
    times = {"at": now + 60, "expires": now + 3600}
    code, body = await ask(site, "POST", **WISH, **more, **times, agent="bo", data={"order": "4711"})
    assert (code, body["id"], body["agent"], body["source"]) == (201, "k1", "bo", "requested")
    assert body["why"] == {"why": "quiet_hours", "until": 77.0, "text": "quiet hours"}
    wanted = Wish("cards", "030 1234567", CallbackSource.REQUESTED, agent="bo", data={"order": "4711"}, by="crm")
    assert site.callbacks.wishes == [evolve(wanted, **more, due=times["at"], expires=times["expires"])]


async def test_of_a_queue_and_number_there_is_one(site: Office) -> None:
    assert (await ask(site, "POST", **WISH))[0] == 201
    code, body = await ask(site, "POST", **WISH)
    assert (code, body["id"]) == (200, "k1")


async def test_what_an_agent_promises_is_the_agents_own(site: Office) -> None:
    code, body = await ask(site, "POST", "", BO, **WISH)
    assert (code, body["source"], body["agent"]) == (201, "appointment", "bo")
    assert (await ask(site, "POST", "", BO, **WISH, agent="ana"))[0] == 403
    assert await ask(site, "POST", "", ANA, **WISH) == (200, {"id": "k1"}), "it is another agent's"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"queue": "nowhere"}, "queue"),
        ({"agent": "nobody"}, "agent"),
        ({"skills": "billing >"}, "skills"),
        ({"zone": "Europe/Nowhere"}, "zone"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"at": -1}, "at"),
        ({"at": 9e9}, "at"),
        ({"expires": 9e9}, "expires"),
        ({"number": ""}, "number"),
        ({"priority_seconds": 1e6}, "priority_seconds"),
        ({"reason": "a\nb"}, "reason"),
        ({"source": "asked"}, "source"),
    ],
)
async def test_what_is_none(site: Office, change: dict[str, Any], field: str) -> None:
    code, body = await ask(site, "POST", **{**WISH, **change})
    assert (code, body["field"]) == (422, field)
    assert site.callbacks.wishes == []


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (NotDialled(rules.Why.NOT_A_NUMBER, "'12' is no telephone number"), 422),
        (NotDialled(rules.Why.DO_NOT_CALL, "it is on the do-not-call list"), 403),
        (NotNow("this number has had 3 callbacks in 24 hours"), 409),
        (ValueError("it would expire before it is due"), 422),
        (StoreUnavailable("away"), 503),
    ],
)
async def test_what_is_not_promised_is_told_with_the_reason(site: Office, refusal: Exception, status: int) -> None:
    site.callbacks.refusal = refusal
    code, body, _ = await site.ask("POST", "/api/v1/callbacks", json=WISH, headers={"Idempotency-Key": "k"})
    assert (code, body["detail"]) == (status, "the database does not answer" if status == 503 else str(refusal))
    site.callbacks.refusal = None
    again = await site.ask("POST", "/api/v1/callbacks", json=WISH, headers={"Idempotency-Key": "k"})
    assert again[0] == 201


@pytest.mark.fault("F78")
async def test_a_repeated_request_is_one_also_while_the_first_is_being_stored(site: Office) -> None:
    key = {"Idempotency-Key": "k1"}
    gate = site.callbacks.gate = Deferred()
    first = Deferred.fromCoroutine(site.ask("POST", "/api/v1/callbacks", json=WISH, headers=key))
    await pause(0.05)
    second = Deferred.fromCoroutine(site.ask("POST", "/api/v1/callbacks", json=WISH, headers=key))
    await pause(0.05)
    assert not first.called
    assert not second.called
    site.callbacks.gate = None
    gate.callback(None)
    assert ((await first)[0], (await second)[0]) == (201, 200)
    assert (await first)[1] == (await second)[1]
    assert len(site.callbacks.wishes) == 1
    assert (await site.ask("POST", "/api/v1/callbacks", json={**WISH, "name": "Dora"}, headers=key))[0] == 422
    assert (await site.ask("POST", "/api/v1/callbacks", OTHER, json={**WISH, "name": "Dora"}, headers=key))[0] == 200


async def test_one_is_shown_with_its_attempts_and_why_it_is_not_made_yet(site: Office) -> None:
    attempts = (
        Attempt("c1", 10.0, Outcome.BUSY, 17, "ana", 12.0),
        Attempt("c2", 400.0),
    )
    site.callbacks.add("k1", attempts=attempts, why="busy", reason="the invoice", waited=33.0, session="c0")
    _, shown = await ask(site, "GET", "/k1")
    assert shown["attempts"] == [
        {"contact": "c1", "at": 10.0, "outcome": "busy", "cause": 17, "agent": "ana", "ended": 12.0},
        {"contact": "c2", "at": 400.0, "outcome": None, "cause": None, "agent": None, "ended": None},
    ]
    assert (shown["state"], shown["because"], shown["why"]["until"]) == ("scheduled", "busy", 77.0)
    assert (shown["agent"], shown["ended"], shown["since"], shown["contact"]) == (None, None, None, None)
    assert (shown["reason"], shown["waited"], shown["session"], shown["number"]) == ("the invoice", 33.0, "c0", NUMBER)
    site.callbacks.add("k1", state=IN_LINE, contact="c3")
    _, shown = await ask(site, "GET", "/k1")
    assert (shown["contact"], shown["why"]) == ("c3", {"why": None, "until": None, "text": "it is in line"})


async def test_one_that_is_over_is_shown_too(site: Office) -> None:
    site.callbacks.add("k1", state=CallbackState.EXHAUSTED, ended=99.0, why="4 attempts, the last one: busy")
    code, shown = await ask(site, "GET", "/k1")
    assert (code, shown["state"], shown["ended"], shown["why"]) == (200, "exhausted", 99.0, None)
    assert shown["because"] == "4 attempts, the last one: busy"
    assert (await ask(site, "GET", "/k2"))[0] == 404
    for verb, path in (("PATCH", "/k1"), ("POST", "/k1/now"), ("DELETE", "/k1")):
        assert (await ask(site, verb, path, **({"name": "Eva"} if verb == "PATCH" else {})))[0] == 404
    assert site.callbacks.asked == []


async def test_they_are_looked_for_a_page_at_a_time(site: Office) -> None:
    for number in range(1, 4):
        site.callbacks.add(f"k{number}")
    query = "?queue=cards&number=030%201234567&state=open&before=k9&limit=2"
    code, body = await ask(site, "GET", query)
    assert (code, [one["id"] for one in body["callbacks"]], body["next"]) == (200, ["k3", "k2"], "k2")
    [(_, wanted, limit)] = site.callbacks.asked
    assert (wanted, limit) == (Filter("cards", NUMBER, frozenset({CallbackState.SCHEDULED, IN_LINE}), "k9"), 2)
    assert (await ask(site, "GET"))[1]["next"] is None
    assert site.callbacks.asked[-1] == ("find", Filter(), 50)
    await ask(site, "GET", "?state=reached")
    assert site.callbacks.asked[-1][1].states == (CallbackState.REACHED,)
    for wrong, field in (("state=done", "state"), ("number=12", "number"), ("limit=0", "limit")):
        code, body = await ask(site, "GET", f"?{wrong}")
        assert (code, body["field"]) == (422, field)


async def test_it_is_changed_called_now_and_cancelled(site: Office) -> None:
    site.callbacks.add("k1")
    now = site.api._clock.seconds()
    change = {"at": now + 60, "agent": "", "queue": "loans", "priority_seconds": 30, "reason": "", "zone": "UTC"}
    assert (await ask(site, "PATCH", "/k1", **change))[0] == 200
    wanted = Change(now + 60, None, "loans", "", 30.0, "", None, "UTC")
    assert site.callbacks.asked.pop() == ("edit", "k1", wanted, "crm")
    code, shown = await ask(site, "POST", "/k1/now")
    assert (code, shown["state"], site.callbacks.asked.pop()) == (200, "in_line", ("now", "k1", "crm"))
    code, shown = await ask(site, "DELETE", "/k1")
    assert (code, shown["state"], shown["why"]) == (200, "cancelled", None)
    assert site.callbacks.asked.pop() == ("cancel", "k1", "crm")


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(NotNow("the customer is being called just now"), 409), (KeyError("k1"), 404), (ValueError("it would expire"), 422)],
)
async def test_a_change_that_is_refused_is_told_with_the_reason(site: Office, refusal: Exception, status: int) -> None:
    site.callbacks.add("k1")
    site.callbacks.refusal = refusal
    for verb, path, body in (("PATCH", "/k1", {"name": "Eva"}), ("POST", "/k1/now", {}), ("DELETE", "/k1", {})):
        code, answer = await ask(site, verb, path, **body)
        assert (code, answer["detail"]) == (status, "there is no open callback 'k1'" if status == 404 else str(refusal))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({}, "at"),
        ({"queue": "nowhere"}, "queue"),
        ({"agent": "nobody"}, "agent"),
        ({"zone": "X/Y"}, "zone"),
        ({"at": 9e9}, "at"),
    ],
)
async def test_a_change_that_means_nothing(site: Office, change: dict[str, Any], field: str) -> None:
    site.callbacks.add("k1")
    code, body = await ask(site, "PATCH", "/k1", **change)
    assert (code, body["field"]) == (422, field)
    assert site.callbacks.asked == []


async def test_an_agent_has_the_agents_own_and_a_supervisor_those_of_the_queues(site: Office) -> None:
    site.callbacks.add("k1", agent="bo", queue="loans")
    site.callbacks.add("k2", agent="ana")
    site.callbacks.add("k3", queue="loans")
    seen = {}
    for token in (BO, SUE, ANA):
        seen[token] = [one["id"] for one in (await ask(site, "GET", "", token))[1]["callbacks"]]
    assert seen == {BO: ["k1"], SUE: ["k2"], ANA: ["k2"]}
    for verb, path in (("GET", "/k3"), ("PATCH", "/k3"), ("POST", "/k3/now"), ("DELETE", "/k3")):
        assert (await ask(site, verb, path, BO, **({"name": "Eva"} if verb == "PATCH" else {})))[0] == 404
    assert (await ask(site, "PATCH", "/k1", BO, name="Eva"))[0] == 200
    for field, value in (("agent", "ana"), ("queue", "cards"), ("priority_seconds", 60)):
        code, body = await ask(site, "PATCH", "/k1", BO, **{field: value})
        assert (code, body["field"]) == (403, field)
    assert (await ask(site, "PATCH", "/k2", SUE, agent="bo", priority_seconds=60))[0] == 200
    assert (await ask(site, "PATCH", "/k2", SUE, queue="loans"))[0] == 403, "of that queue sue is no supervisor"
    assert (await ask(site, "POST", "/k2/now", SUE))[0] == 403, "who calls needs the right dial"
    assert (await ask(site, "DELETE", "/k2", SUE))[0] == 200


async def test_rights(site: Office) -> None:
    site.callbacks.add("k1")
    for verb, path in (("GET", ""), ("POST", ""), ("GET", "/k1"), ("PATCH", "/k1"), ("POST", "/k1/now"), ("DELETE", "/k1")):
        assert (await ask(site, verb, path, NOTHING))[0] == 403
    assert (await ask(site, "POST", "", SUE, **WISH))[0] == 403
    assert site.callbacks.asked == site.callbacks.wishes == []
