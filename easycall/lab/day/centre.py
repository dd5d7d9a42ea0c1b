"""A call centre in virtual time: the simulated Asterisk, the daemon's conduct, and the people, joined and let live."""

from __future__ import annotations

import gc
import resource
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from easycall.acd.distributor import REFUSED_SECONDS
from easycall.defer import start
from easycall.events import ContactEnded, Event
from easycall.lab.day import callers
from easycall.lab.day.arrivals import arrivals
from easycall.lab.day.clerks import Clerk, Staff
from easycall.lab.day.figures import Figures
from easycall.lab.day.plan import DAY_SECONDS, Plan, shift_of
from easycall.lab.day.site import AMI_PORT, NUMBER, PBX, SECRET, Spoken, configuration, flows
from easycall.lab.evidence import Evidence, PbxChannel, held
from easycall.lab.fairness import Fairness
from easycall.lab.invariants import lasting, violations
from easycall.lab.layout import shipped
from easycall.service import Part
from easycall.simulator.asterisk import Account, Settings, SimulatedAsterisk
from easycall.simulator.faults import Faults
from easycall.simulator.virtual import VirtualReactor
from easycall.stats.record import Record
from easycall.store.contacts import ContactArchive
from easycall.store.memory import MemoryDatabase
from easycall.tap import Joined, join_conduct, make_conduct

__all__ = ["Progress", "Result", "VirtualCentre"]

T = TypeVar("T")

MIDNIGHT = 1_800_057_600.0
"""When the first day begins: a midnight, in seconds since the epoch."""
SLICE_SECONDS = 60.0
"""So often it is looked whether the invariants are to be checked."""
LASTING_SECONDS = 1.0
"""A difference that is there still after so long was no message on its way."""
CLOSING_SECONDS = 3 * 3600.0
"""So long after the last day everybody has hung up."""
RIGHTS = Account(SECRET, frozenset({"system", "call", "reporting"}), frozenset({"call", "originate", "reporting"}))
"""Those of etc/asterisk/manager.conf."""


@frozen
class Progress:
    """How far it is."""

    seconds: float
    """Virtual ones since the beginning."""
    calls: int
    live: int
    checks: int
    violations: int


@frozen
class Result:
    """What came of it.  All but the last four is the same again for the same plan."""

    days: float
    agents: int
    seed: int
    calls: int
    answered: int
    outcomes: dict[str, int]
    offers: dict[str, int]
    average_wait: float
    """Seconds, of the answered."""
    longest_wait: float
    service_level: float
    """The share of those who queued who were answered within 20 s."""
    peak_live: int
    """The most calls at one moment."""
    events: int
    corrected: int
    """Differences between Asterisk and the daemon that were found and mended."""
    checks: int
    """How often all invariants were checked."""
    choices: int
    """How many choices of an agent were judged as to who waited longest."""
    records: int
    """How many records were proved to add up."""
    violations: tuple[str, ...]
    virtual_seconds: float
    wall_seconds: float
    calls_per_second: float
    """Of wall time."""
    times_real_time: float
    peak_memory_mib: float
    """Of the process, ever."""


