"""A call centre in virtual time: the simulated Asterisk, the daemon's conduct, and the people, joined and let live."""

from __future__ import annotations

import gc
import itertools
import math
import resource
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from easycall.defer import start
from easycall.events import Event
from easycall.lab.day import callers
from easycall.lab.day.arrivals import arrivals
from easycall.lab.day.clerks import Clerk, Clerks
from easycall.lab.day.customers import Customers, people
from easycall.lab.day.machine import Disk, HeldDatabase, HeldDisk, at_once
from easycall.lab.day.plan import DAY_SECONDS, Plan, shift_of
from easycall.lab.day.result import Progress, Result
from easycall.lab.day.site import AMI_PORT, NUMBER, SECRET, Spoken, calling_back, configuration, flows
from easycall.lab.day.watch import Watch
from easycall.lab.layout import shipped
from easycall.outbound.call import CallOut
from easycall.simulator.asterisk import Account, Settings, SimulatedAsterisk
from easycall.simulator.faults import Faults
from easycall.simulator.line import FarEnd, Unreachable
from easycall.simulator.virtual import VirtualReactor
from easycall.simulator.virtual_process import VirtualProcess
from easycall.stats.crash_point import CrashPoint
from easycall.stats.journal import Listener
from easycall.stats.log_file import LogFile
from easycall.store.memory import MemoryDatabase
from easycall.tap import join_conduct, make_conduct
from easycall.verbs import NotNow

__all__ = ["CLOSED", "VirtualCentre"]

T = TypeVar("T")

SLICE_SECONDS = 60.0
"""So often it is told how far it is, and looked whether the invariants are to be checked."""
SOON_SECONDS = 60.0
"""Within which the daemon stands, and has stopped."""
AWAY_SECONDS = (0.2, 20.0)
"""How long there is no daemon when one ends."""
CRASH_SECONDS = 0.25
"""So soon it is noticed that it died."""
CLOSING_SECONDS = 3 * 3600.0
"""So long after the last day everybody has hung up."""
FORGETS_SECONDS = 3600.0
"""Callbacks set their timer so far ahead at most, and it finds nothing then."""
CLOSED = "the last day"
"""Who cancels what is open behind it."""
RIGHTS = Account(SECRET, frozenset({"system", "call", "reporting"}), frozenset({"call", "originate", "reporting"}))
"""Those of etc/asterisk/manager.conf."""


