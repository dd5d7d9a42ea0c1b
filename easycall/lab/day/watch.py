"""Watches a virtual call centre: hears every event, and checks now and then that all invariants hold."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from easycall.acd.staff import REFUSED_SECONDS
from easycall.defer import start
from easycall.events import ContactEnded, Event
from easycall.lab.day.figures import Figures
from easycall.lab.day.plan import DAY_SECONDS, Plan
from easycall.lab.day.site import PBX
from easycall.lab.evidence import Evidence, PbxChannel, held
from easycall.lab.fairness import Fairness
from easycall.lab.invariants import lasting, violations
from easycall.simulator.asterisk import SimulatedAsterisk
from easycall.simulator.channel import Channel
from easycall.simulator.line import Line
from easycall.simulator.virtual import VirtualReactor
from easycall.stats.record import Record
from easycall.store.contacts import ContactArchive
from easycall.store.memory import MemoryDatabase
from easycall.tap import Joined

__all__ = ["Connected", "Watch"]

T = TypeVar("T")


class Connected(Protocol):
    """Somebody outside with a line."""

    line: Line

    @property
    def expects_to_be_connected(self) -> bool:
        """Has not hung up, and nobody may end the call."""


class Watch:
    """Makes no call and touches none; but for the records it has looked at, which it throws away."""

    def __init__(
        self,
        reactor: VirtualReactor,
        asterisk: SimulatedAsterisk,
        joined: Joined,
        database: MemoryDatabase,
        failures: list[str],
        plan: Plan,
    ) -> None:
        """``failures``: where others put what goes wrong, in words."""
        self._reactor = reactor
        self._asterisk = asterisk
        self._joined = joined
        self._database = database
        self._archive = ContactArchive(database)
        self._failures = failures
        self._plan = plan
        self._fairness = Fairness(REFUSED_SECONDS)
        self._next = plan.check_every
        self._ended: list[str] = []
        self._overtaken: list[str] = []
        self._before: Counter[str] = Counter()
        self.callers: set[Connected] = set()
        """The callers whose lines are not down, or should not be."""
        self.figures = Figures()
        self.violations: dict[str, None] = {}
        """Everything found, each once, in the order in which it was found."""
        self.events = 0
        self.checks = 0
        self.records = 0
        """How many records were looked at."""

    def daemon(self, joined: Joined) -> None:
        """Another daemon is there."""
        self._joined = joined

    @property
    def choices(self) -> int:
        """How many choices of an agent were judged."""
        return self._fairness.choices

    def hear(self, sequence: int, event: Event) -> None:
        """What the daemon tells."""
        self.events += 1
        self.figures.take(event)
        if unfair := self._fairness.take(event):
            self._overtaken.append(unfair)
        if isinstance(event, ContactEnded):
            self._ended.append(event.contact)

    @contextmanager
    def observed(self) -> Iterator[None]:
        """Whatever is logged as a failure meanwhile is a violation."""
        observer = _Failures(self._failures)
        globalLogPublisher.addObserver(observer)
        try:
            yield
        finally:
            globalLogPublisher.removeObserver(observer)

    # Checking

    def begin(self) -> None:
        """Everything stands and nobody has called: the timers of now are there at rest, too."""
        self._before = self._timers()

    def now_and_then(self) -> None:
        """Check when there were calls enough since the last time."""
        if self.figures.arrived >= self._next:
            self._next = (self.figures.arrived // self._plan.check_every + 1) * self._plan.check_every
            self.check(dict)

    def at_rest(self) -> None:
        """Check, and that nothing is left though everybody has hung up."""
        self.check(self._left)

    def at_the_end(self) -> None:
        """After the stop of the daemon and of Asterisk nothing is left at all, and no error either."""
        gc.collect()  # an error that nobody took shows when it is thrown away
        left = {f"timers ({name}) of a stopped centre": number for name, number in self._timers().items()}
        self._found(violations(Evidence(left=left, failures=tuple(self._failures))))

    def check(self, left: Callable[[], dict[str, int]]) -> None:
        """Check all; a difference between Asterisk and the daemon counts when it lasts."""
        self.checks += 1
        told = violations(self._told())
        found = violations(self._seen(left()))
        if found:
            self._reactor.advance(self._plan.lasting)
            found = lasting(found, violations(self._seen(left())))
        self._found([*told, *found])

    def _found(self, wrong: list[str]) -> None:
        self.violations.update(dict.fromkeys(wrong))

    def _told(self) -> Evidence:
        """What was told since the last time, with the records of those who ended; then the store is emptied."""
        _at_once(start(self._joined.journal.flush()))
        ended, self._ended = tuple(self._ended), []
        overtaken, self._overtaken = tuple(self._overtaken), []
        failures = tuple(self._failures)
        self._failures.clear()
        records = _at_once(start(self._stored(ended)))
        self.records += len(records)
        if self._plan.kept_days:
            before = self._reactor.seconds() - self._plan.kept_days * DAY_SECONDS
            _at_once(start(self._database.forget(before)))
        else:
            _at_once(start(self._database.clear()))
        return Evidence(ended=ended, records=records, failures=failures, overtaken=overtaken)

    async def _stored(self, ended: tuple[str, ...]) -> tuple[Record, ...]:
        found = [await self._archive.record(contact) for contact in dict.fromkeys(ended)]
        return tuple(record for record in found if record is not None)

    def _seen(self, left: dict[str, int]) -> Evidence:
        """What is there at this moment."""
        return Evidence(
            channels=tuple(_shown(channel) for channel in self._asterisk.core.channels.values()),
            held=held(self._joined),
            callers=frozenset(caller.line.id for caller in self.callers if caller.expects_to_be_connected),
            left=left,
        )

    def _left(self) -> dict[str, int]:
        core, [pbx] = self._asterisk.core, self._joined.pbxs
        return {
            "callers": len(self.callers),
            "channels": len(core.channels),
            "bridges": len(core.bridges),
            "legs": len(pbx.switch.legs),
            "FastAGI sessions": len(pbx.fastagi.sessions) + len(self._asterisk.sessions),
            "contacts": len(self._joined.contacts.live),
            **{f"timers ({name})": number for name, number in (self._timers() - self._before).items()},
        }

    def _timers(self) -> Counter[str]:
        return Counter(getattr(call.func, "__qualname__", repr(call.func)) for call in self._reactor.getDelayedCalls())


@implementer(ILogObserver)
class _Failures:
    """Keeps what is logged with a failure, or as critical."""

    def __init__(self, kept: list[str]) -> None:
        self._kept = kept

    def __call__(self, event: LogEvent) -> None:
        failure = event.get("log_failure")
        if failure is not None:
            self._kept.append(f"{formatEvent(event)}: {failure.type.__name__}: {failure.getErrorMessage()}{_where(failure)}")
        elif event.get("log_level") is LogLevel.critical:
            self._kept.append(formatEvent(event))


def _where(failure: Failure) -> str:
    """The innermost place of it."""
    if not failure.frames:
        return ""
    name, file, line, *_ = failure.frames[-1]
    return f" (line {line} of {Path(file).name}, {name})"


def _at_once(work: Deferred[T]) -> T:
    """The result of work that does not wait: so it is with a store in memory, and no time passes between two looks."""
    results: list[T] = []
    work.addCallback(results.append)
    [result] = results
    return result


def _shown(channel: Channel) -> PbxChannel:
    """A channel of the simulated Asterisk, as its ``Status`` would show it."""
    return PbxChannel(
        pbx=PBX,
        id=channel.id,
        up=channel.up,
        bridge=channel.bridge.id if channel.bridge is not None else "",
        application=channel.application,
        contact=channel.variables.get("EC_CONTACT", ""),
        role=channel.variables.get("EC_ROLE", ""),
        agent=channel.variables.get("EC_AG", ""),
    )
