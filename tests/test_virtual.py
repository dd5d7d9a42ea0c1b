"""Virtual time: the same calls in the same order as under Twisted's own clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    AlreadyCalled,
    AlreadyCancelled,
)
from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorFromThreads,
    IReactorTCP,
    IReactorTime,
)
from twisted.internet.task import Clock, LoopingCall, deferLater
from zope.interface.verify import verifyObject

from easycall.simulator import virtual
from easycall.simulator.virtual import NothingToCome, TimeStandsStill, VirtualCall, VirtualReactor

from .clocks import NOON
from .fakes_journal import Logged


def test_it_is_what_it_says() -> None:
    reactor = VirtualReactor()
    for interface in (IReactorTime, IReactorTCP, IReactorFromThreads):
        assert verifyObject(interface, reactor)
    assert verifyObject(IDelayedCall, reactor.callLater(1, list))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["call", "call", "call", "cancel", "reset", "delay", "advance"]),
        st.integers(0, 60),
        st.integers(0, 9),
    ),
    max_size=60,
)


class Schedule:
    """The same schedule on any clock: what each call did, and when.

    Each moment is made different, for of two calls that were moved to one moment Twisted does not say which is first.
    """

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.calls: list[Any] = []
        self.story: list[tuple[int, float]] = []
        self._drift = 0

    def different(self, seconds: int) -> float:
        self._drift += 1
        return seconds + self._drift / 1024

    def call(self, seconds: int, which: int) -> None:
        number = len(self.calls)
        self.calls.append(self.clock.callLater(self.different(seconds), self._called, number, which))

    def _called(self, number: int, more: int) -> None:
        self.story.append((number, self.clock.seconds()))
        if more > 5:
            self.call(more - 5, 0)
        elif more > 3:
            self.cancel(0, number + more)
        elif more == 3:
            self.reset(more, number + more)

    def chosen(self, which: int) -> Any:
        active = [call for call in self.calls if call.active()]
        return active[which % len(active)] if active else None

    def cancel(self, _: int, which: int) -> None:
        if (call := self.chosen(which)) is not None:
            call.cancel()

    def reset(self, seconds: int, which: int) -> None:
        if (call := self.chosen(which)) is not None:
            call.reset(self.different(seconds))

    def delay(self, seconds: int, which: int) -> None:
        if (call := self.chosen(which)) is not None:
            call.delay(self.different(seconds))

    def live(self, steps: list[tuple[str, int, int]], advance: Callable[[float], None]) -> tuple[Any, ...]:
        for step, seconds, which in steps:
            if step == "advance":
                advance(seconds / 4)
            else:
                getattr(self, step)(seconds, which)
        left = sorted(call.getTime() for call in self.clock.getDelayedCalls())
        advance(10_000)
        return self.story, left, [call.getTime() for call in self.calls], self.clock.seconds()


def one_by_one(clock: Clock) -> Callable[[float], None]:
    """Twisted's clock jumps to the end before it makes the calls; stop at each of them, as real time does."""

    def advance(seconds: float) -> None:
        end = clock.seconds() + seconds
        while due := [call.getTime() for call in clock.getDelayedCalls() if call.getTime() <= end]:
            clock.advance(max(0.0, min(due) - clock.seconds()))
        clock.advance(end - clock.seconds())

    return advance


@given(STEPS)
def test_the_same_calls_in_the_same_order_as_twisted(steps: list[tuple[str, int, int]]) -> None:
    clock, reactor = Clock(), VirtualReactor()
    assert Schedule(clock).live(steps, one_by_one(clock)) == Schedule(reactor).live(steps, reactor.advance)


@given(STEPS)
def test_turn_by_turn_it_is_the_same(steps: list[tuple[str, int, int]]) -> None:
    one, other = VirtualReactor(), VirtualReactor()

    def turns(seconds: float) -> None:
        over = other.callLater(seconds, list)
        other.run_until(lambda: not over.active())

    assert Schedule(one).live(steps, one.advance)[0] == Schedule(other).live(steps, turns)[0]


def test_of_one_moment_whoever_asked_first_is_first() -> None:
    reactor, story = VirtualReactor(NOON), []

    def at_one() -> None:
        story.append("one")
        reactor.callLater(0, story.append, "brought about")

    reactor.callLater(2, story.append, "two")
    reactor.callLater(1, at_one)
    reactor.callLater(1, story.append, "one too")
    moved = reactor.callLater(5, story.append, "moved")
    moved.reset(1)
    reactor.callLater(0, story.append, "now")
    reactor.advance(2)
    assert story == ["now", "one", "one too", "moved", "brought about", "two"]
    assert reactor.seconds() == NOON + 2


def test_a_turn_does_what_is_due_and_not_what_that_brings_about() -> None:
    reactor, story = VirtualReactor(), []
    reactor.callLater(0, lambda: reactor.callLater(0, story.append, "second"))
    reactor.callLater(0, story.append, "first")
    reactor.callLater(3, story.append, "third")
    assert reactor.turn()
    assert (story, reactor.seconds()) == (["first"], 0)
    assert reactor.turn()
    assert (story, reactor.seconds()) == (["first", "second"], 0)
    assert reactor.turn()
    assert (story, reactor.seconds()) == (["first", "second", "third"], 3)
    assert not reactor.turn()


