"""Days of a call centre in virtual time: all invariants hold in them, and what breaks one is reported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from attrs import asdict, evolve
from twisted.internet.defer import fail
from twisted.internet.task import Clock
from twisted.logger import Logger

from easycall.acd.waiting_room import Pair, WaitingRoom
from easycall.events import AgentChanged, Event
from easycall.lab.day.arrivals import HOURLY, arrivals
from easycall.lab.day.callers import AGENT_VOICE, MUSIC, Caller, Temper, draw
from easycall.lab.day.centre import VirtualCentre
from easycall.lab.day.plan import SHIFTS, Habits, Plan, shift_of
from easycall.lab.day.result import Progress, Result
from easycall.model import AgentState
from easycall.policy import WorkItem
from easycall.simulator.faults import Chaos, Faults
from easycall.stats.record import Record
from easycall.store.contacts import ContactArchive


def dice(seed: object) -> Random:
    return Random(f"{seed}")  # noqa: S311 - a test


MORNING = Plan(days=0.5, calls=500, agents=12, check_every=25)
"""About 230 calls, enough for everything people do."""

# People


def test_calls_come_by_the_hours_of_the_day() -> None:
    moments = arrivals(20_000, dice(1))
    assert (len(moments), moments) == (20_000, sorted(moments))
    counted = Counter(int(moment // 3600) for moment in moments)
    for hour, share in enumerate(HOURLY):
        expected = 20_000 * share / sum(HOURLY)
        assert abs(counted[hour] - expected) < 5 * expected**0.5, hour
    assert set(counted) == set(range(24))
    assert arrivals(100, dice(7)) == arrivals(100, dice(7)) != arrivals(100, dice(8))


def test_agents_work_in_shifts_and_somebody_is_always_there() -> None:
    assert sum(shift.share for shift in SHIFTS) == pytest.approx(1.0)
    for agents in (20, 500):
        shifts = [shift_of(number, agents) for number in range(agents)]
        for shift in SHIFTS:
            assert abs(shifts.count(shift) - shift.share * agents) <= 1
        for quarter in range(96):
            hour = quarter / 4
            assert any(begin <= hour < end for shift in shifts for begin, end in shift.stretches), hour
    assert shift_of(0, 1) in SHIFTS


def test_callers_are_what_their_habits_say() -> None:
    habits = Habits()
    tempers = [draw(number, habits, dice(number)) for number in range(5_000)]
    assert tempers[17] == draw(17, habits, dice(17))
    shares = {
        "support": (sum(one.keys[-1:] != () and one.keys[-1][1] == "2" for one in tempers), 0.35),
        "silent": (sum(not one.keys for one in tempers), habits.silent),
        "leaves": (sum(one.leaves is not None for one in tempers), habits.leaves_in_menu),
        "ends": (sum(one.ends for one in tempers), 1 - habits.agent_ends),
        "withheld": (sum(not one.number for one in tempers), habits.withheld),
    }
    for what, (number, share) in shares.items():
        assert number / 5_000 == pytest.approx(share, abs=0.02), what
    assert sum(one.patience for one in tempers) / 5_000 == pytest.approx(habits.patience, rel=0.05)


class FakeLine:
    """Keeps what a far end does."""

    id = "1.1"
    hears = ""
    up = True
    over = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.done: list[Any] = []

    def press(self, key: str) -> None:
        self.done.append((self._clock.seconds(), key))

    def hang_up(self, cause: int = 16) -> None:
        self.done.append((self._clock.seconds(), "hangs up"))

    def say(self, sound: str) -> None:
        pass


TEMPER = Temper("+4930", "Carl", ((3.0, "5"), (4.0, "1")), None, patience=30.0, talk=60.0, ends=True)


class Call:
    """One caller and a line."""

    def __init__(self, **temper: Any) -> None:
        self.clock = Clock()
        self.over: list[Caller] = []
        self.caller = Caller(evolve(TEMPER, **temper), self.clock, self.over.append)
        self.line = self.caller.line = FakeLine(self.clock)  # type: ignore[assignment]
        self.caller.answered()

    def hears(self, at: float, sound: str) -> None:
        self.clock.callLater(at, self.caller.heard, sound)

    def story(self) -> list[Any]:
        for _ in range(1000):
            self.clock.advance(0.5)
            if "hangs up" in [what for _, what in self.line.done]:
                self.caller.ended(16)
                break
        assert self.clock.getDelayedCalls() == []
        return self.line.done


def test_a_caller_presses_waits_and_gives_up() -> None:
    call = Call()
    call.hears(9.0, MUSIC)
    assert call.story() == [(3.0, "5"), (7.0, "1"), (37.0, "hangs up")]
    assert (call.over, call.caller.expects_to_be_connected) == ([call.caller], False)


def test_a_caller_who_is_not_understood_presses_again() -> None:
    call = Call()
    call.hears(9.0, "speech")
    call.hears(29.0, MUSIC)
    assert call.story() == [(3.0, "5"), (7.0, "1"), (17.0, "1"), (27.0, "1"), (37.0, "hangs up")]


def test_a_caller_talks_and_says_goodbye() -> None:
    call = Call()
    call.hears(8.0, MUSIC)
    call.hears(20.0, AGENT_VOICE)
    assert call.story() == [(3.0, "5"), (7.0, "1"), (80.0, "hangs up")]


def test_a_caller_who_loses_the_agent_waits_again() -> None:
    call = Call()
    call.hears(20.0, AGENT_VOICE)
    call.hears(25.0, MUSIC)
    assert call.story()[-1] == (55.0, "hangs up")


def test_a_caller_leaves_in_the_menu() -> None:
    assert Call(leaves=2.0).story() == [(2.0, "hangs up")]


@pytest.mark.parametrize(
    ("temper", "talked", "expects"),
    [
        ({}, False, True),
        ({}, True, True),
        ({"ends": False}, False, True),
        ({"ends": False}, True, False),
        ({"keys": ()}, False, False),
        ({"keys": (), "leaves": 2.0}, False, True),
    ],
)
def test_who_may_be_hung_up(temper: dict[str, Any], talked: bool, expects: bool) -> None:
    """The flow says goodbye to who is silent, an agent to who leaves that to the agent; nobody else."""
    call = Call(**temper)
    if talked:
        call.caller.heard(AGENT_VOICE)
    assert call.caller.expects_to_be_connected is expects


# Days


def lived(
    plan: Plan = MORNING, faults: Faults | None = None, spoil: Callable[[VirtualCentre], None] | None = None
) -> Result:
    centre = VirtualCentre(plan, faults)
    if spoil is not None:
        spoil(centre)
    return centre.run()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_in_an_ordinary_day_everything_holds(seed: int) -> None:
    centre = VirtualCentre(Plan(calls=300, agents=10, seed=seed, check_every=50))
    told: list[Progress] = []
    states: Counter[tuple[AgentState, str]] = Counter()

    def hear(sequence: int, event: Event) -> None:
        if isinstance(event, AgentChanged):
            states[event.state, event.reason] += 1

    centre.joined.journal.subscribe(hear)
    result = centre.run(told.append)
    assert result.violations == ()
    assert (result.calls, result.corrected) == (300, 0)
    assert sum(result.outcomes.values()) == result.records == 300
    assert result.answered == result.outcomes["answered"] == result.offers["answered"] > 200
    assert result.choices >= result.answered
    assert result.checks >= 6
    assert 0 < result.average_wait < result.longest_wait
    assert 0.5 < result.service_level <= 1
    assert 1 < result.peak_live < 100
    assert all(agent.state is AgentState.OFFLINE for agent in centre.joined.distributor.staff.agents.values())
    assert min(states[AgentState.NOT_READY, reason] for reason in ("break", "lunch")) > 0
    assert centre.reactor.getDelayedCalls() == []
    assert [one.calls for one in told] == sorted(one.calls for one in told)
    assert (told[-1].calls, told[-1].live, told[-1].violations) == (300, 0, 0)
    assert result.virtual_seconds == told[-1].seconds > 86_400


def test_the_same_seed_is_the_same_day() -> None:
    one, again, other = lived(), lived(), lived(evolve(MORNING, seed=2))
    assert one.story == again.story
    assert one.story != other.story
    assert (one.violations, other.violations) == ((), ())


def test_without_latency_everything_holds_too() -> None:
    result = lived(evolve(MORNING, latency=0.0))
    assert (result.violations, result.corrected) == ((), 0)


def test_one_day_after_another() -> None:
    result = lived(Plan(days=2.25, calls=60, agents=4, check_every=20))
    assert result.violations == ()
    assert 120 < result.calls == result.records < 130
    assert result.virtual_seconds == pytest.approx(2.25 * 86_400, abs=3600)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_comes_late_and_twice_breaks_nothing(seed: int) -> None:
    result = lived(evolve(MORNING, seed=seed, check_every=5), Chaos(seed, late=0.5, doubled=0.2, slow_originate=1.0))
    assert result.violations == ()
    assert result.checks >= 40


@pytest.mark.parametrize("seed", [11, 12])
def test_what_is_lost_is_mended(seed: int) -> None:
    """But for one: that a far end has hung up in the moment of a Bridge, nothing but the event tells (docs/asterisk.rst)."""
    chaos = Chaos(seed, late=0.5, doubled=0.2, lost=0.03, never_lost=("HangupRequest",))
    result = lived(evolve(MORNING, seed=seed, check_every=5, lasting=11.0, habits=Habits(patience=30.0)), chaos)
    assert result.violations == ()
    assert result.corrected > 0


def test_impatient_callers_and_a_slow_network_break_nothing() -> None:
    """Whoever can leave at the worst moment does: while the phone rings, while the bridge is made."""
    habits = Habits(patience=12.0, declines=0.2, misses=0.2, unplugged=0.05, leaves_in_menu=0.2, talk=10.0)
    result = lived(evolve(MORNING, calls=1000, habits=habits, latency=0.2, check_every=5))
    assert result.violations == ()
    assert min(result.offers.values()) > 0
    assert set(result.offers) >= {"answered", "caller_left", "declined", "no_answer", "unreachable"}


# What breaks an invariant is reported


def at_noon(do: Callable[[VirtualCentre], None]) -> Callable[[VirtualCentre], None]:
    """Let it happen at a busy moment of the morning."""

    def spoil(centre: VirtualCentre) -> None:
        centre.reactor.callLater(11.5 * 3600, do, centre)

    return spoil


def found(result: Result) -> set[str]:
    """The invariants that were violated."""
    return {one.partition(":")[0] for one in result.violations}


@pytest.mark.logs_failures
def test_a_failure_is_reported() -> None:
    def go_wrong(centre: VirtualCentre) -> None:
        raise ZeroDivisionError("on purpose")

    result = lived(spoil=at_noon(go_wrong))
    [violation] = result.violations
    assert violation.startswith("I8: a call in virtual time failed: ZeroDivisionError: on purpose (line ")
    assert violation.endswith(" of test_day.py, go_wrong)")


@pytest.mark.logs_failures
def test_an_error_that_nobody_takes_is_reported() -> None:
    def lose(centre: VirtualCentre) -> None:
        around: list[Any] = [fail(ZeroDivisionError("on purpose"))]
        around.append(around)  # only the collector finds it

    result = lived(spoil=at_noon(lose))
    assert found(result) == {"I8"}
    assert any(one.endswith("ZeroDivisionError: on purpose") for one in result.violations), result.violations


def test_an_alarm_is_reported() -> None:
    result = lived(spoil=at_noon(lambda centre: Logger().critical("easycall cannot run: {why}", why="it does not want to")))
    assert result.violations == ("I8: easycall cannot run: it does not want to",)


def test_a_caller_who_is_cut_off_is_reported() -> None:
    def cut_off(centre: VirtualCentre) -> None:
        caller = next(iter(centre.watch.callers), None)
        if caller is None:
            centre.reactor.callLater(5, cut_off, centre)
        else:
            centre.asterisk.core.channels[caller.line.id].hang_up_soft(38)

    assert found(lived(spoil=at_noon(cut_off))) == {"I1", "I6"}


def test_a_forgotten_leg_is_reported() -> None:
    def forget(centre: VirtualCentre) -> None:
        roster = centre.joined.pbxs[0].switch.legs
        leg = next((leg for leg in roster if leg.bridge), None)
        if leg is None:
            centre.reactor.callLater(5, forget, centre)
        else:
            roster._legs.pop(leg.id)

    assert "I3" in found(lived(evolve(MORNING, check_every=1), spoil=at_noon(forget)))


def test_a_timer_left_behind_is_reported() -> None:
    def leave(centre: VirtualCentre) -> None:
        centre.reactor.callLater(1e6, list)

    result = lived(spoil=at_noon(leave))
    assert result.violations == ("I6: 1 timers (list) left", "I6: 1 timers (list) of a stopped centre left")


def test_who_overtakes_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    enter = WaitingRoom.enter

    def last_comes_first(room: WaitingRoom, ticket: WorkItem, now: float) -> list[Pair]:
        return enter(room, evolve(ticket, offset=2 * ticket.enqueued), now)

    monkeypatch.setattr(WaitingRoom, "enter", last_comes_first)
    assert found(lived(evolve(MORNING, calls=1000, agents=8, check_every=1))) == {"I9"}


@pytest.mark.parametrize("records", [0, 2], ids=["lost", "wrong"])
def test_a_record_that_is_lost_or_wrong_is_reported(monkeypatch: pytest.MonkeyPatch, records: int) -> None:
    record = ContactArchive.record

    async def spoilt(archive: ContactArchive, contact: str) -> Record | None:
        right = await record(archive, contact)
        if contact != "c0000000100" or right is None:
            return right
        return evolve(right, ended=(right.ended or 0.0) + 5) if records else None

    monkeypatch.setattr(ContactArchive, "record", spoilt)
    [violation] = lived().violations
    assert violation.startswith("I4: contact c0000000100 ")
    assert violation.endswith("has 0 records") or "its segments" in violation


# The command


def run(*words: str, spoil: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{spoil}\nfrom easycall.cli.main import cli; cli(['sim', 'run', *{words!r}])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


SMALL = ("--days", "0.4", "--calls", "200", "--agents", "4", "--seed", "3", "--check-every", "20")


def test_the_command_prints_json() -> None:
    ran = run(*SMALL, "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    result = json.loads(ran.stdout)
    assert set(result) == set(asdict(lived(Plan(days=0.01, calls=0, agents=1))))
    assert (result["agents"], result["seed"], result["violations"]) == (4, 3, [])
    assert result["calls"] == sum(result["outcomes"].values()) == result["records"] > 20


SPOILT = """
from attrs import evolve
from easycall.acd.waiting_room import WaitingRoom
enter = WaitingRoom.enter
WaitingRoom.enter = lambda room, ticket, now: enter(room, evolve(ticket, offset=2 * ticket.enqueued), now)
"""


def test_the_command_shows_progress_and_a_table() -> None:
    ran = run(*SMALL)
    assert ran.returncode == 0
    assert "0.4 virtual days, 4 agents, seed 3" in ran.stdout
    assert "100%" in ran.stderr
    lines = dict(line.strip("│ ").split("│") for line in ran.stdout.splitlines() if line.startswith("│"))
    rows = {name.strip(): value.strip() for name, value in lines.items()}
    assert rows["violations"] == "0"
    assert rows["records proved to add up"] == rows["calls"]
    assert int(rows["checks of all invariants"]) >= 1


def test_a_violation_is_exit_code_1() -> None:
    ran = run(*SMALL[:2], "--calls", "600", "--agents", "2", "--check-every", "1", "--json", spoil=SPOILT)
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["violations"]
