"""Wrap-ups: how long they last, and what comes before their end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from easycall.acd.agent import NotNow
from easycall.acd.staff import Assignment, Staff
from easycall.acd.wrapping_up import MISSING
from easycall.acd.wrapup import WrapUp, WrapUpRules
from easycall.events import AgentChanged, DispositionSet, WrapUpEnded
from easycall.model import Agent, AgentState, DispositionRule, Queue
from tests.acd import Notes

SOLD = ("sold", "no interest")
RULES = WrapUpRules(10.0, 60.0, SOLD, 30.0)


class TestTable:
    @pytest.mark.parametrize(
        ("rules", "disposed", "own_end", "ends", "missing"),
        [
            (WrapUpRules(), False, 100.0, 100.0, False),
            (WrapUpRules(10.0), False, 110.0, 110.0, False),
            (RULES, False, 110.0, 140.0, True),
            (RULES, True, 110.0, 110.0, False),
            (WrapUpRules(0.0, 0.0, SOLD, 30.0), False, 100.0, 130.0, True),
            (WrapUpRules(0.0, 0.0, SOLD, 0.0), False, 100.0, 100.0, True),
        ],
    )
    def test_when_it_ends(self, rules: WrapUpRules, disposed: bool, own_end: float, ends: float, missing: bool) -> None:
        wrap_up = WrapUp(rules, 100.0, disposed=disposed)
        assert (wrap_up.own_end, wrap_up.ends, wrap_up.missing) == (own_end, ends, missing)

    @pytest.mark.parametrize(
        ("rule", "had_it", "asked"),
        [
            (DispositionRule.REQUIRED, SOLD, ()),
            (DispositionRule.OPTIONAL, (), ()),
            (DispositionRule.OFF, (), ()),
        ],
    )
    def test_only_who_had_the_customer_owes_a_disposition(self, rule: Any, had_it: Any, asked: Any) -> None:
        queue = Queue("sales", "Sales", disposition=rule, dispositions=SOLD)
        assert WrapUpRules.of(queue).dispositions == had_it
        assert WrapUpRules.of_consulted(queue).dispositions == asked
        assert WrapUpRules.of_consulted(queue).seconds == WrapUpRules.of(queue).seconds == queue.wrap_up_seconds

    def test_it_is_extended_from_now_when_its_own_time_is_over(self) -> None:
        wrap_up = WrapUp(RULES, 100.0)
        assert wrap_up.extend(20.0, 105.0).own_end == 130.0
        assert wrap_up.extend(20.0, 125.0).own_end == 145.0
        with pytest.raises(NotNow, match="by 45 s more, not by 46 s"):
            wrap_up.extend(46.0, 125.0)

    @given(st.lists(st.tuples(st.floats(1, 100), st.floats(0, 40)), max_size=12), st.floats(0, 120))
    def test_however_it_is_extended_it_has_a_bound_and_never_grows_shorter(self, asks: Any, most: float) -> None:
        wrap_up = WrapUp(WrapUpRules(10.0, most, SOLD, 30.0), 0.0)
        now = 0.0
        for seconds, passed in asks:
            now += passed
            before = wrap_up
            try:
                wrap_up = wrap_up.extend(seconds, now)
            except NotNow:
                assert max(now, before.own_end) + seconds > 10.0 + most - 1e-9
                continue
            assert wrap_up.own_end == pytest.approx(max(now, before.own_end) + seconds)
            assert wrap_up.own_end <= 10.0 + most + 1e-6
            assert wrap_up.ends <= 10.0 + most + 30.0 + 1e-6


class Shift:
    """Ana, who has talked with a customer of sales."""

    def __init__(self, rule: DispositionRule = DispositionRule.REQUIRED, **queue: Any) -> None:
        rules = {"wrap_up_seconds": 10.0, "wrap_up_extend_seconds": 60.0, "disposition_seconds": 30.0, **queue}
        self.queue = Queue("sales", "Sales", disposition=rule, dispositions=SOLD, **rules)
        self.clock, self.notes = Clock(), Notes()
        self.ana = Agent("ana", "Ana", ("sales",), ("sales",), "2001")
        self.staff = Staff([self.ana], {"sales": self.queue}, self.clock, self.notes)
        self.freed: list[AgentState] = []
        self.staff.when_freed(lambda: self.freed.append(self.ana.state))
        self.staff.log_in("ana")
        self.staff.set_state("ana", AgentState.READY)
        self.assignment = self.begin()

    def begin(self, contact: str = "c1") -> Assignment:
        assignment = self.staff.reserve("ana", contact, 1)
        assignment.talks("sales")
        return assignment

    def parts(self) -> None:
        self.assignment.parted(WrapUpRules.of(self.queue))

    @property
    def now(self) -> tuple[AgentState, str]:
        return self.ana.state, self.ana.reason


class TestRecord:
    """Each wrap-up is told when it is over, however that comes: once, with its contact."""

    @pytest.mark.parametrize(
        ("end", "seconds"),
        [
            (lambda shift: shift.clock.advance(10.0), 10.0),
            (lambda shift: (shift.clock.advance(4.0), shift.staff.wrap_ups.end("ana")), 4.0),
            (lambda shift: (shift.staff.wrap_ups.extend("ana", 20.0), shift.clock.pump([1.0] * 60)), 30.0),
            (lambda shift: (shift.clock.advance(3.0), shift.staff.log_out("ana"), shift.clock.advance(60.0)), 3.0),
        ],
    )
    def test_it_is_told(self, end: Any, seconds: float) -> None:
        shift = Shift(DispositionRule.OFF)
        shift.clock.advance(100.0)
        shift.parts()
        end(shift)
        [told] = [event for event in shift.notes.events if isinstance(event, WrapUpEnded)]
        assert told == WrapUpEnded(at=100.0 + seconds, contact="c1", agent="ana", queue="sales", started=100.0)

    def test_the_disposition_is_waited_for_in_it(self) -> None:
        shift = Shift()
        shift.parts()
        shift.clock.advance(25.0)
        shift.staff.wrap_ups.dispose("ana", "sold")
        [told] = [event for event in shift.notes.events if isinstance(event, WrapUpEnded)]
        assert (told.at, told.started) == (25.0, 0.0)

    def test_one_of_no_time_is_none(self) -> None:
        shift = Shift(DispositionRule.OFF, wrap_up_seconds=0.0)
        shift.parts()
        assert not [event for event in shift.notes.events if isinstance(event, WrapUpEnded)]


class TestDispositions:
    def test_a_wrap_up_does_not_end_before_the_disposition(self) -> None:
        shift = Shift()
        shift.parts()
        assert shift.ana.until == 40.0
        shift.clock.advance(25.0)
        assert shift.ana.state is AgentState.WRAP_UP
        shift.staff.wrap_ups.dispose("ana", "sold", "desk")
        assert shift.now == (AgentState.READY, "")
        [said] = [event for event in shift.notes.events if isinstance(event, DispositionSet)]
        assert (said.at, said.contact, said.agent, said.disposition, said.by) == (25.0, "c1", "ana", "sold", "desk")
        assert shift.ana.disposition == ""
        assert shift.clock.getDelayedCalls() == []

    def test_given_early_the_wrap_up_lasts_its_own_time(self) -> None:
        shift = Shift()
        shift.staff.wrap_ups.dispose("ana", "no interest")
        shift.parts()
        assert (shift.ana.disposition, shift.ana.until) == ("no interest", 10.0)
        shift.clock.advance(5.0)
        shift.staff.wrap_ups.dispose("ana", "sold")
        assert (shift.now, shift.ana.until) == ((AgentState.WRAP_UP, ""), 10.0)
        shift.clock.advance(5.0)
        assert shift.now == (AgentState.READY, "")

    @pytest.mark.parametrize(
        ("asked", "becomes"),
        [
            (None, (AgentState.NOT_READY, MISSING)),
            ((AgentState.READY, ""), (AgentState.NOT_READY, MISSING)),
            ((AgentState.NOT_READY, "lunch"), (AgentState.NOT_READY, "lunch")),
        ],
    )
    def test_who_gives_none_in_time_is_not_ready(self, asked: Any, becomes: Any) -> None:
        shift = Shift()
        if asked:
            shift.staff.set_state("ana", *asked)
        shift.parts()
        shift.clock.advance(39.9)
        assert shift.ana.state is AgentState.WRAP_UP
        shift.clock.advance(0.2)
        assert shift.now == becomes
        shift.staff.set_state("ana", AgentState.READY)
        assert shift.now == (AgentState.READY, "")

    def test_who_logs_off_in_time_is_offline(self) -> None:
        shift = Shift()
        shift.staff.log_out("ana")
        shift.parts()
        shift.clock.advance(41.0)
        assert shift.ana.state is AgentState.OFFLINE

    def test_nobody_gets_around_it_but_by_a_supervisor(self) -> None:
        shift = Shift()
        shift.parts()
        for ask in (
            lambda: shift.staff.set_state("ana", AgentState.READY),
            lambda: shift.staff.set_state("ana", AgentState.NOT_READY, "lunch"),
            lambda: shift.staff.wrap_ups.end("ana"),
        ):
            with pytest.raises(NotNow, match="a disposition comes first, one of: sold, no interest"):
                ask()
        shift.staff.set_state("ana", AgentState.NOT_READY, "talk to me", forced=True)
        assert shift.now == (AgentState.NOT_READY, "talk to me")

    def test_wrong_ones_and_wrong_moments_are_refused(self) -> None:
        shift = Shift()
        with pytest.raises(ValueError, match="'bought' is none of sales: sold, no interest"):
            shift.staff.wrap_ups.dispose("ana", "bought")
        shift.parts()
        shift.staff.wrap_ups.dispose("ana", "sold")
        shift.clock.advance(10.0)
        with pytest.raises(NotNow, match="ana is ready: there is no contact"):
            shift.staff.wrap_ups.dispose("ana", "sold")
        off = Shift(DispositionRule.OFF)
        with pytest.raises(NotNow, match="queue sales has no dispositions"):
            off.staff.wrap_ups.dispose("ana", "sold")

    def test_an_optional_one_is_waited_for_by_nobody(self) -> None:
        shift = Shift(DispositionRule.OPTIONAL)
        shift.parts()
        shift.clock.advance(10.0)
        assert shift.now == (AgentState.READY, "")


class TestExtending:
    def test_extend_and_end(self) -> None:
        shift = Shift(DispositionRule.OFF)
        shift.parts()
        shift.staff.wrap_ups.extend("ana", 20.0, "desk")
        last = shift.notes.events[-1]
        assert isinstance(last, AgentChanged)
        assert (last.until, last.by) == (30.0, "desk")
        shift.clock.advance(29.0)
        assert shift.ana.state is AgentState.WRAP_UP
        with pytest.raises(NotNow, match="by 40 s more, not by 41 s"):
            shift.staff.wrap_ups.extend("ana", 41.0)
        before = len(shift.freed)
        shift.staff.wrap_ups.end("ana")
        assert shift.now == (AgentState.READY, "")
        assert shift.freed[before:] == [AgentState.READY]
        for again in (lambda: shift.staff.wrap_ups.end("ana"), lambda: shift.staff.wrap_ups.extend("ana", 5.0)):
            with pytest.raises(NotNow, match="ana is ready: there is no wrap-up"):
                again()
        assert shift.clock.getDelayedCalls() == []

    def test_what_was_asked_for_meanwhile_comes_after_an_early_end(self) -> None:
        shift = Shift(DispositionRule.OFF)
        shift.staff.set_state("ana", AgentState.NOT_READY, "lunch")
        shift.parts()
        shift.staff.wrap_ups.end("ana")
        assert shift.now == (AgentState.NOT_READY, "lunch")

    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("pass"), st.floats(0.1, 50)),
                st.tuples(st.just("extend"), st.floats(1, 40)),
                st.tuples(st.just("dispose"), st.sampled_from(SOLD)),
                st.tuples(st.just("end"), st.none()),
            ),
            max_size=10,
        ),
        st.sampled_from(DispositionRule),
        st.sampled_from([0.0, 10.0]),
    )
    def test_whatever_is_asked_it_ends_in_bounded_time_and_ready_only_with_its_disposition(
        self, asks: Any, rule: DispositionRule, seconds: float
    ) -> None:
        shift = Shift(rule, wrap_up_seconds=seconds)
        shift.parts()
        for ask, value in asks:
            try:
                if ask == "pass":
                    shift.clock.advance(value)
                elif ask == "extend":
                    shift.staff.wrap_ups.extend("ana", value)
                elif ask == "dispose":
                    shift.staff.wrap_ups.dispose("ana", value)
                else:
                    shift.staff.wrap_ups.end("ana")
            except NotNow:
                pass
        shift.clock.advance(seconds + 60.0 + 30.0 + 1.0)
        said = any(isinstance(event, DispositionSet) for event in shift.notes.events)
        owes = rule is DispositionRule.REQUIRED and not said
        assert shift.now == ((AgentState.NOT_READY, MISSING) if owes else (AgentState.READY, ""))
        assert shift.clock.getDelayedCalls() == []
