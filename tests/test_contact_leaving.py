"""One contact that is left by somebody at each of its steps, and one that ends on a real switch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from easycall.acd.agent import NotNow
from easycall.asterisk.link import ActionRefused
from easycall.defer import start
from easycall.events import Answered, ContactEnded
from easycall.model import OfferOutcome, Outcome

from .clocks import next_turn
from .contact_world import Phone, World, answers, check, is_the_worlds, refuses, words
from .fakes_ports import FakeChannel
from .fakes_wires import WAITS, FakePbx, event

# Somebody leaves at every step of the story


def agents_leg(world: World) -> FakeChannel | None:
    return next((leg for leg in reversed(world.switch.legs) if leg.phone), None)


def agent_dies(world: World, caller: FakeChannel) -> None:
    if leg := agents_leg(world):
        leg.dies()


def both(world: World, caller: FakeChannel) -> None:
    caller.dies()
    agent_dies(world, caller)


def both_the_other_way(world: World, caller: FakeChannel) -> None:
    agent_dies(world, caller)
    caller.dies()


def api(world: World, caller: FakeChannel) -> None:
    for contact in world.contacts.live:
        world.contacts.hang_up(contact)


def api_and_caller(world: World, caller: FakeChannel) -> None:
    api(world, caller)
    caller.dies()


def bridges_fail(world: World, caller: FakeChannel) -> None:
    world.switch.refuse_bridges = 1


def link_down(world: World, caller: FakeChannel) -> None:
    world.switch.goes_down()
    world.clock.callLater(3.0, world.switch.comes_up)


def link_down_and_caller_leaves(world: World, caller: FakeChannel) -> None:
    link_down(world, caller)
    world.clock.callLater(1.0, caller.dies)


def agent_logs_out(world: World, caller: FakeChannel) -> None:
    with contextlib.suppress(NotNow):
        world.distributor.staff.log_out("ana")


Fault = Callable[[World, FakeChannel], None]
FAULTS: dict[str, Fault] = {
    "caller": lambda world, caller: caller.dies(),
    "agent": agent_dies,
    "both": both,
    "both the other way": both_the_other_way,
    "api": api,
    "api and caller": api_and_caller,
    "bridge": bridges_fail,
    "link": link_down,
    "link and caller": link_down_and_caller_leaves,
    "log out": agent_logs_out,
}


def story() -> tuple[World, FakeChannel]:
    """A call with everything in it: a menu, an agent who declines, one who answers, a talk."""
    world = World({"ana": ("sales",), "bo": ("sales",)}, busy_prompt="sound:busy")
    world.phones["bo"] = refuses(OfferOutcome.DECLINED, 1.5)
    world.distributor.staff.agents["bo"].idle_since -= 10
    world.phones["ana"] = talks_for(8.0)
    caller = world.caller("95588", keys=["1"])
    return world, caller


def talks_for(seconds: float) -> Phone:
    def phone(world: World, leg: FakeChannel) -> None:
        answers()(world, leg)
        world.clock.callLater(2.0 + seconds, leg.dies)

    return phone


def steps_of_the_story() -> int:
    world, _ = story()
    steps = 0
    while world.clock.getDelayedCalls():
        next_turn(world.clock)
        steps += 1
    check(world)
    assert [one.outcome for one in world.notes.of(ContactEnded)] == [Outcome.ANSWERED]
    return steps


@pytest.mark.parametrize("fault", FAULTS)
def test_somebody_leaves_at_every_step(fault: str) -> None:
    """reliability F56, F57, F58 and every other moment."""
    steps = steps_of_the_story()
    assert steps > 12
    for step in range(steps):
        world, caller = story()
        for _ in range(step):
            next_turn(world.clock)
        FAULTS[fault](world, caller)
        world.clock.callLater(120, caller.dies)
        world.run()
        try:
            check(world)
        except AssertionError as error:
            raise AssertionError(f"{fault} at step {step}: {words(world.told)}") from error


@pytest.mark.parametrize("other", ["caller", "agent", "api", "link"])
@pytest.mark.parametrize("fault", FAULTS)
def test_two_things_happen_at_every_two_neighbouring_steps(fault: str, other: str) -> None:
    for step in range(steps_of_the_story()):
        world, caller = story()
        for _ in range(step):
            next_turn(world.clock)
        FAULTS[fault](world, caller)
        if world.clock.getDelayedCalls():
            next_turn(world.clock)
        FAULTS[other](world, caller)
        world.clock.callLater(120, caller.dies)
        world.run()
        try:
            check(world)
        except AssertionError as error:
            raise AssertionError(f"{fault}, then {other} at step {step}: {words(world.told)}") from error


def test_the_daemon_stops_at_every_step() -> None:
    """reliability P1, F36: nothing is told any more, nobody is hung up, no timer stays."""
    for step in range(steps_of_the_story()):
        world, _caller = story()
        for _ in range(step):
            next_turn(world.clock)
        told, hung_up, alive = len(world.notes.events), len(world.switch.hung_up), [*world.switch.legs]
        alive = [leg for leg in alive if not leg.gone and not leg.doomed]
        world.stop()
        ours = [call for call in world.clock.getDelayedCalls() if not is_the_worlds(call.func)]
        assert ours == [], step
        assert len(world.switch.hung_up) == hung_up, step
        assert not any(leg.gone for leg in alive), step
        assert world.contacts.live == {}
        world.run()
        assert len(world.notes.events) == told, words(world.notes.events[told:])


# On a real switch


class TestOnARealSwitch:
    """Contact, waiting room and call control together; only the two wires are fake."""

    def ring(self) -> tuple[World, FakePbx]:
        world = World({"ana": ("sales",)})
        pbx = FakePbx(world.contacts.arrive, clock=world.clock, notes=world.notes)
        pbx.caller("c1", "sales")
        pbx.manager.channels["ec-k000-agent-1"] = {}
        pbx.tells(event("Newchannel", Uniqueid="ec-k000-agent-1", ChannelStateDesc="Ringing"))
        assert len(pbx.manager.of("Originate")) == 1
        return world, pbx

    def test_a_caller_found_gone_by_a_refused_bridge_is_no_ghost_in_the_queue(self) -> None:
        """The end is found out inside the story's own call: it must end the story all the same."""
        world, pbx = self.ring()
        pbx.manager.script("Bridge", ActionRefused("no"))
        pbx.manager.script("Status", WAITS)
        del pbx.manager.channels["c1"]
        pbx.home("ec-k000-agent-1", "", "agent")
        world.clock.advance(0.2)
        pbx.manager.says()
        assert {one["Channel"] for one in pbx.manager.of("Hangup")} == {"ec-k000-agent-1"}
        pbx.ends("ec-k000-agent-1")
        world.clock.pump([1.0] * 40)
        assert len(pbx.manager.of("Originate")) == 1, "an agent is rung for a caller who is gone"
        assert [one.outcome for one in world.notes.of(ContactEnded)] == [Outcome.ABANDONED]

    def test_the_daemon_stops_in_a_talk_and_nobody_is_hung_up(self) -> None:
        world, pbx = self.ring()
        agent = pbx.home("ec-k000-agent-1", "", "agent")
        assert world.has(Answered)()
        agent.ends()
        sent, told = len(pbx.manager.actions), len(world.notes.events)
        world.distributor.stop()
        pbx.switch.let_go()
        stopped: list[Any] = []
        start(world.contacts.stop()).addBoth(stopped.append)
        assert (stopped, len(pbx.manager.actions), len(world.notes.events)) == ([None], sent, told)
        assert world.clock.getDelayedCalls() == []
