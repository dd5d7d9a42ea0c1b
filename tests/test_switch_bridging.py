"""Two legs are joined, and a third listens to one of them."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from easycall.asterisk.channel import AsteriskChannel, Place
from easycall.asterisk.control import NEWS_SECONDS
from easycall.asterisk.fetch import ARRIVAL_SECONDS
from easycall.asterisk.link import ActionRefused, ActionTimeout, AmiError, LinkDown
from easycall.asterisk.reconciliation import UNTOLD_SECONDS
from easycall.defer import start
from easycall.model import Speaks
from easycall.ports import BridgeFailed, Taken

from .fakes_wires import WAITS, FakePbx, FakeSession, event
from .legs import Joining, Tried, corrections, hung_up


class TestBridging:
    def test_success(self) -> None:
        at = Joining(WAITS)
        joined = at.ask()
        assert at.pbx.manager.of("Bridge") == [{"Channel1": "c1", "Channel2": "a1", "Tone": "no"}]
        at.bridged()
        assert joined.pending
        at.pbx.manager.says()
        over = Tried(joined.result.over())
        assert (at.caller.place, at.agent.place) == (Place.AWAY, Place.AWAY)
        assert Tried(at.caller.wait_key(1)).raised is Taken
        at.pbx.ends("a1")
        assert over.result is at.agent

    def test_legs_are_joined_by_their_names(self) -> None:
        """An id is the beginning of others, and Asterisk would take any of them."""
        pbx = FakePbx()
        pbx.manager.script("Bridge", WAITS)
        one = pbx.caller("17.1")[0]
        other = pbx.caller("17.15")[0]
        pbx.home("17.1", "95588", agi_channel="PJSIP/trunk-00000001")
        pbx.manager.channels["17.15"] = {"Channel": "PJSIP/trunk-0000000f"}
        Tried(pbx.switch.reconciliation.reconcile())
        Tried(pbx.switch.bridge(one, other))
        names = {"Channel1": "PJSIP/trunk-00000001", "Channel2": "PJSIP/trunk-0000000f"}
        assert pbx.manager.of("Bridge") == [{**names, "Tone": "no"}]

    def test_legs_that_are_on_their_way_into_a_bridge_are_fetched_out_of_it(self) -> None:
        """The answer of Bridge comes before the legs leave home: they only seem to be there."""
        at = Joining({})
        assert not at.ask().pending
        assert (at.caller.place, at.caller.idle) == (Place.HOME, False)
        fetched = Tried(at.pbx.switch.fetch(at.caller, at.agent))
        [redirect] = at.pbx.manager.of("Redirect")
        assert (redirect["Channel"], redirect["ExtraChannel"]) == ("c1", "a1")
        at.bridged()
        at.pbx.home("c1", "95588")
        at.pbx.home("a1", "", "agent")
        assert not fetched.pending
        assert (at.caller.idle, at.agent.idle) == (True, True)

    def test_two_who_are_being_joined_leave_together_before_a_third(self) -> None:
        at = Joining({})
        third, _ = at.pbx.caller("c9")
        Tried(third.wait_key(20))
        at.ask()
        Tried(at.pbx.switch.fetch(third, at.caller, at.agent))
        told = [(one["Channel"], one.get("ExtraChannel")) for one in at.pbx.manager.of("Redirect")]
        assert told == [("c1", "a1"), ("c9", None)]

    def test_they_part_before_the_answer_comes(self) -> None:
        at = Joining(WAITS)
        joined = at.ask()
        at.bridged()
        at.pbx.ends("c1")
        at.pbx.home("a1", "", "agent")
        at.pbx.manager.says()
        assert Tried(joined.result.over()).result is at.caller

    @pytest.mark.parametrize("hangup_told", [True, False])
    def test_refused_because_the_caller_is_gone(self, hangup_told: bool) -> None:
        """reliability M18, F57."""
        at = Joining(WAITS)
        joined = at.ask()
        at.caller_home.ends()
        del at.pbx.manager.channels["c1"]
        if hangup_told:
            at.pbx.ends("c1")
        at.pbx.manager.says(ActionRefused("Channel1 does not exist"))
        at.pbx.clock.advance(NEWS_SECONDS)
        assert joined.raised is BridgeFailed
        assert corrections(at.pbx) == ([] if hangup_told else [("c1", "gone")])
        assert at.caller.gone
        assert (at.agent.place, at.agent.taking) == (Place.HOME, False)
        assert Tried(at.agent.music("default")).result == "done"

    def test_refused_because_the_agent_is_gone_and_the_news_is_on_its_way(self) -> None:
        at = Joining(ActionRefused("Channel2 does not exist"))
        del at.pbx.manager.channels["a1"]
        joined = at.ask()
        at.pbx.clock.advance(NEWS_SECONDS / 2)
        assert joined.pending
        at.pbx.ends("a1")
        assert (joined.raised, corrections(at.pbx)) == (BridgeFailed, [])
        assert not [call for call in at.pbx.clock.getDelayedCalls() if "Audit" not in call.func.__qualname__]

    def test_refused_with_both_there_each_is_where_it_was(self) -> None:
        at = Joining(ActionRefused("Unable to add Channel1"))
        joined = at.ask()
        at.pbx.clock.advance(NEWS_SECONDS)
        assert joined.raised is BridgeFailed
        assert (at.caller.place, at.agent.place) == (Place.HOME, Place.HOME)
        at.caller_home.ends()
        assert at.caller.place is Place.BETWEEN, "whoever leaves now was not taken"

    @pytest.mark.parametrize("failure", [ActionRefused("no"), ActionTimeout("5 s")])
    def test_the_one_who_asked_is_cancelled_by_what_is_found(self, failure: AmiError) -> None:
        """The caller's end, found in the story's own call, must cancel the story: Twisted would lose that."""
        at = Joining(failure)
        del at.pbx.manager.channels["c1"]
        at.pbx.manager.script("Status", WAITS)

        async def story() -> None:
            with contextlib.suppress(BridgeFailed):
                await at.pbx.switch.bridge(at.caller, at.agent)
            await Deferred()  # the next offer

        running = start(story())
        at.caller.when_gone().addCallback(lambda _: running.cancel())
        over: list[Any] = []
        running.addBoth(over.append)
        at.pbx.clock.advance(NEWS_SECONDS)
        at.pbx.manager.says()
        assert at.caller.gone
        assert over, "the story of a caller who is gone goes on"

    def test_a_leg_that_is_not_ours_any_more(self) -> None:
        at = Joining()
        at.pbx.ends("a1")
        assert at.ask().raised is BridgeFailed
        assert at.sent == 0

    def test_asked_while_the_link_is_down_it_is_sent_when_the_link_is_back(self) -> None:
        at = Joining()
        at.pbx.breaks()
        joined = at.ask()
        assert (joined.pending, at.sent) == (True, 0)
        at.pbx.connects()
        assert (joined.pending, at.sent) == (False, 1)

    def test_a_leg_is_gone_while_the_link_is_down(self) -> None:
        at = Joining()
        at.pbx.breaks()
        joined = at.ask()
        at.caller_home.ends()
        at.pbx.clock.advance(UNTOLD_SECONDS)
        assert joined.raised is BridgeFailed
        at.pbx.connects()
        assert at.sent == 0

    def test_the_link_is_lost_and_not_told_yet(self) -> None:
        """The manager knows in this turn, the switch in the next: nothing may turn in circles in between."""
        at = Joining()
        at.pbx.manager.linked = False
        joined = at.ask()
        assert joined.pending
        at.pbx.breaks()
        at.pbx.clock.advance(0.3)
        at.pbx.connects()
        at.pbx.clock.advance(0.3)
        assert (joined.pending, at.sent) == (False, 1)

    def test_the_link_is_down_for_one_action_only(self) -> None:
        at = Joining(LinkDown("for a moment"))
        joined = at.ask()
        at.pbx.clock.advance(0.3)
        assert (joined.pending, at.sent) == (False, 1)

    @pytest.mark.parametrize("carried_out", [True, False])
    def test_the_answer_is_lost_with_the_link(self, carried_out: bool) -> None:
        at = Joining(WAITS)
        joined = at.ask()
        if carried_out:
            at.bridged(told=False)
        at.pbx.breaks()
        assert joined.pending
        at.pbx.connects()
        assert not joined.pending
        assert at.sent == (1 if carried_out else 2), "looked up, and sent again only when it was not carried out"
        if carried_out:
            over = Tried(joined.result.over())
            at.pbx.ends("c1")
            assert over.result is at.caller

    @pytest.mark.parametrize(("carried_out", "told"), [(True, True), (True, False), (False, False)])
    def test_the_answer_does_not_come_in_time(self, carried_out: bool, told: bool) -> None:
        at = Joining(WAITS)
        joined = at.ask()
        if carried_out:
            at.bridged(told=told)
        at.pbx.manager.says(ActionTimeout("5 s"))
        assert not joined.pending
        assert at.sent == (1 if carried_out else 2)

    def test_a_leg_is_gone_after_the_link_was_lost_with_the_bridge(self) -> None:
        at = Joining(WAITS, ActionRefused("No such channel"))
        joined = at.ask()
        at.pbx.breaks()
        del at.pbx.manager.channels["a1"]
        at.pbx.connects()
        at.pbx.clock.advance(NEWS_SECONDS)
        assert joined.raised is BridgeFailed
        at.caller_home.ends()
        assert at.caller.place is Place.BETWEEN, "whoever leaves now was not taken"

    def test_bridge_told_late_from_the_last_time_is_not_this_bridge(self) -> None:
        """Both are home again, and only then comes the news that they had been joined."""
        at = Joining()
        at.pbx.tells(*(event("BridgeEnter", Uniqueid=leg, BridgeUniqueid="b0") for leg in ("c1", "a1")))
        at.ask()
        assert at.sent == 1

    def test_the_hang_up_that_asterisk_forgets(self) -> None:
        """A far end that hung up in the moment of the Bridge stays in it, silent, unless we hang it up."""
        at = Joining()
        at.ask()
        at.pbx.tells(event("HangupRequest", Uniqueid="c1"))
        at.bridged()
        at.pbx.clock.advance(0.3)
        assert hung_up(at.pbx) == ["c1"]

    def test_a_hang_up_that_asterisk_does_not_forget(self) -> None:
        at = Joining()
        at.pbx.tells(event("HangupRequest", Uniqueid="c1"), event("HangupRequest", Uniqueid="c1"))
        at.pbx.ends("c1")
        at.pbx.clock.advance(0.3)
        assert hung_up(at.pbx) == []


class TestListening:
    def listening(self, at: Joining, to: str = "a1") -> tuple[AsteriskChannel, FakeSession, Tried]:
        supervisor, home = at.pbx.agent("s1")
        home.answers["EXEC"] = [WAITS]
        return supervisor, home, Tried(supervisor.listen(to, Speaks.ONE))

    def test_exactly_that_leg_until_it_ends(self) -> None:
        at = Joining()
        supervisor, home, listens = self.listening(at)
        assert home.sent[-1] == ("EXEC", "ChanSpy", "a1,uqEw")
        assert supervisor.listens_to == "a1"
        home.says("-1")
        assert (listens.result, supervisor.listens_to, supervisor.place) == ("done", "", Place.HOME)

    @pytest.mark.parametrize("to", ["a1", "c1"])
    def test_who_listens_to_a_leg_that_moves_between_bridges_is_taken_home_first(self, to: str) -> None:
        """ChanSpy is stuck otherwise."""
        at = Joining()
        at.ask()
        at.bridged()
        other, _ = at.pbx.caller("c2")
        _, home, listens = self.listening(at, to)
        joined = Tried(at.pbx.switch.bridge(at.agent, other))
        moves = to == "a1"
        assert (at.sent, [one["Channel"] for one in at.pbx.manager.of("Redirect")]) == ((1, ["s1"]) if moves else (2, []))
        home.ends()
        at.pbx.home("s1", "", "supervisor")
        assert (listens.raised, at.sent) == (Taken, 2)
        at.pbx.tells(*(event("BridgeEnter", Uniqueid=leg, BridgeUniqueid="b2") for leg in ("a1", "c2")))
        assert joined.result is not None

    def test_a_supervisor_who_does_not_come_home_does_not_keep_two_apart(self) -> None:
        at = Joining()
        at.ask()
        at.bridged()
        other, _ = at.pbx.caller("c2")
        self.listening(at)
        Tried(at.pbx.switch.bridge(at.agent, other))
        at.pbx.clock.advance(ARRIVAL_SECONDS)
        at.pbx.clock.advance(ARRIVAL_SECONDS)
        at.pbx.clock.advance(ARRIVAL_SECONDS)
        assert at.sent == 2
