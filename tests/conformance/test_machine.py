"""Facts of a real Asterisk on a real machine: what it costs, what it can be made to do, how long a network takes.

They are reasons for rules of ours; the simulator need not do these things.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ..wire.stage import SOON
from .stage import Stage

BUFFERED = 4_000_000, 6_000_000
"""Bytes that lie between Asterisk and a client that does not read, when Asterisk gives it up."""


def processor_seconds(process: int) -> float:
    """What a process has used of the machine so far."""
    used = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) / 100


@pytest.mark.alone
@pytest.mark.only("asterisk", "a double does not spin")
@pytest.mark.fact("M6")
async def test_half_a_command_costs_a_core(stage: Stage) -> None:
    _, leg = await stage.calls()
    idle = processor_seconds(stage.place.process)
    await stage.world.pause(1)
    before = processor_seconds(stage.place.process)
    leg.send(b"SET VARIABLE ")
    await stage.world.pause(1)
    after = processor_seconds(stage.place.process)
    leg.send(b"EC_STEP menu\n")
    stage.notes.add("said", await leg.reply())
    assert before - idle < 0.2
    assert after - before > 0.3


@pytest.mark.only("asterisk", "a double runs no shell")
@pytest.mark.fact("M8")
async def test_who_owns_the_fastagi_port_owns_the_machine(stage: Stage) -> None:
    """Neither side proves who it is, and EXEC runs any application: with app_system any command."""
    assert (await stage.lab.ask("ModuleLoad", Module="app_system.so", LoadType="load")).ok
    try:
        _, leg = await stage.calls()
        file = stage.place.folder / "made-by-a-leg"
        stage.notes.add("EXEC System", await leg.ask(f'EXEC System "touch {file}"'))
        assert file.exists()
    finally:
        assert (await stage.lab.ask("ModuleLoad", Module="app_system.so", LoadType="unload")).ok


@pytest.mark.only("asterisk", "a double keeps what a client does not read")
@pytest.mark.fact("M20")
async def test_a_client_that_does_not_read_is_given_up_after_megabytes(stage: Stage) -> None:
    """Between one and two times ``writetimeout``, which is 5 s here; what was buffered still arrives."""
    slow, busy = await stage.link("lab", "user"), await stage.link("lab", "system")
    slow.stall(True)
    for number in range(8000):
        action = busy.post("UserEvent", UserEvent="Flood", Body="x" * 900)
        if number % 200 == 199:
            await busy.answer(action)
    await stage.world.pause(11)
    slow.stall(False)
    await slow.is_closed(SOON)
    assert BUFFERED[0] < len(slow.said) < BUFFERED[1]


@pytest.mark.only("asterisk", "a double's phones are there or not")
@pytest.mark.fact("M22")
async def test_a_phone_that_is_gone_and_not_qualified_is_dialled_for_long(stage: Stage) -> None:
    """Until SIP's timer B, 32 s; with qualify Asterisk knows at once (test_originate.py)."""
    leg = stage.new_leg("agent")
    action = stage.originate(leg, f"PJSIP/world/sip:2001@127.0.0.1:{stage.place.nobody}")
    await stage.daemon.event("DialBegin", DestUniqueid=leg)
    await stage.world.pause(4)
    assert not [event for event in stage.daemon.events if event.action_id == action]
    stage.notes.add("after 4 s", (await stage.channels())[leg]["channelstatedesc"])
    assert (await stage.daemon.ask("Hangup", Channel=leg, Cause="16")).ok
    await stage.ends(leg)
