"""The strategy over https, asked by a distributor, against a real server on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.web.server import NOT_DONE_YET

from easycall.acd.decision_service import DecisionService
from easycall.acd.distributor import Distributor, Offer
from easycall.acd.staff import Staff
from easycall.config import StrategySettings
from easycall.config.strategies import Given
from easycall.events import StrategyAsked
from easycall.model import Contact, Queue
from tests.acd import Notes, item, ready
from tests.test_service_outside import Stage, answers, breaks_off, never, stage

__all__ = ["stage"]

pytestmark = pytest.mark.requirement("D1")

QUEUES = {"sales": Queue("sales", "Sales", strategy="crm")}
TOKEN = "planted-7c1f"


class Desk:
    """Twenty agents who are idle, and a service that is asked for whom a contact is."""

    def __init__(self, stage: Stage, **how: Any) -> None:
        (stage.folder / "crm.token").write_text(TOKEN + "\n")
        (stage.folder / "crm.token").chmod(0o600)
        values = {"url": f"https://localhost:{stage.tls}/choose", "ca": "ca.pem", "token_file": "crm.token"}
        self.service = DecisionService(Given(values, stage.folder))
        self.service.start(reactor, reactor)  # type: ignore[arg-type] # it has a clock's methods
        self.stage, self.notes = stage, Notes()
        settings = {"crm": StrategySettings("crm", self.service, **{"seconds": 3.0, **how})}
        self.staff = Staff([ready(f"a{n:02}", n) for n in range(20)], QUEUES, reactor, self.notes)  # type: ignore[arg-type]
        self.distributor = Distributor(QUEUES, self.staff, reactor, self.notes, settings)  # type: ignore[arg-type]

    async def offered(self, contact: str) -> str:
        """The agent who gets a contact that comes now."""
        waiting: Deferred[Offer] = self.distributor.enter(item(contact, reactor.seconds())).offer()  # type: ignore[attr-defined]
        return (await waiting).agent

    @property
    def asked(self) -> list[StrategyAsked]:
        return [event for event in self.notes.events if isinstance(event, StrategyAsked)]

    async def close(self) -> None:
        self.distributor.stop()
        await self.service.stop()


@pytest_twisted.async_yield_fixture
async def desk(stage: Stage) -> AsyncIterator[Desk]:
    desk = Desk(stage, candidates=3)
    yield desk
    await desk.close()
    await deferLater(reactor, 0.05)  # type: ignore[arg-type] # for the ends of the connections


@pytest_twisted.ensureDeferred
async def test_it_is_sent_the_case_and_names_an_agent(desk: Desk) -> None:
    desk.stage.server.answer = answers(b'{"agent": "a02"}')
    contact = Contact("c1", "main", "leg", "0301", "Eva", "95588", 0.0, answers={"menu": "sales"}, data={"tier": "gold"})
    desk.distributor.strategies.when_asked_about({"c1": contact}.get)
    assert await desk.offered("c1") == "a02"
    [(verb, question, authorization)] = desk.stage.server.came
    assert (verb, authorization) == ("POST", f"Bearer {TOKEN}")
    asked = question["contact"]
    assert asked.pop("waited") < 3
    assert asked.pop("score") < 3
    assert asked == {
        "id": "c1",
        "queue": "sales",
        "channel": "call",
        "caller": "0301",
        "dialled": "95588",
        "position": 1,
        "skills": "",
        "answers": {"menu": "sales"},
        "data": {"tier": "gold"},
    }
    assert question["chosen"] == "a00"
    assert [agent["id"] for agent in question["agents"]] == ["a00", "a01", "a02", "a03"]
    assert question["agents"][1].keys() == {"id", "skills", "queues", "idle_seconds", "occupancy"}
    assert desk.asked[0].outcome == "followed"


@pytest_twisted.ensureDeferred
async def test_the_connection_is_kept(desk: Desk) -> None:
    ports = []

    def answer(request: Any) -> bytes:
        ports.append(request.getClientAddress().port)
        return b"{}"

    desk.stage.server.answer = answer
    assert [await desk.offered(f"c{number}") for number in range(3)] == ["a00", "a01", "a02"]
    assert len(set(ports)) == 1


@pytest_twisted.ensureDeferred
async def test_a_kept_connection_that_the_service_has_closed(desk: Desk) -> None:
    desk.stage.server.answer = answers(b'{"agent": null}', connection="close")
    assert [await desk.offered(f"c{number}") for number in range(3)] == ["a00", "a01", "a02"]
    assert [event.outcome for event in desk.asked] == ["agreed"] * 3


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (answers(b"{}", 500), "it answers 500"),
        (answers(b"", 302, location="http://127.0.0.1:1/elsewhere"), "it answers 302"),
        (answers(b"no json"), "its answer is not JSON"),
        (answers(b'{"agent": ["a01"]}'), 'its answer has no text as "agent"'),
        (breaks_off, ""),
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_none(desk: Desk, answer: Any, error: str) -> None:
    desk.stage.server.answer = answer
    assert await desk.offered("c1") == "a00"
    [event] = desk.asked
    assert event.outcome == "failed"
    assert event.error == error or not error
    assert len(desk.stage.server.came) == 1


@pytest_twisted.ensureDeferred
async def test_a_service_that_never_answers_costs_its_time_and_then_nothing(stage: Stage) -> None:
    desk = Desk(stage, seconds=0.1, failures=2)
    stage.server.answer = never
    try:
        got = [await desk.offered(f"c{number}") for number in range(4)]
        assert got == ["a00", "a01", "a02", "a03"]
        assert [event.outcome for event in desk.asked] == ["timed_out", "timed_out", "resting", "resting"]
        assert len(stage.server.came) <= 2
    finally:
        await desk.close()
        await deferLater(reactor, 0.05)  # type: ignore[arg-type]


@pytest_twisted.ensureDeferred
async def test_a_caller_who_hangs_up_meanwhile(desk: Desk) -> None:
    came: Deferred[None] = Deferred()

    def answer(request: Any) -> int:
        request.notifyFinish().addErrback(lambda _: None)
        came.callback(None)
        return NOT_DONE_YET

    desk.stage.server.answer = answer
    place = desk.distributor.enter(item("c1", 0.0))
    await came
    place.leave()
    assert {agent.contact for agent in desk.staff.agents.values()} == {""}
    assert desk.asked == []


@pytest_twisted.ensureDeferred
async def test_what_is_no_secret_only(desk: Desk) -> None:
    """The token goes along as a header, and stands nowhere else; nothing of it is told."""
    desk.stage.server.answer = answers(b'{"agent": "nobody"}')
    await desk.offered("c1")
    assert TOKEN not in json.dumps(desk.stage.server.came[0][1])
    assert TOKEN not in repr(desk.notes.events) + repr(desk.service)
