"""The daemon is away, or hangs: callers and agents live on without it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ..wire.stage import SOON
from .stage import Stage
from .test_bridge import at_home, together
from .test_redirect import HOME

NOTICED = 1.0
"""Seconds within which Asterisk sees that a connection was closed."""
CONNECTS = 2.0
"""Seconds after which Asterisk gives up to connect."""


@pytest.mark.fact("M2")
async def test_nobody_at_the_port_is_a_failure_at_once(stage: Stage) -> None:
    """The caller hears music, and comes home when somebody is there again."""
    caller, leg = await stage.calls()
    await stage.home.close()
    leg.leave()
    assert await stage.runs(leg.id, "MusicOnHold") < NOTICED
    stage.notes.add("AGISTATUS", status := await stage.get(leg.id, "AGISTATUS"))
    assert status == "FAILURE"
    await caller.hears(440, SOON)
    stage.home.open()
    again = await at_home(stage, leg.id)
    await stage.expect(again, "GET VARIABLE AGISTATUS", "200 result=1 (FAILURE)")


@contextmanager
def blackhole(port: int) -> Iterator[None]:
    """A port where connections are neither taken nor refused: its queue is full."""
    with socket.socket() as server, socket.socket() as one, socket.socket() as other:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen(0)
        for filling in (one, other):
            filling.setblocking(False)
            filling.connect_ex(("127.0.0.1", port))
        yield


@pytest.mark.fact("M2")
async def test_a_port_that_swallows_is_a_failure_after_two_seconds(stage: Stage) -> None:
    caller, leg = await stage.calls()
    await stage.home.close()
    with blackhole(stage.place.agi):
        leg.leave()
        waited = await stage.runs(leg.id, "MusicOnHold")
        assert CONNECTS - 0.2 < waited < CONNECTS + 1
        stage.notes.add("AGISTATUS", await stage.get(leg.id, "AGISTATUS"))
    stage.home.open()
    await at_home(stage, leg.id)
    assert caller.is_up


@pytest.mark.fact("M2")
async def test_a_server_that_never_speaks_holds_the_leg(stage: Stage) -> None:
    """Asterisk waits for a command for ever: we must speak or close."""
    caller, leg = await stage.calls()
    await stage.world.pause(3)
    assert not leg.closed
    assert not leg.unread()
    there = (await stage.channels())[leg.id]
    stage.notes.add("listed", there["application"])
    await stage.expect(leg, "NOOP", "200 result=0")
    assert caller.is_up


@pytest.mark.fact("M3")
async def test_a_leg_in_music_by_exec_does_not_notice_that_we_died(stage: Stage) -> None:
    """And a Redirect still fetches it."""
    caller, leg = await stage.calls()
    leg.send(b"EXEC MusicOnHold default\n")
    await caller.hears(440, SOON)
    leg.reset()
    await stage.world.pause(3 * NOTICED)
    assert len(stage.home.legs) == 1
    there = (await stage.channels())[leg.id]
    stage.notes.add("listed", there["application"])
    await caller.hears(440, SOON)
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=leg.id, **HOME))
    await at_home(stage, leg.id)


@pytest.mark.fact("M3", "§4")
@pytest.mark.parametrize(
    "doing",
    ["SET MUSIC on", "WAIT FOR DIGIT 25000", 'STREAM FILE silence/9 ""', "GET DATA silence/9 9000 4"],
    ids=["music", "key", "sound", "keys"],
)
async def test_a_leg_at_home_notices_at_once_that_we_died(stage: Stage, doing: str) -> None:
    caller, leg = await stage.calls()
    leg.send(f"{doing}\n".encode())
    await stage.runs(leg.id, "AGI")
    if doing.startswith("SET"):
        assert await leg.reply() == "200 result=0"
    began = stage.reactor.seconds()
    leg.reset()
    again = await at_home(stage, leg.id)
    stage.notes.add("noticed", "at once" if stage.reactor.seconds() - began < NOTICED else "late")
    await stage.expect(again, "GET VARIABLE AGISTATUS", "200 result=1 (SUCCESS)")
    assert caller.is_up


@pytest.mark.fact("M4", "§4")
async def test_who_waits_longer_than_the_patience_is_served_by_the_fallback(stage: Stage) -> None:
    """Music, then the words that all lines are busy, then the end."""
    caller, leg = await stage.calls()
    await stage.home.close()
    leg.leave()
    await caller.hears(440, SOON)
    await stage.runs(leg.id, "Playback")
    await caller.hears_speech(SOON)
    strands = await stage.ends(leg.id, 15)
    assert strands["state"][-1].startswith("Hangup 16")
    stage.notes.add("the caller is told", await caller.ended(SOON))


@pytest.mark.fact("M4", "§4")
async def test_an_agent_whose_daemon_stays_away_is_released(stage: Stage) -> None:
    phone, leg = await stage.rings(Variable="EC_ROLE=agent")
    await phone.answer()
    visit = await stage.home.comes(leg)
    await stage.home.close()
    visit.leave()
    await stage.ends(leg, 15)
    assert await phone.ended(SOON) == "16"


@pytest.mark.fact("§4", "M18")
async def test_who_talks_talks_on_without_us(stage: Stage) -> None:
    """No daemon, no link: the bridge holds, Status tells of it afterwards, and who is left comes home to the next."""
    caller, phone, one, other = await stage.bridged()
    stage.daemon.reset()
    await stage.home.close()
    await stage.daemon.is_closed()
    await stage.talk(caller, phone)
    stage.daemon = await stage.link()
    stage.home.open()
    assert await together(stage, one.id, other.id)
    phone.hang_up()
    await at_home(stage, one.id)
    assert caller.is_up
