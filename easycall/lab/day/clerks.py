"""Who answers: agents who come and go by their shifts, take breaks, and mostly take their calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.acd.agent import NotNow
from easycall.acd.staff import Staff
from easycall.events import AgentChanged, Event
from easycall.lab.day.callers import AGENT_VOICE, WAITS_VOICE
from easycall.lab.day.plan import DAY_SECONDS, Habits, Shift
from easycall.model import AgentState
from easycall.simulator.line import FarEnd, Unreachable

__all__ = ["Clerk", "Clerks"]

HOUR = 3600.0
NETWORK_SECONDS = (0.02, 0.3)
"""From the dialling to the ringing."""
UNPLUGGED_SECONDS = (60.0, 300.0)
LATE_SECONDS = 240.0
"""So much before or after its hour a shift begins."""
AGAIN_SECONDS = 15.0
"""After a log-in that was refused."""
BACK_SECONDS = (1.0, 20.0)
"""Within which a desktop notices that the daemon is back, and has logged in again."""
LUNCH_FROM_HOURS = 6.0
BREAK = ("break", 600.0)
LUNCH = ("lunch", 1800.0)


class Clerk:
    """One agent: what the person does at the desktop."""

    def __init__(
        self, agent: str, phone: str, shift: Shift, habits: Habits, random: Random, clock: IReactorTime, staff: Staff
    ) -> None:
        self.agent = agent
        self.phone = phone
        self.unplugged_until = 0.0
        self.habits = habits
        self.random = random
        self.clock = clock
        self._shift = shift
        self._staff: Staff | None = staff
        """None while the daemon is away: whatever the desktop asks then is refused."""
        self._works = False
        self._pauses = ""
        self._timer: IDelayedCall | None = None
        self._plans: list[IDelayedCall] = []

    def day_begins(self, late: float = 0.0) -> None:
        """Plan the day, which has begun ``late`` seconds ago."""
        self._plans.clear()
        for begin, end in self._shift.stretches:
            first = max(late, begin * HOUR + self.random.uniform(-LATE_SECONDS, LATE_SECONDS)) - late
            last = min(DAY_SECONDS - 1, end * HOUR + self.random.uniform(0, LATE_SECONDS)) - late
            self._plan(first, self._come)
            self._plan(last, self._go)
            self._plan_breaks(first, last)

    def _plan_breaks(self, first: float, last: float) -> None:
        pauses = [BREAK] * self.habits.breaks
        if last - first >= LUNCH_FROM_HOURS * HOUR:
            pauses.insert(len(pauses) // 2, LUNCH)
        part = (last - first) / (len(pauses) + 1)
        for number, (reason, seconds) in enumerate(pauses, 1):
            begins = first + part * (number + self.random.uniform(-0.25, 0.25))
            self._plan(begins, self._pause, reason)
            self._plan(begins + seconds * self.random.uniform(0.8, 1.2), self._resume)

    def _plan(self, seconds: float, do: Callable[..., None], *words: str) -> None:
        self._plans.append(self.clock.callLater(seconds, do, *words))

    def goes_home(self) -> None:
        """The rest of the day is off."""
        for plan in self._plans:
            if plan.active():
                plan.cancel()
        self._go()

    def daemon(self, staff: Staff | None) -> None:
        """Another daemon is there, or None: whatever it does not know is told again."""
        self._staff = staff
        if staff is None:
            return
        state = staff.agents[self.agent].state
        if self._works and state is AgentState.OFFLINE:
            self._stop()
            self._timer = self.clock.callLater(self.random.uniform(*BACK_SECONDS), self._come)
        elif state is not AgentState.OFFLINE and not self._works:
            staff.log_out(self.agent)
        elif self._works and self._pauses and state is not AgentState.NOT_READY:
            staff.set_state(self.agent, AgentState.NOT_READY, self._pauses)
        elif self._works and state is AgentState.NOT_READY and not self._pauses:
            self._later(self.habits.returns * self.random.uniform(0.5, 2.0))

    def _come(self) -> None:
        try:
            if self._staff is None:
                raise NotNow("the daemon is away")
            self._staff.log_in(self.agent, self.phone)
        except NotNow:  # the last talk of the shift before goes on
            self._plan(AGAIN_SECONDS, self._come)
            return
        self._works = True
        if self._pauses:
            self._staff.set_state(self.agent, AgentState.NOT_READY, self._pauses)
        self._ready()

    def _go(self) -> None:
        if self._works:
            self._works = False
            self._stop()
            if self._staff is not None:
                self._staff.log_out(self.agent)

    def _pause(self, reason: str) -> None:
        if self._works:
            self._pauses = reason
            self._stop()
            if self._staff is not None:
                self._staff.set_state(self.agent, AgentState.NOT_READY, reason)

    def _resume(self) -> None:
        self._pauses = ""
        self._ready()

    def _ready(self) -> None:
        if self._works and not self._pauses and self._staff is not None:
            with suppress(NotNow):
                self._staff.set_state(self.agent, AgentState.READY)

    def sees(self, change: AgentChanged) -> None:
        """The desktop shows a new state of ours."""
        if change.state is AgentState.NOT_READY and change.reason in ("missed", "unreachable"):
            self._later(self.habits.returns * self.random.uniform(0.5, 2.0))
        elif change.state is AgentState.WRAP_UP and self.random.random() < self.habits.ready_early:
            self._later(max(0.0, change.until - change.at) * self.random.random())

    def _later(self, seconds: float) -> None:
        """Be ready after so many seconds, if nothing else comes before."""
        self._stop()
        self._timer = self.clock.callLater(seconds, self._ready)

    def _stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


class DeskPhone(FarEnd):
    """One call at an agent's phone."""

    def __init__(self, clerk: Clerk) -> None:
        self._clerk = clerk
        self._timers: list[IDelayedCall] = []

    def rung(self, caller: str, caller_name: str) -> None:
        """It will ring in a moment, and be answered, refused, or left alone."""
        clerk = self._clerk
        rings = clerk.random.uniform(*NETWORK_SECONDS)
        decides = rings + clerk.habits.answer * clerk.random.lognormvariate(0.0, 0.5)
        chance = clerk.random.random()
        self._later(rings, self.line.ring)
        if chance < clerk.habits.declines:
            self._later(decides, self.line.decline)
        elif chance >= clerk.habits.declines + clerk.habits.misses:
            self._later(decides, self._answer)

    def _answer(self) -> None:
        self.line.say(AGENT_VOICE)
        self.line.answer()

    def heard(self, sound: str) -> None:
        """A caller who leaves the end of the talk to us."""
        if sound == WAITS_VOICE:
            clerk = self._clerk
            self._later(clerk.habits.talk * clerk.random.lognormvariate(0.0, clerk.habits.talk_spread), self.line.hang_up)

    def ended(self, cause: int) -> None:
        """The line is down."""
        for timer in self._timers:
            if timer.active():
                timer.cancel()

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        self._timers.append(self._clerk.clock.callLater(seconds, do))


