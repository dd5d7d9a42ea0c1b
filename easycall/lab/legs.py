"""The people of the world: a caller, a phone, a call at a phone.  Every wait has an end and says what came instead.

What they do to their calls, and how they listen, is their :class:`Handset`'s: a real Asterisk's or a simulated one's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredQueue

from easycall.defer import Bell, limited
from easycall.lab.ear import Ear

if TYPE_CHECKING:
    from easycall.lab.world import World

__all__ = ["CallOver", "Caller", "FaxMachine", "Handset", "Leg", "NotSeen", "Phone", "PhoneCall", "PhoneHandset"]

NORMAL, BUSY = 16, 17
"""Hang-up causes."""
ANSWER_SECONDS = 1.0
"""Within which the one who answers is told of it himself."""
KEY_SECONDS = 0.3
"""Between two keys pressed in a row: 100 ms of tone, and a pause."""


class NotSeen(AssertionError):
    """What was waited for did not happen.  The text says what did."""


class CallOver(Exception):
    """There is no call any more that could be answered.  The text says why."""


@frozen
class FaxMachine:
    """A fax machine, and what it does when it is started."""

    file: Path
    """A TIFF file: what it sends, or where it puts what it receives."""
    sends: bool = False
    hangs_up: bool = False
    """When it is done it hangs up, as most do; otherwise there is a person on the line again."""
    station: str = "+49 30 77"


class Handset(ABC):
    """What can be done at one end of a call.  It tells its leg what happens there."""

    leg: Leg
    """Set by the leg itself."""

    @property
    @abstractmethod
    def id(self) -> str:
        """The Uniqueid of the channel at this end, or at the PBX's end where there is none here."""

    @abstractmethod
    async def press(self, key: str) -> None:
        """Press one key."""

    @abstractmethod
    def hang_up(self, cause: int) -> None:
        """Hang up with a cause of Q.850, as soon as that is possible."""

    @abstractmethod
    async def fax(self, machine: FaxMachine) -> None:
        """Start a fax machine on an answered call."""

    @abstractmethod
    async def listen(self) -> Ear:
        """What is on the line of an answered call.  Raises LabError when that cannot be heard."""


class PhoneHandset(Handset):
    """One that is rung."""

    @abstractmethod
    async def answer(self, tone: int | None) -> None:
        """Take the call, and play a tone of so many Hz or say nothing.  Raises CallOver."""

    @abstractmethod
    async def told_to_answer(self) -> bool:
        """Whether the call says that the phone shall answer by itself."""


