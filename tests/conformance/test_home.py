"""A leg at home: what Asterisk tells when it comes, and how it ends there."""

from __future__ import annotations

import pytest

from ..wire.stage import SOON
from .peers import Leg
from .stage import Stage

GONE = ["200 result=-1", "HANGUP"]
"""What a leg that waits for a key is told when it is taken away, or hangs up."""
DEAD = "511 Command Not Permitted on a dead channel or intercept routine"


@pytest.mark.fact("§2 waiting")
async def test_what_a_leg_tells_when_it_comes_home(stage: Stage) -> None:
    """The lines of its environment, in their order; the arguments come last."""
    _, leg = await stage.dials(name="Carl")
    for line in leg.environment:
        stage.notes.add(line)
    assert leg.facts["agi_callerid"] == "+4930123456"
    assert leg.facts["agi_calleridname"] == "Carl"
    assert leg.facts["agi_request"] == f"agi://127.0.0.1:{stage.place.agi}/leg"
    assert [line for line in leg.environment if line.startswith("agi_arg_")] == ["agi_arg_1: 95588", "agi_arg_2: "]


@pytest.mark.fact("§2 waiting")
async def test_the_life_of_a_caller_who_is_answered_and_hangs_up(stage: Stage) -> None:
    caller, leg = await stage.calls()
    caller.hang_up()
    assert await leg.line() == "HANGUP"
    leg.leave()
    await stage.ends(leg.id)


@pytest.mark.fact("§2 waiting")
async def test_the_life_of_a_caller_who_gives_up_before_the_answer(stage: Stage) -> None:
    caller, leg = await stage.dials()
    caller.hang_up()
    assert await leg.line() == "HANGUP"
    leg.leave()
    await stage.ends(leg.id)


@pytest.mark.fact("§2 waiting", "M1")
async def test_a_leg_that_shall_go_is_told_so_and_goes(stage: Stage) -> None:
    """EC_DONE, and the end of the session: our own variable ends a call, and nothing else does."""
    caller, leg = await stage.calls()
    await stage.expect(leg, "SET VARIABLE EC_DONE end", "200 result=1")
    leg.leave()
    await stage.ends(leg.id)
    assert await caller.ended(SOON) == "16"


@pytest.mark.fact("M5")
async def test_a_caller_who_hung_up_stays_listed_until_we_close(stage: Stage) -> None:
    caller, leg = await stage.calls()
    leg.send(b"WAIT FOR DIGIT 20000\n")
    await stage.runs(leg.id, "AGI")
    caller.hang_up()
    said = [await leg.line(), await leg.line()]
    assert said == GONE
    assert await leg.ask('STREAM FILE silence/1 ""') == DEAD
    left = (await stage.channels())[leg.id]
    assert not [event for event in stage.daemon.events if event.name == "Hangup"]
    stage.notes.add("said", *said, DEAD)
    stage.notes.add("listed", left["application"], left["channelstatedesc"])
    leg.leave()
    await stage.ends(leg.id)
    await stage.gone(leg.id)


@pytest.mark.fact("M5")
async def test_what_a_leg_that_hung_up_still_answers(stage: Stage) -> None:
    """Variables and NOOP; everything that needs the line answers 511."""
    caller, leg = await stage.calls()
    await leg.ask("SET VARIABLE EC_CONTACT abc")
    caller.hang_up()
    assert await leg.line() == "HANGUP"
    for command in (
        "NOOP",
        "GET VARIABLE EC_CONTACT",
        "SET VARIABLE EC_DONE end",
        "CHANNEL STATUS",
        "ANSWER",
        "WAIT FOR DIGIT 100",
        "SET MUSIC on",
        "GET DATA silence/1 100 1",
        "EXEC NoOp",
        "HANGUP",
        "NONSENSE",
    ):
        stage.notes.add(command, await leg.ask(command))
    leg.leave()
    await stage.ends(leg.id)


async def reconnected(stage: Stage, leg: Leg) -> Leg:
    """The same leg's next visit."""
    again = await stage.home.comes(leg.id)
    stage.notes.add("AGISTATUS", await leg_status(again))
    return again


async def leg_status(leg: Leg) -> str:
    """How the dialplan was told that the visit before ended."""
    return await leg.ask("GET VARIABLE AGISTATUS")


@pytest.mark.fact("M1")
@pytest.mark.parametrize("end", ["leave", "reset"])
async def test_a_server_that_dies_is_a_success_and_the_leg_comes_home(stage: Stage, end: str) -> None:
    """FIN and RST alike: AGISTATUS cannot tell that we died."""
    caller, leg = await stage.calls()
    leg.send(b"WAIT FOR DIGIT 20000\n")
    await stage.runs(leg.id, "AGI")
    getattr(leg, end)()
    again = await reconnected(stage, leg)
    assert stage.notes.lines[-1] == "AGISTATUS: 200 result=1 (SUCCESS)"
    assert caller.is_up
    stage.life(again.id)
