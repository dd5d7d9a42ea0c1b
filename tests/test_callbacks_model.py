"""Callbacks in random stories, against a model: people, telephones, the database and the process do as they like.

Everything is real but Asterisk and time, see tests/callback_town.py; tests/callback_judge.py tells what does not hold.
``--callback-stories 1000`` tells so many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from twisted.python.failure import Failure

from easycall.callback.wish import Change, Wish
from easycall.events import CallbackBegun, CallbackEnded, CallDialled, ContactArrived, Event
from easycall.lab.evidence import Evidence
from easycall.lab.invariants import violations
from easycall.model import CallbackSource
from easycall.outbound.rules import NotDialled
from easycall.ports import StoreUnavailable
from easycall.simulator.virtual import VirtualCall
from easycall.store.memory import MemoryDatabase
from easycall.verbs import NotNow

from .callback_judge import SLACK, Judge
from .callback_town import AGENTS, CUSTOMERS, EXPIRES, QUEUES, Town, hastened
from .virtual import opened

pytestmark = [pytest.mark.requirement("B2"), pytest.mark.requirement("B3")]

REFUSALS = (NotDialled, NotNow, StoreUnavailable, KeyError, ValueError)
"""What whoever asks may hear."""
MOMENTS = [
    datetime(*when, tzinfo=UTC).timestamp()
    for when in (
        (2026, 11, 17, 12, 0),
        (2026, 11, 17, 22, 35),  # before midnight in Berlin
        (2026, 10, 25, 0, 35),  # before clocks go back in Berlin and London
        (2026, 3, 29, 0, 35),  # before they go forward
    )
]
numbers, queues, agents = map(st.sampled_from, (sorted(CUSTOMERS), QUEUES, sorted(AGENTS)))


class Story(RuleBasedStateMachine):
    """One story.  Where a rule does not let time pass, what is done next is done at the same moment."""

    database: ClassVar[MemoryDatabase]
    seen: ClassVar[Counter[str]] = Counter()
    """What happened in all of them."""

    @initialize(
        now=st.sampled_from(MOMENTS),
        logged_in=st.lists(agents, unique=True),
        habit=st.sampled_from(["answers", "busy", "declines", "ignores"]),
        talks=st.sampled_from([2.0, 12.0, 40.0]),
    )
    def begins(self, now: float, logged_in: list[str], habit: str, talks: float) -> None:
        self.town = Town(self.database, now)
        self.town.hears.append(self.hear)
        self.judge = Judge(self.town)
        self.began = now
        """When the process did."""
        self.asked: list[list[Any]] = []
        for number in CUSTOMERS:
            self.town.habits[number], self.town.patience[number] = (habit, 5.0), talks
        for agent in logged_in:
            self.town.agent_does(agent, "ready")

    def hear(self, event: Event) -> None:
        match event:
            case CallDialled(purpose="customer"):
                self.seen["dialled for an agent" if event.agent else "dialled ahead"] += 1
            case CallbackEnded():
                self.seen[event.state.value] += 1
            case CallbackBegun():
                self.seen["begun"] += 1

    @rule(queue=queues, seconds=st.sampled_from([2.0, 8.0, 30.0]))
    def is_learnt(self, queue: str, seconds: float) -> None:
        """From what was seen for days: who is first in line has an agent in so many seconds, for one agent who works."""
        served = self.town.daemon.conduct.waits.lessons.queues[queue].served
        served.events, served.exposure = 1_000.0, 1_000.0 * seconds

    # Customers

    @rule(number=numbers, queue=queues)
    def calls_in(self, number: str, queue: str) -> None:
        self.town.calls(number, queue)

    @precondition(lambda self: self.town.callers)
    @rule(data=st.data())
    def hangs_up(self, data: Any) -> None:
        self.town.callers[data.draw(st.sampled_from(sorted(self.town.callers)))].line.hang_up()

    @precondition(lambda self: self.town.callers)
    @rule(data=st.data())
    def asks_in_line(self, data: Any) -> None:
        self.town.callers[data.draw(st.sampled_from(sorted(self.town.callers)))].line.press("1")

    @rule(
        number=numbers,
        what=st.sampled_from(["answers", "answers", "answers", "busy", "ignores", "declines"]),
        seconds=st.sampled_from([1.0, 4.0, 10.0, 14.9, 15.0, 30.0]),
        patience=st.sampled_from([0.0, 2.0, 15.0, 90.0]),
    )
    def customer_will(self, number: str, what: str, seconds: float, patience: float) -> None:
        self.town.habits[number], self.town.patience[number] = (what, seconds), patience

    # Agents

    @rule(agent=agents, what=st.sampled_from(["ready", "ready", "ready", "pauses", "logs out"]))
    def agent_does(self, agent: str, what: str) -> None:
        self.town.agent_does(agent, what)

    @rule(
        agent=agents,
        what=st.sampled_from(["answers", "answers", "answers", "ignores", "declines"]),
        seconds=st.sampled_from([0.0, 2.0, 7.9]),
        patience=st.sampled_from([1.0, 20.0, 300.0]),
    )
    def agent_will(self, agent: str, what: str, seconds: float, patience: float) -> None:
        self.town.habits[agent], self.town.patience[agent] = (what, seconds), patience

    # Whoever asks over the API

    @rule(
        number=numbers,
        queue=queues,
        source=st.sampled_from([CallbackSource.REQUESTED, CallbackSource.APPOINTMENT]),
        after=st.sampled_from([0.0, 0.0, 20.0, 300.0]),
        agent=st.sampled_from(["", "", *AGENTS]),
    )
    def somebody_asks(self, number: str, queue: str, source: CallbackSource, after: float, agent: str) -> None:
        wish = Wish(queue, number, source, due=self.town.now + after, agent=agent, by="crm")
        self.asked.append(self.town.ask(self.town.callbacks.ask(wish)))

    @rule(queue=queues)
    def all_are_to_be_called(self, queue: str) -> None:
        for number in CUSTOMERS:
            self.somebody_asks(number, queue, CallbackSource.REQUESTED, 0.0, "")

    @precondition(lambda self: self.judge.entries)
    @rule(
        data=st.data(),
        what=st.sampled_from(["cancel", "now", "later", "queue", "agent", "expires"]),
        queue=queues,
        agent=st.sampled_from(["", *AGENTS]),
    )
    def somebody_steers(self, data: Any, what: str, queue: str, agent: str) -> None:
        name, callbacks, now = data.draw(st.sampled_from(sorted(self.judge.entries))), self.town.callbacks, self.town.now
        if what == "cancel":
            work = callbacks.cancel(name, "crm")
        elif what == "now":
            work = callbacks.call_now(name, "crm")
        else:
            change = {"later": Change(due=now + 120.0), "queue": Change(queue=queue), "agent": Change(agent=agent)}
            work = callbacks.edit(name, change.get(what, Change(expires=now + 60.0)), "crm")
        self.asked.append(self.town.ask(work))

    # What lasts

    @rule(seconds=st.sampled_from([0.05, 0.6, 1.0, 2.0, 5.0]))
    def a_moment_passes(self, seconds: float) -> None:
        self.town.reactor.advance(seconds)

    @rule(seconds=st.sampled_from([10.0, 20.0, 45.0]))
    def time_passes(self, seconds: float) -> None:
        self.town.reactor.advance(seconds)

    @rule(seconds=st.sampled_from([120.0, 400.0, 900.0]))
    def much_time_passes(self, seconds: float) -> None:
        self.town.reactor.advance(seconds)

    # What goes wrong

    @rule(what=st.sampled_from(["away", "slow", "mute", "well", "well", "well"]), seconds=st.sampled_from([0.3, 3.0, 8.0]))
    def database_is(self, what: str, seconds: float) -> None:
        shelves = self.town.shelves
        shelves.away, shelves.lag, shelves.mute = what == "away", seconds if what == "slow" else 0.0, int(what == "mute")
        self.judge.healthy_since = self.town.now if what == "well" else float("inf")

    @precondition(lambda self: self.town.now > self.began + 100.0)
    @rule(orderly=st.booleans(), unsent=st.booleans(), away=st.sampled_from([0.0, 0.3, 20.0, 600.0]))
    def process_ends(self, orderly: bool, unsent: bool, away: float) -> None:
        town, judge = self.town, self.judge
        shelves = town.shelves
        ill = shelves.away or shelves.lag or shelves.mute or town.now - judge.healthy_since < 15.0
        judge.restarted(forgetful=bool(ill))
        self.asked.clear()
        self.seen["restarts"] += 1
        town.restart(orderly=orderly, unsent=unsent, away=away)
        self.began = town.now

    @rule()
    def link_is_cut(self) -> None:
        self.town.daemon.asterisk.cut_ami()

    # What holds

    @invariant()
    def holds(self) -> None:
        self.judge.look()
        self.judge.look_around()
        for answer in self.asked:
            if answer and isinstance(answer[0], Failure) and not answer[0].check(*REFUSALS):
                answer[0].raiseException()
        assert not self.judge.wrong, "\n".join([*self.judge.wrong, *map(str, self.town.daemon.told[-60:])])

    def teardown(self) -> None:
        """All goes well from now on: everybody is called back, or it ends otherwise, in time; and nothing is left."""
        if hasattr(self, "judge"):
            try:
                self.ends_well()
            finally:
                self.town.daemon.now(self.database.clear())

    def ends_well(self) -> None:
        town, judge = self.town, self.judge
        self.database_is("well", 0.0)
        for agent in AGENTS:
            town.habits[agent], town.patience[agent] = ("answers", 1.0), 20.0
        for number in CUSTOMERS:
            town.habits[number], town.patience[number] = ("answers", 2.0), 10.0
        for caller in list(town.callers.values()):
            caller.line.hang_up()
        town.reactor.advance(40.0)
        for agent in AGENTS:
            town.agent_does(agent, "ready")
        self.holds()
        for _ in range(12):
            if judge.entries:
                town.reactor.advance((EXPIRES + SLACK) / 10)
                self.holds()
        assert not judge.entries, f"{judge.entries}\n" + "\n".join(map(str, town.daemon.told[-60:]))
        self.nothing_is_left()

    def endless(self) -> list[str]:
        """What was told of contacts without an end, or with several."""
        told, ended = self.town.daemon.told, Counter(self.judge.ended)
        wrong = {event.contact for event in told if isinstance(event, ContactArrived) and ended[event.contact] != 1}
        return [str(event) for event in told if event.contact in wrong]

    def nothing_is_left(self) -> None:
        town = self.town
        town.reactor.advance(60.0)
        ended = tuple(self.judge.ended)
        records = tuple(filter(None, map(town.daemon.record, dict.fromkeys(ended))))
        wrong = violations(Evidence(ended=ended, records=records, left=town.daemon.left()))
        wrong += violations(Evidence(left=town.daemon.stop(), failures=tuple(town.daemon.fatal)))
        stored = dict(town.shelves._open.execute("SELECT id, state FROM callbacks"))
        different = {name: state for name, state in self.judge.over.items() if stored[name] != state.value}
        assert not wrong, [wrong, *self.endless(), *filter(VirtualCall.active, town.reactor.getDelayedCalls())]
        assert not different, f"told {different}, stored {stored}"


USUAL_STORIES = 50


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


@pytest.mark.fault("F69", "F72", "F73", "F74")
@pytest.mark.seconds(3600)
def test_whatever_happens_everybody_is_called_back_once_in_turn_and_when_it_may_be_done(
    pytestconfig: pytest.Config, database: MemoryDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    hastened(monkeypatch)
    Story.database, Story.seen = database, Counter()
    stories = pytestconfig.getoption("--callback-stories")
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    # The usual few are the same ones every time; who asks for more hears new ones.
    how = settings(
        max_examples=stories,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=checks,
        derandomize=stories <= USUAL_STORIES,
        database=None,
    )
    run_state_machine_as_test(Story, settings=how)
    wanted = {"begun", "dialled for an agent", "restarts", "reached"}
    rare = {"called_in", "cancelled", "expired", "exhausted", "dialled ahead", "met"}
    wanted |= rare if stories >= 1000 else set()
    assert stories < 50 or wanted <= set(Story.seen), Story.seen
