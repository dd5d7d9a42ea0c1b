"""Supervision over HTTP: what it answers, what it refuses, and to whom; and who is told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted

from easycall.client import Client
from easycall.events import Event, SupervisionEnded, SupervisionStarted
from easycall.model import SupervisionMode
from easycall.verbs import NotAllowed, NotNow
from tests.fakes_api import ANA, NOTHING, TOKEN, Running, pause, running
from tests.test_api import check_problem
from tests.test_record import STORY, C

PATH = "/api/v1/supervisions"
VIEW = {
    "id": "s1",
    "supervisor": "bo",
    "mode": "listen",
    "follows": "contact",
    "state": "hearing",
    "contact": "c1",
    "agent": "ana",
    "since": 9.0,
}


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[Running]:
    async with running() as site:
        site.contacts.add("c1", agent="ana")
        yield site


@pytest_twisted.ensureDeferred
async def test_begin_change_and_end(site: Running) -> None:
    code, body, _ = await site.ask("POST", PATH, json={"supervisor": "bo", "contact": "c1"})
    assert (code, body) == (201, VIEW)
    assert (await site.ask("GET", PATH))[:2] == (200, {"supervisions": [VIEW]})
    assert (await site.ask("GET", f"{PATH}/s1"))[:2] == (200, VIEW)
    code, body, _ = await site.ask("PUT", f"{PATH}/s1", json={"mode": "whisper"})
    assert (code, body["mode"]) == (200, "whisper")
    code, body, _ = await site.ask("POST", f"{PATH}/s1/take-over")
    assert (code, body["id"]) == (200, "c1")
    assert (await site.ask("DELETE", f"{PATH}/s1"))[:2] == (200, {"id": "s1"})
    assert site.supervisions.asked == [
        ("begin", "bo", SupervisionMode.LISTEN, "c1", "", "crm"),
        ("change", "s1", SupervisionMode.WHISPER, "crm"),
        ("take_over", "s1"),
        ("end", "s1", "crm"),
    ]


@pytest_twisted.ensureDeferred
async def test_of_an_agent(site: Running) -> None:
    code, _, _ = await site.ask("POST", PATH, json={"supervisor": "bo", "mode": "barge", "agent": "ana"})
    assert code == 201
    assert site.supervisions.asked == [("begin", "bo", SupervisionMode.BARGE, "", "ana", "crm")]


@pytest.mark.parametrize(
    ("body", "status", "field", "says"),
    [
        ({"supervisor": "bo"}, 422, "contact", "name one of contact and agent"),
        ({"supervisor": "bo", "contact": "c1", "agent": "ana"}, 422, "contact", "name one of contact and agent"),
        ({"contact": "c1"}, 422, "supervisor", "missing"),
        ({"supervisor": "bo", "contact": "c1", "mode": "shout"}, 422, "mode", "allowed: listen, whisper, barge"),
        ({"supervisor": "zed", "contact": "c1"}, 404, "", "there is no agent 'zed'"),
        ({"supervisor": "bo", "agent": "zed"}, 404, "", "there is no agent 'zed'"),
        ({"supervisor": "bo", "contact": "c9"}, 404, "", "there is no live contact 'c9'"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_bad_wishes(site: Running, body: dict[str, Any], status: int, field: str, says: str) -> None:
    assert says in check_problem(await site.ask("POST", PATH, json=body), status, field)
    assert site.supervisions.asked == []


@pytest.mark.parametrize(("refusal", "status"), [(NotNow("bo is talking"), 409), (NotAllowed("bo may not"), 403)])
@pytest_twisted.ensureDeferred
async def test_refusals_are_told(site: Running, refusal: Exception, status: int) -> None:
    site.supervisions.add("s1")
    site.supervisions.refusal = refusal
    answer = await site.ask("POST", PATH, json={"supervisor": "bo", "contact": "c1"})
    assert check_problem(answer, status) == str(refusal)
    assert check_problem(await site.ask("POST", f"{PATH}/s1/take-over"), status) == str(refusal)


@pytest.mark.parametrize(("verb", "path"), [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/take-over")])
@pytest_twisted.ensureDeferred
async def test_one_that_is_not_there_or_another_agents(site: Running, verb: str, path: str) -> None:
    body = {"json": {"mode": "listen"}} if verb == "PUT" else {}
    site.supervisions.add("s1", supervisor="bo")
    for token, name in ((TOKEN, "s9"), (ANA, "s1")):
        detail = check_problem(await site.ask(verb, f"{PATH}/{name}{path}", token=token, **body), 404)
        assert detail == f"there is no supervision '{name}'"
    check_problem(await site.ask(verb, f"{PATH}/s1{path}", token=NOTHING, **body), 403)
    assert site.supervisions.asked == []


@pytest_twisted.ensureDeferred
async def test_a_token_of_an_agent_supervises_as_that_agent_only(site: Running) -> None:
    check_problem(await site.ask("POST", PATH, token=ANA, json={"supervisor": "bo", "contact": "c1"}), 403)
    assert (await site.ask("POST", PATH, token=ANA, json={"supervisor": "ana", "contact": "c1"}))[0] == 201
    site.supervisions.add("s2", supervisor="bo")
    _, body, _ = await site.ask("GET", PATH, token=ANA)
    assert [one["id"] for one in body["supervisions"]] == ["s1"]


def supervised(kind: type[Event], **more: Any) -> Event:
    return kind(at=1.0, contact=C, agent="ana", supervision="s1", supervisor="bo", **more)


STARTED = supervised(SupervisionStarted, mode=SupervisionMode.LISTEN, follows="contact", by="crm")
ENDED = supervised(SupervisionEnded, how="api")


@pytest.mark.parametrize("tell", [True, False])
@pytest_twisted.ensureDeferred
async def test_the_agent_is_told_or_not_and_all_others_are(tell: bool) -> None:
    from twisted.internet import reactor

    async with running(tell_agents=tell) as site:
        client = Client(site.port, TOKEN, reactor)
        feeds = {name: await client.live(name) for name in ("", "ana", "bo")}
        for event in (*STORY[:1], STARTED, ENDED):
            site.journal.record(event)
        await feeds[""].wait("supervision.ended", 5)
        await pause()
        told = {name: [one["kind"] for one in feed.heard if "supervision" in one["kind"]] for name, feed in feeds.items()}
        both = ["supervision.started", "supervision.ended"]
        assert told == {"": both, "bo": both, "ana": both if tell else []}
        for feed in feeds.values():
            await feed.close()
        _, record, _ = await site.ask("GET", f"/api/v1/contacts/{C}")
        assert [step["kind"] for step in record["journey"]][-2:] == both
