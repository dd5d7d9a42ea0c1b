"""Ordered start and stop, under a clock of the test's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, gatherResults
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from easycall.service import STOP_SECONDS, CannotStart, Daemon, Part, nothing

Work = Callable[[], Awaitable[None]]


@define
class House:
    """A daemon of parts that say in ``story`` what happens to them."""

    clock: Clock = field(factory=Clock)
    story: list[str] = field(factory=list)
    fatal: list[str] = field(factory=list)
    parts: list[Part] = field(factory=list)
    daemon: Daemon = field(init=False)
    stopped: Deferred[None] = field(init=False)

    def part(self, name: str, start: Work = nothing, stop: Work = nothing) -> None:
        """One more part.  ``start`` and ``stop`` are what it does between the two lines it says."""

        async def said(begin: str, end: str, work: Work) -> None:
            self.story.append(f"{name} {begin}")
            try:
                await work()
            except CancelledError:
                self.story.append(f"{name} was broken off")
                raise
            self.story.append(f"{name} {end}")

        starting, stopping = ("starts", "started", start), ("stops", "stopped", stop)
        self.parts.append(Part(name, lambda: said(*starting), lambda: said(*stopping)))

    def start(self) -> None:
        self.daemon = Daemon(self.parts, self.clock, self.fatal.append)
        self.daemon.startService()

    def stop(self) -> None:
        self.story.clear()
        self.stopped = ensureDeferred(self.daemon.stopService())

    @property
    def is_up(self) -> bool:
        assert self.daemon.started is not None
        return self.daemon.started.called


@define
class Held:
    """Work that goes on until it is told."""

    deferred: Deferred[None] = field(factory=Deferred)

    async def __call__(self) -> None:
        await self.deferred


async def deaf() -> None:
    """Work that takes no notice of being cancelled."""
    while True:
        try:
            await Deferred()
        except CancelledError:
            continue


def raises(error: Exception) -> Work:
    async def work() -> None:
        raise error

    return work


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def logged() -> Any:
    """What is logged, as text, with the tracebacks."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        trace = event["log_failure"].getTraceback() if "log_failure" in event else ""
        lines.append(f"{formatEvent(event)}{trace}")

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


# Starting


def test_each_part_begins_when_the_one_before_stands(house: House) -> None:
    first, second = Held(), Held()
    house.part("a", first)
    house.part("b", second)
    house.start()
    assert house.story == ["a starts"]
    first.deferred.callback(None)
    assert house.story == ["a starts", "a started", "b starts"]
    assert not house.is_up
    second.deferred.callback(None)
    assert house.is_up
    assert house.story == ["a starts", "a started", "b starts", "b started"]
    assert house.fatal == []


def test_a_part_that_cannot_start_is_fatal_and_the_next_are_left_alone(house: House, logged: list[str]) -> None:
    house.part("a")
    house.part("b", raises(CannotStart("b.port = 1: taken")))
    house.part("c")
    house.start()
    assert house.fatal == ["b.port = 1: taken"]
    assert house.story == ["a starts", "a started", "b starts"]
    assert "Traceback" not in "".join(logged)


@pytest.mark.logs_failures
def test_a_start_that_fails_for_an_unforeseen_reason_is_fatal_too_and_has_its_traceback(
    house: House, logged: list[str]
) -> None:
    house.part("a", raises(KeyError("hm")))
    house.start()
    assert house.fatal == ["a did not start, see the log: KeyError('hm')"]
    assert "Traceback" in "".join(logged)


# Stopping


def test_the_last_to_start_is_the_first_to_stop_and_each_is_awaited(house: House) -> None:
    held = Held()
    house.part("a")
    house.part("b", stop=held)
    house.part("c")
    house.start()
    house.stop()
    assert house.story == ["c stops", "c stopped", "b stops"]
    assert not house.stopped.called
    held.deferred.callback(None)
    assert house.story == ["c stops", "c stopped", "b stops", "b stopped", "a stops", "a stopped"]
    assert house.stopped.called
    assert house.clock.getDelayedCalls() == []


