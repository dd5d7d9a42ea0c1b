"""FastAGI command by command: what Asterisk answers to what the daemon says, and to what it must never say."""

from __future__ import annotations

import pytest

from ..wire.stage import SOON
from .stage import Stage

MAX_LINE = 8191
"""Bytes of a command with its line feed; what is beyond is another one."""


@pytest.mark.fact("§2 waiting")
async def test_variables(stage: Stage) -> None:
    """A value of several words comes back as it was; one that is empty has brackets, one that is not set has none."""
    _, leg = await stage.dials()
    await stage.expect(leg, "GET VARIABLE EC_CONTACT", "200 result=0")
    await stage.expect(leg, 'SET VARIABLE "EC_CONTACT" "a \\"b\\" \\\\ c"', "200 result=1")
    await stage.expect(leg, "GET VARIABLE EC_CONTACT", '200 result=1 (a "b" \\ c)')
    await stage.expect(leg, 'SET VARIABLE EC_CONTACT ""', "200 result=1")
    await stage.expect(leg, "GET VARIABLE EC_CONTACT", "200 result=1 ()")
    await stage.expect(leg, "GET VARIABLE EC_DNIS", "200 result=1 (95588)")
    await stage.expect(leg, 'GET FULL VARIABLE "${EC_DNIS}-${EC_NONE}-x"', "200 result=1 (95588--x)")
    await stage.expect(leg, 'GET FULL VARIABLE "${EC_NONE}"', "200 result=1 ()")
    await stage.expect(leg, 'GET VARIABLE "CALLERID(num)"', "200 result=1 (+4930123456)")


@pytest.mark.fact("§2 waiting")
async def test_the_state_of_the_channel(stage: Stage) -> None:
    caller, leg = await stage.dials()
    await stage.expect(leg, "CHANNEL STATUS", "200 result=4")
    await stage.expect(leg, "ANSWER", "200 result=0")
    await stage.expect(leg, "ANSWER", "200 result=0")
    await caller.answered(SOON)
    await stage.expect(leg, "CHANNEL STATUS", "200 result=6")
    await stage.expect(leg, "CHANNEL STATUS PJSIP/nobody-00000001", "200 result=-1")
    await stage.expect(leg, "HANGUP PJSIP/nobody-00000001", "200 result=-1")
    await stage.expect(leg, "NOOP", "200 result=0")
    await stage.expect(leg, 'VERBOSE "hello" 3', "200 result=1")


@pytest.mark.fact("§2 waiting")
async def test_keys(stage: Stage) -> None:
    """A key's code, 0 when the time is up; GET DATA says so in words, and its # is not among the keys."""
    caller, leg = await stage.calls()
    await stage.expect(leg, "WAIT FOR DIGIT 50", "200 result=0")
    for key, code in (("1", 49), ("#", 35), ("*", 42)):
        leg.send(b"WAIT FOR DIGIT 5000\n")
        await caller.press(key)
        stage.notes.add(f"WAIT FOR DIGIT, {key}", said := await leg.reply())
        assert said == f"200 result={code}"
    for keys, said in (("12#", "200 result=12"), ("1234", "200 result=1234"), ("#", "200 result=")):
        leg.send(b"GET DATA silence/1 3000 4\n")
        await caller.press(keys)
        stage.notes.add(f"GET DATA, {keys}", heard := await leg.reply())
        assert heard == said
    await stage.expect(leg, "GET DATA silence/1 100 4", "200 result= (timeout)")


@pytest.mark.fact("§2 waiting")
async def test_keys_that_no_command_reads_are_lost(stage: Stage) -> None:
    """Neither those between two commands nor those during a sound that no key stops wait for the next command."""
    caller, leg = await stage.calls()
    await caller.press("1")
    await stage.expect(leg, "NOOP", "200 result=0")
    await stage.expect(leg, "WAIT FOR DIGIT 1000", "200 result=0")
    leg.send(b'STREAM FILE silence/2 ""\n')
    await caller.press("2")
    stage.notes.add("STREAM FILE", await leg.reply())
    await stage.expect(leg, "GET DATA silence/1 500 2", "200 result= (timeout)")


@pytest.mark.fact("§2 waiting")
async def test_a_sound_is_played_to_its_end_or_to_a_key(stage: Stage) -> None:
    caller, leg = await stage.calls()
    await stage.expect(leg, 'STREAM FILE silence/1 ""', "200 result=0 endpos=8000")
    await stage.expect(leg, 'STREAM FILE silence/1 "" 4000', "200 result=0 endpos=8000")
    leg.send(b'STREAM FILE silence/5 "12"\n')
    await caller.press("2")
    said = await leg.reply()
    assert said.startswith("200 result=50 endpos=")
    assert 0 < int(said.rpartition("=")[2]) < 40000
    stage.notes.add("STREAM FILE, key 2", said.rpartition("=")[0])


@pytest.mark.fact("§2 waiting")
async def test_a_sound_that_is_not_there_answers_as_a_dead_channel_does(stage: Stage) -> None:
    """Only the NOOP behind it tells that the leg is alive."""
    _, leg = await stage.calls()
    await stage.expect(leg, 'STREAM FILE no/such/file ""', "200 result=-1 endpos=0")
    await stage.expect(leg, "NOOP", "200 result=0")
    await stage.expect(leg, "GET DATA no/such/file 100 1", "200 result=-1")
    await stage.expect(leg, "NOOP", "200 result=0")


