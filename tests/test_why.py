"""Why a contact waits and why an agent has nothing: over the API, with the real distributor, and by the command."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from easycall.acd.distributor import Distributor
from easycall.acd.offers import Offer, Place
from easycall.acd.staff import Staff
from easycall.acd.wrapup import WrapUpRules
from easycall.api import why as routes
from easycall.model import Agent, AgentState, OfferOutcome, Queue
from easycall.policy import QueuePolicy, Ring, WorkItem
from easycall.skills import parse
from tests.fakes_api import ANA, BO, NOTHING, SUE, TOKEN, Running, running
from tests.test_api_agents import Late
from tests.test_record import STORY, C

pytestmark = pytest.mark.requirement("B4")

QUEUES = {"cards": Queue("cards", "Cards"), "loans": Queue("loans", "Loans")}


class Office:
    """The API with the real staff and distributor behind it: ana and bo serve cards, and so would dee, who is offline."""

    def __init__(self, site: Running, distributor: Distributor) -> None:
        self.site, self.distributor, self.staff = site, distributor, distributor.staff

    async def why(self, path: str, token: str = TOKEN, status: int = 200) -> Any:
        code, answer, _ = await self.site.ask("GET", f"/api/v1/{path}/why", token)
        assert code == status, answer
        return answer

    def waits(self, contact: str, queue: str = "cards") -> Place:
        self.site.contacts.add(contact)
        return self.distributor.enter(WorkItem(contact, queue, reactor.seconds(), "main"))

    def offered(self, contact: str) -> Offer:
        """A contact comes, and an agent is reserved for it."""
        offers: list[Offer] = []
        self.waits(contact).offer().addCallback(offers.append)
        [offer] = offers
        return offer

    def wraps_up(self, contact: str = "before") -> float:
        """Ana has talked with somebody; until when she wraps up."""
        offer = self.offered(contact)
        offer.talks("cards")
        offer.parted(WrapUpRules(600.0))
        return self.staff.agents["ana"].until

    async def command(self, *arguments: str, token: str = TOKEN, name: str = "why") -> tuple[str, str, int]:
        """What ``easycall why``, or another command, prints, what it complains of, and its exit code."""
        code = "from easycall.cli.main import cli; cli()"
        port = () if "--port" in arguments else ("--port", str(self.site.port))
        out, err, status = await getProcessOutputAndValue(
            sys.executable, ["-c", code, name, *arguments, *port], env={**os.environ, "EASYCALL_TOKEN": token}
        )
        return out.decode(), err.decode(), status


@pytest_twisted.async_yield_fixture
async def office() -> AsyncIterator[Office]:
    notes = Late()
    agents = [
        Agent("ana", "Ana", ("cards",), ("cards",), "2001", skills={"billing": 4}),
        Agent("bo", "Bo", ("cards",), ("cards",), "2002", skills={"billing": 2}),
        Agent("dee", "Dee", ("cards",), ("cards",), "2004"),
        Agent("sue", "Sue", ("loans",), ("loans",), "2003", supervises=("cards",)),
    ]
    staff = Staff(agents, QUEUES, reactor, notes)  # type: ignore[arg-type]
    distributor = Distributor(QUEUES, staff, reactor, notes)  # type: ignore[arg-type]
    distributor.room.set_queue(
        QueuePolicy("cards", parse("billing >= 3"), rings=(Ring(3600, groups=("loans",)),)), reactor.seconds()
    )
    async with running(staff=staff, distributor=distributor) as site:
        notes.record = site.journal.record
        for agent in ("ana", "bo"):
            staff.log_in(agent)
            staff.set_state(agent, AgentState.READY)
        yield Office(site, distributor)
        distributor.stop()


def clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC).astimezone():%H:%M:%S}"


def words(told: dict[str, Any]) -> list[str]:
    return [exclusion["words"] for exclusion in told["why"]]


class TestContact:
    @pytest_twisted.ensureDeferred
    async def test_why_it_waits(self, office: Office) -> None:
        until = office.wraps_up()
        office.waits("c1")
        waits = (await office.why("contacts/c1"))["waits"]
        assert {name: waits[name] for name in ("queue", "queues", "position", "ring", "reserved", "requires", "more")} == {
            "queue": "cards",
            "queues": ["cards"],
            "position": 1,
            "ring": 0,
            "reserved": None,
            "requires": "billing >= 3",
            "more": 0,
        }
        assert 0 <= waits["score"] < 60
        assert waits["agents"] == [
            {"id": "ana", "eligible": False, "why": [{"words": f"wrap up until {clock(until)}", "until": until}]},
            {"id": "bo", "eligible": False, "why": [{"words": "skill billing 2 < 3", "until": None}]},
            {"id": "dee", "eligible": False, "why": [{"words": "offline", "until": None}]},
        ]

    @pytest_twisted.ensureDeferred
    async def test_an_agent_of_whom_the_waiting_room_has_not_heard_yet(self, office: Office) -> None:
        office.staff.set_state("ana", AgentState.NOT_READY, "lunch")
        office.waits("c1")
        office.staff.log_in("dee")
        agents = (await office.why("contacts/c1"))["waits"]["agents"]
        assert {one["id"]: words(one) for one in agents} == {
            "ana": ["not ready (lunch)"],
            "bo": ["skill billing 2 < 3"],
            "dee": ["not ready", "no skill billing"],
        }

    @pytest_twisted.ensureDeferred
    async def test_one_that_was_declined_is_not_offered_to_the_same_agent_for_a_while(self, office: Office) -> None:
        office.offered("c1").ended(OfferOutcome.DECLINED)
        answer = await office.why("contacts/c1")
        [refused] = answer["waits"]["agents"][0]["why"]
        assert refused["until"] == pytest.approx(answer["at"] + 30, abs=5)
        assert refused["words"] == f"did not take this one, not offered again until {clock(refused['until'])}"
        [decision] = answer["decisions"]
        assert (decision["contact"], decision["agent"], decision["idle"], decision["at_least"]) == ("c1", "ana", 1, False)

    @pytest_twisted.ensureDeferred
    async def test_who_is_eligible_but_came_behind(self, office: Office) -> None:
        office.staff.assign("bo", ("cards",), ("cards",), {"billing": 3})
        office.offered("c1")
        answer = await office.why("contacts/c1")
        assert answer["waits"]["reserved"] == "ana"
        assert [(one["id"], one["eligible"], words(one)) for one in answer["waits"]["agents"]] == [
            ("ana", True, ["reserved for ana"]),
            ("bo", True, ["reserved for ana"]),
            ("dee", False, ["offline"]),
        ]
        [decision] = answer["decisions"]
        assert (decision["agent"], decision["runners_up"]) == ("ana", [{"id": "bo", "score": None}])

    @pytest_twisted.ensureDeferred
    async def test_one_that_does_not_wait_any_more_has_its_decisions(self, office: Office) -> None:
        office.offered("c1").talks("cards")
        answer = await office.why("contacts/c1")
        assert (answer["waits"], [one["agent"] for one in answer["decisions"]]) == (None, ["ana"])
        del office.site.contacts.live["c1"]
        assert await office.why("contacts/c1") == {**answer, "at": pytest.approx(answer["at"], abs=10)}

    @pytest_twisted.ensureDeferred
    async def test_no_more_than_so_many_agents(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        office.wraps_up()
        office.waits("c1")
        for most, ids, more in ((1, ["ana"], 2), (2, ["ana", "bo"], 1), (3, ["ana", "bo", "dee"], 0)):
            monkeypatch.setattr(routes, "MOST", most)
            waits = (await office.why("contacts/c1"))["waits"]
            assert ([one["id"] for one in waits["agents"]], waits["more"]) == (ids, more)

    @pytest_twisted.ensureDeferred
    async def test_who_may_ask(self, office: Office) -> None:
        office.waits("c1")
        office.site.contacts.add("hers", agent="ana")
        for contact, token, status in (
            *(("c1", NOTHING, 403), ("c1", ANA, 404), ("c2", TOKEN, 404)),
            *(("hers", ANA, 200), ("hers", BO, 404), ("hers", TOKEN, 200)),
        ):
            await office.why(f"contacts/{contact}", token, status)

    @pytest_twisted.ensureDeferred
    async def test_it_is_told_of_a_live_contact_while_the_database_is_away(self, office: Office) -> None:
        office.wraps_up()
        office.waits("c1")
        office.site.journal.away = True
        assert (await office.why("contacts/c1"))["waits"]["position"] == 1


class TestAgent:
    @pytest_twisted.ensureDeferred
    async def test_why_an_agent_has_nothing(self, office: Office) -> None:
        office.staff.set_state("ana", AgentState.NOT_READY)
        office.waits("c1")
        office.waits("c2")
        answer = await office.why("agents/bo")
        assert (answer["state"], answer["idle"], answer["more"], answer["decisions"]) == ("ready", True, 0, [])
        assert [(one["id"], one["eligible"], words(one)) for one in answer["items"]] == [
            ("c1", False, ["skill billing 2 < 3"]),
            ("c2", False, ["skill billing 2 < 3"]),
        ]
        assert answer["items"][0]["score"] >= answer["items"][1]["score"] >= 0

    @pytest_twisted.ensureDeferred
    async def test_one_who_wraps_up(self, office: Office) -> None:
        until = office.wraps_up()
        office.waits("c1")
        answer = await office.why("agents/ana")
        assert (answer["state"], answer["until"], answer["idle"]) == ("wrap_up", until, False)
        assert words(answer["items"][0]) == [f"wrap up until {clock(until)}"]
        assert [one["contact"] for one in answer["decisions"]] == ["before"]

    @pytest_twisted.ensureDeferred
    async def test_one_who_is_logged_out(self, office: Office) -> None:
        answer = await office.why("agents/dee")
        assert (answer["state"], answer["idle"], answer["items"], answer["more"]) == ("offline", False, [], 0)

    @pytest_twisted.ensureDeferred
    async def test_no_more_than_so_many_items_and_decisions(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        for contact in ("first", "second"):
            office.wraps_up(contact)
            office.staff.set_state("ana", AgentState.READY)
        office.staff.set_state("ana", AgentState.NOT_READY)
        for contact in ("c1", "c2", "c3"):
            office.waits(contact)
        monkeypatch.setattr(routes, "MOST", 2)
        monkeypatch.setattr(routes, "DECISIONS", 1)
        answer = await office.why("agents/ana")
        assert ([one["id"] for one in answer["items"]], answer["more"]) == (["c1", "c2"], 1)
        assert [one["contact"] for one in answer["decisions"]] == ["second"]

    @pytest_twisted.ensureDeferred
    async def test_who_may_ask(self, office: Office) -> None:
        for agent, token, status in (
            *(("ana", ANA, 200), ("ana", BO, 403), ("ana", NOTHING, 403), ("nobody", TOKEN, 404)),
            *(("ana", SUE, 200), ("sue", SUE, 200), ("sue", ANA, 403)),
        ):
            await office.why(f"agents/{agent}", token, status)


class TestCommand:
    @pytest_twisted.ensureDeferred
    async def test_of_a_contact(self, office: Office) -> None:
        until = office.wraps_up()
        office.waits("c1")
        out, err, status = await office.command("c1")
        assert (err, status) == ("", 0)
        first, *rest = out.splitlines()
        assert first.startswith("Contact c1 waits in cards: place 1, score ")
        assert first.endswith(", needs billing >= 3")
        assert rest == [
            f"  ana  wrap up until {clock(until)}",
            "  bo   skill billing 2 < 3",
            "  dee  offline",
            "No decision about it is remembered.",
        ]
        assert (await office.command("before"))[0].splitlines()[0] == "Contact before does not wait."

    @pytest_twisted.ensureDeferred
    async def test_of_an_agent(self, office: Office) -> None:
        until = office.wraps_up()
        out, err, status = await office.command("ana")
        assert (err, status) == ("", 0)
        state, nothing, decided, last = out.splitlines()
        assert state == f"Agent ana is wrap up until {clock(until)}"
        assert (nothing, decided) == ("  nothing waits in the queues the agent serves now", "Decided, the latest last:")
        assert "before to ana, score " in last
        assert '"idle": false' in (await office.command("ana", "--json"))[0]

    @pytest_twisted.ensureDeferred
    async def test_what_is_wrong_is_said(self, office: Office) -> None:
        for arguments, token, said in (
            (("../nobody",), TOKEN, "there is no contact and no agent '../nobody'"),
            (("ana",), NOTHING, "the token 'nothing' lacks the right 'read'"),
            (("ana", "--port", "1"), TOKEN, "no easycall answers on port 1 of this machine"),
        ):
            out, err, status = await office.command(*arguments, token=token)
            assert (out, status) == ("", 1)
            assert said in err

    @pytest_twisted.ensureDeferred
    async def test_a_contacts_trace(self, office: Office) -> None:
        for event in STORY:
            office.site.journal.record(event)
        out, err, status = await office.command(C, name="contact")
        assert (err, status) == ("", 0)
        first, second, *rest = out.splitlines()
        assert first.startswith(f"Contact {C}, call inbound, began ")
        assert " after " in second
        steps = rest[rest.index("Its steps:") + 1 :]
        assert len(steps) == len(STORY)
        assert steps[0].startswith("     0.000 s  ")
        shown = json.loads((await office.command(C, "--json", name="contact"))[0])
        assert [f"  {step['after']:8.3f} s  {step['text']}" for step in shown["journey"]] == steps
        assert "no contact 'nobody'" in (await office.command("nobody", name="contact"))[1]