def test_a_part_that_half_started_is_stopped_and_those_behind_it_are_not(house: House) -> None:
    house.part("a")
    house.part("b", raises(CannotStart("no")))
    house.part("c")
    house.start()
    house.stop()
    assert house.story == ["b stops", "b stopped", "a stops", "a stopped"]
    assert house.stopped.called


async def several() -> None:
    """Work that makes something else of being cancelled."""
    await gatherResults([Deferred(), Deferred()], consumeErrors=True)


@pytest.mark.parametrize("work", [Held(), several], ids=["one", "several"])
def test_stopping_while_starting_breaks_off_the_start_and_is_no_fault(house: House, logged: list[str], work: Work) -> None:
    house.part("a")
    house.part("b", work)
    house.part("c")
    house.start()
    house.stop()
    assert house.story[-4:] == ["b stops", "b stopped", "a stops", "a stopped"]
    assert house.fatal == []
    assert house.stopped.called
    assert "Traceback" not in "".join(logged)
    assert house.clock.getDelayedCalls() == []


@pytest.mark.logs_failures
def test_a_stop_that_fails_is_logged_and_the_next_is_stopped(house: House, logged: list[str]) -> None:
    house.part("a")
    house.part("b", stop=raises(KeyError("hm")))
    house.start()
    house.stop()
    assert house.story == ["b stops", "a stops", "a stopped"]
    assert house.stopped.called
    assert any("b did not stop properly" in line and "KeyError" in line for line in logged)


@pytest.mark.parametrize("slow", [Held(), deaf], ids=["slow", "deaf"])
def test_a_part_that_does_not_stop_is_not_waited_for_longer_than_the_limit(
    house: House, logged: list[str], slow: Work
) -> None:
    house.part("a")
    house.part("b", stop=slow)
    house.start()
    house.stop()
    house.clock.advance(STOP_SECONDS - 0.01)
    assert "a stops" not in house.story
    house.clock.advance(0.02)
    assert house.story[-2:] == ["a stops", "a stopped"]
    assert house.stopped.called
    assert any("b did not stop within 5 s" in line for line in logged)


def test_a_start_that_cannot_be_broken_off_is_not_waited_for_longer_than_the_limit(house: House) -> None:
    house.part("a")
    house.part("b", deaf)
    house.start()
    house.stop()
    assert not house.stopped.called
    house.clock.advance(STOP_SECONDS)
    assert house.story[-2:] == ["a stops", "a stopped"]
    assert house.stopped.called


def test_a_daemon_that_never_started_stops(house: House) -> None:
    house.part("a")
    house.daemon = Daemon(house.parts, house.clock, house.fatal.append)
    house.stop()
    assert house.stopped.called
    assert house.story == []


def test_twistd_waits_for_the_stop(house: House) -> None:
    """twistd stops a MultiService and waits for its Deferred only."""
    held = Held()
    house.part("a", stop=held)
    outer = MultiService()
    house.daemon = Daemon(house.parts, house.clock, house.fatal.append)
    house.daemon.setServiceParent(outer)
    outer.startService()
    over = outer.stopService()
    assert not over.called
    held.deferred.callback(None)
    assert over.called


@given(st.integers(1, 6).flatmap(lambda count: st.tuples(st.just(count), st.integers(0, count), st.booleans())))
def test_whatever_began_is_stopped_once_in_reverse(case: tuple[int, int, bool]) -> None:
    """``bad``: the part whose start fails or hangs; none when it is ``count``."""
    count, bad, hangs = case
    house = House()
    for number in range(count):
        work = nothing if number != bad else Held() if hangs else raises(CannotStart("no"))
        house.part(str(number), work)
    house.start()
    house.stop()
    began = min(bad + 1, count)
    assert [line for line in house.story if line.endswith("stops")] == [
        f"{number} stops" for number in reversed(range(began))
    ]
    assert house.stopped.called
    assert bool(house.fatal) == (bad < count and not hangs)
