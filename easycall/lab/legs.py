"""The people of the world: a caller, a phone, a call at a phone.  Every wait has an end and says what came instead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, DeferredQueue

from easycall.asterisk.ami import Action
from easycall.asterisk.fastagi import Session, SessionOver
from easycall.asterisk.manager import ActionRefused
from easycall.defer import Bell, first, limited, unattended
from easycall.lab.ear import Ear

if TYPE_CHECKING:
    from easycall.lab.world import World

__all__ = ["Caller", "Leg", "NotSeen", "Phone", "PhoneCall"]

UP = "6"
"""``ChannelState`` of an answered channel."""
NORMAL, BUSY = 16, 17
"""Hang-up causes."""
ANSWER_SECONDS = 1.0
"""Within which Asterisk's AMI tells of an answer its FastAGI has carried out."""
NOOP_SECONDS = 20.0
"""A session without any command is closed after 60 s."""
GONE_SECONDS = 1.0
"""Between the end of a session and the Hangup event, which is missed when the caller left before we knew of the call."""
KEY_SECONDS = 0.3
"""Between two keys pressed in a row: 100 ms of tone, and a pause."""


class NotSeen(AssertionError):
    """What was waited for did not happen.  The text says what did."""


class Leg:
    """One end of a call, on the world's side."""

    def __init__(self, world: World, leg_id: str, who: str) -> None:
        self.id = leg_id
        """The world's own id of the channel (its Uniqueid)."""
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
        self._exists = self._up = False
        self._leaving = 0
        self._over = Bell()
        self._rtp_port = 0

    def __repr__(self) -> str:
        return f"<{self.who}: {self.story}>"

    @property
    def story(self) -> str:
        """What happened to it so far, with the seconds since its beginning."""
        return ", ".join(self._story) or "nothing happened"

    @property
    def exists(self) -> bool:
        """True once the world's Asterisk has made the channel."""
        return self._exists

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
        """The ear at this leg's end of the line.  Raises NotSeen when the call is not answered."""
        await self.answered(ANSWER_SECONDS)
        if not self._rtp_port:
            source = await self._world.variable(self.id, "CHANNEL(rtp,src)")
            self._rtp_port = int(source.rpartition(":")[2] or 0)
        return self._world.ear(self._rtp_port)

    # Doing

    async def press(self, keys: str) -> None:
        """Press keys, one after another."""
        for index, key in enumerate(keys):
            if index:
                await self._world.pause(KEY_SECONDS)
            await self._world.send(Action.of("PlayDTMF", Channel=self.id, Digit=key, Duration="100"))

    def hang_up(self, cause: int = NORMAL) -> None:
        """Hang up, or give up dialling: carried out as soon as the channel exists."""
        self._leaving = cause
        if self._exists and not self.over:
            unattended(self._hang_up(cause))

    async def _hang_up(self, cause: int) -> None:
        with suppress(ActionRefused):  # the other side was faster
            await self._world.send(Action.of("Hangup", Channel=self.id, Cause=str(cause)))

    # What the world's Asterisk tells

    def note(self, what: str) -> None:
        """Add to the story and let those who wait look again."""
        self._story.append(f"{what} at {self._clock.seconds() - self._began:.2f} s")
        self._world.tell(self.who, what)
        for entry in list(self._waiting):
            condition, waiter = entry
            if entry in self._waiting and (self.over or condition()):  # one waiter's story may have ended another's
                self._waiting.remove(entry)
                waiter.callback(None)

    def on_new_channel(self) -> None:
        """The channel exists."""
        self._exists = True
        if self._leaving:
            self.hang_up(self._leaving)

    def on_state(self, state: str, name: str) -> None:
        """The channel's state changed."""
        if state == UP and not self._up:
            self._up = True
            self.note("answered")
        elif not self._up:
            self.note(name.lower())

    def on_key(self, key: str) -> None:
        """A key of the other side arrived whole."""
        self._keys.append(key)
        self.note(f"heard key {key}")

    def on_end(self, cause: str, text: str) -> None:
        """The channel is gone."""
        if not self.over:
            self.cause = cause
            self._over.ring()
            self._world.forget(self, self._rtp_port)
            self.note(f"ended ({cause} {text})")


class Caller(Leg):
    """Someone who has dialled a number of the PBX.  Pressing keys and hearing begin with the answer."""


class PhoneCall(Leg):
    """A call that arrived at a phone: it rings until something is done."""

    def __init__(self, world: World, session: Session) -> None:
        facts = session.variables
        self.number = session.arguments[0]
        """The phone's number."""
        self.caller = facts.get("agi_callerid", "")
        """The number the phone shows."""
        self.caller_name = facts.get("agi_calleridname", "")
        """The name the phone shows."""
        self._session = session
        super().__init__(world, facts["agi_uniqueid"], f"phone {self.number}")
        self._exists = True
        self.note(f"rang for {self.caller}")

    async def answer(self, tone: int | None = 1000) -> None:
        """Take the call, and play a tone of so many Hz to the other side or say nothing.  Raises NotSeen when it is over."""
        try:
            await self._session.answer()
            if tone is not None:
                await self._session.set_music(True, f"tone-{tone}")
        except SessionOver as error:
            raise NotSeen(f"{self.who}: expected to answer, but {error}; saw: {self.story}") from error
        await self.answered(ANSWER_SECONDS)

    async def follow(self) -> None:
        """From the first ring to the end: keep the session open, and end with it even if Asterisk does not tell us."""
        while not self._session.over:
            await first(self._session.when_over(), self._world.pause(NOOP_SECONDS))
            if not self._session.over:
                with suppress(SessionOver):
                    await self._session.noop()
        with suppress(NotSeen):
            await self.ended(GONE_SECONDS)
        self.on_end("", "before we knew of it")

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
