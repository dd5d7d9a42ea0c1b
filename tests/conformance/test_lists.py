"""What is there: the lists a daemon puts its picture right by."""

from __future__ import annotations

import pytest

from easycall.asterisk.ami import Message

from .stage import Stage


def shape(stage: Stage, items: list[Message], *headers: str) -> list[dict[str, str]]:
    """Note a list as it came: what opens it, these headers of each item, what ends it.  Gives the items."""
    first, *middle, last = items
    stage.notes.add(", ".join(f"{name} {first.get(name)}" for name in ("Response", "EventList", "Message")))
    lines = [", ".join((item.name, *(f"{header} {item.get(header)}" for header in headers))) for item in middle]
    for line in sorted(map(stage.notes.plain, lines)):
        stage.notes.add(line)
    stage.notes.add(", ".join((last.name, *(f"{name} {last.get(name)}" for name in ("EventList", "ListItems")))))
    assert {item.action_id for item in items} == {first.action_id}
    assert last.get("ListItems") == str(len(middle))
    return [item.fields() for item in middle]


@pytest.mark.fact("M19", "§3 status")
async def test_status_tells_of_every_leg_its_state_its_bridge_and_our_variables(stage: Stage) -> None:
    """``(null)`` for a variable that is not set; one BridgeID for who talks with whom, none at home."""
    _, _, one, other = await stage.bridged()
    await stage.lab.ask("Setvar", Channel=one.id, Variable="EC_CONTACT", Value="01HZZZ")
    await stage.lab.ask("Setvar", Channel=one.id, Variable="EC_EMPTY", Value="")
    _, home = await stage.calls("second caller")
    _, leg = await stage.rings("second agent", "2002", Variable="EC_ROLE=agent")
    items = await stage.daemon.items("Status", Variables="EC_CONTACT,EC_ROLE,EC_EMPTY,EC_NONE")
    shown = shape(
        stage, items, "Uniqueid", "Linkedid", "ChannelState", "ChannelStateDesc", "Application", "Context", "Exten"
    )
    bridges = {item["uniqueid"]: item["bridgeid"] for item in shown}
    assert bridges[one.id] == bridges[other.id] != ""
    assert (bridges[home.id], bridges[leg]) == ("", "")
    for message in items[1:-1]:
        stage.notes.call(message.get("Uniqueid"), stage.notes.plain(message.get("Uniqueid")))
    variables = {stage.notes.plain(item.get("Uniqueid")): item.all("Variable") for item in items[1:-1]}
    for name in sorted(variables):
        stage.notes.add(name, *variables[name])
    assert variables["caller"][0] == "EC_CONTACT=01HZZZ"
    assert variables["caller"][-1] == "EC_NONE=(null)"
    assert all(int(item["seconds"]) >= 0 for item in shown)


@pytest.mark.fact("M19", "§3 status")
async def test_status_of_one_leg_and_of_none(stage: Stage) -> None:
    shape(stage, await stage.daemon.items("Status"))
    _, leg = await stage.calls()
    await stage.dials("second caller")
    [shown] = shape(stage, await stage.daemon.items("Status", Channel=leg.id, Variables="EC_DNIS"), "Uniqueid", "Variable")
    assert shown["uniqueid"] == leg.id
    stage.notes.answer("nobody", await stage.daemon.ask("Status", Channel="nobody"))


@pytest.mark.fact("M19", "M5")
async def test_channels_and_bridges(stage: Stage) -> None:
    shape(stage, await stage.daemon.items("CoreShowChannels"))
    shape(stage, await stage.daemon.items("BridgeList"))
    _, _, one, other = await stage.bridged()
    _, home = await stage.calls("second caller")
    channels = shape(stage, await stage.daemon.items("CoreShowChannels"), "Uniqueid", "ChannelStateDesc", "Application")
    bridges = {item["uniqueid"]: item["bridgeid"] for item in channels}
    assert bridges[one.id] == bridges[other.id] != ""
    assert bridges[home.id] == ""
    [bridge] = shape(stage, await stage.daemon.items("BridgeList"), "BridgeType", "BridgeNumChannels")
    assert bridge["bridgeuniqueid"] == bridges[one.id]
    info = await stage.daemon.items("BridgeInfo", BridgeUniqueid=bridges[one.id])
    stage.notes.add(*sorted(stage.notes.plain(item.get("Uniqueid")) for item in info if item.name == "BridgeInfoChannel"))
    stage.notes.answer("no such bridge", await stage.daemon.ask("BridgeInfo", BridgeUniqueid="nothing"))


@pytest.mark.fact("§3 events")
async def test_the_answers_that_are_no_lists(stage: Stage) -> None:
    ping = await stage.daemon.ask("Ping")
    stage.notes.add("Ping", ", ".join(name for name, _ in ping.headers()), ping.get("Ping"))
    assert float(ping.get("Timestamp")) > 0
    for action in ("CoreStatus", "CoreSettings"):
        answer = await stage.daemon.ask(action)
        stage.notes.add(action, ", ".join(name for name, _ in answer.headers()))
    assert answer.get("AsteriskVersion").startswith("22.")
    stage.notes.add("rooms", (await stage.daemon.ask("ConfbridgeListRooms")).get("Message"))


@pytest.mark.fact("§3 status")
async def test_variables_from_outside(stage: Stage) -> None:
    """One that is not set is empty; a channel's own functions, and the global variables, are there too."""
    _, leg = await stage.calls()
    await stage.expect(leg, "SET VARIABLE EC_STEP menu", "200 result=1")
    for name in ("EC_STEP", "EC_NONE", "EC_DNIS", "CALLERID(num)"):
        answer = await stage.daemon.ask("Getvar", Channel=leg.id, Variable=name)
        stage.notes.add(name, answer.get("Response"), answer.get("Value"))
    stage.notes.answer("Setvar", await stage.daemon.ask("Setvar", Channel=leg.id, Variable="EC_STEP", Value="done"))
    await stage.expect(leg, "GET VARIABLE EC_STEP", "200 result=1 (done)")
    answer = await stage.daemon.ask("Getvar", Variable="EASYCALL_PATIENCE")
    stage.notes.add("EASYCALL_PATIENCE", answer.get("Response"), answer.get("Value"))
    stage.notes.answer("Getvar, nobody", await stage.daemon.ask("Getvar", Channel="nobody", Variable="A"))
    stage.notes.answer("Setvar, nobody", await stage.daemon.ask("Setvar", Channel="nobody", Variable="A", Value="b"))
