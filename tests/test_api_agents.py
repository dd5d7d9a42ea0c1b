"""Agent life over the API, with the real staff behind it: who may, what becomes of it, and what is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from easycall.acd.desktops import Desktops
from easycall.acd.profiles import Profiles
from easycall.acd.staff import Staff
from easycall.acd.wrapup import WrapUpRules
from easycall.events import AgentAssigned, AgentChanged, DispositionSet
from easycall.model import Agent, AgentState, DispositionRule, OfferOutcome, Profile, Queue
from easycall.ports import StoreUnavailable
from tests.fakes_api import ANA, BO, NOTHING, SUE, TOKEN, Running, running

SOLD = ("sold", "no interest")
QUEUES = {
    "cards": Queue("cards", "Cards", disposition=DispositionRule.REQUIRED, dispositions=SOLD, wrap_up_seconds=30.0),
    "loans": Queue("loans", "Loans"),
}


class Papers:
    """Profiles on paper."""

    def __init__(self) -> None:
        self.profiles: dict[str, Profile] = {}
        self.away = False

    async def all(self) -> list[Profile]:
        return list(self.profiles.values())

    async def put(self, profile: Profile) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.profiles[profile.agent] = profile

    async def remove(self, agent: str) -> None:
        self.profiles.pop(agent, None)


class Late:
    """A journal that is there as soon as the API has made its own."""

    def __init__(self) -> None:
        self.record: Any = None


class Office:
    """The API, real agents behind it: ana serves cards, bo loans, and sue supervises cards."""

    def __init__(self, site: Running, staff: Staff, papers: Papers) -> None:
        self.site, self.staff, self.papers = site, staff, papers

    async def ask(self, verb: str, path: str, token: str = TOKEN, **body: Any) -> tuple[int, Any]:
        status, answer, _ = await self.site.ask(verb, f"/api/v1/agents/{path}", token, json=body)
        return status, answer

    async def refused(self, status: int, verb: str, path: str, token: str = TOKEN, **body: Any) -> str:
        code, answer = await self.ask(verb, path, token, **body)
        assert code == status, answer
        return str(answer["detail"])

    def last(self, kind: type[Any]) -> Any:
        return next(event for event in reversed(self.site.journal.events) if isinstance(event, kind))


@pytest_twisted.async_yield_fixture
async def office() -> AsyncIterator[Office]:
    notes, papers = Late(), Papers()
    agents = [
        Agent("ana", "Ana", ("cards",), ("cards",), "2001"),
        Agent("bo", "Bo", ("loans",), ("loans",), "2002"),
        Agent("sue", "Sue", ("loans",), ("loans",), "2003", supervises=("cards",)),
    ]
    staff = Staff(agents, QUEUES, reactor, notes)  # type: ignore[arg-type]
    profiles, desktops = Profiles(staff, papers, reactor), Desktops(staff, reactor, 30.0)
    async with running(staff=staff, profiles=profiles, desktops=desktops) as site:
        notes.record = site.journal.record
        for agent in agents:
            staff.log_in(agent.id)
            staff.set_state(agent.id, AgentState.READY)
        yield Office(site, staff, papers)
        desktops.stop()
        staff.stop()


class TestWhoMay:
    @pytest.mark.parametrize("ask", ["login", "logout", "wrap-up/end"])
    @pytest_twisted.ensureDeferred
    async def test_an_agents_token_acts_for_that_agent(self, office: Office, ask: str) -> None:
        assert await office.refused(403, "POST", f"ana/{ask}", BO) == "the token 'bos' is of agent 'bo' only"
        assert (await office.ask("POST", f"bo/{ask}", BO))[0] in (200, 409)

    @pytest_twisted.ensureDeferred
    async def test_a_supervisors_acts_for_who_is_in_supervises(self, office: Office) -> None:
        status, ana = await office.ask("PUT", "ana/state", SUE, state="not_ready", reason="talk to me")
        assert (status, ana["state"], ana["reason"]) == (200, "not_ready", "talk to me")
        assert (office.last(AgentChanged).by, office.last(AgentChanged).agent) == ("chief", "ana")
        wish = {"state": "not_ready", "reason": "x"}
        detail = await office.refused(403, "PUT", "bo/state", SUE, **wish)
        assert detail == "sue may not supervise agent bo: see agents.sue.supervises"
        assert await office.refused(403, "PUT", "sue/state", SUE, **wish) == "the token 'chief' lacks the right 'control'"
        assert (await office.ask("POST", "ana/logout", SUE))[1]["state"] == "offline"

    @pytest_twisted.ensureDeferred
    async def test_skills_are_for_supervisors(self, office: Office) -> None:
        for path in ("bo/skills", "bo/profile"):
            verb = "PUT" if path.endswith("skills") else "DELETE"
            assert await office.refused(403, verb, path, BO) == "the token 'bos' lacks the right 'supervise'"
        await office.refused(403, "PUT", "bo/skills", SUE, skills={})
        detail = await office.refused(403, "PUT", "ana/skills", ANA, skills={})
        assert detail == "ana may not supervise agent ana: see agents.ana.supervises"
        assert (await office.ask("PUT", "ana/skills", SUE, skills={"billing": 3}))[1]["skills"] == {"billing": 3}
        await office.refused(403, "PUT", "ana/skills", NOTHING, skills={})

    @pytest_twisted.ensureDeferred
    async def test_a_supervisor_gives_and_takes_only_queues_in_supervises(self, office: Office) -> None:
        assert (await office.ask("DELETE", "ana/queues/cards", SUE))[1]["queues"] == []
        office.staff.agents["ana"].queues = office.staff.agents["ana"].own_queues = ("cards",)
        detail = await office.refused(403, "PUT", "ana/queues/loans", SUE)
        assert detail == "sue may not supervise queue loans: see agents.sue.supervises"
        await office.refused(403, "PUT", "ana/queues", SUE, queues=["cards", "loans"])
        assert office.papers.profiles["ana"].queues == ()


class TestQueuesAndSkills:
    @pytest_twisted.ensureDeferred
    async def test_join_and_leave(self, office: Office) -> None:
        _, bo = await office.ask("PUT", "bo/queues/cards", BO)
        assert (bo["queues"], bo["own_queues"]) == (["loans", "cards"], ["loans", "cards"])
        event = office.last(AgentAssigned)
        assert (event.agent, event.queues, event.serves, event.by) == ("bo", ("loans", "cards"), ("loans", "cards"), "bos")
        _, bo = await office.ask("DELETE", "bo/queues/loans", BO)
        assert bo["queues"] == ["cards"]
        stored = office.papers.profiles["bo"]
        assert (stored.queues, stored.skills, stored.changed_by) == (("cards",), None, "bos")
        assert (await office.ask("DELETE", "bo/profile"))[1]["queues"] == ["loans"]
        assert office.papers.profiles == {}

    @pytest_twisted.ensureDeferred
    async def test_a_whole_list(self, office: Office) -> None:
        _, bo = await office.ask("PUT", "bo/queues", queues=["cards", "loans", "cards"])
        assert bo["queues"] == ["cards", "loans"]
        assert await office.refused(422, "PUT", "bo/queues", queues=["moon"]) == "unknown queue: moon"
        await office.refused(404, "PUT", "bo/queues/moon")
        await office.refused(404, "PUT", "zed/queues/cards")

    @pytest.mark.parametrize("skills", [{"1st": 1}, {"a b": 1}, {"x": 0}, {"x": 101}, {"x": 1.5}, {"": 1}, {"y" * 65: 1}])
    @pytest_twisted.ensureDeferred
    async def test_wrong_skills(self, office: Office, skills: dict[str, Any]) -> None:
        await office.refused(422, "PUT", "ana/skills", skills=skills)
        assert office.staff.agents["ana"].skills == {}

    @pytest_twisted.ensureDeferred
    async def test_what_cannot_be_stored_is_not_done(self, office: Office) -> None:
        office.papers.away = True
        await office.refused(503, "PUT", "ana/queues/loans")
        assert office.staff.agents["ana"].queues == ("cards",)


class TestTheEndOfAContact:
    def talk(self, office: Office) -> Any:
        assignment = office.staff.reserve("ana", "c1", 1)
        assignment.talks("cards")
        return assignment

    @pytest_twisted.ensureDeferred
    async def test_a_required_disposition(self, office: Office) -> None:
        self.talk(office).parted(WrapUpRules.of(QUEUES["cards"]))
        detail = await office.refused(409, "PUT", "ana/state", ANA, state="ready")
        assert detail == "a disposition comes first, one of: sold, no interest"
        await office.refused(422, "PUT", "ana/disposition", ANA, disposition="bought")
        _, said = await office.ask("PUT", "ana/disposition", ANA, disposition="sold")
        assert said == {"agent": "ana", "contact": "c1", "disposition": "sold"}
        event = office.last(DispositionSet)
        assert (event.contact, event.agent, event.queue) == ("c1", "ana", "cards")
        assert (event.disposition, event.by) == ("sold", "desktop")
        _, ana = await office.ask("GET", "ana")
        assert (ana["state"], ana["disposition"]) == ("wrap_up", "sold")
        assert (await office.ask("POST", "ana/wrap-up/end", ANA))[1]["state"] == "ready"
        await office.refused(409, "PUT", "ana/disposition", ANA, disposition="sold")

    @pytest_twisted.ensureDeferred
    async def test_it_is_yes_only_when_it_is_stored(self, office: Office) -> None:
        self.talk(office)
        office.site.journal.away = True
        await office.refused(HTTPStatus.SERVICE_UNAVAILABLE, "PUT", "ana/disposition", ANA, disposition="sold")

    @pytest_twisted.ensureDeferred
    async def test_a_supervisor_ends_it_without(self, office: Office) -> None:
        self.talk(office).parted(WrapUpRules.of(QUEUES["cards"]))
        await office.refused(409, "POST", "ana/wrap-up/end", ANA)
        assert (await office.ask("POST", "ana/wrap-up/end", SUE))[1]["state"] == "ready"

    @pytest_twisted.ensureDeferred
    async def test_extend(self, office: Office) -> None:
        await office.refused(409, "POST", "ana/wrap-up/extend", ANA, seconds=10)
        self.talk(office).parted(WrapUpRules.of(QUEUES["cards"]))
        until = office.staff.agents["ana"].until
        assert (await office.ask("POST", "ana/wrap-up/extend", ANA, seconds=10))[1]["until"] == until + 10
        for seconds in (0, -1, 4000, "10"):
            await office.refused(422, "POST", "ana/wrap-up/extend", ANA, seconds=seconds)
        assert "more, not by 3000 s" in await office.refused(409, "POST", "ana/wrap-up/extend", ANA, seconds=3000)

    @pytest.mark.fault("F64")
    @pytest_twisted.ensureDeferred
    async def test_the_next_state_is_shown_and_who_asked_for_it(self, office: Office) -> None:
        self.talk(office)
        _, ana = await office.ask("PUT", "ana/state", ANA, state="not_ready", reason="lunch")
        assert (ana["state"], ana["next"], ana["next_reason"]) == ("talking", "not_ready", "lunch")
        _, ana = await office.ask("POST", "ana/logout", SUE)
        assert (ana["state"], ana["next"]) == ("talking", "offline")
        event = office.last(AgentChanged)
        assert (event.state, event.next, event.by) == (AgentState.TALKING, AgentState.OFFLINE, "chief")


class TestShown:
    @pytest.mark.fault("F54")
    @pytest_twisted.ensureDeferred
    async def test_a_missed_offer(self, office: Office) -> None:
        office.staff.reserve("ana", "c7", 1).ended(OfferOutcome.NO_ANSWER)
        _, ana = await office.ask("GET", "ana")
        assert (ana["state"], ana["reason"], ana["missed"]["contact"]) == ("not_ready", "missed", "c7")
        assert (await office.ask("PUT", "ana/state", ANA, state="ready"))[1]["missed"] is None

    @pytest_twisted.ensureDeferred
    async def test_reasons_and_dispositions(self, office: Office) -> None:
        assert (await office.site.ask("GET", "/api/v1/reasons"))[1] == {"reasons": [], "free": True}
        office.staff.reasons = ("lunch", "training")
        assert (await office.site.ask("GET", "/api/v1/reasons"))[1] == {"reasons": ["lunch", "training"], "free": False}
        detail = await office.refused(422, "PUT", "ana/state", state="not_ready", reason="golf")
        assert detail == "reason 'golf' is none of: lunch, training"
        assert (await office.ask("PUT", "ana/state", state="not_ready", reason="lunch"))[1]["reason"] == "lunch"
