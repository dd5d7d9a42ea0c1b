"""The agents: their states, their phones, and who holds whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from easycall.acd import routing
from easycall.acd.agent import NotNow, Step, after
from easycall.acd.staff import Staff
from easycall.events import AgentChanged
from easycall.model import Agent, AgentState, OfferOutcome, PhoneState
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
