"""Asterisk itself ends, by a crash or in good order, and starts again."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectError

from easycall.defer import start

from ..wire.stage import SOON
from .peers import Ami
from .stage import Stage


@pytest.mark.fact("M21")
@pytest.mark.logs_failures  # the world of a real lab ends with it
async def test_a_crash_is_the_end_of_every_connection_and_nothing_is_said(mortal: Stage) -> None:
    """No Hangup, no Shutdown; a leg at home is told HANGUP by nobody, only its connection ends."""
    _, leg = await mortal.calls()
    await mortal.bridged()
    await mortal.daemon.quiet()
    told = len(mortal.daemon.said)
    await mortal.place.crash()
    assert await mortal.daemon.is_closed() < 1
    await leg.is_closed()
    mortal.notes.add("said", bytes(mortal.daemon.said[told:]).decode(), leg.unread().decode())
    assert len(mortal.daemon.said) == told


@pytest.mark.fact("M21")
@pytest.mark.seconds(60)
async def test_a_restart_ends_every_call_and_is_known_by_the_uptime(mortal: Stage) -> None:
    """It waits for the legs we hold at home; then Shutdown is told, and after the log-in FullyBooted with a new uptime."""
    caller, leg = await mortal.calls()
    _, phone, one, other = await mortal.bridged()
    _, ringing = await mortal.rings("third", "2002")
    await mortal.home.close()  # who is parted must not come home and be waited for too
    ended = start(mortal.place.restart(mortal))
    assert await leg.line() == "HANGUP"
    for each in (one.id, other.id, ringing):
        await mortal.daemon.event("Hangup", Uniqueid=each)
    assert not [event for event in mortal.daemon.events if event.name == "Shutdown"]
    assert not mortal.daemon.closed
    leg.leave()
    await mortal.daemon.event("Hangup", Uniqueid=leg.id)
    event = await mortal.daemon.event("Shutdown")
    mortal.notes.add("Shutdown", event.get("Shutdown"), event.get("Restart"))
    for each in (one.id, other.id, ringing, leg.id):
        mortal.life(each)
    await mortal.daemon.is_closed()
    await ended
    mortal.notes.add("the agent is told", await phone.ended(SOON))
    await caller.ended(SOON)
    mortal.daemon = await back(mortal)
    booted = await mortal.daemon.event("FullyBooted", 20)
    assert int(booted.get("Uptime")) <= 2
    mortal.notes.add("left", str(len(await mortal.daemon.items("Status")) - 2))


async def back(stage: Stage) -> Ami:
    """A link with the daemon's rights, as soon as there can be one."""
    began = stage.reactor.seconds()
    while True:
        try:
            link = await stage.connect()
        except (ConnectError, AssertionError):  # one whom the kernel let in while Asterisk went down is never greeted
            assert stage.reactor.seconds() < began + 20, "Asterisk does not come back"
            await stage.world.pause(0.05)
        else:
            answer = await link.ask(
                "Login", Username="easycall", Secret=stage.place.secrets["easycall"], Events="system,call"
            )
            assert answer.ok
            return link
