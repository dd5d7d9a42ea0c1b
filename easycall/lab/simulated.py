"""A lab without Asterisk: a simulated PBX in this process, on real loopback sockets, and the world around it.

::

    lab = SimulatedLab(folder, reactor)
    await lab.start()
    world = lab.world()
    await world.start()
    …
    await world.stop()
    await lab.stop()

For the daemon nothing is different from a lab of real Asterisks: the ports, the accounts and the shipped dialplan are the
same.  It needs no root, no espeak-ng and no sox; what is on a line is known by name and not listened to.
"""

from __future__ import annotations

import re
import secrets
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorTime

from easycall.lab.far_ends import Nobody, SimulatedHandset, SimulatedPhoneHandset, UnattendedPhone
from easycall.lab.layout import LabError, State, free_block, shipped
from easycall.lab.legs import Caller, PhoneCall
from easycall.lab.tape import WavTape
from easycall.lab.world import Tell, World, unheard
from easycall.simulator.asterisk import Account, Settings, SimulatedAsterisk
from easycall.simulator.devices import AWAY
from easycall.simulator.line import FarEnd, Outside, Unreachable
from easycall.simulator.manager import CLASSES

__all__ = ["SimulatedLab", "SimulatedWorld"]

MUSIC = {"default": "440", "tone-700": "700", "tone-1000": "1000"}
PHONE = re.compile("2[0-5][0-9]{2}")
"""The numbers that are phones."""
NETWORK = "+4930"
"""What stands before them when they are dialled as telephone numbers."""
DESKS = frozenset({"2001", "2002", "2003"})
"""The phones that have an endpoint each, besides that of the world."""
UNPLUGGED = "unplugged"
SILENT_SECONDS = 3.0
"""After so long without sound a phone that talks is given up."""
FAX_SECONDS = 0.5
"""Nobody wants to wait for simulated modems."""
FOLDERS = frozenset({"", "digits", "letters", "phonetic"})
"""Where Asterisk's own sounds are, besides ``silence``."""


def sound_seconds(name: str) -> float | None:
    """How long a sound is: a prompt of ours by its file, ``silence/N`` N seconds, another of Asterisk's own one second.

    None: there is no such file.
    """
    folder, _, sound = name.rpartition("/")
    if folder == "silence" and sound.isdecimal():
        return float(sound)
    if not name.startswith("/"):
        return 1.0 if folder in FOLDERS else None
    try:
        with wave.open(f"{name}.wav", "rb") as file:
            return file.getnframes() / file.getframerate()
    except FileNotFoundError:
        return None


class SimulatedWorld(World):
    """The world of a simulated lab."""

    def __init__(self, lab: SimulatedLab, clock: IReactorTime, *, phones: bool = True, tell: Tell = unheard) -> None:
        """``phones``, ``tell``: as for a real one."""
        super().__init__(clock, tell)
        self._lab = lab
        self._plays_phones = phones

    async def start(self) -> None:
        """Play the lab's phones.  Raises LabError."""
        if not self._lab.up:
            raise LabError("the simulated lab is not up")
        if self._plays_phones:
            if self._lab.player is not None:
                raise LabError("another program plays the phones of this lab")
            self._lab.player = self

    async def _leave(self) -> None:
        if self._lab.player is self:
            self._lab.player = None

    async def dial(self, number: str, caller: str = "+4930123456", *, name: str = "", tone: int | None = None) -> Caller:
        """A call comes in at the PBX."""
        handset = SimulatedHandset(self.clock, tone)
        leg = Caller(self, handset, f"caller {caller}")
        self._legs[leg] = None
        self._lab.asterisk.call_in(number, caller, name, handset)
        return leg

    async def plug_in(self) -> None:
        """The unplugged phone answers to the PBX."""
        self._lab.asterisk.core.devices.set_reachable(UNPLUGGED, True)

    async def pull_plug(self) -> None:
        """It does so no more."""
        self._lab.asterisk.core.devices.set_reachable(UNPLUGGED, False)

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """Phones that talk are given up for their silence."""
        talking = {leg.id for leg in self._legs if isinstance(leg, PhoneCall) and leg.is_up}
        channels = [channel for channel in self._lab.asterisk.core.channels.values() if channel.id in talking]
        timers = [self.clock.callLater(SILENT_SECONDS, channel.die) for channel in channels]
        try:
            yield
        finally:
            for timer in timers:
                if timer.active():
                    timer.cancel()

    def at(self, number: str) -> FarEnd | None:
        """The phone of that number, for one call; None: not ours to play."""
        return SimulatedPhoneHandset(self, number) if number in self._phones else None

    def on_call(self, call: PhoneCall) -> None:
        """A call arrived at a phone of ours."""
        self._legs[call] = None
        self._phones[call.number].on_call(call)