class Clerks:
    """All agents: their phones, and the desktops that show them their states."""

    def __init__(self, clerks: Mapping[str, Clerk], clock: IReactorTime, random: Random) -> None:
        """``clerks``: agent -> clerk."""
        self._clerks = clerks
        self._by_phone = {clerk.phone: clerk for clerk in clerks.values()}
        self._clock = clock
        self._random = random

    def day_begins(self, late: float = 0.0) -> None:
        """Let everybody plan the day, which has begun ``late`` seconds ago."""
        for clerk in self._clerks.values():
            clerk.day_begins(late)

    def goes_home(self) -> None:
        """The rest of the day is off for everybody."""
        for clerk in self._clerks.values():
            clerk.goes_home()

    def daemon(self, staff: Staff | None) -> None:
        """The daemon is away (None), or another one is there."""
        for clerk in self._clerks.values():
            clerk.daemon(staff)

    def phone(self, dialled: str) -> FarEnd | Unreachable | None:
        """Who is at the far end of ``PJSIP/2001``; see :data:`easycall.simulator.line.Outside`."""
        clerk = self._by_phone.get(dialled.partition("/")[2])
        if clerk is None:
            return None
        now = self._clock.seconds()
        if self._random.random() < clerk.habits.unplugged:
            clerk.unplugged_until = now + self._random.uniform(*UNPLUGGED_SECONDS)
        return Unreachable() if now < clerk.unplugged_until else DeskPhone(clerk)

    def hear(self, sequence: int, event: Event) -> None:
        """The live feed."""
        if isinstance(event, AgentChanged) and (clerk := self._clerks.get(event.agent)) is not None:
            clerk.sees(event)
