"""Supervisors at home: listening begun by FastAGI, moved by Redirect."""

from __future__ import annotations

import pytest

from easycall.lab.legs import PhoneCall

from ..wire.stage import SOON
from .peers import Leg
from .stage import Stage
from .test_bridge import at_home
from .test_redirect import HOME


async def listens(stage: Stage, spied: str, options: str, tone: int | None = None) -> tuple[PhoneCall, Leg]:
    """A supervisor who has come home and listens to a leg."""
    call, leg = await stage.agent("supervisor", "2002", tone=tone)
    leg.send(f"EXEC ChanSpy {spied},{options}\n".encode())
    await stage.runs(leg.id, "ChanSpy")
    return call, leg


@pytest.mark.fact("§2 listen, whisper, barge")
async def test_listening_at_home_ends_by_a_redirect_and_with_whom_it_hears(stage: Stage) -> None:
    caller, one = await stage.calls(tone=700)
    supervisor, leg = await listens(stage, one.id, "uqE")
    await supervisor.hears(700, SOON)
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=leg.id, **HOME))
    said = [await leg.line(), await leg.line()]
    stage.notes.add("redirected", *said)
    leg.leave()
    again = await at_home(stage, leg.id)
    stage.notes.add("its beginning", await again.ask(f"EXEC ChanSpy {one.id[:-1]},uqE"))
    again.send(f"EXEC ChanSpy {one.id},uqE\n".encode())
    await supervisor.hears(700, SOON)
    caller.hang_up()
    assert await one.line() == "HANGUP"
    one.leave()
    stage.notes.add("ended", await again.reply())
    await stage.gone(one.id)
    await stage.expect(again, "NOOP", "200 result=0")
    stage.notes.add("nobody", await again.ask(f"EXEC ChanSpy {one.id},uqE"))
    await stage.expect(again, "NOOP", "200 result=0")


@pytest.mark.fact("§2 listen, whisper, barge")
async def test_who_listens_goes_with_a_leg_into_a_bridge_and_home_again(stage: Stage) -> None:
    _, one = await stage.calls(tone=None)
    await stage.expect(one, "SET MUSIC on", "200 result=0")
    phone, other = await stage.agent(tone=1000)
    supervisor, leg = await listens(stage, one.id, "uqE")
    await supervisor.hears(440, SOON)
    await stage.bridge(one.id, other.id)
    await supervisor.hears(1000, SOON)
    one.leave()
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=one.id, **HOME))
    again = await at_home(stage, one.id)
    await stage.expect(again, "SET MUSIC on", "200 result=0")
    await supervisor.hears(440, SOON)
    assert not leg.unread()
    phone.hang_up()