class SimulatedLab:
    """A simulated PBX ``a`` and its outside, in this process."""

    def __init__(
        self,
        folder: Path,
        reactor: Any,
        *,
        outside: Outside | None = None,
        patience: int = 30,
        dialplan: str = "",
    ) -> None:
        """``folder``: of the lab, for prompts; ``reactor``: time and TCP.

        ``outside``: who is at the far end of what is dialled, where that is not a phone of a :class:`SimulatedWorld`.
        ``patience``: seconds a caller waits for a daemon that is away.
        ``dialplan``: contexts besides the shipped ones, as text of an extensions.conf.  Raises LabError.
        """
        names = ("easycall", "lab")
        base = free_block()
        self.state = State("simulated", folder.absolute(), None, base, {name: secrets.token_hex(16) for name in names}, {})
        self.player: SimulatedWorld | None = None
        """Who plays the phones now."""
        self.up = False
        self._reactor = reactor
        self.asterisk = SimulatedAsterisk(reactor, self._settings(patience, dialplan), outside or self._outside)

    def _settings(self, patience: int, dialplan: str) -> Settings:
        ports, words = self.state.ports, self.state.secrets
        read, write = frozenset(("call", "system", "reporting")), frozenset(("call", "originate", "reporting"))
        return Settings(
            ami=ports.a_ami,
            accounts={
                "easycall": Account(words["easycall"], read, write),
                "lab": Account(words["lab"], CLASSES, CLASSES),
            },
            dialplan=(shipped() / "asterisk/extensions.conf").read_text(encoding="utf-8") + dialplan,
            variables={"EASYCALL_AGI": f"agi://127.0.0.1:{ports.agi}/leg", "EASYCALL_PATIENCE": str(patience)},
            music=MUSIC,
            sounds=sound_seconds,
            tape=lambda file: WavTape(str(self.state.folder / "monitor" / file), self._reactor),  # as astspooldir
            endpoints={"world": "Not in use", **dict.fromkeys(sorted(DESKS), "Not in use"), UNPLUGGED: AWAY},
            fax_seconds=FAX_SECONDS,
            page_seconds=FAX_SECONDS,
        )

    async def start(self) -> None:
        """Boot the PBX."""
        await self.asterisk.start()
        self.up = True

    async def stop(self) -> None:
        """End it; nothing of it is left but its folder."""
        self.up = False
        await self.asterisk.stop()

    def world(self, *, phones: bool = True, tell: Tell = unheard) -> SimulatedWorld:
        """The world around it, for :meth:`~easycall.lab.world.World.start`."""
        return SimulatedWorld(self, self._reactor, phones=phones, tell=tell)

    def _outside(self, dialled: str) -> FarEnd | Unreachable | None:
        number, _, endpoint = dialled.removeprefix("PJSIP/").rpartition("@")
        if endpoint == UNPLUGGED:
            return FarEnd() if self.asterisk.core.devices.is_reachable(UNPLUGGED) else Unreachable()
        if endpoint in DESKS and not number:
            number = endpoint
        elif endpoint != "world":
            return None
        number = number.removeprefix(NETWORK)
        if not PHONE.fullmatch(number):
            return Nobody()
        played = self.player.at(number) if self.player is not None else None
        return played or UnattendedPhone(number, self._reactor)
