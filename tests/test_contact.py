"""One contact as one story: told in full, agents who do not answer, what is heard, failures, and who ended it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from easycall.events import (
    Answered,
    ContactEnded,
    Event,
    Offered,
    OfferEnded,
    Queued,
    ScreenPop,
    ScreenPopRevoked,
    TalkEnded,
)
from easycall.model import AgentState, EndedBy, OfferOutcome, Outcome, Stage
from easycall.ports import Arrival
from easycall.visit import GONE_SECONDS

from .clocks import next_turn
from .contact_world import World, check, refuses, words
from .fakes_journal import Logged
from .fakes_ports import FakeChannel, names


class TestOneCall:
    def test_the_happy_path_in_full(self) -> None:
        world = World({"ana": ("sales",)}, busy_prompt="sound:busy")
        caller = world.caller("95588", keys=["1"])
        world.until(world.has(Answered))
        assert (world.contact.stage, world.contact.agent, world.contact.queue) == (Stage.TALKING, "ana", "sales")
        world.clock.advance(30)
        world.switch.legs[-1].dies()
        world.run()
        assert words(world.told) == [
            "contact.arrived",
            "ivr.step",
            "ivr.step",
            "ivr.answered",
            "ivr.step",
            "queue.entered",
            "ana reserved",
            "offer.made",
            "ana ringing",
            "screen.pop",
            "offer.ended",
            "ana talking",
            "talk.started",
            "talk.ended",
            "ana wrap_up",
            "contact.ended",
            "wrapup.ended",
            "ana ready",
        ]
        [end] = world.notes.of(ContactEnded)
        assert (end.outcome, end.ended_by) == (Outcome.ANSWERED, EndedBy.AGENT)
        [pop] = world.notes.of(ScreenPop)
        assert (pop.caller, pop.dialled, pop.queue, pop.answers) == ("+4930", "95588", "sales", {"menu": "sales"})
        assert pop.waited == pytest.approx(0.1, abs=0.01)
        assert caller.heard[:2] == [("remember", {"EC_CONTACT": "k000", "EC_ROLE": "caller"}), ("answer",)]
        [rung] = world.switch.rung
        assert (rung["phone"], rung["leg"], rung["caller"], rung["seconds"]) == ("ana", "ec-k000-agent-1", "+4930", 20.0)
        assert rung["values"] == {"EC_CONTACT": "k000", "EC_ROLE": "agent", "EC_AG": "ana"}
        check(world)

    def test_what_a_caller_chose_stays_with_the_contact_in_the_queue(self) -> None:
        world = World()
        caller = world.caller("95588", keys=["1"])
        world.until(world.has(Queued))
        assert (world.contact.answers, world.contact.stage) == ({"menu": "sales"}, Stage.WAITING)
        caller.dies()
        world.run()

    def test_a_flow_that_ends_by_itself(self) -> None:
        world = World()
        caller = world.caller("bye")
        world.run()
        [end] = world.notes.of(ContactEnded)
        assert (end.outcome, end.ended_by, caller.doomed) == (Outcome.SELF_SERVED, EndedBy.FLOW, True)
        check(world)

    def test_the_caller_is_gone_before_we_know_of_the_call(self) -> None:
        world = World()
        leg = world.switch.leg("c1")
        leg.dies()
        world.contacts.arrive(Arrival(world.switch, leg, "", "", "sales"))
        world.run()
        [end] = world.notes.of(ContactEnded)
        assert (end.outcome, end.ended_by) == (Outcome.ABANDONED_IN_IVR, EndedBy.CALLER)
        check(world)

    def test_the_agent_is_waited_for_with_music_while_the_link_is_down(self) -> None:
        """reliability F06."""
        world = World({"ana": ("sales",)})
        caller = world.caller()
        world.until(world.has(ScreenPop))
        world.switch.goes_down()
        world.clock.advance(3)
        leg = world.switch.legs[-1]
        assert leg.heard == [("music", "default")]
        assert not world.has(Answered)()
        world.switch.comes_up()
        world.until(world.has(Answered))
        caller.dies()
        world.run()
        check(world)


class TestAgentsWhoDoNotAnswer:
    @pytest.mark.parametrize(
        ("outcome", "state", "reason"),
        [
            (OfferOutcome.NO_ANSWER, AgentState.NOT_READY, "missed"),
            (OfferOutcome.UNREACHABLE, AgentState.NOT_READY, "unreachable"),
            (OfferOutcome.DECLINED, AgentState.READY, ""),
            (OfferOutcome.LOST, AgentState.READY, ""),
        ],
    )
    def test_the_next_agent_gets_the_caller(self, outcome: OfferOutcome, state: AgentState, reason: str) -> None:
        """reliability F51, F53, F54."""
        world = World({"ana": ("sales",), "bo": ("sales",)})
        world.phones["ana"] = refuses(outcome, 1.0)
        caller = world.caller()
        world.until(world.has(Answered))
        ana = world.distributor.staff.agents["ana"]
        assert (ana.state, ana.reason) == (state, reason)
        assert [(one.agent, one.attempt, one.outcome) for one in world.notes.of(OfferEnded)] == [
            ("ana", 1, outcome),
            ("bo", 2, OfferOutcome.ANSWERED),
        ]
        [revoked] = world.notes.of(ScreenPopRevoked)
        assert (revoked.agent, revoked.attempt, revoked.outcome) == ("ana", 1, outcome)
        assert names(world.switch.hung_up) == []
        caller.dies()
        world.run()
        check(world)

    def test_without_ringing_there_is_no_pop_to_revoke(self) -> None:
        world = World({"ana": ("sales",)})
        world.phones["ana"] = refuses(OfferOutcome.UNREACHABLE, 0.2, rings=None)
        caller = world.caller()
        world.until(world.has(OfferEnded))
        assert not world.has(ScreenPop)()
        assert not world.has(ScreenPopRevoked)()
        caller.dies()
        world.run()
        check(world)

    def test_the_caller_keeps_the_place_in_front_of_later_ones(self) -> None:
        world = World({"ana": ("sales",)})
        world.phones["ana"] = refuses(OfferOutcome.LOST, 1.0)
        early = world.caller(leg="c1")
        world.until(world.has(Offered))
        late = world.caller(leg="c2")
        world.until(world.has(OfferEnded))
        world.phones.clear()
        world.until(world.has(Answered))
        assert [one.contact for one in world.notes.of(Queued)] == ["k000", "k001"]
        assert [item.contact for item in world.distributor.waiting("sales")] in (["k000"], ["k001"])
        for leg in (early, late):
            leg.dies()
        world.run()
        check(world)

    @pytest.mark.fault("F29")
    @pytest.mark.parametrize("outcome", [OfferOutcome.LOST, OfferOutcome.BUSY, OfferOutcome.UNREACHABLE])
    def test_phones_that_cannot_be_rung_are_not_rung_all_the_time(self, outcome: OfferOutcome) -> None:
        """Asterisk has no channel, or no port, left: it refuses each at once."""
        world = World({"ana": ("sales",), "bo": ("sales",)})
        for agent in ("ana", "bo"):
            world.phones[agent] = refuses(outcome, 0.001, rings=None)
        caller = world.caller()
        world.until(world.has(Offered))
        began = world.clock.seconds()
        world.until(lambda: world.clock.seconds() >= began + 10)
        offered = [one.at for one in world.notes.of(Offered)]
        assert all(sum(at <= other < at + 1 for other in offered) <= 2 for at in offered)
        assert {one.outcome for one in world.notes.of(OfferEnded)} == {outcome}
        world.phones.clear()
        for agent in ("ana", "bo"):
            world.distributor.staff.set_state(agent, AgentState.READY)
        world.until(world.has(Answered))
        caller.dies()
        world.run()
        check(world)

    def test_a_bridge_that_fails_gives_both_back(self) -> None:
        world = World({"ana": ("sales",)})
        world.switch.refuse_bridges = 1
        caller = world.caller()
        world.until(world.has(Answered))
        assert [one.outcome for one in world.notes.of(OfferEnded)] == [OfferOutcome.LOST, OfferOutcome.ANSWERED]
        assert world.switch.legs[1].gone, "the leg of the first offer"
        caller.dies()
        world.run()
        check(world)

    def test_a_phone_that_must_not_be_dialled(self) -> None:
        """The agent is told, and not kept reserved for ever; the caller waits on."""
        world = World({"ana": ("sales",), "bo": ("sales",)})
        world.switch.bad_phones.add("ana")
        caller = world.caller()
        with Logged() as failures:
            world.until(world.has(Answered))
        ana = world.distributor.staff.agents["ana"]
        assert (ana.state, ana.reason, failures) == (AgentState.NOT_READY, "unreachable", [])
        caller.dies()
        world.run()
        check(world)

    def test_the_agents_leg_is_taken_and_given_back_while_the_link_is_down(self) -> None:
        world = World({"ana": ("sales",)})
        caller = world.caller()
        world.until(world.has(ScreenPop))
        leg = world.switch.legs[-1]
        world.switch.goes_down()
        world.until(lambda: leg.heard)
        leg.is_taken()
        leg.comes_home()
        world.switch.comes_up()
        world.until(world.has(Answered))
        assert [one.outcome for one in world.notes.of(OfferEnded)] == [OfferOutcome.ANSWERED]
        caller.dies()
        world.run()
        check(world)


class TestComingAndGoing:
    """A leg may leave home alive and come back at any moment: a session lost, a redirect of somebody else's."""

    def steps(self) -> Iterator[int]:
        world = World({"ana": ("sales",)}, busy_prompt="sound:busy")
        caller = world.caller("95588", keys=["1"])
        steps = 0
        while not world.has(Answered)():
            next_turn(world.clock)
            steps += 1
        caller.dies()
        world.run()
        yield from range(steps)

    def test_the_callers_leg_is_away_for_a_moment_at_every_step(self) -> None:
        for step in self.steps():
            world = World({"ana": ("sales",)}, busy_prompt="sound:busy")
            caller = world.caller("95588", keys=["1"] * 3)
            for _ in range(step):
                next_turn(world.clock)
            caller.is_taken()
            world.clock.callLater(0.01, caller.comes_home)
            world.until(world.has(Answered))
            caller.dies()
            world.run()
            check(world)
            [end] = world.notes.of(ContactEnded)
            assert end.outcome is Outcome.ANSWERED, step