def test_a_turn_does_not_stop_at_what_was_cancelled() -> None:
    reactor, story = VirtualReactor(), []
    reactor.callLater(1, story.append, "never").cancel()
    reactor.callLater(2, story.append, "two")
    assert reactor.turn()
    assert (story, reactor.seconds()) == (["two"], 2)


def test_a_call_that_is_due_can_be_put_off_or_cancelled() -> None:
    reactor, story = VirtualReactor(), []
    reactor.callLater(1, lambda: [off.reset(4), gone.cancel()])
    off = reactor.callLater(1, story.append, "put off")
    gone = reactor.callLater(1, story.append, "cancelled")
    now = reactor.callLater(0, story.append, "put off too")
    now.delay(3)
    reactor.advance(1)
    assert story == []
    assert sorted(call.getTime() for call in reactor.getDelayedCalls()) == [3, 5]
    reactor.advance(9)
    assert story == ["put off too", "put off"]


def test_a_call_knows_its_state() -> None:
    reactor = VirtualReactor(NOON)
    call = reactor.callLater(2, list)
    assert (call.active(), call.getTime()) == (True, NOON + 2)
    assert repr(call) == f"<call of list at {NOON + 2}>"
    reactor.advance(2)
    assert not call.active()
    gone = reactor.callLater(2, list)
    gone.cancel()
    assert not gone.active()
    for do in ("cancel", "reset", "delay"):
        words = () if do == "cancel" else (1,)
        with pytest.raises(AlreadyCalled):
            getattr(call, do)(*words)
        with pytest.raises(AlreadyCancelled):
            getattr(gone, do)(*words)
    assert reactor.getDelayedCalls() == []
    with pytest.raises(ValueError, match="a delay of -1"):
        reactor.callLater(-1, list)


def test_cancelled_calls_are_thrown_away() -> None:
    reactor = VirtualReactor()
    kept = [reactor.callLater(seconds, list) for seconds in range(1, 11)]
    for _ in range(10 * virtual.OUTDATED):
        reactor.callLater(5, list).cancel()
    kept[0].reset(7)
    assert len(reactor._heap) <= 2 * virtual.OUTDATED
    assert sorted(call.getTime() for call in reactor.getDelayedCalls()) == [2, 3, 4, 5, 6, 7, 7, 8, 9, 10]


@pytest.mark.logs_failures
def test_what_fails_is_logged_and_the_others_go_on() -> None:
    reactor, story = VirtualReactor(), []
    for run in (reactor.advance, lambda _: reactor.turn()):
        reactor.callLater(0, lambda: 1 / 0)
        reactor.callLater(0, story.append, "on")
        with Logged() as failures:
            run(0)
        assert [line.partition(":")[2].strip() for line in failures] == ["division by zero"]
    assert story == ["on", "on"]


def test_time_passes_until_something_is_so() -> None:
    reactor, story = VirtualReactor(), []
    again = LoopingCall(lambda: story.append(reactor.seconds()))
    again.clock = reactor
    again.start(10)
    reactor.run_until(lambda: len(story) == 3)
    assert (story, reactor.seconds()) == ([0, 10, 20], 20)
    reactor.run_until(25.0)
    assert (len(story), reactor.seconds()) == (3, 25)
    with pytest.raises(NothingToCome, match="not within 7 s"):
        reactor.run_until(lambda: len(story) > 4, within=7)
    assert reactor.seconds() == 30
    again.stop()
    with pytest.raises(NothingToCome, match="nothing is left"):
        reactor.run_until(lambda: False)


@pytest.mark.parametrize("how", ["advance", "run_until"])
def test_who_never_lets_time_pass_is_stopped(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "ONE_MOMENT", 1000)
    reactor = VirtualReactor()
    rounds: list[None] = []

    def again() -> None:
        rounds.append(None)
        reactor.callLater(0, again)

    reactor.callLater(1, again)
    goal: Any = 2 if how == "advance" else lambda: reactor.seconds() == 2
    with pytest.raises(TimeStandsStill, match=r"at 1.*again"):
        getattr(reactor, how)(goal)
    assert len(rounds) == pytest.approx(1000, abs=5)


def test_there_are_no_threads() -> None:
    reactor, story = VirtualReactor(), []
    reactor.callFromThread(story.append, "called")
    assert story == []
    reactor.turn()
    assert story == ["called"]
    with pytest.raises(RuntimeError, match="no threads"):
        reactor.getThreadPool()


def test_deferreds_run_on_it() -> None:
    reactor = VirtualReactor(NOON)
    late: Deferred[None] = Deferred()
    outcomes: list[Any] = []
    late.addTimeout(5, reactor).addErrback(lambda failure: outcomes.append(failure.type.__name__))
    deferLater(reactor, 7, outcomes.append, "later")
    reactor.advance(10)
    assert outcomes == ["TimeoutError", "later"]


def test_its_calls_are_twisteds() -> None:
    """What looks into a reactor's timers (the conftest of these tests does) finds what it looks for."""
    call = VirtualReactor().callLater(1, max, 1, 2, key=None)
    assert isinstance(call, VirtualCall)
    assert (call.func, call.args, call.kw) == (max, (1, 2), {"key": None})
