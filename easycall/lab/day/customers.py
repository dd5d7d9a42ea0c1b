"""Customers who call more than once, and have telephones at which they are called back.

Each is at one place: while they call, their telephone is busy.  What the telephones saw is kept, for who compares it with
what the daemon tells.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Protocol

from attrs import define, frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.lab.day.callers import AGENT_VOICE, ENDS_VOICE, MUSIC, WAITS_VOICE
from easycall.lab.day.plan import Habits
from easycall.lab.day.site import ASKING, NUMBER
from easycall.lab.day.watch import Connected
from easycall.simulator.causes import BUSY, REJECTED, UNALLOCATED
from easycall.simulator.line import FarEnd

__all__ = ["CallIn", "Customers", "Person", "Ring", "people"]

PLACES = (("+49302", 6), ("+492212", 6), ("+12122", 6), ("+44207", 7), ("+86106", 7))
"""How numbers begin, and how many digits follow: Berlin, Cologne, New York, London, Beijing."""
NOBODY = ("+4930666", 4)
"""The configuration does not let these be dialled."""
SECOND_TELEPHONE = 500_000
"""By how much a customer's other number is above the first."""
SUBSCRIBER_ABSENT = 20
ASK, YES, ELSEWHERE, SUPPORT = "1", "1", "2", "2"
"""Keys of the flows we ship."""
THINK_SECONDS = 4.0
AGAIN_SECONDS = 12.0
"""A caller for support who hears no music so long after the key presses it again."""
NETWORK_SECONDS = (0.2, 1.5)
"""From the dialling to the ringing."""
HOURS_LATER = (0.01, 4.0)
"""When those call again who do."""


@frozen
class Person:
    """One customer."""

    number: str
    other: str = ""
    """Another telephone of theirs; empty: they have none."""
    withheld: bool = False
    exists: bool = True
    """The number is one that is in use."""

    @property
    def numbers(self) -> tuple[str, ...]:
        """All telephones."""
        return (self.number, self.other) if self.other else (self.number,)


@define
class Ring:
    """A telephone was dialled once."""

    number: str
    leg: str
    began: float
    ended: float = 0.0
    """0: it is not over."""
    answered: float = 0.0


class CallIn(Protocol):
    """A call comes in."""

    def __call__(self, number: str, caller: str, caller_name: str, far: FarEnd) -> object:
        """See :meth:`easycall.simulator.asterisk.SimulatedAsterisk.call_in`."""


def people(number: int, habits: Habits, random: Random) -> list[Person]:
    """So many of them."""
    found = []
    for index in range(number):
        place = NOBODY if random.random() < 0.01 else random.choice(PLACES)
        other = _number(random.choice(PLACES), SECOND_TELEPHONE + index) if random.random() < habits.elsewhere else ""
        withheld, exists = random.random() < habits.withheld, random.random() >= 0.01
        found.append(Person(_number(place, index), other, withheld, exists))
    return found


def _number(place: tuple[str, int], index: int) -> str:
    beginning, digits = place
    return f"{beginning}{index:0{digits}}"


class Customers:
    """All of them."""

    def __init__(
        self,
        persons: list[Person],
        habits: Habits,
        random: Random,
        clock: IReactorTime,
        lines: set[Connected],
        call_in: CallIn,
    ) -> None:
        """``lines``: those who have a line and expect it to stand; ``call_in``: how they call."""
        self.persons = persons
        self.habits = habits
        self.random = random
        self.clock = clock
        self.lines = lines
        self.rings: list[Ring] = []
        """What the telephones saw."""
        self._at = {number: person for person in persons for number in person.numbers}
        self._engaged: set[str] = set()
        self._call_in = call_in
        self._later: set[IDelayedCall] = set()

    def somebody(self) -> Person:
        """Somebody."""
        return self.random.choice(self.persons)

    def call(self, person: Person | None = None) -> None:
        """Somebody calls, or this one; who is on the line already does not."""
        person = person or self.somebody()
        if person.number in self._engaged:
            return
        self._engaged.add(person.number)
        support = self.random.random() < self.habits.support
        far = _CallsIn(self, person, support=support)
        self.lines.add(far)
        self._call_in(NUMBER if support else ASKING, "" if person.withheld else person.number, "", far)

    def calls_again(self, person: Person) -> None:
        """Whoever was not served tries again some time."""

        def again() -> None:
            self._later.discard(call)
            self.call(person)

        call = self.clock.callLater(3600.0 * self.random.uniform(*HOURS_LATER), again)
        self._later.add(call)

    def nobody_calls_again(self) -> None:
        """The days are over."""
        while self._later:
            self._later.pop().cancel()

    def phone(self, dialled: str) -> FarEnd | None:
        """Who is at the far end of ``PJSIP/+4930…@world``; see :data:`easycall.simulator.line.Outside`."""
        person = self._at.get(dialled.partition("/")[2].partition("@")[0])
        return None if person is None else _Telephone(self, person, dialled.partition("/")[2].partition("@")[0])

    def is_engaged(self, person: Person) -> bool:
        """Whether the customer is on a line."""
        return person.number in self._engaged

    def engage(self, person: Person) -> None:
        """The customer is on a line."""
        self._engaged.add(person.number)

    def release(self, person: Person) -> None:
        """The customer is on none."""
        self._engaged.discard(person.number)


