"""AMI as bytes: what begins and ends an action, what its bounds are, and what an answer may be made to look like."""

from __future__ import annotations

import hashlib

import pytest

from ..wire.stage import SOON
from .peers import Ami
from .stage import Stage

MAX_LINE = 1022
MAX_LINES = 128


async def says(stage: Stage, link: Ami, data: bytes, answers: int = 1) -> list[str]:
    """Send bytes and note the answers, ``Response: …`` and all, each on one line."""
    since = len(link.said)
    link.send(data)
    await link.until(lambda: link.said.count(b"\r\n\r\n", since) >= answers, f"{answers} answers")
    said = bytes(link.said[since:]).decode().removesuffix("\r\n\r\n").replace("\r\n", ", ").split(", , ")
    assert len(said) == answers
    for each in said:
        stage.notes.add(each)
    return said


async def quiet_link(stage: Stage) -> Ami:
    """A link with the daemon's rights that is told no events."""
    link = await stage.connect()
    await link.log_in("easycall", stage.place.secrets["easycall"], "off")
    return link


# Logging in


@pytest.mark.fact("M24")
async def test_nothing_is_answered_before_the_login(stage: Stage) -> None:
    link = await stage.connect()
    stage.notes.add(link.greeting)
    [refused] = await says(stage, link, b"Action: Ping\r\nActionID: 1\r\n\r\n")
    assert refused == "Response: Error, ActionID: 1, Message: Permission denied"
    await says(stage, link, b"Action: Originate\r\nActionID: 2\r\nChannel: PJSIP/2001@world\r\n\r\n")
    assert not link.closed


@pytest.mark.fact("M24")
@pytest.mark.parametrize("user", ["easycall", "nobody"])
async def test_a_wrong_secret_and_an_unknown_user_are_refused_after_a_second(stage: Stage, user: str) -> None:
    """The same words after the same time, and then the connection is closed."""
    link = await stage.connect()
    began = stage.reactor.seconds()
    [refused] = await says(stage, link, f"Action: Login\r\nActionID: 1\r\nUsername: {user}\r\nSecret: x\r\n\r\n".encode())
    assert refused == "Response: Error, ActionID: 1, Message: Authentication failed"
    assert 0.9 < stage.reactor.seconds() - began < 2
    await link.is_closed()


@pytest.mark.fact("M24")
async def test_a_login_by_challenge(stage: Stage) -> None:
    link = await stage.connect()
    challenge = (await link.ask("Challenge", AuthType="MD5")).get("Challenge")
    assert challenge.isdecimal()
    key = hashlib.md5((challenge + stage.place.secrets["easycall"]).encode(), usedforsecurity=False).hexdigest()
    answer = await link.ask("Login", AuthType="MD5", Username="easycall", Key=key, Events="system,call")
    stage.notes.answer("Login", answer)
    await link.event("FullyBooted")
    stage.notes.answer("Login again", await link.ask("Login", AuthType="MD5", Username="easycall", Key=key))
    stage.notes.answer("Challenge, SHA", await link.ask("Challenge", AuthType="SHA"))


@pytest.mark.fact("M21")
async def test_fully_booted_comes_behind_the_login(stage: Stage) -> None:
    """With the uptime in it, by which a restart is known."""
    link = await stage.link()
    [event] = [event for event in link.events if event.name == "FullyBooted"]
    names = [name for name, _ in event.headers()]
    stage.notes.add(*names)
    assert int(event.get("Uptime")) >= 0
    stage.notes.add(event.get("Status"))


@pytest.mark.fact("M21")
@pytest.mark.parametrize("classes", ["call", "off"])
async def test_fully_booted_is_not_told_to_who_does_not_ask_for_system(stage: Stage, classes: str) -> None:
    link = await stage.connect()
    await link.log_in("easycall", stage.place.secrets["easycall"], classes)
    await link.ask("Ping")
    await link.quiet(0.3)
    stage.notes.add(*(event.name for event in link.events))
    assert not link.events