class TestCompany:
    def heard(self, world: World, seconds: float) -> list[tuple[float, Any]]:
        """What a waiting caller hears, and when."""
        caller = world.caller()
        world.until(world.has(Queued))
        begun, heard, known = world.clock.seconds(), [], 0
        while world.clock.seconds() < begun + seconds:
            for what in caller.heard[known:]:
                if what[0] in ("play", "music"):
                    heard.append((round(world.clock.seconds() - begun), what[1]))
            known = len(caller.heard)
            next_turn(world.clock)
        caller.dies()
        world.run()
        check(world)
        return heard

    def test_the_busy_prompt_and_music_in_turns(self) -> None:
        world = World(busy_prompt="sound:busy", busy_repeat_seconds=30.0)
        heard = self.heard(world, 70)
        assert [at for at, what in heard if what == "busy"] == [0, 32, 64]
        assert [at for at, what in heard if what == "default"] == [2, 34, 66]

    @pytest.mark.parametrize(("every", "times"), [(20.0, 4), (50.0, 2), (7.0, 10), (0.0, 1)])
    def test_how_often_the_busy_prompt_is_repeated(self, every: float, times: int) -> None:
        world = World(busy_prompt="sound:busy", busy_repeat_seconds=every)
        plays = [at for at, what in self.heard(world, 87) if what == "busy"]
        assert plays == [round(turn * (every + 2)) for turn in range(times)]

    def test_without_a_prompt_there_is_music_at_once(self) -> None:
        assert self.heard(World(), 25)[0] == (0, "default")

    def test_keys_do_not_bring_the_prompt_any_sooner(self) -> None:
        world = World(busy_prompt="sound:busy", busy_repeat_seconds=30.0)
        caller = world.caller(keys=["1"] * 20)
        world.until(world.has(Queued))
        world.clock.pump([0.1] * 150)
        assert [what for what in caller.heard if what[0] == "play"] == [("play", "busy")]
        caller.dies()
        world.run()
        check(world)

    def test_nobody_is_told_that_all_are_busy_while_a_phone_rings(self) -> None:
        world = World({"ana": ("sales",)}, busy_prompt="sound:busy")
        caller = world.caller()
        world.until(world.has(Answered))
        assert ("play", "busy") not in caller.heard
        assert ("music", "default") in caller.heard
        caller.dies()
        world.run()
        check(world)

    def test_a_wait_for_a_key_is_never_longer_than_asterisk_can_be_trusted(self) -> None:
        world = World(busy_repeat_seconds=0.0)
        caller = world.caller()
        world.until(lambda: caller.heard.count(("music", "default")) and len(caller.heard) > 8)
        assert max(what[1] for what in caller.heard if what[0] == "wait") <= 25
        caller.dies()
        world.run()


