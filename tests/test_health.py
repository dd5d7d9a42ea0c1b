"""How the daemon is: reasons, the reactor's lag, and what systemd is told."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from easycall.defer import start
from easycall.health import Lag, Notifier, Pulse, Vitals
from easycall.health import pulse as pulses
from easycall.ports import StoreUnavailable

pytestmark = pytest.mark.requirement("S1")


# Reasons


class Journal:
    last = behind = dropped = 0
    trouble = ""


class Database:
    """Answers, refuses or says nothing."""

    def __init__(self) -> None:
        self.answer: Deferred[Any] | Exception | None = None
        self.asked = 0

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            await self.answer
        return [(1,)]

    async def transact(self, *statements: Any) -> None:
        raise AssertionError


class Ill:
    """Vitals on a clock of their own, looked at every second."""

    def __init__(self) -> None:
        self.clock, self.journal, self.database = Clock(), Journal(), Database()
        self.links = {name: SimpleNamespace(up=True, trouble="") for name in "ab"}
        self.vitals = Vitals(self.clock, self.journal, self.links, self.database)

    def after(self, seconds: int) -> list[str]:
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.vitals.look(self.clock.seconds())
        return self.vitals.reasons(self.clock.seconds())


def test_no_reason_when_all_is_well() -> None:
    assert Ill().after(100) == []


def test_each_link_that_is_down_is_named() -> None:
    ill = Ill()
    ill.links["b"].up = False
    assert ill.after(1) == ["no link to Asterisk 'b'"]
    ill.links["b"].up = True
    assert ill.after(1) == []


@pytest.mark.fault("F31")
def test_what_is_wrong_with_an_asterisk_is_told() -> None:
    ill = Ill()
    ill.links["a"].trouble = "there is no home"
    assert ill.after(1) == ["Asterisk 'a': there is no home"]
    ill.links["a"].up = ill.links["b"].up = False
    assert ill.after(1) == ["Asterisk 'a': there is no home", "no link to Asterisk 'b'"]


def test_a_store_that_takes_nothing_is_told_with_since_when() -> None:
    ill = Ill()
    ill.after(10)
    ill.journal.last = ill.journal.behind = 7
    assert ill.after(3) == []
    ill.journal.last = ill.journal.behind = 9  # more waits, none was stored
    assert ill.after(3) == ["the journal is not stored since 1970-01-01T00:00:10Z: 9 events wait"]
    ill.journal.behind = 4  # some was
    assert ill.after(1) == []


def test_a_store_that_is_slow_but_works_is_no_reason() -> None:
    ill = Ill()
    for stored in range(1, 60):
        ill.journal.last, ill.journal.behind = 100 + 2 * stored, 100 + stored
        assert ill.after(1) == []


def test_dropping_is_told_for_a_minute_and_is_no_storing() -> None:
    ill = Ill()
    ill.after(10)
    ill.journal.last, ill.journal.behind = 100, 100
    ill.after(20)
    for _ in range(5):  # the journal is full: everything that comes is dropped
        ill.journal.last += 1
        ill.journal.dropped += 1
        ill.after(1)
    stuck, drops = ill.after(1)
    assert stuck.startswith("the journal is not stored since 1970-01-01T00:00:10Z")
    assert drops == "the journal drops events: 5 so far, the last ones at 1970-01-01T00:00:35Z"
    ill.journal.behind = 0
    assert len(ill.after(50)) == 1
    assert ill.after(20) == []


def test_a_database_that_refuses_or_says_nothing_is_told_and_asked_one_question_at_a_time() -> None:
    ill = Ill()
    ill.after(10)
    ill.database.answer = StoreUnavailable("database /secret: away")
    [reason] = ill.after(20)
    assert re.fullmatch(r"the database does not answer since 1970-01-01T00:00:1\dZ: it refuses", reason)
    assert ill.after(10) == [reason], "since the first time"
    ill.database.answer = None
    assert ill.after(10) == []
    ill.database.answer = silence = Deferred()
    before = ill.database.asked
    [reason] = ill.after(60)
    assert reason.endswith(": no answer within 4 s")
    assert ill.database.asked == before + 1
    ill.database.answer = None
    silence.callback(None)
    assert ill.after(1) == []


def test_what_ends_the_daemon_is_told() -> None:
    ill = Ill()
    ill.vitals.fatal("the port is taken")
    ill.vitals.fatal("and more")
    assert ill.after(1) == ["it ends: the port is taken"]


# The pulse


def test_the_pulse_sees_by_how_much_it_is_late() -> None:
    clock, lag, told = Clock(), Lag(), list[float]()
    pulse = Pulse(clock, lag, [told.append])
    start(pulse.start())
    for _ in range(10):
        clock.advance(pulses.EVERY)
    assert lag.largest == pytest.approx(0.0)
    clock.advance(pulses.EVERY + 3.0)
    assert lag.last == lag.largest == pytest.approx(3.0)
    for _ in range(pulses.REMEMBERED + 1):
        clock.advance(pulses.EVERY)
    assert lag.largest == pytest.approx(0.0), "a minute later"
    assert sum(lag.histogram.counts) == len(told) == pulses.REMEMBERED + 13
    assert lag.histogram.sum == pytest.approx(3.0)
    start(pulse.stop())
    assert not clock.getDelayedCalls()


# systemd


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """What listens at NOTIFY_SOCKET, and that."""
    name = f"easycall-test-{tmp_path}"[-90:]
    address, told = (str(tmp_path / "notify"),) * 2 if request.param == "path" else ("\0" + name, "@" + name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(5.0)
        yield listening, told


def heard(listening: socket.socket) -> list[str]:
    listening.setblocking(False)
    found = []
    while True:
        try:
            found += listening.recv(4096).decode().split("\n")
        except BlockingIOError:
            return found


def test_systemd_is_told_that_we_are_up_live_and_stop(systemd: tuple[socket.socket, str]) -> None:
    listening, address = systemd
    clock, statuses = Clock(), iter(f"{number} contacts\nREADY=0" for number in range(100))
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "77"}
    notifier = Notifier(clock, lambda: next(statuses), environ, pid=77)
    start(notifier.start())
    assert heard(listening) == ["READY=1", "WATCHDOG=1", "STATUS=0 contacts READY=0"]
    clock.advance(4.9)
    assert heard(listening) == []
    clock.advance(0.2)
    assert heard(listening) == ["WATCHDOG=1", "STATUS=1 contacts READY=0"]
    start(notifier.stop())
    assert heard(listening) == ["STOPPING=1", "STATUS=stopping"]
    assert not clock.getDelayedCalls()


def test_a_watchdog_of_another_process_is_not_ours(systemd: tuple[socket.socket, str]) -> None:
    listening, address = systemd
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "78"}
    notifier = Notifier(clock := Clock(), lambda: "well", environ, pid=77)
    start(notifier.start())
    clock.advance(10.0)
    assert heard(listening) == ["READY=1", "STATUS=well", "STATUS=well"]
    start(notifier.stop())


def test_without_systemd_nothing_is_told_and_one_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "3000000"}):
        notifier = Notifier(clock := Clock(), lambda: "well", environ)
        start(notifier.start())
        for _ in range(20):
            clock.advance(1.0)
        start(notifier.stop())
        assert not clock.getDelayedCalls()
