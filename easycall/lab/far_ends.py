"""Who is at the far ends of a simulated PBX's lines: people a program plays, and phones nobody plays."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

from easycall.lab.ear import SILENT_SECONDS, SPEECH_SECONDS, SPEECH_WITHIN, Ear
from easycall.lab.legs import CallOver, FaxMachine, Handset, PhoneCall, PhoneHandset
from easycall.simulator.causes import CONGESTION, REJECTED, TEXT, UNALLOCATED
from easycall.simulator.fax import Machine
from easycall.simulator.line import SILENCE, SPEECH, FarEnd

if TYPE_CHECKING:
    from easycall.lab.simulated import SimulatedWorld

__all__ = ["Nobody", "SimulatedHandset", "SimulatedPhoneHandset", "UnattendedPhone"]

PRESS_SECONDS = 0.1
"""Nobody presses two keys at once."""
UNATTENDED_SECONDS = 2.0
"""After so long a phone nobody plays answers by itself."""
UNATTENDED_SAYS = "1000"
REFUSING = {"24": REJECTED, "25": CONGESTION}
"""The beginnings of numbers that are not put through."""


class SimulatedEar(Ear):
    """What one leg hears: each sound by its name, from the moment it began."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock)
        self._sounds: deque[tuple[float, str]] = deque([(clock.seconds(), SILENCE)], maxlen=500)

    def take(self, sound: str) -> None:
        """From now on it is this sound."""
        self._sounds.append((self._clock.seconds(), sound))

    def _heard(self, since: float) -> list[tuple[str, float]]:
        """The sounds from then on, each with its seconds."""
        began = [at for at, _ in self._sounds]
        ended = [*began[1:], self._clock.seconds()]
        heard = ((sound, end - max(at, since)) for (at, sound), end in zip(self._sounds, ended, strict=True))
        return [(sound, seconds) for sound, seconds in heard if seconds > 0]

    def tone(self, frequency: int) -> bool:
        """The sound that is on the line."""
        return self._sounds[-1][1] == str(frequency)

    def silence(self) -> bool:
        """No sound for long enough not to be a pause."""
        at, sound = self._sounds[-1]
        return sound == SILENCE and self._clock.seconds() - at >= SILENT_SECONDS

    def speech(self) -> bool:
        """The sound that is no tone."""
        heard = self._heard(self._clock.seconds() - SPEECH_WITHIN)
        return sum(seconds for sound, seconds in heard if sound == SPEECH) >= SPEECH_SECONDS

    def longest_gap(self, frequency: int, since: float) -> float:
        """What was heard instead, together."""
        gap = longest = 0.0
        for sound, seconds in self._heard(since):
            gap = 0.0 if sound == str(frequency) else gap + seconds
            longest = max(longest, gap)
        return longest

    def heard_since(self, at: float) -> str:
        """The sounds in words."""
        return ", ".join(f"{seconds:.2f} s of {_named(sound)}" for sound, seconds in self._heard(at)) or "no sound at all"


def _named(sound: str) -> str:
    return f"{sound} Hz" if sound.isdigit() else sound or "silence"


class SimulatedHandset(Handset, FarEnd):
    """The far end of a line of the simulated PBX."""

    def __init__(self, clock: IReactorTime, tone: int | None = None) -> None:
        """``tone``: what is said from the answer on, in Hz."""
        self._clock = clock
        self._ear = SimulatedEar(clock)
        self._tone = tone

    @property
    def id(self) -> str:
        """The PBX's own id of the channel."""
        return self.line.id

    async def press(self, key: str) -> None:
        """Press one key, and release it."""
        self.line.press(key)
        await deferLater(self._clock, PRESS_SECONDS)

    def hang_up(self, cause: int) -> None:
        """Hang up, or give up dialling."""
        self.line.hang_up(cause)

    async def fax(self, machine: FaxMachine) -> None:
        """Start a fax machine; when it is done it hangs up, or we speak again."""

        def done(pages: int) -> None:
            self.line.say(str(self._tone) if self._tone is not None else SILENCE)
            if machine.hangs_up:
                self.line.hang_up()

        self.line.say(SILENCE)
        self.line.start_fax(Machine(machine.file, machine.sends, machine.station, done))

    async def listen(self) -> Ear:
        """What is on the line, and was."""
        return self._ear

    # easycall.simulator.line.FarEnd

    def answered(self) -> None:
        """Say what we have to say."""
        if self._tone is not None:
            self.line.say(str(self._tone))
        self.leg.on_answer()

    def heard_key(self, key: str) -> None:
        """A key of the other side."""
        self.leg.on_key(key)

    def heard(self, sound: str) -> None:
        """Another sound."""
        self._ear.take(sound)
        self.leg.note(f"hears {_named(sound)}")

    def ended(self, cause: int) -> None:
        """The line is down."""
        self.leg.on_end(str(cause), TEXT.get(cause, ""))


class SimulatedPhoneHandset(SimulatedHandset, PhoneHandset):
    """A phone that is played by a world."""

    def __init__(self, world: SimulatedWorld, number: str) -> None:
        super().__init__(world.clock)
        self._world = world
        self._number = number

    async def answer(self, tone: int | None) -> None:
        """Take the call.  Raises CallOver."""
        if self.line.over:
            raise CallOver("the line is down")
        self._tone = tone
        self.line.answer()

    async def told_to_answer(self) -> bool:
        """As the header Call-Info has it."""
        return "answer-after=0" in self.line.header("Call-Info")

    def hang_up(self, cause: int) -> None:
        """Hang up, or refuse the call."""
        if self.line.up:
            self.line.hang_up(cause)
        else:
            self.line.decline(cause)

    def rung(self, caller: str, caller_name: str) -> None:
        """A call arrives."""
        self.line.ring()
        self._world.on_call(PhoneCall(self._world, self, self._number, caller, caller_name))


class UnattendedPhone(FarEnd):
    """A phone that nobody plays: 20xx and 21xx answer after two seconds, 22xx are busy, 23xx ring for ever.

    24xx decline, to 25xx the lines are congested.
    """

    def __init__(self, number: str, clock: IReactorTime) -> None:
        self._number = number
        self._clock = clock
        self._timer: IDelayedCall | None = None

    def rung(self, caller: str, caller_name: str) -> None:
        """Do what the number says."""
        if self._number[:2] in REFUSING:
            self.line.decline(REFUSING[self._number[:2]])
            return
        self.line.ring()
        if self._number.startswith("22"):
            self.line.decline()
        elif not self._number.startswith("23"):
            self._timer = self._clock.callLater(UNATTENDED_SECONDS, self._answer)

    def _answer(self) -> None:
        self.line.answer()
        self.line.say(UNATTENDED_SAYS)

    def ended(self, cause: int) -> None:
        """Given up, or hung up."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()


class Nobody(FarEnd):
    """A number that does not exist at the trunk it was dialled on."""

    def rung(self, caller: str, caller_name: str) -> None:
        """Say so."""
        self.line.decline(UNALLOCATED)