class VirtualCentre:
    """Make one, and :meth:`run` it once."""

    def __init__(self, plan: Plan, faults: Faults | None = None, crash: str = "") -> None:
        """``faults``: what goes wrong between Asterisk and the daemon; nothing unless given.

        ``crash``: at which write to the journal's file the first daemon dies
        (:class:`~easycall.stats.crash_point.CrashPoint`); before it (``7-``) what it sent in that moment does not go out any
        more, after it (``7+``) it does.
        """
        self.plan = plan
        self._crash = crash
        network = self._dice("network")
        latency = (lambda: network.random() * plan.latency) if plan.latency else None
        self.reactor = VirtualReactor(plan.midnight, latency)
        self._random = self._dice("callers")
        self._drawn = 0
        self._numbers = itertools.count()
        self._spoken = Spoken()
        self._disk = Disk()
        self.database = MemoryDatabase()
        self._failures: list[str] = []
        self._listeners: list[Listener] = []
        self._untold: list[tuple[VirtualProcess, int, Event]] = []
        self._restarting = self._dice("restarts")
        self.restarts = 0
        self._make_daemon(CrashPoint(crash, self._dies) if crash else None)
        self._staff = self._hire()
        self.asterisk = self._plug_in(self._spoken, faults)
        self.watch = Watch(self.reactor, self.asterisk, self.joined, self.database, self._failures, plan)
        self.customers = self._move_in()
        self.subscribe(self._staff.hear)
        self.subscribe(self.watch.hear)

    def subscribe(self, listener: Listener) -> None:
        """Call ``listener(sequence, event)`` for each event of every daemon."""
        self._listeners.append(listener)

    def _dice(self, whose: str) -> Random:
        return Random(f"{whose} {self.plan.seed}")  # noqa: S311 - habits, not secrets

    def _make_daemon(self, crash: CrashPoint | None = None) -> None:
        """A new process on the same machine."""
        config, process = configuration(self.plan.agents), VirtualProcess(self.reactor)
        if self.plan.customers:
            config = calling_back(config)
        alive = partial(getattr, process, "alive")
        database = HeldDatabase(self.database, alive)
        log_file = LogFile(HeldDisk(self._disk, alive), process, at_once, crash=crash) if self.plan.kept_days else None
        ids, dice = (lambda: f"c{next(self._numbers):010}"), self._dice(f"links {self.restarts}").random
        made = config, flows(config), process, process, database, self._spoken.sounds, ids, dice
        self.process, self.conduct = process, make_conduct(*made, log_file=log_file)
        self.joined = join_conduct(self.conduct, process, self._failures.append, ())
        self.joined.journal.subscribe(partial(self._hear, process))

    def _dies(self) -> None:
        """In the middle of whatever it does."""
        if self._crash.endswith("-"):
            self.process.drop_unsent()
        self.process.kill()

    def _hear(self, process: VirtualProcess, sequence: int, event: Event) -> None:
        """What a daemon tells counts when it is in the file, which is in the next turn; without a file at once."""
        if not process.alive:
            return
        if self._untold and self._untold[0][0] is not process:  # of one that died in that turn: what it could write
            self._tell([one for one in self._untold if one[1] < sequence])
            self._untold = []
        self._untold.append((process, sequence, event))
        if not self.plan.kept_days:
            self._deliver()
        elif len(self._untold) == 1:
            self.reactor.callLater(0, self._deliver)

    def _deliver(self) -> None:
        if self._untold and self._untold[0][0].alive:
            told, self._untold = self._untold, []
            self._tell(told)

    def _tell(self, told: list[tuple[VirtualProcess, int, Event]]) -> None:
        for _, sequence, event in told:
            for listener in self._listeners:
                listener(sequence, event)

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
        return Clerks(clerks, self.reactor, random)

    def _plug_in(self, spoken: Spoken, faults: Faults | None) -> SimulatedAsterisk:
        settings = Settings(
            ami=AMI_PORT,
            accounts={"easycall": RIGHTS},
            dialplan=(shipped() / "asterisk/extensions.conf").read_text(encoding="utf-8"),
            sounds=spoken.seconds,
        )
        return SimulatedAsterisk(self.reactor, settings, self._outside, faults=faults)

    def _outside(self, dialled: str) -> FarEnd | Unreachable | None:
        return self.customers.phone(dialled) or self._staff.phone(dialled)

    def _move_in(self) -> Customers:
        habits, random = self.plan.habits, self._dice("customers")
        persons = people(self.plan.customers, habits, random)
        return Customers(persons, habits, random, self.reactor, self.watch.callers, self.asterisk.call_in)

    # The days

    def run(self, tell: Callable[[Progress], None] = lambda progress: None) -> Result:
        """Let the days of the plan pass; ``tell`` is called for every minute of them."""
        began = time.monotonic()
        end = self.plan.midnight + self.plan.days * DAY_SECONDS
        with self.watch.observed(), _quiet_memory():
            self._open()
            self._day_begins(self.plan.midnight, end)
            restart = self._next_restart()
            while self.reactor.seconds() < end:
                until = min(restart, end, (self.reactor.seconds() // SLICE_SECONDS + 1) * SLICE_SECONDS)
                self._pass(until - self.reactor.seconds(), tell)
                if self.reactor.seconds() >= restart:
                    self.restart(orderly=self._restarting.random() < 0.5)
                    restart = self._next_restart()
            self._close(tell)
        return self._result(time.monotonic() - began)

    def _next_restart(self) -> float:
        often = self.plan.restarts / DAY_SECONDS
        return self.reactor.seconds() + self._restarting.expovariate(often) if often else math.inf

    def kill(self) -> None:
        """The daemon is dead: nothing that it does has any effect.  What it was at is ended, so nothing is left of it."""
        if self.process.alive:
            self.process.kill()
        self.conduct.let_go()
        start(self.joined.daemon.stopService()).addErrback(lambda failure: None)

    def restart(self, *, orderly: bool) -> None:
        """The daemon ends, in order or as by SIGKILL, and after some seconds there is another one."""
        self._staff.daemon(None)
        if orderly:
            self._now(self.joined.daemon.stopService())
            self.process.kill()
        else:
            self.kill()
        self.restarts += 1
        self.reactor.advance(self._restarting.uniform(*AWAY_SECONDS))
        self._make_daemon()
        self.watch.daemon(self.joined)
        self._start_daemon()
        self._staff.daemon(self.joined.distributor.staff)

    def _pass(self, seconds: float, tell: Callable[[Progress], None]) -> None:
        end = self.reactor.seconds() + seconds
        while self._will_crash and self.reactor.seconds() < end:
            self.reactor.advance(min(CRASH_SECONDS, end - self.reactor.seconds()))
            if not self.process.alive:
                self.restart(orderly=False)
        self.reactor.advance(max(0.0, end - self.reactor.seconds()))
        if self._will_crash or not self.process.alive:
            return  # whoever looks flushes the journal, and so would let it die in the middle of looking
        self.watch.now_and_then()
        figures, passed = self.watch.figures, self.reactor.seconds() - self.plan.midnight
        tell(Progress(passed, figures.arrived, figures.live, self.watch.checks, len(self.watch.violations)))

    @property
    def _will_crash(self) -> bool:
        return bool(self._crash) and not self.restarts

    def _open(self) -> None:
        self._now(self.database.open())
        self._now(self.asterisk.start())
        self._start_daemon()
        self.watch.begin()

    def _start_daemon(self) -> None:
        self.joined.daemon.startService()
        self.reactor.run_until(self._stands_or_is_dead, SOON_SECONDS)

    def _stands_or_is_dead(self) -> bool:
        return not self.process.alive or all(pbx.switch.up for pbx in self.joined.pbxs)

    def _day_begins(self, midnight: float, end: float) -> None:
        """Plan a day's shifts and calls, and the next day."""
        late = self.reactor.seconds() - midnight
        self._staff.day_begins(late)
        moments = [midnight + at for at in arrivals(self.plan.calls, self._random) if late <= at < end - midnight]
        self._next_call(iter(moments))
        for moment in sorted(self._random.random() * DAY_SECONDS for _ in range(self.plan.calls_out)):
            if late <= moment < end - midnight:
                self.reactor.callLater(moment - late, self._call_out)
        if midnight + DAY_SECONDS < end:
            self.reactor.callLater(DAY_SECONDS - late, self._day_begins, midnight + DAY_SECONDS, end)

    def _next_call(self, moments: Iterator[float]) -> None:
        if (moment := next(moments, None)) is not None:
            self.reactor.callLater(moment - self.reactor.seconds(), self._call, moments)

    def _call(self, moments: Iterator[float]) -> None:
        self._next_call(moments)
        if self.plan.customers:
            self.customers.call()
            return
        self._drawn += 1
        temper = callers.draw(self._drawn, self.plan.habits, self._random)
        caller = callers.Caller(temper, self.reactor, self._call_over)
        self.watch.callers.add(caller)
        self.asterisk.call_in(NUMBER, temper.number, temper.name, caller)

    def _call_out(self) -> None:
        """An agent calls a customer."""
        person, [agent, *_] = self.customers.somebody(), self._random.sample(sorted(self.joined.distributor.staff.agents), 2)
        with suppress(NotNow):
            self.conduct.contacts.call(CallOut(agent, person.number, self._random.choice(("sales", "support"))))

    def _call_over(self, caller: callers.Caller) -> None:
        if not caller.expects_to_be_connected:
            self.watch.callers.discard(caller)

    def _close(self, tell: Callable[[Progress], None]) -> None:
        """After the last day: nobody calls any more, and when all have hung up nothing is left."""
        end = self.reactor.seconds() + CLOSING_SECONDS
        self.customers.nobody_calls_again()
        while self.reactor.seconds() < end and (
            self.watch.callers or self.joined.contacts.live or self.conduct.callbacks.live
        ):
            self._cancel_callbacks()
            self._pass(SLICE_SECONDS, tell)
        if self.plan.customers:
            self._pass(FORGETS_SECONDS, tell)
        self._staff.goes_home()
        self._pass(SLICE_SECONDS, tell)
        if not self._will_crash:
            self.watch.at_rest()
        self._crash = ""
        self._now(self.joined.daemon.stopService())
        self._now(self.asterisk.stop())
        self._pass(SLICE_SECONDS, tell)
        self._now(self.database.close())
        self.watch.at_the_end()

    def _cancel_callbacks(self) -> None:
        """Nobody is called back after the last day."""
        for callback in list(self.conduct.callbacks.live):
            with suppress(NotNow):
                self._now(self.conduct.callbacks.cancel(callback, CLOSED))

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
        passed = self.reactor.seconds() - self.plan.midnight
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