@pytest.mark.fact("§3 events")
async def test_events_are_those_of_the_classes_asked_for_and_no_others(stage: Stage) -> None:
    """The classes of the account are the bound: asking for more brings nothing."""
    asked = {"all": "on", "none": "off", "system": "system", "digits": "dtmf,dialplan,agi"}
    links = {name: await stage.connect() for name in asked}
    for name, classes in asked.items():
        await links[name].log_in("easycall", stage.place.secrets["easycall"], "off")
        answer = await links[name].ask("Events", EventMask=classes)
        stage.notes.add(name, answer.get("Response"), answer.get("Events"))
    caller, leg = await stage.calls()
    await stage.expect(leg, "SET VARIABLE EC_STEP menu", "200 result=1")
    leg.send(b"WAIT FOR DIGIT 5000\n")
    await caller.press("1")
    assert await leg.reply() == "200 result=49"
    caller.hang_up()
    assert await leg.line() == "HANGUP"
    leg.leave()
    await links["all"].event("Hangup", Uniqueid=leg.id)
    await stage.daemon.quiet()
    for name, link in links.items():
        told = {event.name for event in link.events}
        calls = bool(told & {"Newchannel", "Newstate", "Hangup"})
        stage.notes.add(name, "calls" if calls else "no calls")
        assert calls == (name == "all")
        assert not told & {"DTMFBegin", "DTMFEnd", "VarSet", "Newexten", "AGIExecStart"}


@pytest.mark.fact("§3 logoff")
async def test_logoff(stage: Stage) -> None:
    link = await quiet_link(stage)
    await says(stage, link, b"Action: Logoff\r\nActionID: 1\r\n\r\n")
    await link.is_closed()


# What an action is


@pytest.mark.fact("M9")
async def test_a_line_that_is_too_long_refuses_the_whole_action(stage: Stage) -> None:
    """What stands behind the line belongs to the action that is refused, its ActionID too."""
    link = await quiet_link(stage)
    action = "Action: Getvar\r\nActionID: 1\r\nVariable: EC_NONE\r\n"
    longest = "X: " + "x" * (MAX_LINE - len("X: "))
    await says(stage, link, f"{action}{longest}\r\n\r\n".encode())
    too_long = longest + "x" * 100
    [refused] = await says(stage, link, f"{action}{too_long}\r\n\r\n".encode())
    assert refused == "Response: Error, ActionID: 1, Message: Failed to parse message: line too long"
    await says(stage, link, f"Action: Ping\r\n{too_long}\r\nActionID: 2\r\n\r\n".encode())
    await says(stage, link, f"Action: Ping\r\n{too_long}\r\n{action}\r\n".encode())
    await says(stage, link, f"{action}\r\n".encode())


@pytest.mark.fact("M9")
async def test_an_action_of_too_many_lines_is_refused(stage: Stage) -> None:
    """With its ActionID only if that came in time: so ours is always the second line."""
    link = await quiet_link(stage)
    action = "Action: Getvar\r\nActionID: 1\r\nVariable: EC_NONE\r\n"
    await says(stage, link, (action + "X: 1\r\n" * (MAX_LINES - 3) + "\r\n").encode())
    [refused] = await says(stage, link, (action + "X: 1\r\n" * (MAX_LINES - 2) + "\r\n").encode())
    assert refused.startswith("Response: Error, ActionID: 1, Message: Too many lines in message")
    [refused] = await says(stage, link, ("Action: Ping\r\n" + "X: 1\r\n" * MAX_LINES + "ActionID: 1\r\n\r\n").encode())
    assert refused.startswith("Response: Error, Message: Too many lines in message")


@pytest.mark.fact("M10")
async def test_a_line_feed_alone_ends_a_line_and_two_an_action(stage: Stage) -> None:
    link = await quiet_link(stage)
    await says(stage, link, b"Action: Getvar\nActionID: 1\nVariable: EC_NONE\n\n")
    await says(stage, link, b"Action: Getvar\r\nVariable: A\nActionID: 1\n\nAction: Getvar\nVariable: B\r\n\r\n", 2)


@pytest.mark.fact("M10")
async def test_a_carriage_return_ends_nothing_and_a_nul_cuts_the_value(stage: Stage) -> None:
    link = await quiet_link(stage)
    await says(stage, link, b"Action: Getvar\r\nActionID: 1\r\nVariable: A\rVariable: B\r\n\r\n")
    [said] = await says(stage, link, b"Action: Getvar\r\nActionID: 1\r\nVariable: A\0B\r\n\r\n")
    assert said == "Response: Success, ActionID: 1, Variable: A, Value: "


