"""The agents: their states, their phones, and who holds whom."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from easycall.acd import routing
from easycall.acd.agent import NotNow, Step, after
from easycall.acd.attendance import absence
from easycall.acd.desktops import Desktops
from easycall.acd.staff import Staff
from easycall.acd.wrapup import WrapUpRules
from easycall.events import AgentChanged
from easycall.model import Agent, AgentState, Missed, OfferOutcome, PhoneState
from tests.acd import QUEUES, Notes


def staff_of_two() -> tuple[Staff, Notes]:
    notes = Notes()
    agents = [Agent("ana", "Ana", ("sales",), ("sales",), "2001"), Agent("bo", "Bo", ("sales",), ("sales",), "2002")]
    staff = Staff(agents, QUEUES, Clock(), notes)
    staff.log_in("ana")
    staff.set_state("ana", AgentState.READY)
    return staff, notes


class TestPhones:
    def test_what_keeps_contacts_away_is_told_once_and_only_of_its_owner(self) -> None:
        staff, notes = staff_of_two()
        told = len(notes.events)
        for state in (PhoneState.IDLE, PhoneState.RINGING, PhoneState.IN_USE, PhoneState.IDLE):
            staff.phone_is("main", "2001", state)
            staff.phone_is("main", "2009", state)
        changes = [event for event in notes.events[told:] if isinstance(event, AgentChanged)]
        assert [(one.agent, one.state, one.hindrance) for one in changes] == [
            ("ana", AgentState.READY, "on a private call"),
            ("ana", AgentState.READY, ""),
        ]

    def test_what_is_known_of_a_phone_holds_for_who_logs_in_with_it(self) -> None:
        staff, _ = staff_of_two()
        staff.phone_is("main", "2002", PhoneState.UNREACHABLE)
        staff.log_in("bo")
        assert routing.hindrance(staff.agents["bo"]) == "phone unreachable"
        staff.log_out("bo")
        assert routing.hindrance(staff.agents["bo"]) == ""

    def test_nobody_is_asked_for_who_is_on_a_private_call(self) -> None:
        staff, _ = staff_of_two()
        staff.phone_is("main", "2001", PhoneState.IN_USE)
        with pytest.raises(NotNow, match="ana: on a private call"):
            staff.reserve("ana", "c1", 1, "main")

    def fails(self, staff: Staff) -> None:
        staff.reserve("ana", "c1", 1).ended(OfferOutcome.UNREACHABLE)
        ana = staff.agents["ana"]
        assert (ana.state, ana.reason) == (AgentState.NOT_READY, "unreachable")

    @pytest.mark.fault("F51")
    def test_an_agent_made_not_ready_by_a_failed_ring_is_ready_again_with_the_phone(self) -> None:
        staff, _ = staff_of_two()
        self.fails(staff)
        for state in (PhoneState.UNREACHABLE, PhoneState.IN_USE):
            staff.phone_is("main", "2001", state)
            assert staff.agents["ana"].state is AgentState.NOT_READY
        staff.phone_is("main", "2001", PhoneState.IDLE)
        assert staff.agents["ana"].state is AgentState.READY

    @pytest.mark.fault("F51")
    @pytest.mark.parametrize("chosen", ["pause", "unreachable"])
    def test_unless_the_agent_chose_otherwise(self, chosen: str) -> None:
        staff, _ = staff_of_two()
        self.fails(staff)
        staff.set_state("ana", AgentState.NOT_READY, chosen)
        staff.phone_is("main", "2001", PhoneState.IDLE)
        assert staff.agents["ana"].state is AgentState.NOT_READY

    def test_what_the_agent_asked_for_while_it_was_rung_is_kept(self) -> None:
        staff, _ = staff_of_two()
        assignment = staff.reserve("ana", "c1", 1)
        staff.set_state("ana", AgentState.NOT_READY, "pause")
        assignment.ended(OfferOutcome.UNREACHABLE)
        staff.phone_is("main", "2001", PhoneState.IDLE)
        ana = staff.agents["ana"]
        assert (ana.state, ana.reason) == (AgentState.NOT_READY, "pause")


class TestAgentTable:
    @pytest.mark.parametrize("step", [Step.READY, Step.NOT_READY, Step.LOG_OUT, Step.RESERVED, Step.TALKS, Step.PARTED])
    def test_an_agent_who_is_offline_can_only_log_in(self, step: Step) -> None:
        with pytest.raises(NotNow, match="offline cannot"):
            after(AgentState.OFFLINE, step)
        assert after(AgentState.OFFLINE, Step.LOG_IN) is AgentState.NOT_READY

    @given(st.lists(st.sampled_from(Step), max_size=30))
    def test_only_a_reserved_agent_rings_and_only_an_idle_one_is_reserved(self, steps: list[Step]) -> None:
        state = AgentState.OFFLINE
        for step in steps:
            try:
                new = after(state, step)
            except NotNow:
                continue
            if new is AgentState.RESERVED:
                assert state in (AgentState.READY, AgentState.NOT_READY, AgentState.SUPERVISING)
            if new is AgentState.TALKING:
                assert state in (AgentState.RESERVED, AgentState.RINGING, AgentState.HELD)
            state = new


class TestOwnWish:
    """A call out that an agent wishes for, also on a break."""

    def test_an_agent_on_a_break_is_reserved_and_is_on_it_again(self) -> None:
        staff = Staff([Agent("ana", "Ana", ("sales",), ("sales",), "2001")], QUEUES, Clock(), Notes())
        staff.log_in("ana")
        staff.set_state("ana", AgentState.NOT_READY, "lunch")
        with pytest.raises(NotNow, match=r"ana is not ready \(lunch\)"):
            staff.reserve("ana", "c1", 1)
        assignment = staff.reserve("ana", "c1", 1, own_wish=True)
        assert staff.agents["ana"].state is AgentState.RESERVED
        assignment.ended(OfferOutcome.CANCELLED)
        assert (staff.agents["ana"].state, staff.agents["ana"].reason) == (AgentState.NOT_READY, "lunch")


class TestMissed:
    @pytest.mark.fault("F54")
    @pytest.mark.parametrize("asked", [None, (AgentState.READY, "")])
    def test_a_missed_offer_stands_on_the_banner_until_the_agent_is_ready(self, asked: Any) -> None:
        staff, notes = staff_of_two()
        assignment = staff.reserve("ana", "c1", 1)
        if asked:
            staff.set_state("ana", *asked)
        assignment.ended(OfferOutcome.NO_ANSWER)
        ana = staff.agents["ana"]
        assert (ana.state, ana.reason, ana.missed) == (AgentState.NOT_READY, "missed", Missed("c1", 0.0))
        assert last_change(notes).missed == Missed("c1", 0.0)
        staff.set_state("ana", AgentState.NOT_READY, "lunch")
        assert ana.missed == Missed("c1", 0.0)
        staff.set_state("ana", AgentState.READY)
        assert (ana.missed, last_change(notes).missed) == (None, None)

    @pytest.mark.parametrize("outcome", [one for one in OfferOutcome if one is not OfferOutcome.NO_ANSWER])
    def test_no_other_offer_does(self, outcome: OfferOutcome) -> None:
        staff, _ = staff_of_two()
        staff.reserve("ana", "c1", 1).ended(outcome)
        assert staff.agents["ana"].missed is None


class TestReasons:
    def test_one_of_the_list_when_there_is_a_list(self) -> None:
        staff, _ = staff_of_two()
        staff.reasons = ("lunch", "training")
        for wrong in ("", "golf"):
            with pytest.raises(ValueError, match="is none of: lunch, training"):
                staff.set_state("ana", AgentState.NOT_READY, wrong)
        assert staff.agents["ana"].state is AgentState.READY
        staff.set_state("ana", AgentState.NOT_READY, "training")
        assert staff.agents["ana"].reason == "training"
        staff.set_state("ana", AgentState.READY)


class TestWhoDidIt:
    def test_the_event_says_who_asked_and_what_comes_next(self) -> None:
        staff, notes = staff_of_two()
        staff.reserve("ana", "c1", 1).talks("sales")
        staff.set_state("ana", AgentState.NOT_READY, "lunch", by="desk of sue")
        change = last_change(notes)
        assert (change.state, change.next, change.by) == (AgentState.TALKING, AgentState.NOT_READY, "desk of sue")
        staff.log_out("ana", by="desk of sue")
        change = last_change(notes)
        assert (change.state, change.next, change.by) == (AgentState.TALKING, AgentState.OFFLINE, "desk of sue")


class TestNewestLogIn:
    @pytest.mark.fault("F63")
    def test_the_newest_phone_wins_and_everybody_is_told(self) -> None:
        staff, notes = staff_of_two()
        staff.log_in("ana", "2009", by="second desk")
        ana = staff.agents["ana"]
        assert (ana.phone, ana.state) == ("2009", AgentState.NOT_READY)
        assert (last_change(notes).phone, last_change(notes).by) == ("2009", "second desk")
        staff.phone_is("main", "2001", PhoneState.IN_USE)
        assert routing.hindrance(ana) == ""


class TestDesktops:
    """F62: the lease of a desktop."""

    def made(self) -> tuple[Staff, Desktops, Clock, Notes]:
        clock, notes = Clock(), Notes()
        staff = Staff([Agent("ana", "Ana", ("sales",), ("sales",), "2001")], QUEUES, clock, notes)
        staff.log_in("ana")
        staff.set_state("ana", AgentState.READY)
        return staff, Desktops(staff, clock, 30.0), clock, notes

    @pytest.mark.fault("F62")
    def test_a_desktop_that_is_gone_for_long_hinders_until_it_is_back(self) -> None:
        staff, desktops, clock, notes = self.made()
        freed: list[str] = []
        staff.when_freed(lambda: freed.append(routing.hindrance(staff.agents["ana"])))
        desktops.came("ana")
        desktops.went("ana")
        clock.advance(29.9)
        staff.askable("ana")
        clock.advance(0.2)
        with pytest.raises(NotNow, match="ana: desktop lost"):
            staff.askable("ana")
        assert (last_change(notes).state, last_change(notes).hindrance) == (AgentState.READY, "desktop lost")
        desktops.came("ana")
        assert (last_change(notes).state, last_change(notes).hindrance) == (AgentState.READY, "")
        assert freed[-1] == ""

    @pytest.mark.fault("F62")
    def test_the_call_of_who_lost_it_goes_on_and_nothing_comes_after(self) -> None:
        staff, desktops, clock, _ = self.made()
        assignment = staff.reserve("ana", "c1", 1)
        assignment.talks("sales")
        desktops.went("ana")
        clock.advance(31)
        assert staff.agents["ana"].state is AgentState.TALKING
        assignment.parted(WrapUpRules())
        assert staff.agents["ana"].state is AgentState.READY
        assert absence(staff.agents["ana"]) == "desktop lost"
        desktops.came("ana")
        assert absence(staff.agents["ana"]) == ""

    def test_back_in_time_nothing_happens(self) -> None:
        _, desktops, clock, notes = self.made()
        desktops.came("ana")
        told = len(notes.events)
        for _ in range(3):
            desktops.went("ana")
            clock.advance(29)
            desktops.came("ana")
        clock.advance(60)
        assert notes.events[told:] == []

    def test_a_lease_ends_with_the_log_out(self) -> None:
        staff, desktops, clock, _ = self.made()
        desktops.went("ana")
        staff.log_out("ana")
        staff.log_in("ana")
        clock.advance(31)
        assert not staff.agents["ana"].desktop_lost

    def test_who_logs_in_anew_without_a_desktop_has_none_to_lose(self) -> None:
        staff, desktops, clock, notes = self.made()
        desktops.went("ana")
        clock.advance(31)
        staff.log_in("ana", "2009")
        assert (last_change(notes).phone, last_change(notes).hindrance) == ("2009", "")
        clock.advance(31)
        assert not staff.agents["ana"].desktop_lost

    def test_who_is_offline_has_no_lease_and_a_new_log_in_begins_without(self) -> None:
        staff, desktops, clock, _ = self.made()
        desktops.went("ana")
        clock.advance(31)
        staff.log_out("ana")
        assert routing.hindrance(staff.agents["ana"]) == ""
        desktops.went("ana")
        assert clock.getDelayedCalls() == []
        staff.log_in("ana")
        assert routing.hindrance(staff.agents["ana"]) == ""

    @given(st.lists(st.tuples(st.sampled_from(["came", "went", "in", "out"]), st.floats(0, 50)), max_size=25))
    def test_lost_is_exactly_who_is_logged_in_and_whose_desktop_is_gone_for_the_time(self, story: Any) -> None:
        staff, desktops, clock, _ = self.made()
        gone: float | None = None
        for what, passed in story:
            if what == "in":
                staff.log_in("ana")
                gone = None
            elif staff.agents["ana"].state is AgentState.OFFLINE and what == "out":
                continue
            elif what == "out":
                staff.log_out("ana")
                gone = None
            elif what == "came":
                desktops.came("ana")
                gone = None
            elif staff.agents["ana"].state is not AgentState.OFFLINE:
                desktops.went("ana")
                if gone is None or not staff.agents["ana"].desktop_lost:
                    gone = clock.seconds()
            else:
                desktops.went("ana")
            clock.advance(passed)
            lost = gone is not None and clock.seconds() >= gone + 30.0
            assert staff.agents["ana"].desktop_lost == lost
        desktops.stop()
        assert clock.getDelayedCalls() == []


def last_change(notes: Notes) -> AgentChanged:
    event = notes.events[-1]
    assert isinstance(event, AgentChanged)
    return event
