"""Queues and skills of agents: stored before they hold, back after a restart, and in force for who waits."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from easycall.acd.distributor import Distributor
from easycall.acd.offers import Offer
from easycall.acd.profiles import Profiles
from easycall.acd.staff import Staff
from easycall.events import AgentAssigned
from easycall.model import Agent, AgentState, Profile, Queue
from easycall.ports import Database, StoreUnavailable
from easycall.store.profiles import ProfileShelf
from tests.acd import QUEUES, Notes, item


def staff_of(*queues: str, known: dict[str, Queue] = QUEUES, notes: Notes | None = None) -> Staff:
    ana = Agent("ana", "Ana", queues, queues, "2001", skills={"billing": 1})
    return Staff([ana], known, Clock(), notes or Notes())


def ready(staff: Staff) -> Agent:
    staff.log_in("ana")
    staff.set_state("ana", AgentState.READY)
    return staff.agents["ana"]


class Paper:
    """A shelf that stores when the test lets it."""

    def __init__(self) -> None:
        self.put_down: list[Profile] = []
        self.waiting: list[Deferred[None]] = []

    async def all(self) -> list[Profile]:
        return []

    async def put(self, profile: Profile) -> None:
        self.waiting.append(Deferred())
        await self.waiting[-1]
        self.put_down.append(profile)

    async def remove(self, agent: str) -> None:
        raise StoreUnavailable("away")


class TestRestart:
    """The daemon again, on the same database."""

    async def again(self, store: Database, *queues: str, known: dict[str, Queue] = QUEUES) -> tuple[Staff, Profiles]:
        staff = staff_of(*queues, known=known)
        profiles = Profiles(staff, ProfileShelf(store), Clock())
        await profiles.start()
        return staff, profiles

    @pytest_twisted.ensureDeferred
    async def test_what_was_changed_is_back_and_the_rest_is_the_configurations(self, store: Database) -> None:
        _, profiles = await self.again(store, "sales")
        await profiles.join("ana", "support", "desk")
        again, profiles = await self.again(store, "sales")
        ana = again.agents["ana"]
        assert (ana.own_queues, ana.queues, ana.skills) == (("sales", "support"), ("sales", "support"), {"billing": 1})
        again.log_in("ana")
        assert ana.queues == ("sales", "support")
        await profiles.set_skills("ana", {"lang:zh": 2}, "desk")
        await profiles.leave("ana", "sales", "desk")
        again, profiles = await self.again(store, "sales")
        assert (again.agents["ana"].own_queues, again.agents["ana"].skills) == (("support",), {"lang:zh": 2})
        await profiles.reset("ana", "desk")
        assert (again.agents["ana"].own_queues, again.agents["ana"].skills) == (("sales",), {"billing": 1})
        again, _ = await self.again(store, "sales")
        assert (again.agents["ana"].own_queues, again.agents["ana"].skills) == (("sales",), {"billing": 1})

    @pytest_twisted.ensureDeferred
    async def test_what_is_configured_no_more_is_passed_over(self, store: Database) -> None:
        _, profiles = await self.again(store, "sales")
        await profiles.set_queues("ana", ("support", "sales"), "desk")
        await ProfileShelf(store).put(Profile("zed", ("sales",)))
        again, profiles = await self.again(store, "sales", known={"sales": QUEUES["sales"]})
        assert again.agents["ana"].own_queues == ("sales",)
        assert list(again.agents) == ["ana"]


class TestChanges:
    def begin(self, *queues: str) -> tuple[Staff, Profiles, Paper, Notes]:
        paper, notes = Paper(), Notes()
        staff = staff_of(*queues, notes=notes)
        return staff, Profiles(staff, paper, Clock()), paper, notes

    def test_it_holds_when_it_is_stored_for_who_waits_already(self) -> None:
        staff, profiles, paper, notes = self.begin("sales")
        ana = ready(staff)
        distributor = Distributor(QUEUES, staff, Clock(), notes)
        offers: list[Offer] = []
        distributor.enter(item("c1", queue="support")).offer().addCallback(offers.append)
        done: list[object] = []
        Deferred.fromCoroutine(profiles.join("ana", "support", "desk")).addBoth(done.append)
        assert (done, offers, ana.queues) == ([], [], ("sales",))
        paper.waiting[0].callback(None)
        assert done == [None]
        assert [offer.agent for offer in offers] == ["ana"]
        [event] = [event for event in notes.events if isinstance(event, AgentAssigned)]
        assert (event.queues, event.serves, event.by) == (("sales", "support"), ("sales", "support"), "desk")

    def test_two_at_once_both_hold_though_nobody_waits_for_the_first(self) -> None:
        staff, profiles, paper, _ = self.begin()
        first = Deferred.fromCoroutine(profiles.join("ana", "sales", "desk"))
        first.addErrback(lambda failure: None)
        second = Deferred.fromCoroutine(profiles.join("ana", "support", "desk"))
        first.cancel()
        paper.waiting[0].callback(None)
        paper.waiting[1].callback(None)
        assert second.called
        assert [one.queues for one in paper.put_down] == [("sales",), ("sales", "support")]
        assert staff.agents["ana"].own_queues == ("sales", "support")

    def test_what_is_not_stored_does_not_hold(self) -> None:
        staff, profiles, paper, notes = self.begin("sales")
        told = len(notes.events)
        failed: list[object] = []
        Deferred.fromCoroutine(profiles.leave("ana", "sales", "desk")).addErrback(lambda why: failed.append(why.type))
        paper.waiting[0].errback(StoreUnavailable("away"))
        assert failed == [StoreUnavailable]
        assert staff.agents["ana"].own_queues == ("sales",)
        assert notes.events[told:] == []
        after = Deferred.fromCoroutine(profiles.join("ana", "support", "desk"))
        paper.waiting[1].callback(None)
        assert after.called
        assert staff.agents["ana"].own_queues == ("sales", "support")

    @pytest.mark.parametrize("verb", ["join", "leave"])
    def test_unknown_ones_are_refused(self, verb: str) -> None:
        _, profiles, paper, _ = self.begin("sales")
        for wrong, kind in ((("ana", "moon"), ValueError), (("zed", "sales"), KeyError)):
            caught: list[object] = []
            Deferred.fromCoroutine(getattr(profiles, verb)(*wrong, "desk")).addErrback(lambda why: caught.append(why.type))  # noqa: B023
            assert caught == [kind]
        assert paper.waiting == []

    def test_queues_named_at_the_log_in_hold_beside_what_is_kept(self) -> None:
        staff, profiles, paper, _ = self.begin("sales")
        staff.log_in("ana", queues=[])
        Deferred.fromCoroutine(profiles.join("ana", "support", "desk"))
        paper.waiting[0].callback(None)
        ana = staff.agents["ana"]
        assert (ana.queues, ana.own_queues) == (("support",), ("sales", "support"))