class VirtualCentre:
    """Make one, :meth:`run` it once."""

    def __init__(self, plan: Plan, faults: Faults | None = None) -> None:
        """``faults``: what goes wrong between Asterisk and the daemon; nothing unless given."""
        self.plan = plan
        network = Random(f"network {plan.seed}")  # noqa: S311 - habits, not secrets
        latency = (lambda: network.random() * plan.latency) if plan.latency else None
        self.reactor = VirtualReactor(MIDNIGHT, latency)
        self._random = Random(f"callers {plan.seed}")  # noqa: S311
        self._figures = Figures()
        self._fairness = Fairness(REFUSED_SECONDS)
        self._callers: set[callers.Caller] = set()
        self._events = 0
        self._ended: list[str] = []
        self._overtaken: list[str] = []
        self._failures: list[str] = []
        self._violations: dict[str, None] = {}
        self._checks = self._records = 0
        self._checked_at = 0
        self._database = MemoryDatabase()
        self._archive = ContactArchive(self._database)
        self.joined = self._join()
        self._staff = self._hire()
        self.asterisk = self._asterisk(faults)

    def _join(self) -> Joined:
        config = configuration(self.plan.agents)
        self._spoken = Spoken()
        numbers = iter(range(1 << 62))
        conduct = make_conduct(
            config,
            flows(config),
            self.reactor,
            self.reactor,
            self._database,
            self._spoken.sounds,
            lambda: f"c{next(numbers):010}",
        )
        store = Part("store", self._database.open, self._database.close)
        joined = join_conduct(conduct, self.reactor, self._failures.append, [store])
        joined.journal.subscribe(self._hear)
        return joined

    def _hire(self) -> Staff:
        random = Random(f"staff {self.plan.seed}")  # noqa: S311
        clerks = {
            agent.id: Clerk(
                agent.id,
                agent.own_phone,
                shift_of(number, self.plan.agents),
                self.plan.habits,
                random,
                self.reactor,
                self.joined.distributor,
            )
            for number, agent in enumerate(self.joined.distributor.agents.values())
        }
        staff = Staff(clerks, self.reactor, random)
        self.joined.journal.subscribe(staff.hear)
        return staff

    def _asterisk(self, faults: Faults | None) -> SimulatedAsterisk:
        settings = Settings(
            ami=AMI_PORT,
            accounts={"easycall": RIGHTS},
            dialplan=(shipped() / "asterisk/extensions.conf").read_text(encoding="utf-8"),
            sounds=self._spoken.seconds,
        )
        return SimulatedAsterisk(self.reactor, settings, self._staff.phone, faults=faults)

    # The days

    def run(self, tell: Callable[[Progress], None] = lambda progress: None) -> Result:
        """Let the days of the plan pass; ``tell`` is called for every minute of them."""
        began = time.monotonic()
        with self._observed(), _quiet_memory():
            self._open()
            before = self._timers()
            end = MIDNIGHT + self.plan.days * DAY_SECONDS
            self._day_begins(end)
            while self.reactor.seconds() < end:
                self.reactor.advance(min(SLICE_SECONDS, end - self.reactor.seconds()))
                self._look_now_and_then()
                tell(self._progress())
            self._close(before)
            tell(self._progress())
        return self._result(time.monotonic() - began)

    def _open(self) -> None:
        self._now(self.asterisk.start())
        self.joined.daemon.startService()
        self.reactor.run_until(lambda: all(pbx.switch.up for pbx in self.joined.pbxs), within=60)

    def _day_begins(self, end: float) -> None:
        """Plan a day's shifts and calls, and the next day."""
        self._staff.day_begins()
        midnight = self.reactor.seconds()
        moments = iter([midnight + at for at in arrivals(self.plan.calls, self._random) if midnight + at < end])
        self._next_call(moments)
        if midnight + DAY_SECONDS < end:
            self.reactor.callLater(DAY_SECONDS, self._day_begins, end)

    def _next_call(self, moments: Iterator[float]) -> None:
        if (moment := next(moments, None)) is not None:
            self.reactor.callLater(max(0.0, moment - self.reactor.seconds()), self._call, moments)

    def _call(self, moments: Iterator[float]) -> None:
        temper = callers.draw(self._figures.arrived + len(self._callers), self.plan.habits, self._random)
        caller = callers.Caller(temper, self.reactor, self._call_over)
        self._callers.add(caller)
        self.asterisk.call_in(NUMBER, temper.number, temper.name, caller)
        self._next_call(moments)

    def _call_over(self, caller: callers.Caller) -> None:
        if not caller.expects_to_be_connected:
            self._callers.discard(caller)

    def _close(self, before: Counter[str]) -> None:
        """After the last day: nobody calls any more, and when all have hung up nothing is left."""
        end = self.reactor.seconds() + CLOSING_SECONDS
        while self.reactor.seconds() < end and (self._callers or self.joined.contacts.live):
            self.reactor.advance(SLICE_SECONDS)
            self._look_now_and_then()
        self.reactor.advance(SLICE_SECONDS)
        self._look(self._left(self._timers() - before))
        self._now(self.joined.daemon.stopService())
        self._now(self.asterisk.stop())
        self.reactor.advance(SLICE_SECONDS)
        self._found(violations(Evidence(left={f"timers ({name}) after the stop": n for name, n in self._timers().items()})))

    def _now(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        """Let time pass until ``work`` is done."""
        results: list[Any] = []
        start(work).addBoth(results.append)
        self.reactor.run_until(lambda: results, within=60)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        result: T = results[0]
        return result

    # What is told

    def _hear(self, sequence: int, event: Event) -> None:
        self._events += 1
        self._figures.take(event)
        if unfair := self._fairness.take(event):
            self._overtaken.append(unfair)
        if isinstance(event, ContactEnded):
            self._ended.append(event.contact)

    @contextmanager
    def _observed(self) -> Iterator[None]:
        """Whatever is logged as a failure meanwhile is a violation."""

        def observe(event: LogEvent) -> None:
            if "log_failure" in event or event.get("log_level") is LogLevel.critical:
                self._failures.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        try:
            yield
        finally:
            globalLogPublisher.removeObserver(observe)

    def _progress(self) -> Progress:
        figures = self._figures
        passed = self.reactor.seconds() - MIDNIGHT
        return Progress(passed, figures.arrived, figures.live, self._checks, len(self._violations))

    # The invariants

    def _look_now_and_then(self) -> None:
        if self._figures.arrived - self._checked_at >= self.plan.check_every:
            self._look({})

    def _look(self, left: dict[str, int]) -> None:
        """Check everything; a difference on the way is looked at again."""
        self._checks += 1
        self._checked_at = self._figures.arrived
        told = self._take_told()
        found = violations(self._seen(left))
        if found:
            self.reactor.advance(LASTING_SECONDS)
            found = lasting(found, violations(self._seen(left)))
        self._found([*violations(told), *found])

    def _found(self, wrong: list[str]) -> None:
        self._violations.update(dict.fromkeys(wrong))

    def _take_told(self) -> Evidence:
        """What was told since the last time, with the records of those who ended; then the store is emptied."""
        self._now(self.joined.journal.flush())
        ended, self._ended = tuple(self._ended), []
        failures, self._failures[:] = tuple(self._failures), []
        overtaken, self._overtaken = tuple(self._overtaken), []
        records = self._now(self._stored(ended))
        self._records += len(records)
        self._now(self._database.clear())
        return Evidence(ended=ended, records=records, failures=failures, overtaken=overtaken)

    async def _stored(self, ended: tuple[str, ...]) -> tuple[Record, ...]:
        found = [await self._archive.record(contact) for contact in dict.fromkeys(ended)]
        return tuple(record for record in found if record is not None)

    def _seen(self, left: dict[str, int]) -> Evidence:
        """What is there at this moment."""
        return Evidence(
            channels=tuple(_shown(channel) for channel in self.asterisk.core.channels.values()),
            held=held(self.joined),
            callers=frozenset(caller.line.id for caller in self._callers if caller.expects_to_be_connected),
            left=left,
        )

    def _left(self, timers: Counter[str]) -> dict[str, int]:
        """What there is though everybody has hung up."""
        pbx = self.joined.pbxs[0]
        return {
            "callers": len(self._callers),
            "channels": len(self.asterisk.core.channels),
            "bridges": len(self.asterisk.core.bridges),
            "legs": len(pbx.switch.legs),
            "FastAGI sessions": len(pbx.fastagi.sessions) + len(self.asterisk.sessions),
            "contacts": len(self.joined.contacts.live),
            **{f"timers ({name})": number for name, number in timers.items()},
        }

    def _timers(self) -> Counter[str]:
        return Counter(getattr(call.func, "__qualname__", repr(call.func)) for call in self.reactor.getDelayedCalls())

    def _result(self, wall: float) -> Result:
        figures = self._figures
        passed = self.reactor.seconds() - MIDNIGHT
        return Result(
            days=self.plan.days,
            agents=self.plan.agents,
            seed=self.plan.seed,
            calls=figures.arrived,
            answered=figures.answered,
            outcomes={outcome.value: figures.outcomes[outcome] for outcome in sorted(figures.outcomes)},
            offers={outcome.value: figures.offers[outcome] for outcome in sorted(figures.offers)},
            average_wait=figures.average_wait,
            longest_wait=figures.longest_wait,
            service_level=figures.service_level,
            peak_live=figures.peak,
            events=self._events,
            corrected=figures.corrected,
            checks=self._checks,
            choices=self._fairness.choices,
            records=self._records,
            violations=tuple(self._violations),
            virtual_seconds=passed,
            wall_seconds=wall,
            calls_per_second=figures.arrived / wall,
            times_real_time=passed / wall,
            peak_memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )


def _shown(channel: Any) -> PbxChannel:
    """A channel of the simulated Asterisk, as AMI would show it."""
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


@contextmanager
def _quiet_memory() -> Iterator[None]:
    """Let Python look for cycles seldom: most of what lives long was made before."""
    gc.collect()
    gc.freeze()
    usual = gc.get_threshold()
    gc.set_threshold(100_000, 50, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