class _OnTheLine(FarEnd):
    """What both have in common: patience until an agent is heard, a talk, and the end."""

    def __init__(self, customers: Customers, person: Person) -> None:
        self._customers = customers
        self._person = person
        self._habits, self._random, self._clock = customers.habits, customers.random, customers.clock
        self._timers: list[IDelayedCall] = []
        self._up = self._hung_up = self._talked = self._may_be_ended = False
        self._ends = self._random.random() >= self._habits.agent_ends

    @property
    def expects_to_be_connected(self) -> bool:
        """Has the line, has not hung up, and neither the flow nor an agent may end the call."""
        return self._up and not self._hung_up and not self._may_be_ended and (self._ends or not self._talked)

    def _is_there(self, patience: float) -> None:
        self._up = True
        self.line.say(ENDS_VOICE if self._ends else WAITS_VOICE)
        self._later(patience, self.hang_up)

    def heard(self, sound: str) -> None:
        """An agent's voice: at last."""
        if sound == AGENT_VOICE and not self._talked:
            self._talked = True
            self._stop()
            talk = self._habits.talk * self._random.lognormvariate(0.0, self._habits.talk_spread)
            self._later(talk if self._ends else 10 * self._habits.talk, self.hang_up)

    def hang_up(self) -> None:
        """Hang up."""
        self._hung_up = True
        self.line.hang_up()

    def ended(self, cause: int) -> None:
        """The line is down."""
        self._stop()
        if not self.expects_to_be_connected:
            self._customers.lines.discard(self)

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        self._timers.append(self._clock.callLater(seconds, do))

    def _stop(self) -> None:
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        self._timers.clear()


class _CallsIn(_OnTheLine):
    """A customer calls."""

    def __init__(self, customers: Customers, person: Person, *, support: bool) -> None:
        super().__init__(customers, person)
        self._support = support
        self._asks = not support and self._random.random() < self._habits.asks
        self._elsewhere = bool(person.other) and self._random.random() < self._habits.elsewhere
        self._in_line = False

    def answered(self) -> None:
        """The PBX answers."""
        patience = self._random.expovariate(1 / self._habits.patience)
        self._is_there((1 + 2 * self._support) * THINK_SECONDS + patience)
        if self._support:
            self._later(THINK_SECONDS, self._wants_support)

    def _wants_support(self) -> None:
        if not self._in_line:
            self.line.press(SUPPORT)
            self._later(AGAIN_SECONDS, self._wants_support)

    def heard(self, sound: str) -> None:
        """Music: in line."""
        super().heard(sound)
        if sound == MUSIC and not self._in_line:
            self._in_line = True
            if self._asks:
                self._later(self._random.uniform(3.0, 20.0), self._ask)
        elif sound == MUSIC and not self._talked:
            self._may_be_ended = False
        elif sound and sound != AGENT_VOICE and not self._talked:
            self._may_be_ended = True  # a prompt: a goodbye, perhaps

    def _ask(self) -> None:
        if self._talked:
            return
        self.line.press(ASK)
        if not self._elsewhere:
            self._later(THINK_SECONDS, lambda: self.line.press(YES))
            return
        digits = f"00{self._person.other.removeprefix('+')}#"
        for place, key in enumerate((ELSEWHERE, *digits)):
            self._later(THINK_SECONDS + place * 0.6 + (place > 0) * 2.0, partial(self.line.press, key))
        self._later(2 * THINK_SECONDS + 20.0, lambda: self.line.press(YES))

    def ended(self, cause: int) -> None:
        """The line is down."""
        super().ended(cause)
        self._customers.release(self._person)
        if not self._talked and self._random.random() < self._habits.calls_again:
            self._customers.calls_again(self._person)


class _Telephone(_OnTheLine):
    """A telephone is dialled."""

    def __init__(self, customers: Customers, person: Person, number: str) -> None:
        super().__init__(customers, person)
        self._number = number
        self._has_line = False
        self._ring: Ring | None = None

    def rung(self, caller: str, caller_name: str) -> None:
        """It rings in a moment, and is answered, or not."""
        self._ring = Ring(self._number, self.line.id, self._clock.seconds())
        self._customers.rings.append(self._ring)
        rings = self._random.uniform(*NETWORK_SECONDS)
        self._later(rings, self._reached)

    def _reached(self) -> None:
        """The network has found out."""
        habits, chance = self._habits, self._random.random()
        if not self._person.exists:
            self.line.decline(UNALLOCATED)
        elif self._customers.is_engaged(self._person) or chance < habits.engaged:
            self.line.decline(BUSY)
        elif (chance := chance - habits.engaged) < habits.switched_off:
            self.line.decline(SUBSCRIBER_ABSENT)
        else:
            self.line.ring()
            self._decides(chance - habits.switched_off)

    def _decides(self, chance: float) -> None:
        seconds = self._habits.picks_up * self._random.lognormvariate(0.0, 0.6)
        if chance < self._habits.refuses:
            self._later(seconds, lambda: self.line.decline(REJECTED))
        elif chance >= self._habits.refuses + self._habits.away:
            self._later(seconds, self._pick_up)

    def _pick_up(self) -> None:
        if self._customers.is_engaged(self._person):
            return  # they began to call meanwhile
        self._has_line = True
        self._customers.engage(self._person)
        self.line.answer()

    def answered(self) -> None:
        """The customer is there."""
        if self._ring is not None:
            self._ring.answered = self._clock.seconds()
        self._customers.lines.add(self)
        self._is_there(self._random.expovariate(1 / self._habits.called_patience))

    def ended(self, cause: int) -> None:
        """The line is down."""
        super().ended(cause)
        if self._has_line:
            self._customers.release(self._person)
        if self._ring is not None:
            self._ring.ended = self._clock.seconds()
