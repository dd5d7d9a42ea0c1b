"""What the checks stand on: an Asterisk, seen over AMI with few rights and with all, its legs at home, and its world."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from easycall.lab.legs import Caller, PhoneCall
from easycall.lab.world import World

from ..wire.stage import SOON, until
from .notes import Notes, life
from .peers import Ami, Home, Leg


@frozen
class Place:
    """Where an Asterisk is, real or simulated, and what can be done to it."""

    ami: int
    """The port of its AMI."""
    agi: int
    """Where its dialplan looks for FastAGI."""
    nobody: int
    """A port where nobody ever listens."""
    secrets: Mapping[str, str] = field(repr=False)
    """Of the accounts ``easycall``, with the daemon's rights, and ``lab``, with every right."""
    folder: Path
    """Of the lab."""
    world: Callable[[], World]
    """Callers and phones."""
    crash: Callable[[], Awaitable[None]]
    """Let it die without a word."""
    restart: Callable[[Stage], Awaitable[None]]
    """Let it end in good order and start again; waits until it has ended."""
    process: int = 0
    """The process of a real one, 0 of a simulated one."""


class Stage:
    """One check's Asterisk."""

    def __init__(self, place: Place, name: str, reactor: Any) -> None:
        self.place = place
        self.reactor = reactor
        self.notes = Notes(name)
        self.world = place.world()
        self.home = Home(reactor, place.agi)
        self.daemon: Ami
        """An AMI link with the daemon's rights."""
        self.lab: Ami
        """An AMI link with every right."""
        self._links: list[Ami] = []

    async def open(self) -> Stage:
        """Be ready."""
        await self.world.start()
        self.home.open()
        self.lab = await self.link("lab", "system")
        self.daemon = await self.link("easycall")
        return self

    async def close(self) -> None:
        """Everybody leaves, and nothing may be left."""
        await self.world.stop()
        await self.home.empty()
        began = self.reactor.seconds()
        while there := await self.channels():  # a Bridge on its way may make Asterisk forget the first Hangup
            assert self.reactor.seconds() < began + SOON, f"left: {there}"
            for channel in there:
                await self.lab.ask("Hangup", Channel=channel)
            await self.world.pause(0.02)
        await self._disconnect()

    async def abandon(self) -> None:
        """Everybody leaves, with nothing asked of an Asterisk that may have ended."""
        await self.home.empty()
        await self._disconnect()
        await self.world.stop()

    async def _disconnect(self) -> None:
        for link in self._links:
            if not link.closed:
                link.leave()
            await link.is_closed()

    async def connect(self) -> Ami:
        """An AMI connection that has not logged in."""
        link = await Ami.connect(self.reactor, self.place.ami)
        self._links.append(link)
        return link

    async def link(self, user: str = "easycall", classes: str = "system,call") -> Ami:
        """An AMI connection that has logged in."""
        return await (await self.connect()).log_in(user, self.place.secrets[user], classes)

    # Legs

    async def dials(self, label: str = "caller", number: str = "95588", **how: Any) -> tuple[Caller, Leg]:
        """A caller who has come home, not answered."""
        caller = await self.world.dial(number, **how)
        return caller, self._named(await self.home.comes(), label)

    async def calls(self, label: str = "caller", **how: Any) -> tuple[Caller, Leg]:
        """A caller who has come home and was answered."""
        caller, leg = await self.dials(label, **how)
        await self.expect(leg, "ANSWER", "200 result=0")
        await caller.answered(SOON)
        return caller, leg

    def new_leg(self, label: str) -> str:
        """An id for a leg that is to be made."""
        leg = f"ec-{secrets.token_hex(4)}"
        self.notes.call(leg, label)
        return leg

    def originate(self, leg: str, channel: str = "PJSIP/2001@world", link: Ami | None = None, **how: str | list[str]) -> str:
        """Let a leg be made as the daemon does; the ActionID."""
        usual: dict[str, str | list[str]] = {
            "Channel": channel,
            "ChannelId": leg,
            "Context": "easycall",
            "Exten": "s",
            "Priority": "1",
            "Timeout": "20000",
            "Async": "true",
            "CallerID": '"Carl" <+4930123456>',
        }
        return (link or self.daemon).post("Originate", **{**usual, **how})

    async def rings(self, label: str = "agent", number: str = "2001", **how: Any) -> tuple[PhoneCall, str]:
        """A phone that rings for a leg of ours."""
        phone = self.world.phone(number)
        leg = self.new_leg(label)
        answer = await self.daemon.answer(self.originate(leg, f"PJSIP/{number}@world", **how))
        assert answer.ok, answer.block
        call = await phone.rings(SOON)
        event = await self.daemon.event("Newstate", Uniqueid=leg, ChannelStateDesc="Ringing")
        self.notes.call(event.get("Channel"), label)
        return call, leg

    async def agent(self, label: str = "agent", number: str = "2001", tone: int | None = 1000) -> tuple[PhoneCall, Leg]:
        """An agent who has answered and come home."""
        call, leg = await self.rings(label, number)
        await call.answer(tone)
        return call, await self.home.comes(leg)

    async def bridged(self) -> tuple[Caller, PhoneCall, Leg, Leg]:
        """A caller and an agent who talk: the caller, the agent's phone, and their legs' last visits at home."""
        caller, one = await self.calls()
        phone, other = await self.agent()
        await self.bridge(one.id, other.id)
        await self.talk(caller, phone)
        one.leave()
        other.leave()
        return caller, phone, one, other

    async def bridge(self, one: str, other: str) -> None:
        """Join two legs, and wait until they are."""
        before = len(self.daemon.events)
        answer = await self.daemon.ask("Bridge", Channel1=one, Channel2=other, Tone="no")
        assert answer.ok, answer.block

        def entered() -> set[str]:
            events = self.daemon.events[before:]
            return {event.get("Uniqueid") for event in events if event.name == "BridgeEnter"}

        await self.daemon.until(lambda: {one, other} <= entered(), "both have entered a bridge")

    async def talk(self, caller: Caller, phone: PhoneCall) -> None:
        """Each hears the other's keys."""
        await caller.press("5")
        await phone.hears_key("5", SOON)
        await phone.press("7")
        await caller.hears_key("7", SOON)

    def _named(self, leg: Leg, label: str) -> Leg:
        self.notes.call(leg.id, label)
        self.notes.call(leg.facts["agi_channel"], label)
        return leg

    # What is seen

    async def expect(self, leg: Leg, command: str, answer: str, seconds: float = SOON) -> None:
        """Send a command; its answer must be this one, and is noted."""
        said = await leg.ask(command, seconds)
        self.notes.add(command, said)
        assert self.notes.plain(said) == answer, command

    async def ends(self, leg: str, seconds: float = SOON) -> dict[str, list[str]]:
        """Wait until a leg has ended; note its life and give it."""
        await self.daemon.event("Hangup", seconds, Uniqueid=leg)
        await self.daemon.quiet()
        strands = self.life(leg)
        assert strands["state"][0].startswith("Newchannel ")
        assert strands["state"][-1].startswith("Hangup ")
        return strands

    def life(self, leg: str) -> dict[str, list[str]]:
        """Note what the events so far have told of a leg, and give it."""
        strands = life(self.daemon.events, leg)
        for strand in sorted(strands):
            self.notes.add(leg, strand, ", ".join(strands[strand]))
        return strands

    async def channels(self) -> dict[str, dict[str, str]]:
        """Every channel by its Uniqueid, with what Status tells."""
        items = await self.lab.items("Status")
        return {item.get("Uniqueid"): item.fields() for item in items if item.name == "Status"}

    async def gone(self, *legs: str, seconds: float = SOON) -> None:
        """Wait until there are no such legs any more."""
        await self._shown(lambda there: not there.keys() & set(legs), f"{legs} are gone", seconds)

    async def runs(self, leg: str, application: str, seconds: float = SOON) -> float:
        """Wait until a leg is in an application of the dialplan; after how many seconds it was."""
        return await self._shown(
            lambda there: there.get(leg, {}).get("application") == application, f"{leg} in {application}", seconds
        )

    async def _shown(self, condition: Callable[[dict[str, dict[str, str]]], bool], expected: str, seconds: float) -> float:
        began = self.reactor.seconds()
        there = await self.channels()
        while not condition(there):
            assert self.reactor.seconds() < began + seconds, f"not within {seconds:g} s: {expected}; there is {there}"
            there = await self.channels()
        return float(self.reactor.seconds() - began)

    async def get(self, leg: str, name: str) -> str:
        """A variable of a channel, or a function of it."""
        return (await self.lab.ask("Getvar", Channel=leg, Variable=name)).get("Value")

    async def until(self, condition: Callable[[], bool], expected: str, seconds: float = SOON) -> float:
        """Wait until it is so; after how many seconds it was."""
        return await until(self.reactor, condition, seconds, expected)
