"""The world around the PBX, on both: callers, phones, and what reaches them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Protocol, ServerFactory

from easycall.asterisk.ami import Action, Message
from easycall.asterisk.fastagi import FastAgiFactory, Session
from easycall.asterisk.manager import Account, ActionRefused, Manager
from easycall.defer import Bell
from easycall.lab.layout import LabError, State
from easycall.lab.legs import NotSeen

from .ground import PATIENCE, Worlds, up


class Ground:
    """A lab without a daemon: its world, and its PBX over AMI with the account the daemon gets."""

    def __init__(self, state: State, worlds: Worlds) -> None:
        self.state = state
        self.worlds = worlds
        self.world = worlds()
        self._up = Bell()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", state.ports.a_ami)
        account = Account("easycall", state.secrets["easycall"])
        self.ami = Manager("a", endpoint, account, reactor, events={}, connected=self._connected, lost=lambda reason: None)

    async def _connected(self) -> None:
        self._up.ring()

    async def open(self) -> None:
        await self.world.start()
        await self.ami.start()
        await self._up.wait()

    async def close(self) -> None:
        await self.ami.stop()
        await self.world.stop()

    async def channels(self) -> list[Message]:
        """The PBX's channels, with the dialled number as the dialplan keeps it."""
        listed = await self.ami.collect(Action.of("Status", Variables="EC_DNIS"))
        return [item for item in listed if item.name == "Status"]

    async def rung(self, channel: str, leg: str, *variables: str) -> None:
        """Let the PBX ring a phone, as the daemon does."""
        await self.ami.send(
            Action.of(
                "Originate",
                Channel=channel,
                ChannelId=leg,
                Context="easycall",
                Exten="s",
                Priority="1",
                CallerID='"Bob" <+4930123456>',
                Async="true",
                Variable=variables,
            )
        )

    async def all_hung_up(self) -> None:
        """Hang up every leg of the PBX until none is left: a Hangup right behind an Originate finds none yet."""
        limit = time.monotonic() + 3
        while legs := await self.channels():
            assert time.monotonic() < limit, legs
            for leg in legs:
                with contextlib.suppress(ActionRefused):
                    await self.ami.send(Action.of("Hangup", Channel=leg.get("Uniqueid")))


@pytest_twisted.async_yield_fixture
async def ground(pbx: State | Path) -> AsyncIterator[Ground]:
    async with up(pbx) as (state, worlds):
        ground = Ground(state, worlds)
        await ground.open()
        yield ground
        await ground.close()


async def test_without_a_daemon_the_caller_hears_music_and_then_the_fallback(ground: Ground) -> None:
    caller = await ground.world.dial("+49 30,95588".replace(" ", ""), "+4930123456")
    await caller.answered(3)
    await caller.hears(440, 2)
    [channel] = await ground.channels()
    assert channel.get("Variable") == "EC_DNIS=+493095588"
    assert channel.get("CallerIDNum") == "+4930123456"
    await caller.hears_speech(PATIENCE + 3)
    assert await caller.ended(10) == "16"
    assert await ground.channels() == []


async def test_a_daemon_that_closes_every_connection_counts_as_none(ground: Ground) -> None:
    """It must not make Asterisk connect as fast as it can, nor hold the caller for ever."""

    class Closes(Protocol):
        connections = 0

        def connectionMade(self) -> None:
            Closes.connections += 1
            assert self.transport is not None
            self.transport.loseConnection()

    port = reactor.listenTCP(ground.state.ports.agi, ServerFactory.forProtocol(Closes), interface="127.0.0.1")
    try:
        caller = await ground.world.dial("95588")
        await caller.answered(5)
        await caller.hears_speech(PATIENCE + 4)
        assert 10 < Closes.connections < 20
    finally:
        await maybeDeferred(port.stopListening)


async def test_the_daemon_is_told_the_dialled_number_and_what_the_leg_is_for(ground: Ground) -> None:
    visits: DeferredQueue[Session] = DeferredQueue()
    port = reactor.listenTCP(ground.state.ports.agi, FastAgiFactory(visits.put, reactor), interface="127.0.0.1")
    try:
        caller = await ground.world.dial("95588")
        visit = await visits.get()
        assert visit.arguments[0] == "95588"
        await visit.answer()
        await caller.hears_silence(1)
        await visit.set_variable("EC_ROLE", "caller")
        await ground.ami.send(
            Action.of("Redirect", Channel=visit.variables["agi_uniqueid"], Context="easycall", Exten="s", Priority="1")
        )
        visit = await visits.get()
        assert visit.arguments == ("95588", "caller")
        await visit.set_variable("EC_DONE", "end")
        visit.close()
        assert await caller.ended(2) == "16"
        phone = ground.world.phone("2001")
        await ground.rung("PJSIP/2001@world", "agent-4", "EC_ROLE=agent")
        call = await phone.rings(2)
        await call.answer()
        visit = await visits.get()
        assert (visit.variables["agi_uniqueid"], visit.arguments) == ("agent-4", ("", "agent"))
    finally:
        await maybeDeferred(port.stopListening)
    visit.close()
    assert await call.ended(PATIENCE + 3) == "16"


