"""Who calls: somebody with something to say, who knows the menu more or less and waits for so long."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from attrs import frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.lab.day.plan import Habits
from easycall.simulator.line import FarEnd

__all__ = ["AGENT_VOICE", "ENDS_VOICE", "WAITS_VOICE", "Caller", "Temper", "draw"]

LONGEST_THOUGHT = 20.0
"""Seconds; the menu says goodbye to who thinks much longer."""

AGAIN_SECONDS = 10.0
"""A caller who hears no music so long after the last key was not understood, and presses it again."""

MUSIC = "440"
"""What a caller hears who waits."""
AGENT_VOICE = "1000"
"""What an agent sounds like."""
ENDS_VOICE = "700"
"""What a caller sounds like who will end the talk."""
WAITS_VOICE = "650"
"""What a caller sounds like who leaves that to the agent."""

SALES, SUPPORT, AGAIN, WRONG = "1", "2", "0", "5"
"""Keys of the flow we ship."""


@frozen
class Temper:
    """What one caller will do, drawn before the call."""

    number: str
    name: str
    keys: tuple[tuple[float, str], ...]
    """So many seconds after the answer or the key before, this key."""
    leaves: float | None
    """Hangs up in the menu, so many seconds after the answer."""
    patience: float
    """Seconds of waiting, counted from the last key."""
    talk: float
    """Seconds of talking."""
    ends: bool
    """Ends the talk."""


def draw(number: int, habits: Habits, random: Random) -> Temper:
    """What the caller of that number is like."""
    key = SUPPORT if random.random() < habits.support else SALES
    think = min(habits.think * random.lognormvariate(0.0, 0.5), LONGEST_THOUGHT)
    first = random.random()
    keys: tuple[tuple[float, str], ...] = ((think, key),)
    if first < habits.wrong_key:
        keys = ((think, WRONG), (habits.think, key))
    elif first < habits.wrong_key + habits.again:
        keys = ((think, AGAIN), (habits.think, key))
    elif first < habits.wrong_key + habits.again + habits.silent:
        keys = ()
    return Temper(
        number="" if random.random() < habits.withheld else f"+4930{number:07}",
        name=f"Caller {number}",
        keys=keys,
        leaves=random.uniform(0.5, 2 * habits.think) if random.random() < habits.leaves_in_menu else None,
        patience=random.expovariate(1 / habits.patience),
        talk=habits.talk * random.lognormvariate(0.0, habits.talk_spread),
        ends=random.random() >= habits.agent_ends,
    )


class Caller(FarEnd):
    """One caller, for one call."""

    def __init__(self, temper: Temper, clock: IReactorTime, over: Callable[[Caller], None]) -> None:
        """``over`` is told when the line is down."""
        self._temper = temper
        self._clock = clock
        self._over = over
        self._timer: IDelayedCall | None = None
        self._not_understood: IDelayedCall | None = None
        self._keys = list(temper.keys)
        self._talks = self._talked = False
        self._hung_up = False

    @property
    def expects_to_be_connected(self) -> bool:
        """The caller has not hung up, and neither the flow's goodbye nor an agent may end the call."""
        temper = self._temper
        return not self._hung_up and (bool(temper.keys) or temper.leaves is not None) and (temper.ends or not self._talked)

    def answered(self) -> None:
        """The PBX answers: the greeting begins."""
        self.line.say(ENDS_VOICE if self._temper.ends else WAITS_VOICE)
        if self._temper.leaves is not None:
            self._later(self._temper.leaves, self.hang_up)
        else:
            self._next_key()

    def _next_key(self) -> None:
        if self._keys:
            self._later(self._keys[0][0], self._press)

    def _press(self) -> None:
        _, key = self._keys.pop(0)
        self.line.press(key)
        if self._keys:
            self._next_key()
        else:
            self._later(self._temper.patience, self.hang_up)
            self._not_understood = self._clock.callLater(AGAIN_SECONDS, self._press_again, key)

    def _hears_words(self) -> None:
        """Behind the last key: a menu again, it seems, as after a daemon that was away; or that all agents are busy."""
        waiting = self._not_understood is not None and self._not_understood.active()
        if self._temper.keys and not self._keys and not self._talked and not waiting:
            self._not_understood = self._clock.callLater(AGAIN_SECONDS, self._press_again, self._temper.keys[-1][1])

    def _press_again(self, key: str) -> None:
        self.line.press(key)
        self._not_understood = self._clock.callLater(AGAIN_SECONDS, self._press_again, key)

    def _understood(self) -> None:
        if self._not_understood is not None and self._not_understood.active():
            self._not_understood.cancel()

    def heard(self, sound: str) -> None:
        """Music: the key was understood.  An agent's voice: at last."""
        if sound in (MUSIC, AGENT_VOICE):
            self._understood()
        elif sound:
            self._hears_words()
        if sound == AGENT_VOICE and not self._talks:
            self._talks = self._talked = True
            if self._temper.ends:
                self._later(self._temper.talk, self.hang_up)
            else:
                self._stop()
        elif sound != AGENT_VOICE and self._talks:
            self._talks = False  # the agent is gone, and the caller waits for the next, or not
            self._later(self._temper.patience, self.hang_up)

    def hang_up(self) -> None:
        """Hang up."""
        self._hung_up = True
        self.line.hang_up()

    def ended(self, cause: int) -> None:
        """The line is down."""
        self._stop()
        self._understood()
        self._over(self)

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        self._stop()
        self._timer = self._clock.callLater(seconds, do)

    def _stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
