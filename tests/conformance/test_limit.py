"""How long a leg may last: Asterisk ends it by itself, wherever it is then."""

from __future__ import annotations

import pytest

from ..wire.stage import SOON
from .stage import Stage

SECONDS = 3.0


def lasted(stage: Stage, began: float) -> None:
    """The end came when it was to come."""
    assert SECONDS - 0.1 <= stage.reactor.seconds() - began < SECONDS + 1.5


@pytest.mark.fact("§3 limit")
async def test_a_leg_at_home_that_may_last_so_long(stage: Stage) -> None:
    caller, leg = await stage.calls()
    began = stage.reactor.seconds()
    stage.notes.answer("AbsoluteTimeout", await stage.daemon.ask("AbsoluteTimeout", Channel=leg.id, Timeout="3"))
    assert await leg.line() == "HANGUP"
    leg.leave()
    await caller.ended(SOON)
    lasted(stage, began)
    await stage.ends(leg.id)


@pytest.mark.fact("§3 limit")
async def test_a_bridge_makes_asterisk_forget_how_long_a_leg_may_last(stage: Stage) -> None:
    """Told again in the bridge it obeys, and goes on to do so when the leg is home again."""
    caller, one = await stage.calls()
    phone, other = await stage.agent()
    await stage.daemon.ask("AbsoluteTimeout", Channel=one.id, Timeout="3")
    await stage.bridge(one.id, other.id)
    one.leave()
    other.leave()
    await stage.world.pause(SECONDS + 1)
    await stage.talk(caller, phone)
    began = stage.reactor.seconds()
    stage.notes.answer("AbsoluteTimeout", await stage.daemon.ask("AbsoluteTimeout", Channel=one.id, Timeout="3"))
    await stage.daemon.ask("Redirect", Channel=one.id, Context="easycall", Exten="s", Priority="1")
    home = await stage.home.comes(one.id)
    assert await home.line() == "HANGUP"
    home.leave()
    await caller.ended(SOON)
    lasted(stage, began)
    agent = await stage.home.comes(other.id)
    phone.hang_up()
    assert await agent.line() == "HANGUP"
    agent.leave()
    await stage.gone(one.id, other.id)


@pytest.mark.fact("§3 limit")
async def test_a_leg_we_dial_that_may_last_so_long(stage: Stage) -> None:
    """From the Originate, not from the answer."""
    began = stage.reactor.seconds()
    phone, leg = await stage.rings(Variable=["EC_ROLE=outside", "TIMEOUT(absolute)=3"])
    await phone.answer()
    home = await stage.home.comes(leg)
    assert await home.line() == "HANGUP"
    home.leave()
    await phone.ended(SOON)
    lasted(stage, began)
    await stage.gone(leg)