class TestFailures:
    @pytest.mark.logs_failures
    @pytest.mark.parametrize("dialled", ["nowhere", "broken", "no such number"])
    def test_a_bug_does_not_leave_the_caller_in_limbo(self, dialled: str) -> None:
        world = World({"ana": ("sales",)})
        with Logged() as failures:
            caller = world.caller(dialled)
            world.run()
        [end] = world.notes.of(ContactEnded)
        assert (end.outcome, end.ended_by) == (Outcome.FAILED, EndedBy.SYSTEM)
        assert (caller.gone, len(failures)) == (True, 1)
        check(world)

    @pytest.mark.logs_failures
    def test_a_bug_in_an_offer_gives_the_agent_back(self) -> None:
        world = World({"ana": ("sales",)})

        async def bridge(*_: Any) -> None:
            raise RuntimeError("a bug")

        world.switch.bridge = bridge  # type: ignore[method-assign,assignment]
        with Logged() as failures:
            world.caller()
            world.run()
        assert world.distributor.staff.agents["ana"].state is AgentState.READY
        assert [one.outcome for one in world.notes.of(ContactEnded)] == [Outcome.FAILED]
        assert any("a bug" in one for one in failures)
        check(world)

    @pytest.mark.logs_failures
    def test_a_bug_outside_the_story_is_logged_and_the_contact_is_not_live_for_ever(self) -> None:
        world = World()

        def broken(event: Event) -> None:
            if isinstance(event, ContactEnded):
                raise RuntimeError("a bug in the journal")

        world.notes.listeners.append(broken)
        with Logged() as failures:
            world.caller("bye")
            world.run()
        assert world.contacts.live == {}
        assert any("a bug in the journal" in one for one in failures)

    def test_a_leg_that_does_not_go_is_not_waited_for_for_ever(self) -> None:
        world = World()
        caller = world.caller("bye")
        caller.deaf = True
        world.until(lambda: caller.doomed)
        assert (world.contact.stage, world.notes.of(ContactEnded)) == (Stage.IVR, [])
        world.clock.advance(GONE_SECONDS)
        assert len(world.notes.of(ContactEnded)) == 1
        assert world.contacts.live == {}
        assert not world.clock.getDelayedCalls()


