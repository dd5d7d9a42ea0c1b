"""What the daemon's account may do, and what it may not."""

from __future__ import annotations

import pytest

from .stage import Stage

MAY = ("Status", "CoreShowChannels", "CoreStatus", "CoreSettings", "BridgeList", "Ping")
MAY_ON_A_LEG = {
    "Hangup": {},
    "Redirect": {"Context": "easycall", "Exten": "s", "Priority": "1"},
    "Bridge": {"Channel1": "nobody", "Channel2": "nobody"},
    "Setvar": {"Variable": "A", "Value": "b"},
    "Getvar": {"Variable": "A"},
    "MixMonitorMute": {"State": "1", "Direction": "both"},
    "StopMixMonitor": {},
}
"""Refused only because there is no such leg."""
MAY_NOT = (
    "Command",
    "UpdateConfig",
    "GetConfig",
    "ModuleLoad",
    "Reload",
    "MixMonitor",
    "UserEvent",
    "DBPut",
    "DialplanExtensionAdd",
    "Filter",
    "PJSIPShowEndpoints",
    "AGI",
)
DENIED = "Permission denied"
REACHES_THE_MACHINE = ("System", "TrySystem", "AGI", "ExternalIVR", "MixMonitor")
"""Applications that no Originate may start for us."""


@pytest.mark.fact("M23")
async def test_what_the_daemon_may_ask(stage: Stage) -> None:
    for name in MAY:
        answer = await stage.daemon.ask(name)
        stage.notes.add(name, answer.get("Response"))
        assert answer.ok


@pytest.mark.fact("M23")
async def test_what_the_daemon_may_do_with_a_leg(stage: Stage) -> None:
    for name, how in MAY_ON_A_LEG.items():
        answer = await stage.daemon.ask(name, **{"Channel": "nobody", **how})
        stage.notes.answer(name, answer)
        assert answer.get("Message") != DENIED


@pytest.mark.fact("M23")
async def test_what_the_daemon_may_not_do(stage: Stage) -> None:
    for name in MAY_NOT:
        answer = await stage.daemon.ask(name)
        stage.notes.answer(name, answer)
        assert answer.get("Message") == DENIED


@pytest.mark.fact("M23")
async def test_no_application_that_reaches_the_machine_can_be_originated(stage: Stage) -> None:
    where = {"Context": [], "Exten": [], "Priority": [], "Data": "true"}
    for application in REACHES_THE_MACHINE:
        leg = stage.new_leg("agent")
        action = stage.originate(leg, "PJSIP/2001@nobody", **{**where, "Application": application})
        answer = await stage.daemon.answer(action)
        stage.notes.answer(application, answer)
        assert not answer.ok
    shell = {**where, "Application": "Set", "Data": "A=${SHELL(true)}"}
    answer = await stage.daemon.answer(stage.originate(stage.new_leg("agent"), "PJSIP/2001@nobody", **shell))
    stage.notes.answer("Set of SHELL", answer)
    assert not answer.ok


@pytest.mark.fact("M23")
async def test_no_function_that_reaches_the_machine_can_be_read_or_written(stage: Stage) -> None:
    _, leg = await stage.calls()
    for name in ("SHELL(true)", "A${SHELL(true)}"):
        answer = await stage.daemon.ask("Getvar", Channel=leg.id, Variable=name)
        stage.notes.answer(f"Getvar {name}", answer)
        assert not answer.ok
    answer = await stage.daemon.ask("Setvar", Channel=leg.id, Variable="SHELL(true)", Value="1")
    stage.notes.answer("Setvar SHELL(true)", answer)
    assert not answer.ok
    items = await stage.daemon.items("Status", Variables="SHELL(true)")
    stage.notes.answer("Status SHELL(true)", items[0])


@pytest.mark.fact("M23", "M8")
async def test_a_global_variable_is_the_daemons_to_change(stage: Stage) -> None:
    """``Setvar`` without a channel: the account can send every call elsewhere, so its secret is worth as much as that."""
    answer = await stage.daemon.ask("Setvar", Variable="EASYCALL_NOTE", Value="x")
    stage.notes.answer("Setvar", answer)
    assert (await stage.daemon.ask("Getvar", Variable="EASYCALL_NOTE")).get("Value") == "x"