@pytest.mark.fact("M9", "M10")
async def test_actions_that_are_none(stage: Stage) -> None:
    link = await quiet_link(stage)
    await says(stage, link, b"Action: Nonsense\r\nActionID: 1\r\n\r\n")
    await says(stage, link, b"ActionID: 1\r\n\r\n")
    await says(stage, link, b"Variable: EC_NONE\r\n\r\n")
    await says(stage, link, b"action: getvar\r\nactionid: 1\r\nvariable: EC_NONE\r\n\r\n")


# What is made of values


@pytest.mark.fact("M11")
async def test_a_variable_header_is_split_at_commas(stage: Stage) -> None:
    """A backslash or quotes keep a comma, and are eaten; a function in a value stays as it is."""
    phone, leg = stage.world.phone("2001"), stage.new_leg("agent")
    values = ["NAME=Smith, John,PWN=1", "KEPT=a\\,b", 'QUOTED="a,b"', "SHELL=${SHELL(id)}", "EMPTY="]
    action = stage.originate(leg, Variable=values)
    stage.notes.answer("Originate", await stage.daemon.answer(action))
    await phone.rings(SOON)
    seen = {name: await stage.get(leg, name) for name in ("NAME", "PWN", "KEPT", "QUOTED", "SHELL", "EMPTY")}
    for name, value in seen.items():
        stage.notes.add(name, value)
    assert seen["PWN"] == "1"
    assert seen["SHELL"] == "${SHELL(id)}"


@pytest.mark.fact("M12")
async def test_a_value_with_line_breaks_forges_an_event(stage: Stage) -> None:
    """A function makes the breaks here; on a real line they come from whatever a dialplan decodes."""
    _, leg = await stage.calls()
    forged = "URIDECODE(a%0D%0A%0D%0AEvent%3A%20Hangup%0D%0AUniqueid%3A%20forged)"
    stage.notes.add("Getvar", (await stage.daemon.ask("Getvar", Channel=leg.id, Variable=forged)).get("Value"))
    event = await stage.daemon.event("Hangup")
    stage.notes.add(event.name, event.get("Uniqueid"))
    assert event.get("Uniqueid") == "forged"


@pytest.mark.fact("M13", "§3 preset id")
async def test_a_channel_is_known_by_its_name_and_its_id_and_by_a_pattern(stage: Stage) -> None:
    """Only in Hangup; and a pattern hangs up every channel it fits, so none may ever be sent."""
    phones = [await stage.rings(f"agent {number}", f"200{number}") for number in (1, 2, 3)]
    names = {leg: there["channel"] for leg, there in (await stage.channels()).items()}
    (_, first), (_, second), (_, third) = phones
    stage.notes.answer("by id", await stage.daemon.ask("Hangup", Channel=first, Cause="16"))
    await stage.daemon.event("Hangup", Uniqueid=first)
    pattern = f"/^({names[second]}|{names[third]})$/"
    stage.notes.answer("Setvar by pattern", await stage.daemon.ask("Setvar", Channel=pattern, Variable="A", Value="b"))
    stage.notes.answer("Hangup by pattern", await stage.daemon.ask("Hangup", Channel=pattern, Cause="16"))
    for _, leg in phones[1:]:
        await stage.daemon.event("Hangup", Uniqueid=leg)
    nobody = await stage.daemon.items("Hangup", Channel="/^nobody$/", Cause="16")
    stage.notes.add("Hangup by a pattern that fits none", nobody[0].get("Message"), nobody[-1].get("ListItems"))
    _, leg = await stage.rings("agent 4", "2001")
    name = (await stage.channels())[leg]["channel"]
    stage.notes.answer("by name", await stage.daemon.ask("Hangup", Channel=name, Cause="16"))
    await stage.daemon.event("Hangup", Uniqueid=leg)
    stage.notes.answer("gone", await stage.daemon.ask("Hangup", Channel=leg, Cause="16"))
