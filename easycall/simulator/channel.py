"""A channel of the simulated Asterisk: its state, its place in the dialplan, and the thread that walks it.

The thread (:meth:`Channel.run`) runs one application after another.  What happens to a channel meanwhile (it is hung up,
redirected, bridged) is noted on it and the application is interrupted; the thread then looks at what was noted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from easycall.simulator import causes
from easycall.simulator.bridge import Bridge
from easycall.simulator.line import SILENCE, SPEECH, FarEnd, mixed
from easycall.simulator.mixmonitor import MixMonitor

if TYPE_CHECKING:
    from easycall.simulator.core import Core
    from easycall.simulator.fax import Machine
    from easycall.simulator.mixmonitor import Tape

__all__ = ["DOWN", "RING", "RINGING", "STATES", "UP", "Channel", "Failed", "Interrupted", "Place"]

DOWN, RING, RINGING, UP = 0, 4, 5, 6
STATES: Mapping[int, str] = {DOWN: "Down", RING: "Ring", RINGING: "Ringing", UP: "Up"}

Place = tuple[str, str, int]
"""Context, extension and priority."""

KEY_SECONDS = 0.1
"""How long a pressed key sounds; it arrives when it is released."""


TONE_SECONDS = 1.5
"""After so long the tone of a fax machine that calls is recognised."""


class Interrupted(Exception):
    """The channel was hung up, redirected or bridged: its application ends."""


class Failed(Exception):
    """The application gives -1 though the channel is there: in the dialplan that is its end."""


class Channel:
    """One channel.  Where a :class:`~easycall.simulator.line.Line` is asked for, it is this."""

    def __init__(self, core: Core, technology: str, far: FarEnd, *, uniqueid: str = "") -> None:
        self.core = core
        self.far = far
        self.name = core.new_channel_name(technology)
        self.id = uniqueid or core.new_uniqueid()
        self.linkedid = self.id
        self.state = DOWN
        self.caller = self.caller_name = ""
        self.connected = ("", "")
        self.dnid = ""
        self.context, self.extension, self.priority = "default", "s", 1
        self.application = self.data = ""
        self.variables: dict[str, str] = {}
        self.bridge: Bridge | None = None
        self.began = core.now()
        self.music = ""
        """The class of the music under it, or nothing."""
        self.playing = ""
        """The sound file that is being played to it."""
        self.takes: list[Tape] = []
        """Files that what its far end says is written to."""
        self.recordings: dict[str, MixMonitor] = {}
        self.spies: list[tuple[Channel, str]] = []
        """Who listens to it, and how: with ``w`` it hears them, with ``B`` both sides do."""
        self.spying_on: Channel | None = None
        self.spied: Deferred[None] = Deferred()
        """Fires when whom it listens to has ended."""
        self.far_sound = SILENCE
        """What its far end says."""
        self.keys: deque[str] | None = None
        """Keys pressed for an application that reads them; None when none does."""
        self.machine: Machine | None = None
        """The fax machine that was started at its far end."""
        self.machine_waiters: list[Deferred[None]] = []
        self._tone: IDelayedCall | None = None
        self._limit: IDelayedCall | None = None
        self.cause = 0
        """Why it was hung up."""
        self.hung_up = False
        self.over = False
        self.hears = SILENCE
        self._left = False
        """The far end hung up."""
        self._goto: Place | None = None
        self._taken = False
        self._waiters: list[Deferred[None]] = []
        self._key_waiters: list[Deferred[None]] = []
        core.channels[self.id] = self
        far.line = self

    def __repr__(self) -> str:
        return f"<{self.name} {self.id}>"

    # The thread

    async def run(self, place: Place, application: tuple[str, str] | None = None) -> None:
        """Walk the dialplan from there until the channel is hung up or the dialplan ends.

        ``application``: run this one instead, and walk only if the channel is redirected out of it.
        """
        self.go(place)
        self.application = self.data = ""
        if application is not None:
            await self._run(*application)
            if not self.interrupted:
                self.hang_up_soft(causes.UNKNOWN)
        while not self.hung_up:
            if self._goto is not None:
                self.context, self.extension, self.priority = self._goto
                self._goto = None
                self._leave_bridge()
                self.set_music("")
            if self._taken or self.bridge is not None:
                await self._stay_in_bridge()
                continue
            step = self.core.dialplan.step(self.context, self.extension, self.priority)
            if step is None:
                break
            place = self.place
            await self._run(step.application, step.data(self.lookup))
            if self.hung_up and self.bridge is None:
                self.core.tell("call", "SoftHangupRequest", self, [("Cause", str(self.cause))])
            elif self.place == place:
                self.priority += 1
        if not self.hung_up:
            self.cause = causes.NORMAL
        self._leave_bridge()
        self.finish()

    async def _run(self, application: str, data: str) -> None:
        try:
            await self.core.run_application(self, application, data)
        except Interrupted:
            pass  # who runs applications looks at what was noted
        except Failed:
            self.hang_up_soft(causes.UNKNOWN)
        self.application = self.data = ""

    async def _stay_in_bridge(self) -> None:
        """From a Bridge that took it until it leaves alive; then it goes on behind the application it was in."""
        self._taken = False
        while self.bridge is not None and not self.interrupted:
            await self.wait_interrupted()

    def _leave_bridge(self) -> None:
        if self.bridge is not None:
            self.bridge.remove(self)

    @property
    def taken(self) -> bool:
        """A Bridge took it out of its application."""
        return self._taken

    @property
    def place(self) -> Place:
        """Where it is in the dialplan."""
        return self.context, self.extension, self.priority

    def go(self, place: Place) -> None:
        """Go on there; an application that runs ends by itself."""
        self.context, self.extension, self.priority = place

    def redirect(self, place: Place) -> None:
        """Leave what it is in and go on there."""
        self._goto = place
        self.interrupt()

    def hang_up_soft(self, cause: int) -> None:
        """Let it be hung up."""
        if not self.hung_up:
            self.hung_up, self.cause = True, cause
        self.interrupt()

    def limit(self, seconds: float) -> None:
        """Be hung up in so many seconds; 0: not by itself."""
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        self._limit = self.core.later(seconds, self.hang_up_soft, causes.UNKNOWN) if seconds else None

    # Waiting, for applications

    def interrupt(self) -> None:
        """Something was noted that its thread must look at."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.called:
                waiter.errback(Interrupted())

    @property
    def interrupted(self) -> bool:
        """Something is noted: an application must not begin to wait."""
        return self.hung_up or self._goto is not None or self._taken

    def check(self) -> None:
        """Raises Interrupted when something is noted."""
        if self.interrupted:
            raise Interrupted

    async def wait(self, event: Deferred[None], *, anyway: bool = False) -> None:
        """Wait for something, unless interrupted (then Interrupted is raised).

        ``anyway``: what was noted up to now does not count.
        """
        if not anyway:
            self.check()
        self._waiters.append(event)
        try:
            await event
        finally:
            if event in self._waiters:
                self._waiters.remove(event)

    async def wait_interrupted(self) -> None:
        """Wait until something is noted; does not raise."""
        with suppress(Interrupted):
            await self.wait(Deferred())

    async def sleep(self, seconds: float) -> None:
        """Let time pass.  Raises Interrupted."""
        over: Deferred[None] = Deferred()
        timer = self.core.later(seconds, over.callback, None)
        try:
            await self.wait(over)
        finally:
            if timer.active():
                timer.cancel()

    async def read_key(self, seconds: float) -> str:
        """The next key pressed, ``""`` when none comes in time.  Raises Interrupted."""
        mine = self.keys is None
        keys = self.keys = deque() if self.keys is None else self.keys
        try:
            if not keys and seconds > 0:
                pressed: Deferred[None] = Deferred()
                timer = self.core.later(seconds, pressed.callback, None)
                self._key_waiters.append(pressed)
                try:
                    await self.wait(pressed)
                finally:
                    self._key_waiters.remove(pressed)
                    if timer.active():
                        timer.cancel()
            return keys.popleft() if keys else ""
        finally:
            if mine:
                self.keys = None

    # easycall.simulator.line.Line: what the far end does

    @property
    def up(self) -> bool:
        """Answered, and not over."""
        return self.state == UP and not self.over and not self._left

    def header(self, name: str) -> str:
        """A header that was added for the phone."""
        return self.variables.get(f"PJSIP_HEADER(add,{name})", "")

    def ring(self) -> None:
        """The phone rings."""
        if self.state == DOWN and not self.over:
            self.set_state(RINGING)

    def answer(self) -> None:
        """The phone is answered."""
        if self.state in (DOWN, RINGING) and not self.over and not self.hung_up:
            self.set_state(UP)
            self.far.answered()
            self.interrupt_dialling()

    def decline(self, cause: int = causes.BUSY) -> None:
        """The phone refuses; a normal clearing of a call that was never up arrives as a refusal."""
        if self.state in (DOWN, RINGING) and not self.over and not self.hung_up:
            cause = causes.REJECTED if cause in (causes.UNKNOWN, causes.NORMAL) else cause
            if self.core.wanted("call", "HangupRequest"):
                self.core.tell("call", "HangupRequest", self, [("Cause", str(cause))])
            self.hung_up, self.cause = True, cause
            self.interrupt_dialling()
            self.interrupt()

    def hang_up(self, cause: int = causes.NORMAL) -> None:
        """The far end hangs up: for itself it is over now, however long the channel is kept (facts M5)."""
        if self.over or self._left:
            return
        self._left = True
        self.far_sound = SILENCE
        if self.core.wanted("call", "HangupRequest"):
            self.core.tell("call", "HangupRequest", self, [("Cause", str(cause))])
        self.hang_up_soft(cause)
        self.interrupt_dialling()
        self.far.ended(cause)

    def die(self) -> None:
        """The far end has been silent for too long: nobody hung up, Asterisk does."""
        if not self.up:
            return
        self._left = True
        self.far_sound = SILENCE
        if self.core.wanted("call", "SoftHangupRequest"):
            self.core.tell("call", "SoftHangupRequest", self, [("Cause", "1")])
        self.hang_up_soft(causes.NO_SOUND)
        self.far.ended(causes.NO_SOUND)

    def press(self, key: str) -> None:
        """The far end presses a key."""
        if self.up:
            self.core.later(KEY_SECONDS, self._pressed, key)

    def say(self, sound: str) -> None:
        """The far end says something else."""
        if self._left:
            return
        self.far_sound = sound
        self.tell_takes()
        self._recorded_sound_changed()
        if self.bridge is not None:
            self.bridge.sounds_changed()
        if self.spying_on is not None:
            self.spying_on.spied_sounds_changed()

    def start_fax(self, machine: Machine) -> None:
        """The far end starts a fax machine; one that calls is heard by who listens for its tone."""
        if not self.up:
            return
        self.machine = machine
        waiters, self.machine_waiters = self.machine_waiters, []
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(None)
        if machine.sends and not waiters:
            self._tone = self.core.later(TONE_SECONDS, self._fax_heard)

    def _fax_heard(self) -> None:
        listens = self.variables.get("FAXOPT(faxdetect)", "no") == "cng"
        if listens and self.up and self.core.dialplan.step(self.context, "fax", 1) is not None:
            self.redirect((self.context, "fax", 1))

    def tell_takes(self) -> None:
        """What its far end says is written from now on."""
        for tape in self.takes:
            tape.hears([self.far_sound] if self.far_sound else [])

    def _pressed(self, key: str) -> None:
        if not self.up:
            return
        self.core.tell_key(self, key, "Received")
        if self.bridge is not None:
            self.bridge.key(self, key)
        elif self.keys is not None:
            self.keys.append(key)
            for waiter in list(self._key_waiters):
                if not waiter.called:
                    waiter.callback(None)

    # What Asterisk does with it

    def set_state(self, state: int) -> None:
        """Change its state and tell."""
        self.state = state
        if self.core.wanted("call", "Newstate"):
            self.core.tell("call", "Newstate", self)
        self.core.dial_state(self)
        self.sound_changed()

    def pick_up(self) -> None:
        """Answer a call that came in."""
        if self.state != UP:
            self.set_state(UP)
            self.far.answered()

    def interrupt_dialling(self) -> None:
        """The phone was answered, refused or given up: who dials it looks."""
        self.core.dialled(self)

    def take(self, bridge: Bridge) -> None:
        """Take it into a bridge, out of whatever it does (AMI ``Bridge``)."""
        if self.bridge is None:
            if self._goto is not None:  # a Redirect that it has not followed is done with
                self.go(self._goto)
                self._goto = None
            self.priority += 1
            self._taken = True
            self.limit(0)  # Asterisk forgets it
        self.set_music("")
        self.hung_up = False
        bridge.add(self)
        self.interrupt()

    def send_key(self, key: str) -> None:
        """A key goes to its far end."""
        self.core.tell_key(self, key, "Sent")
        if not self._left:
            self.far.heard_key(key)

    def set_music(self, music: str) -> None:
        """Begin music of a class under it, or end it."""
        music = music and self.core.music_class(music)
        if music != self.music:
            self.core.tell_music(self, bool(music), music or self.music)
            self.music = music
            self.sound_changed()

    def play(self, sound: str) -> None:
        """Play a sound file to it, or nothing any more."""
        self.playing = sound
        self.sound_changed()

    def sound_changed(self) -> None:
        """Find out what its far end hears now, and tell it if that is something else."""
        sound = self._sound()
        if sound != self.hears:
            self.hears = sound
            self._recorded_sound_changed()
            if not self.over and not self._left:
                self.far.heard(sound)
        for spy, _ in self.spies:
            spy.sound_changed()

    def _recorded_sound_changed(self) -> None:
        for recording in self.recordings.values():
            recording.sound_changed()

    def spied_sounds_changed(self) -> None:
        """Somebody who listens to it came, went or says something else: it may hear that, and who it talks with."""
        self.sound_changed()
        if self.bridge is not None:
            self.bridge.sounds_changed()

    def _whisperers(self) -> Iterator[Channel]:
        """Who listens to it and speaks to it, and who listens to the other one in its bridge of two and speaks to both.

        In a conference there is no other one, and only who is listened to hears such a listener.
        """
        yield from (spy for spy, how in self.spies if "w" in how or "B" in how)
        others = self.bridge.channels if self.bridge is not None and not self.bridge.conference else []
        yield from (spy for other in others if other is not self for spy, how in other.spies if "B" in how)

    def _sound(self) -> str:
        if self.over or self.state != UP:
            return SILENCE
        whispered = next((spy.far_sound for spy in self._whisperers() if spy.far_sound), "")
        if self.bridge is not None and not (self.bridge.conference and self.music):
            return mixed(self.bridge.sound_for(self), whispered)
        if self.playing:
            return SPEECH
        if self.music:
            return self.core.music(self.music)
        spied = self.spying_on
        return whispered if spied is None else spied.hears or spied.far_sound

    def finish(self) -> None:
        """It is gone."""
        if self.over:
            return
        self.over = self.hung_up = True
        if self._tone is not None and self._tone.active():
            self._tone.cancel()
        self.limit(0)
        for spy, _ in self.spies:
            spy.spying_on = None
            if not spy.spied.called:
                spy.spied.callback(None)
        self.spies = []
        for recording in self.recordings.values():
            recording.stop()
        self.core.ended(self)
        if not self._left:
            self.far.ended(self.cause)

    # Variables

    def lookup(self, name: str) -> str:
        """What ``${name}`` is on this channel."""
        return self.core.lookup(self, name)

    def shell(self) -> Channel:
        """What is left where it was when a Bridge took it: with its variables as they are now, and no more to command."""
        shell = copy(self)
        shell.variables = dict(self.variables)
        return shell

    def seconds(self) -> int:
        """For how long there has been this channel."""
        return int(self.core.now() - self.began)

    def headers(self) -> list[tuple[str, str]]:
        """What events tell of a channel."""
        number, name = self.connected
        return [
            ("Channel", self.name),
            ("ChannelState", str(self.state)),
            ("ChannelStateDesc", STATES[self.state]),
            ("CallerIDNum", self.caller or "<unknown>"),
            ("CallerIDName", self.caller_name or "<unknown>"),
            ("ConnectedLineNum", number or "<unknown>"),
            ("ConnectedLineName", name or "<unknown>"),
            ("Language", "en"),
            ("AccountCode", ""),
            ("Context", self.context),
            ("Exten", self.extension),
            ("Priority", str(self.priority)),
            ("Uniqueid", self.id),
            ("Linkedid", self.linkedid),
        ]