async def test_calls_withdrawn_at_any_moment_end_in_the_world_too(ground: Ground) -> None:
    phone = ground.world.phone("2002")
    for offset in range(20):
        await ground.rung("PJSIP/2002@world", f"withdrawn-{offset}")
        await ground.world.pause(offset / 1000)
        await ground.all_hung_up()
    for _ in range(20):
        with contextlib.suppress(NotSeen):
            call = await phone.rings(0)
            await call.ended(2)


async def test_caller_and_phone_talk(ground: Ground) -> None:
    ana = ground.world.phone("2001")
    bob = await ground.world.dial("95588", tone=700)
    await bob.answered(3)
    await bob.hears(440, 2)
    [at_home] = await ground.channels()
    await ground.rung("PJSIP/2001@world", "agent-1")
    call = await ana.rings(3)
    assert (call.caller, call.caller_name) == ("+4930123456", "Bob")
    await call.answer()
    await call.answered(2)
    await call.hears(440, 2)
    await ground.ami.send(Action.of("Bridge", Channel1=at_home.get("Uniqueid"), Channel2="agent-1"))
    await bob.hears(1000, 1)
    await call.hears(700, 1)
    await call.press("5#")
    await bob.hears_key("5", 2)
    await bob.hears_key("#", 2)
    await bob.press("1")
    await call.hears_key("1", 2)
    call.hang_up()
    assert await call.ended(2) == "16"
    await bob.hears(440, 2)
    bob.hang_up()
    assert await bob.ended(2) == "16"


async def test_phones_decline_ring_on_and_are_given_up(ground: Ground) -> None:
    ana, bea = ground.world.phone("2001"), ground.world.phone("2301")
    await ground.rung("PJSIP/2001@world", "agent-2")
    declined = await ana.rings(3)
    declined.decline()
    assert await declined.ended(2) == "17"
    await ground.rung("PJSIP/2301@world", "agent-3")
    ringing = await bea.rings(3)
    ringing.ignore()
    [leg] = await ground.channels()
    await ground.ami.send(Action.of("Hangup", Channel=leg.get("Uniqueid")))
    await ringing.ended(2)
    assert not ringing.is_up
    with pytest.raises(NotSeen, match=r"phone 2001: expected a call within 0.1 s, but it did not ring"):
        await ana.rings(0.1)


async def test_phones_nobody_plays_do_what_their_number_says(ground: Ground) -> None:
    """Answering after two seconds, busy, ringing for ever, unallocated, unplugged, unknown."""
    phones = ["2101@world", "2201@world", "2301@world", "2901@world", "2101@unplugged", "2101@nowhere"]
    states: dict[str, list[str]] = {phone: [] for phone in phones}
    for phone in phones:
        await ground.rung(f"PJSIP/{phone}", phone.replace("@", "-"))
    for _ in range(13):
        for channel in await ground.channels():
            seen = states[channel.get("Uniqueid").replace("-", "@")]
            if (state := channel.get("ChannelStateDesc")) not in (*seen, "Down"):
                seen.append(state)
        await ground.world.pause(0.2)
    assert states.pop("2201@world") in ([], ["Ringing"])  # for a moment, which we see or not
    assert states == {
        "2101@world": ["Ringing", "Up"],
        "2301@world": ["Ringing"],
        "2901@world": [],
        "2101@unplugged": [],
        "2101@nowhere": [],
    }
    left = await ground.channels()
    assert {channel.get("Uniqueid") for channel in left} == {"2101-world", "2301-world"}
    await ground.all_hung_up()


async def test_only_one_program_plays_the_phones(ground: Ground) -> None:
    with pytest.raises(LabError, match="another program plays the phones of this lab"):
        await ground.worlds().start()
    caller_only = ground.worlds(phones=False)
    await caller_only.start()
    await caller_only.stop()


async def test_waiting_in_vain_says_what_came_instead(ground: Ground) -> None:
    caller = await ground.world.dial("95588")
    await caller.answered(3)
    await caller.hears(440, 2)
    with pytest.raises(NotSeen, match=r"expected to hear 1000 Hz within 0.3 s, but heard 0.* s of 440 Hz"):
        await caller.hears(1000, 0.3)
    with pytest.raises(NotSeen, match=r"expected the key 1 within 0.1 s, but saw: .*answered at "):
        await caller.hears_key("1", 0.1)
    caller.hang_up()
    await caller.ended(2)
    with pytest.raises(NotSeen, match=r"expected the key 1 .* ended \(16 "):
        await caller.hears_key("1", 5)