class Leg:
    """One end of a call, on the world's side."""

    def __init__(self, world: World, handset: Handset, who: str) -> None:
        self.who = who
        """Whom we speak of, in messages."""
        self.cause = ""
        """Why it ended: the number of the hang-up cause (16 normal, 17 busy, 19 no answer …), empty until then."""
        self._world = world
        self._clock = world.clock
        self._began = world.clock.seconds()
        self._story: deque[str] = deque(maxlen=50)
        self._keys: deque[str] = deque(maxlen=100)
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []
        self._up = False
        self._over = Bell()
        self._handset = handset
        handset.leg = self

    def __repr__(self) -> str:
        return f"<{self.who}: {self.story}>"

    @property
    def id(self) -> str:
        """The Uniqueid of its channel."""
        return self._handset.id

    @property
    def story(self) -> str:
        """What happened to it so far, with the seconds since its beginning."""
        return ", ".join(self._story) or "nothing happened"

    @property
    def is_up(self) -> bool:
        """True from the answer to the end."""
        return self._up and not self.over

    @property
    def over(self) -> bool:
        """True once it has ended."""
        return self._over.rung

    # Waiting

    async def until(self, condition: Callable[[], bool], seconds: float, expected: str) -> None:
        """Wait until ``condition`` holds; it is asked after each event of the leg.  Raises NotSeen."""
        if condition():
            return
        if not self.over:
            waiter: Deferred[None] = Deferred()
            entry = (condition, waiter)
            self._waiting.append(entry)
            try:
                with suppress(TimeoutError):
                    await limited(waiter, seconds, self._clock)
            finally:
                if entry in self._waiting:
                    self._waiting.remove(entry)
        if not condition():
            raise NotSeen(f"{self.who}: expected {expected} within {seconds:g} s, but saw: {self.story}")

    async def answered(self, seconds: float) -> None:
        """Wait until the call is answered.  Raises NotSeen."""
        await self.until(lambda: self._up, seconds, "an answer")

    async def ended(self, seconds: float) -> str:
        """Wait until the call has ended and give the cause.  Raises NotSeen."""
        await self.until(lambda: self.over, seconds, "the end of the call")
        return self.cause

    async def hears_key(self, key: str, seconds: float) -> None:
        """Wait until the other side's key arrives; keys heard before are used up.  Raises NotSeen."""
        await self.until(lambda: key in self._keys, seconds, f"the key {key}")
        while self._keys.popleft() != key:
            pass

    def forgets_keys(self) -> None:
        """Those heard so far do not count."""
        self._keys.clear()

    async def hears(self, tone: int, seconds: float) -> None:
        """Wait until a pure tone of so many Hz is on the line.  Raises NotSeen."""
        ear = await self.listen()
        self._judge(await ear.hears(lambda: ear.tone(tone), seconds), f"{tone} Hz", seconds)

    async def hears_silence(self, seconds: float) -> None:
        """Wait until nothing is on the line.  Raises NotSeen."""
        ear = await self.listen()
        self._judge(await ear.hears(ear.silence, seconds), "silence", seconds)

    async def hears_speech(self, seconds: float) -> None:
        """Wait until speech (or anything that is no pure tone) is on the line.  Raises NotSeen."""
        ear = await self.listen()
        self._judge(await ear.hears(ear.speech, seconds), "speech", seconds)

    def _judge(self, instead: str | None, expected: str, seconds: float) -> None:
        if instead is not None:
            text = f"expected to hear {expected} within {seconds:g} s, but heard {instead}"
            raise NotSeen(f"{self.who}: {text}; saw: {self.story}")

    async def listen(self) -> Ear:
        """The ear at this leg's end of the line.  Raises NotSeen when the call is not answered, LabError."""
        await self.answered(ANSWER_SECONDS)
        return await self._handset.listen()

    # Doing

    async def press(self, keys: str) -> None:
        """Press keys, one after another."""
        for index, key in enumerate(keys):
            if index:
                await self._world.pause(KEY_SECONDS)
            await self._handset.press(key)

    def hang_up(self, cause: int = NORMAL) -> None:
        """Hang up, or give up dialling."""
        self._handset.hang_up(cause)

    async def starts_fax(self, machine: FaxMachine) -> None:
        """Press the start button of a fax machine."""
        self.note(f"starts a fax machine, which {'sends' if machine.sends else 'receives'}")
        await self._handset.fax(machine)

    # What the handset tells

    def note(self, what: str) -> None:
        """Add to the story and let those who wait look again."""
        self._story.append(f"{what} at {self._clock.seconds() - self._began:.2f} s")
        self._world.tell(self.who, what)
        for entry in list(self._waiting):
            condition, waiter = entry
            if entry in self._waiting and (self.over or condition()):  # one waiter's story may have ended another's
                self._waiting.remove(entry)
                waiter.callback(None)

    def on_answer(self) -> None:
        """The call is answered, by this end or the other."""
        if not self._up:
            self._up = True
            self.note("answered")

    def on_key(self, key: str) -> None:
        """A key of the other side arrived whole."""
        self._keys.append(key)
        self.note(f"heard key {key}")

    def on_end(self, cause: str, text: str) -> None:
        """The call is over."""
        if not self.over:
            self.cause = cause
            self._over.ring()
            self._world.forget(self)
            self.note(f"ended ({cause} {text})")


class Caller(Leg):
    """Someone who has dialled a number of the PBX.  Pressing keys and hearing begin with the answer."""


class PhoneCall(Leg):
    """A call that arrived at a phone: it rings until something is done."""

    def __init__(self, world: World, handset: PhoneHandset, number: str, caller: str, caller_name: str) -> None:
        self.number = number
        """The phone's number."""
        self.caller = caller
        """The number the phone shows."""
        self.caller_name = caller_name
        """The name the phone shows."""
        super().__init__(world, handset, f"phone {number}")
        self._phone = handset
        self.note(f"rang for {caller}")

    async def answer(self, tone: int | None = 1000) -> None:
        """Take the call, and play a tone of so many Hz to the other side or say nothing.  Raises NotSeen when it is over."""
        try:
            await self._phone.answer(tone)
        except CallOver as error:
            raise NotSeen(f"{self.who}: expected to answer, but {error}; saw: {self.story}") from error
        await self.answered(ANSWER_SECONDS)

    async def told_to_answer(self) -> bool:
        """Whether the call says that the phone shall answer by itself."""
        return await self._phone.told_to_answer()

    def decline(self) -> None:
        """Refuse the call: the other side is told "busy"."""
        self.hang_up(BUSY)

    def ignore(self) -> None:
        """Let it ring on: what happens without doing anything, for a story that says so."""


class Phone:
    """A phone of the world, by its number."""

    def __init__(self, world: World, number: str) -> None:
        self.number = number
        self._clock = world.clock
        self._calls: DeferredQueue[PhoneCall] = DeferredQueue(size=100)

    def on_call(self, call: PhoneCall) -> None:
        """A call arrived."""
        self._calls.put(call)

    async def rings(self, seconds: float) -> PhoneCall:
        """Wait for the next call that was not taken note of yet; it may be over by now.  Raises NotSeen."""
        try:
            return await limited(self._calls.get(), seconds, self._clock)
        except TimeoutError:
            raise NotSeen(f"phone {self.number}: expected a call within {seconds:g} s, but it did not ring") from None
