"""What Asterisk tells of phones: the states of their devices, by which private calls are known."""

from __future__ import annotations

import pytest

from ..wire.stage import SOON, until
from .stage import Stage

QUALIFIED = 8.0
"""Seconds within which Asterisk has looked after a phone that it has just got to know."""


def states(stage: Stage, device: str) -> list[str]:
    """What was told of a device, in that order."""
    changes = [event for event in stage.daemon.events if event.name == "DeviceStateChange"]
    return [event.get("State") for event in changes if event.get("Device") == device]


async def listed(stage: Stage) -> dict[str, str]:
    """The states of all devices."""
    _, *items, _ = await stage.daemon.items("DeviceStateList")
    states = {item.get("Device"): item.get("State") for item in items}
    return {device: state for device, state in states.items() if device.startswith("PJSIP/")}  # not what Bridge left behind


async def idle(stage: Stage, device: str) -> None:
    """Wait until the phone is known to be there and free."""
    limit = stage.reactor.seconds() + QUALIFIED
    while (await listed(stage)).get(device) != "NOT_INUSE":
        assert stage.reactor.seconds() < limit, await listed(stage)
        await stage.daemon.quiet()


@pytest.mark.fact("devices")
@pytest.mark.seconds(60)
async def test_the_daemon_is_told_what_phones_do(stage: Stage) -> None:
    """With its own rights, for each endpoint; a second call shows as ringing in use."""
    device = "PJSIP/2001"
    await idle(stage, device)
    before = await listed(stage)
    for name in sorted(before):
        stage.notes.add(name, "UNAVAILABLE" if name == "PJSIP/unplugged" else "is listed")
    assert before["PJSIP/unplugged"] == "UNAVAILABLE"
    phone = stage.world.phone("2001")
    one = stage.new_leg("agent")
    stage.originate(one, device)
    call = await phone.rings(SOON)
    await until(stage.reactor, lambda: states(stage, device)[-1:] == ["RINGING"], SOON, "it rings")
    await call.answer()
    home = await stage.home.comes(one)
    await until(stage.reactor, lambda: states(stage, device)[-1:] == ["INUSE"], SOON, "it is in use")
    second = stage.new_leg("second agent")
    stage.originate(second, device)
    other = await phone.rings(SOON)
    await until(stage.reactor, lambda: states(stage, device)[-1:] == ["RINGINUSE"], SOON, "it rings besides")
    other.decline()
    await until(stage.reactor, lambda: states(stage, device)[-1:] == ["INUSE"], SOON, "the second call is over")
    call.hang_up()
    assert await home.line() == "HANGUP"
    home.leave()
    await until(stage.reactor, lambda: states(stage, device)[-1:] == ["NOT_INUSE"], SOON, "it is free")
    told = states(stage, device)
    stage.notes.add(device, *told[told.index("RINGING") :])  # that it is free at first may be told again before