@pytest.mark.fact("§2 waiting")
async def test_music_lies_under_the_leg_until_it_is_stopped(stage: Stage) -> None:
    caller, leg = await stage.calls()
    await stage.expect(leg, "SET MUSIC on", "200 result=0")
    await caller.hears(440, SOON)
    await stage.expect(leg, "WAIT FOR DIGIT 50", "200 result=0")
    await caller.hears(440, SOON)
    await stage.expect(leg, "SET MUSIC off", "200 result=0")
    await caller.hears_silence(SOON)
    await stage.expect(leg, "SET MUSIC on no-such-class", "200 result=0")
    told = [event for event in stage.daemon.events if event.name.startswith("MusicOnHold")]
    for event in told:
        stage.notes.add(event.name, event.get("Class"))
    assert [event.name for event in told[:2]] == ["MusicOnHoldStart", "MusicOnHoldStop"]


@pytest.mark.fact("§2 waiting")
async def test_an_application_of_the_dialplan(stage: Stage) -> None:
    _, leg = await stage.calls()
    await stage.expect(leg, "EXEC NoOp hello", "200 result=0")
    await stage.expect(leg, "EXEC Set EC_STEP=menu", "200 result=0")
    await stage.expect(leg, "GET VARIABLE EC_STEP", "200 result=1 (menu)")
    await stage.expect(leg, "EXEC NoSuchApplication", "200 result=-2")
    await stage.expect(leg, "NOOP", "200 result=0")


@pytest.mark.fact("§2 waiting")
async def test_commands_that_are_none(stage: Stage) -> None:
    """Unknown: 510.  Known, used wrongly: 520 in several lines, with Asterisk's own help among them."""
    _, leg = await stage.calls()
    await stage.expect(leg, "NONSENSE", "510 Invalid or unknown command")
    await stage.expect(leg, "", "510 Invalid or unknown command")
    said = await leg.ask("STREAM FILE")
    assert said.startswith("520-Invalid command syntax.  Proper usage follows:")
    assert said.endswith("520 End of proper usage.")
    stage.notes.add("STREAM FILE", said.split(" / ")[0], said.split(" / ")[-1])
    assert (await leg.ask("SET VARIABLE EC_CONTACT")).startswith("520-")
    await stage.expect(leg, "NOOP", "200 result=0")
    await stage.expect(leg, "noop", "200 result=0")


@pytest.mark.fact("M7")
async def test_a_carriage_return_belongs_to_the_command(stage: Stage) -> None:
    _, leg = await stage.calls()
    await stage.expect(leg, "ANSWER\r", "510 Invalid or unknown command")
    await stage.expect(leg, "NOOP \r", "200 result=0")
    await stage.expect(leg, "SET VARIABLE EC_STEP menu\r", "200 result=1")
    assert await leg.ask("GET VARIABLE EC_STEP") == "200 result=1 (menu\r)"


@pytest.mark.fact("M7")
async def test_a_line_break_in_a_value_runs_a_second_command(stage: Stage) -> None:
    """It lies in Asterisk's buffer until something more comes."""
    _, leg = await stage.calls()
    leg.send(b'SET VARIABLE EC_STEP "menu\nSET VARIABLE SMUGGLED yes\n')
    stage.notes.add("said", await leg.reply())
    await stage.world.pause(0.3)
    assert not leg.unread()
    leg.send(b"GET VARIABLE SMUGGLED\n")
    said = [await leg.reply(), await leg.reply()]
    stage.notes.add("said", *said)
    assert said == ["200 result=1", "200 result=1 (yes)"]


@pytest.mark.fact("M7")
async def test_the_rest_of_a_command_that_is_too_long_is_another_one(stage: Stage) -> None:
    _, leg = await stage.calls()
    longest = b"NOOP " + b"x" * (MAX_LINE - len("NOOP \n"))
    leg.send(longest + b"\n")
    stage.notes.add("longest", await leg.reply())
    await stage.expect(leg, "GET VARIABLE SMUGGLED", "200 result=0")
    leg.send(longest + b"xSET VARIABLE SMUGGLED yes\n")
    stage.notes.add("longer", await leg.reply(), await leg.reply())
    await stage.expect(leg, "GET VARIABLE SMUGGLED", "200 result=1 (yes)")
    leg.send(longest + b"x\n")
    stage.notes.add("longer by one", await leg.reply())
    leg.send(b"NOOP\n")
    stage.notes.add("said", await leg.reply(), await leg.reply())


@pytest.mark.fact("M6")
async def test_half_a_command_is_answered_when_its_rest_has_come(stage: Stage) -> None:
    """Until then Asterisk asks the socket again and again, and takes a whole core for it."""
    _, leg = await stage.calls()
    leg.send(b"SET VARIABLE EC_STEP ")
    await stage.world.pause(1)
    assert not leg.unread()
    leg.send(b"menu\n")
    stage.notes.add("said", await leg.reply())
    await stage.expect(leg, "GET VARIABLE EC_STEP", "200 result=1 (menu)")