class TestWhoEndedIt:
    def talk(self) -> tuple[World, FakeChannel, FakeChannel]:
        world = World({"ana": ("sales",)})
        caller = world.caller()
        world.until(world.has(Answered))
        return world, caller, world.switch.legs[-1]

    def ended_by(self, world: World) -> tuple[EndedBy, EndedBy]:
        world.run()
        check(world)
        [talk], [end] = world.notes.of(TalkEnded), world.notes.of(ContactEnded)
        return talk.ended_by, end.ended_by

    def test_the_caller(self) -> None:
        world, caller, _ = self.talk()
        caller.dies()
        assert self.ended_by(world) == (EndedBy.CALLER, EndedBy.CALLER)

    def test_the_agent(self) -> None:
        world, caller, agent = self.talk()
        agent.dies()
        assert self.ended_by(world) == (EndedBy.AGENT, EndedBy.AGENT)
        assert caller.doomed

    def test_the_agent_then_the_caller(self) -> None:
        world, caller, agent = self.talk()
        agent.dies()
        caller.dies()
        assert self.ended_by(world) == (EndedBy.AGENT, EndedBy.AGENT)

    def test_the_caller_then_the_agent(self) -> None:
        world, caller, agent = self.talk()
        caller.dies()
        agent.dies()
        assert self.ended_by(world) == (EndedBy.CALLER, EndedBy.CALLER)

    def test_the_agents_leg_comes_home_before_we_hear_that_the_caller_is_gone(self) -> None:
        world, caller, agent = self.talk()
        agent.comes_home()
        caller.dies()
        assert self.ended_by(world) == (EndedBy.CALLER, EndedBy.CALLER)

    def test_the_api(self) -> None:
        world, _caller, _ = self.talk()
        world.contacts.hang_up("k000")
        assert self.ended_by(world) == (EndedBy.API, EndedBy.API)

    def test_the_api_then_the_agent_while_the_hang_up_is_on_its_way(self) -> None:
        world, _caller, agent = self.talk()
        world.contacts.hang_up("k000")
        agent.dies()
        assert self.ended_by(world) == (EndedBy.API, EndedBy.API)

    def test_the_agent_then_the_api(self) -> None:
        world, _caller, agent = self.talk()
        agent.dies()
        world.contacts.hang_up("k000")
        assert self.ended_by(world) == (EndedBy.AGENT, EndedBy.AGENT)

    def test_the_api_twice_and_for_nobody(self) -> None:
        world, _caller, _ = self.talk()
        world.contacts.hang_up("k000")
        world.contacts.hang_up("k000")
        world.run()
        with pytest.raises(KeyError):
            world.contacts.hang_up("k000")
        check(world)
