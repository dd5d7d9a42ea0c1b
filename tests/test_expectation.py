"""How long a contact will wait: the formula, what is learnt, and how it is held against the truth."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easycall.acd.expectation import (
    ABSENT,
    ENOUGH_SCORES,
    RANGES,
    Expectation,
    Rate,
    Score,
    expected_wait,
    free_agents,
    rounded_range,
    working_agents,
)
from easycall.model import Agent, AgentState, PhoneState

ahead = st.integers(0, 100_000)
agents = st.floats(0.01, 10_000)
rates = st.floats(1e-5, 1)
leaving = st.one_of(st.just(0.0), st.floats(1e-9, 1))


def wait(n: int, c: float, mu: float, theta: float) -> float:
    found = expected_wait(n, c, mu, theta)
    assert found is not None
    return found


class TestTheFormula:
    @given(ahead, agents, rates, leaving)
    def test_it_grows_with_the_line_and_falls_with_agents_and_with_those_who_leave(
        self, n: int, c: float, mu: float, theta: float
    ) -> None:
        here = wait(n, c, mu, theta)
        slack = 1e-6 * here  # of the integral, see SUMMED
        assert wait(n + 1, c, mu, theta) >= here - slack
        assert wait(n, c + 1, mu, theta) <= here + slack
        assert wait(n, c, mu, theta + 0.01) <= here + slack
        assert 0 < here <= (n + 1) / (c * mu) + slack

    @given(st.integers(0, 3000), agents, rates, leaving)
    def test_the_integral_is_the_sum(self, n: int, c: float, mu: float, theta: float) -> None:
        exact = math.fsum(1 / (c * mu + i * theta) for i in range(n + 1))
        assert wait(n, c, mu, theta) == pytest.approx(exact, rel=1e-4)

    @given(ahead, agents, rates)
    def test_where_nobody_leaves_it_is_the_plain_division(self, n: int, c: float, mu: float) -> None:
        assert wait(n, c, mu, 0.0) == pytest.approx((n + 1) / (c * mu))

    def test_nobody_serves_the_queue(self) -> None:
        assert expected_wait(3, 0, 0.01, 0.01) is None


def agent(name: str, *queues: str, state: AgentState = AgentState.TALKING) -> Agent:
    return Agent(name, name, queues, state=state, phone=name)


class TestAgents:
    def test_a_shared_agent_counts_by_its_share_of_the_line(self) -> None:
        team = [agent("ana", "sales"), agent("bo", "sales", "support"), agent("chen", "support")]
        assert working_agents("sales", team, {}) == 2
        assert working_agents("sales", team, {"sales": 1, "support": 2}) == 1.5

    def test_one_order_over_all_queues_is_one_line(self) -> None:
        team = [agent(name, "sales", "support") for name in ("ana", "bo")]
        mixed = wait(2, working_agents("sales", team, {"sales": 2, "support": 3}), 0.01, 0.0)
        assert mixed == pytest.approx(wait(5, 2, 0.01, 0.0))

    @pytest.mark.parametrize("state", [AgentState.OFFLINE, AgentState.NOT_READY, AgentState.SUPERVISING])
    def test_who_does_not_take_contacts_does_not_count(self, state: AgentState) -> None:
        assert working_agents("sales", [agent("ana", "sales", state=state)], {}) == 0

    def test_who_is_about_to_stop_does_not_count(self) -> None:
        one = agent("ana", "sales")
        one.wants = (AgentState.NOT_READY, "lunch")
        assert working_agents("sales", [one], {}) == 0

    def test_who_wraps_up_works_and_is_not_free_yet(self) -> None:
        one = agent("ana", "sales", state=AgentState.WRAP_UP)
        assert (working_agents("sales", [one], {}), free_agents("sales", [one])) == (1, 0)
        one.state = AgentState.READY
        assert (working_agents("sales", [one], {}), free_agents("sales", [one])) == (1, 1)
        one.phones = {"main": PhoneState.IN_USE}
        assert (working_agents("sales", [one], {}), free_agents("sales", [one])) == (0, 0)


class TestRanges:
    @given(st.floats(0, 3600))
    def test_the_wait_lies_in_what_is_told(self, seconds: float) -> None:
        low, high = rounded_range(seconds)
        assert low <= seconds <= high
        assert (low, high) in RANGES

    @given(st.floats(0, 1e6), st.floats(0, 1e6))
    def test_a_longer_wait_is_not_told_as_a_shorter_one(self, one: float, other: float) -> None:
        short, long = rounded_range(min(one, other)), rounded_range(max(one, other))
        assert short[0] <= long[0]

    def test_it_is_told_like_this(self) -> None:
        assert rounded_range(20) == (0, 60)
        assert rounded_range(240) == (180, 300)
        assert rounded_range(3601) == (3600, 0)


class TestWhatIsLearnt:
    def test_a_belief_until_something_was_seen(self) -> None:
        assert Rate(5, 1000, 0.0).value == 0.005

    @given(st.lists(st.tuples(st.floats(0, 1000), st.integers(0, 50), st.booleans()), max_size=50))
    def test_a_rate_stays_above_zero_whatever_happens(self, story: list[tuple[float, int, bool]]) -> None:
        rate, now = Rate(1, 100, 0.0), 0.0
        for seconds, exposed, happens in story:
            now += seconds
            rate.expose(exposed, now)
            if happens:
                rate.happened(now)
            assert rate.value > 0
            assert rate.exposure >= 0

    def test_it_comes_to_the_truth_and_follows_when_that_changes(self) -> None:
        rate, now = Rate(5, 1000, 0.0), 0.0
        rate.expose(10, now)
        for every in (20, 40):  # ten agents, each done every 200 s, then every 400
            for _ in range(1200):
                now += every
                rate.happened(now)
            assert 1 / rate.value == pytest.approx(10 * every, rel=0.05)

    def test_a_night_teaches_nothing(self) -> None:
        rate = Rate(5, 1000, 0.0)
        rate.expose(1, 0.0)
        rate.happened(100.0)
        rate.expose(0, 100.0)
        before = rate.value
        rate.pass_to(50_000.0)
        assert rate.value == before


class TestTheScore:
    def test_bias_and_mean_absolute_error(self) -> None:
        score = Score()
        assert (score.bias, score.mean_absolute_error) == (None, None)
        score.add(110, 100)
        assert score.bias == pytest.approx(0.1)
        score.add(90, 100)
        assert score.bias == pytest.approx(0, abs=1e-3)
        assert score.mean_absolute_error == pytest.approx(10)

    @given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), min_size=1, max_size=300))
    def test_the_error_is_never_negative_and_no_estimate_is_below_nothing(self, pairs: list[tuple[float, float]]) -> None:
        score = Score()
        for estimate, waited in pairs:
            score.add(estimate, waited)
        assert score.mean_absolute_error is not None
        assert score.mean_absolute_error >= 0
        assert score.bias is None or score.bias >= -1


def joins(
    queue: Expectation, contact: str, now: float, ahead: int = 0, agents: float = 1, since: float | None = None
) -> None:
    """A contact joins, and what is expected is told."""
    began = now if since is None else since
    queue.joined(contact, now, began, queue.foreseen(ahead, agents, now, began))


class TestAQueue:
    def test_the_head_of_the_line_takes_over_when_the_formula_is_wrong(self) -> None:
        """An agent who counts and never takes a call: the formula believes in two, only one serves."""
        queue, now = Expectation(0.0, 0.0), 0.0
        line: list[str] = []
        for number in range(400):
            joins(queue, str(number), now, len(line), 2)
            line.append(str(number))
            queue.busy(1, now)
            now += 100
            queue.done(now)
            if len(line) > 20:
                queue.answered(line.pop(0), now)
        assert queue.score.wrong
        assert queue.score.number >= ENOUGH_SCORES
        assert queue.by_head
        assert queue.known
        assert queue.estimate(len(line), 2, now) == pytest.approx(2000)

    def test_who_gives_up_is_held_against_the_moment_of_its_turn(self) -> None:
        queue = Expectation(0.0, 0.0)
        for name, at in (("a", 0.0), ("b", 1.0), ("c", 2.0)):
            joins(queue, name, at)
        queue.gave_up("b", 5.0)
        queue.answered("a", 10.0)
        assert queue.score.number == 1
        queue.answered("c", 31.0)
        assert queue.score.waited == pytest.approx(10 + 30 + 29, rel=0.02)

    def test_the_turn_has_come_too_when_an_agent_is_free_and_nobody_waits(self) -> None:
        queue = Expectation(0.0, 0.0)
        joins(queue, "a", 0.0)
        queue.gave_up("a", 5.0)
        queue.free(20.0)
        assert queue.score.waited == 20
        joins(queue, "b", 100.0)
        queue.gave_up("b", 103.0, free=True)
        assert queue.score.waited == pytest.approx(23, rel=0.01)

    def test_who_comes_back_to_an_old_place_is_not_scored(self) -> None:
        queue = Expectation(0.0, 1000.0)
        joins(queue, "a", 1000.0, since=400.0)
        queue.answered("a", 1010.0)
        assert queue.score.number == 0
        assert queue.last_wait == 610

    def test_those_who_gave_up_are_kept_in_bounds(self) -> None:
        queue = Expectation(0.0, 0.0)
        for number in range(2 * ABSENT):
            joins(queue, str(number), float(number))
            queue.gave_up(str(number), number + 0.5)
        queue.free(1e4)
        assert queue.score.waited > 0
        assert len(queue._absent) == 0

    def test_who_is_taken_elsewhere_teaches_nothing(self) -> None:
        queue = Expectation(0.0, 0.0)
        joins(queue, "a", 0.0)
        queue.taken("a", 50.0)
        assert (queue.left.events, queue.left.exposed, queue.score.number) == (0, 0, 0)

    def test_nothing_is_told_before_enough_was_seen(self) -> None:
        queue = Expectation(10.0, 0.0)
        assert queue.estimate(0, 1, 0.0) == pytest.approx(1 / (1 / 190 + 0), rel=0.01)
        assert not queue.known
        for number in range(11):
            queue.done(float(number))
        assert queue.known
        assert queue.estimate(0, 0, 20.0) is None


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "bench_expectation", Path(__file__).parent.parent / "bench" / "expectation.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # attrs looks there
    spec.loader.exec_module(module)
    return module


@pytest.mark.requirement("D1")
@pytest.mark.parametrize(
    "name", ["steady_overload", "heavy_abandonment", "near_balance", "sine_load", "lognormal_times", "a_fifth_leaves"]
)
def test_a_simulated_day(bench: ModuleType, name: str) -> None:
    """Learning on the way costs little against the true rates, and app_queue's average is far behind."""
    figures = bench.measured(bench.SCENARIOS[name], days=2)
    assert bench.reached(figures), figures


@pytest.mark.requirement("D1")
def test_a_queue_knows_how_good_it_is(bench: ModuleType) -> None:
    """What the score says is what the simulation, which knows when everybody's turn would have come, says."""
    for seed in range(5):
        day, truth = bench.Day(bench.SCENARIOS["steady_overload"], Random(seed)), Score()  # noqa: S311
        for answer in day.live():
            truth.add(answer.ours, answer.waited)
        score = day.ours.score
        assert score.waited == pytest.approx(truth.waited, rel=0.05)
        assert score.bias == pytest.approx(truth.bias, abs=0.03)
        assert score.mean_absolute_error == pytest.approx(truth.mean_absolute_error, rel=0.05)
