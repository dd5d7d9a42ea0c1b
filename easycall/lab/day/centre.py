"""A call centre in virtual time: the simulated Asterisk, the daemon's conduct, and the people, joined and let live."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from easycall.defer import start
from easycall.lab.day import callers
from easycall.lab.day.arrivals import arrivals
from easycall.lab.day.clerks import Clerk, Clerks
from easycall.lab.day.plan import DAY_SECONDS, Plan, shift_of
from easycall.lab.day.result import Progress, Result
from easycall.lab.day.site import AMI_PORT, NUMBER, SECRET, Spoken, configuration, flows
from easycall.lab.day.watch import Watch
from easycall.lab.layout import shipped
from easycall.service import Part
from easycall.simulator.asterisk import Account, Settings, SimulatedAsterisk
from easycall.simulator.faults import Faults
from easycall.simulator.virtual import VirtualReactor
from easycall.store.memory import MemoryDatabase
from easycall.tap import Joined, join_conduct, make_conduct

__all__ = ["VirtualCentre"]

T = TypeVar("T")

MIDNIGHT = 1_800_057_600.0
"""When the first day begins: a midnight, in seconds since the epoch."""
SLICE_SECONDS = 60.0
"""So often it is told how far it is, and looked whether the invariants are to be checked."""
SOON_SECONDS = 60.0
"""Within which the daemon stands, and has stopped."""
CLOSING_SECONDS = 3 * 3600.0
"""So long after the last day everybody has hung up."""
RIGHTS = Account(SECRET, frozenset({"system", "call", "reporting"}), frozenset({"call", "originate", "reporting"}))
"""Those of etc/asterisk/manager.conf."""


class VirtualCentre:
    """Make one, and :meth:`run` it once."""

    def __init__(self, plan: Plan, faults: Faults | None = None) -> None:
        """``faults``: what goes wrong between Asterisk and the daemon; nothing unless given."""
        self.plan = plan
        network = self._dice("network")
        latency = (lambda: network.random() * plan.latency) if plan.latency else None
        self.reactor = VirtualReactor(MIDNIGHT, latency)
        self._random = self._dice("callers")
        self._drawn = 0
        spoken = Spoken()
        database = MemoryDatabase()
        failures: list[str] = []
        self.joined = self._join(database, spoken, failures.append)
        self._staff = self._hire()
        self.asterisk = self._plug_in(spoken, faults)
        self.watch = Watch(self.reactor, self.asterisk, self.joined, database, failures, plan)

    def _dice(self, whose: str) -> Random:
        return Random(f"{whose} {self.plan.seed}")  # noqa: S311 - habits, not secrets

    def _join(self, database: MemoryDatabase, spoken: Spoken, fatal: Callable[[str], None]) -> Joined:
        config, reactor = configuration(self.plan.agents), self.reactor
        numbers = iter(range(1 << 62))
        ids, dice = (lambda: f"c{next(numbers):010}"), self._dice("links").random
        conduct = make_conduct(config, flows(config), reactor, reactor, database, spoken.sounds, ids, dice)
        return join_conduct(conduct, reactor, fatal, [Part("store", database.open, database.close)])

    def _hire(self) -> Clerks:
        random, staff = self._dice("staff"), self.joined.distributor.staff
        clerks = {
            agent.id: Clerk(
                agent.id,
                agent.own_phone,
                shift_of(number, self.plan.agents),
                self.plan.habits,
                random,
                self.reactor,
                staff,
            )
            for number, agent in enumerate(staff.agents.values())
        }
        people = Clerks(clerks, self.reactor, random)
        self.joined.journal.subscribe(people.hear)
        return people

    def _plug_in(self, spoken: Spoken, faults: Faults | None) -> SimulatedAsterisk:
        settings = Settings(
            ami=AMI_PORT,
            accounts={"easycall": RIGHTS},
            dialplan=(shipped() / "asterisk/extensions.conf").read_text(encoding="utf-8"),
            sounds=spoken.seconds,
        )
        return SimulatedAsterisk(self.reactor, settings, self._staff.phone, faults=faults)

    # The days

    def run(self, tell: Callable[[Progress], None] = lambda progress: None) -> Result:
        """Let the days of the plan pass; ``tell`` is called for every minute of them."""
        began = time.monotonic()
        end = MIDNIGHT + self.plan.days * DAY_SECONDS
        with self.watch.observed(), _quiet_memory():
            self._open()
            self._day_begins(MIDNIGHT, end)
            while self.reactor.seconds() < end:
                self._pass(min(SLICE_SECONDS, end - self.reactor.seconds()), tell)
            self._close(tell)
        return self._result(time.monotonic() - began)

    def _pass(self, seconds: float, tell: Callable[[Progress], None]) -> None:
        self.reactor.advance(seconds)
        self.watch.now_and_then()
        figures, passed = self.watch.figures, self.reactor.seconds() - MIDNIGHT
        tell(Progress(passed, figures.arrived, figures.live, self.watch.checks, len(self.watch.violations)))

    def _open(self) -> None:
        self._now(self.asterisk.start())
        self.joined.daemon.startService()
        self.reactor.run_until(lambda: all(pbx.switch.up for pbx in self.joined.pbxs), SOON_SECONDS)
        self.watch.begin()

    def _day_begins(self, midnight: float, end: float) -> None:
        """Plan a day's shifts and calls, and the next day."""
        late = self.reactor.seconds() - midnight
        self._staff.day_begins(late)
        moments = [midnight + at for at in arrivals(self.plan.calls, self._random) if late <= at < end - midnight]
        self._next_call(iter(moments))
        if midnight + DAY_SECONDS < end:
            self.reactor.callLater(DAY_SECONDS - late, self._day_begins, midnight + DAY_SECONDS, end)

    def _next_call(self, moments: Iterator[float]) -> None:
        if (moment := next(moments, None)) is not None:
            self.reactor.callLater(moment - self.reactor.seconds(), self._call, moments)

    def _call(self, moments: Iterator[float]) -> None:
        self._drawn += 1
        temper = callers.draw(self._drawn, self.plan.habits, self._random)
        caller = callers.Caller(temper, self.reactor, self._call_over)
        self.watch.callers.add(caller)
        self.asterisk.call_in(NUMBER, temper.number, temper.name, caller)
        self._next_call(moments)

    def _call_over(self, caller: callers.Caller) -> None:
        if not caller.expects_to_be_connected:
            self.watch.callers.discard(caller)

    def _close(self, tell: Callable[[Progress], None]) -> None:
        """After the last day: nobody calls any more, and when all have hung up nothing is left."""
        end = self.reactor.seconds() + CLOSING_SECONDS
        while self.reactor.seconds() < end and (self.watch.callers or self.joined.contacts.live):
            self._pass(SLICE_SECONDS, tell)
        self._staff.goes_home()
        self._pass(SLICE_SECONDS, tell)
        self.watch.at_rest()
        self._now(self.joined.daemon.stopService())
        self._now(self.asterisk.stop())
        self._pass(SLICE_SECONDS, tell)
        self.watch.at_the_end()

    def _now(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        """Let time pass until ``work`` is done."""
        results: list[Any] = []
        start(work).addBoth(results.append)
        self.reactor.run_until(lambda: results, SOON_SECONDS)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        result: T = results[0]
        return result

    def _result(self, wall: float) -> Result:
        watch, figures = self.watch, self.watch.figures
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
            events=watch.events,
            corrected=figures.corrected,
            checks=watch.checks,
            choices=watch.choices,
            records=watch.records,
            violations=tuple(watch.violations),
            virtual_seconds=passed,
            wall_seconds=wall,
            calls_per_second=figures.arrived / wall,
            times_real_time=passed / wall,
            peak_memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
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
