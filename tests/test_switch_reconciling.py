"""What no event tells is found out and put right: legs that leave home, legs that vanished, strays."""

from __future__ import annotations

from typing import Any

import pytest

from easycall.asterisk.audit import AUDIT_SECONDS, FIRST_SECONDS
from easycall.asterisk.channel import Place
from easycall.asterisk.link import ActionTimeout
from easycall.asterisk.reconciliation import AGREE_SECONDS, UNTOLD_SECONDS
from easycall.ports import HungUp, Taken

from .fakes_wires import WAITS, FakePbx
from .legs import Joining, Tried, corrections, hung_up, nothing_left

LIVE = {"BridgeID": "b9", "Variable": "EC_ROLE=caller"}
"""Somebody else's call, talking."""


class TestLeavingHome:
    def test_hung_up(self) -> None:
        pbx = FakePbx()
        caller, session = pbx.caller()
        verb = Tried(caller.wait_key(20))
        session.ends()
        pbx.ends("c1")
        assert verb.raised is HungUp
        nothing_left(pbx)

    def test_nothing_tells_and_asterisk_does_not_show_it(self) -> None:
        pbx = FakePbx()
        caller, session = pbx.caller()
        verb = Tried(caller.wait_key(20))
        session.ends()
        del pbx.manager.channels["c1"]
        pbx.clock.advance(UNTOLD_SECONDS - 0.1)
        assert verb.pending
        pbx.clock.advance(0.1)
        assert verb.raised is HungUp
        assert corrections(pbx) == [("c1", "gone")]
        nothing_left(pbx)

    def test_nothing_tells_and_asterisk_shows_it_elsewhere(self) -> None:
        pbx = FakePbx()
        caller, session = pbx.caller()
        verb = Tried(caller.wait_key(20))
        session.ends()
        pbx.clock.advance(UNTOLD_SECONDS)
        assert (verb.raised, caller.place) == (Taken, Place.AWAY)
        assert corrections(pbx) == [("c1", "elsewhere")]

    def test_nothing_tells_and_asterisk_does_not_answer(self) -> None:
        pbx = FakePbx()
        caller, session = pbx.caller()
        pbx.clock.advance(FIRST_SECONDS)
        verb = Tried(caller.wait_key(20))
        session.ends()
        pbx.manager.script("Status", ActionTimeout("5 s"))
        pbx.clock.advance(UNTOLD_SECONDS)
        assert verb.pending
        pbx.clock.pump([1.0] * int(AUDIT_SECONDS))
        assert verb.raised is Taken

    def test_without_a_link_it_is_gone_after_a_second(self) -> None:
        """reliability F07."""
        pbx = FakePbx()
        caller, session = pbx.caller()
        pbx.breaks()
        verb = Tried(caller.wait_key(20))
        session.ends()
        pbx.clock.advance(UNTOLD_SECONDS)
        assert (verb.raised, caller.gone) == (HungUp, True)
        nothing_left(pbx)

    def test_without_a_link_it_is_home_again_within_a_second(self) -> None:
        pbx = FakePbx()
        caller, session = pbx.caller()
        pbx.breaks()
        session.ends()
        pbx.clock.advance(0.01)
        pbx.home("c1")
        pbx.clock.advance(5)
        assert caller.place is Place.HOME

    @pytest.mark.parametrize("up", [True, False])
    def test_home_again_and_away_again_begins_a_new_second(self, up: bool) -> None:
        pbx = FakePbx()
        caller, session = pbx.caller()
        if not up:
            pbx.breaks()
        session.ends()
        again = pbx.home("c1")
        pbx.clock.advance(UNTOLD_SECONDS - 0.01)
        again.ends()
        pbx.clock.advance(0.02)
        assert (caller.place, corrections(pbx)) == (Place.BETWEEN, [])
        pbx.clock.advance(UNTOLD_SECONDS)
        assert caller.place is (Place.AWAY if up else Place.GONE)

    def test_an_audit_in_that_moment_is_no_finding(self) -> None:
        """It was hung up, Asterisk still shows it, the event is on its way."""
        pbx = FakePbx()
        caller, session = pbx.caller()
        pbx.clock.advance(AUDIT_SECONDS - 0.01)
        session.ends()
        verb = Tried(caller.wait_key(20))
        pbx.clock.advance(0.02)
        assert len(pbx.manager.of("Status")) == 2
        pbx.ends("c1")
        assert (verb.raised, corrections(pbx)) == (HungUp, [])


class TestReconciling:
    def test_vanished_legs_are_ended(self) -> None:
        """reliability F08, F23."""
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        agent, _ = pbx.agent("a1")
        pbx.breaks()
        pbx.manager.channels = {"a1": {}}
        pbx.connects()
        pbx.clock.advance(AGREE_SECONDS)
        assert (caller.gone, agent.gone) == (True, False)
        assert corrections(pbx) == [("c1", "gone")]

    @pytest.mark.fault("F28")
    def test_an_empty_list_right_after_the_log_in_closes_nothing(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        agent, _ = pbx.agent("a1")
        there, pbx.manager.channels = pbx.manager.channels, {}
        pbx.breaks()
        pbx.connects()
        pbx.clock.advance(AGREE_SECONDS / 2)
        pbx.manager.channels = there
        pbx.clock.advance(3 * AUDIT_SECONDS)
        assert (caller.gone, agent.gone, corrections(pbx)) == (False, False, [])

    @pytest.mark.fault("F28")
    def test_an_empty_list_now_and_one_much_later_do_not_agree(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        there = pbx.manager.channels
        for _ in range(3):
            pbx.manager.channels = {}
            pbx.breaks()
            pbx.connects()
            pbx.manager.channels = there
            pbx.clock.advance(AUDIT_SECONDS)
        assert (caller.gone, corrections(pbx)) == (False, [])

    @pytest.mark.fault("F28")
    def test_two_empty_lists_close_what_is_not_in_them_and_are_asked_for_at_once(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        agent, _ = pbx.agent("a1")
        pbx.manager.channels = {}
        pbx.breaks()
        asked = len(pbx.manager.of("Status"))
        pbx.connects()
        pbx.clock.advance(AGREE_SECONDS - 0.01)
        assert (caller.gone, agent.gone, len(pbx.manager.of("Status")) - asked) == (False, False, 1)
        pbx.clock.advance(0.01)
        assert (caller.gone, agent.gone) == (True, True)
        assert corrections(pbx) == [("c1", "gone"), ("a1", "gone")]
        nothing_left(pbx)

    @pytest.mark.fault("F28")
    def test_a_second_list_that_does_not_come_is_waited_for(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        pbx.manager.channels = {}
        pbx.breaks()
        pbx.connects()
        pbx.manager.script("Status", ActionTimeout("5 s"))
        pbx.clock.advance(AGREE_SECONDS)
        assert not caller.gone
        pbx.clock.advance(FIRST_SECONDS - AGREE_SECONDS)
        assert caller.gone

    @pytest.mark.fault("F28")
    @pytest.mark.parametrize("there", [{}, {"x9": LIVE}])
    def test_a_leg_of_a_process_before_is_not_there_if_somebody_else_is(self, there: dict[str, Any]) -> None:
        pbx = FakePbx(up=False)
        leg = pbx.switch.expect("c1")
        pbx.manager.channels = there
        pbx.connects()
        assert leg.gone == bool(there)
        pbx.clock.advance(AGREE_SECONDS)
        assert leg.gone

    @pytest.mark.fault("F23", "F28")
    def test_after_a_restart_one_list_closes_at_once(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        pbx.manager.channels = {}
        pbx.breaks()
        pbx.manager.restarted = True
        pbx.connects()
        assert (caller.gone, corrections(pbx)) == (True, [("c1", "gone")])

    def test_a_caller_whom_an_earlier_daemon_left_alone_in_a_conference(self) -> None:
        pbx = FakePbx(up=False)
        left = {"BridgeID": "b9", "Application": "ConfBridge", "Variable": "EC_ROLE=caller"}
        pbx.manager.channels = {"x1": left, "x2": {**left, "Variable": "EC_ROLE=agent"}}
        pbx.connects()
        assert not pbx.manager.of("Redirect")  # they talk
        del pbx.manager.channels["x2"]
        pbx.clock.advance(11)
        [redirect] = pbx.manager.of("Redirect")
        assert redirect["Channel"] == "x1"
        assert ("x1", "caller left alone in a conference") in corrections(pbx)

    @pytest.mark.parametrize(
        ("channel", "stray"),
        [
            ({"Variable": "EC_ROLE=agent"}, "stray agent leg"),
            ({"Variable": "EC_ROLE=agent", "BridgeID": "b1"}, ""),
            ({"Variable": "EC_ROLE=agent", "BridgeID": "b1", "Application": "ConfBridge"}, "stray agent leg"),
            ({"Variable": "EC_ROLE=outside", "BridgeID": "b1", "Application": "ConfBridge"}, "stray outside leg"),
            ({"Variable": "EC_ROLE=outside", "BridgeID": "b1", "Application": "AppDial"}, ""),
            ({"Variable": "EC_ROLE=supervisor"}, "stray supervisor leg"),
            ({"Variable": "EC_ROLE=caller"}, ""),
            ({"Variable": "EC_ROLE=agentx"}, ""),
            ({"Variable": "EC_CONTACT=EC_ROLE=agent"}, ""),
            ({}, ""),
        ],
    )
    def test_strays(self, channel: dict[str, str], stray: str) -> None:
        """Only an agent's leg that nobody talks with, or a supervisor's: it can be nobody's loss."""
        pbx = FakePbx(up=False)
        pbx.manager.channels = {"x1": channel, "x2": LIVE}
        pbx.connects()
        assert hung_up(pbx) == (["x1"] if stray else [])
        assert corrections(pbx) == ([("x1", stray)] if stray else [])
        assert len(pbx.switch.legs) == 0

    def test_a_leg_made_after_status_was_asked_is_not_ended(self) -> None:
        pbx = FakePbx()
        pbx.manager.script("Status", WAITS)
        done = Tried(pbx.switch.reconciliation.reconcile())
        agent, _ = pbx.agent("a1")
        caller, _ = pbx.caller("c1")
        pbx.manager.says()
        assert done.result == "done"
        assert not agent.gone
        assert not caller.gone
        assert corrections(pbx) == []

    def test_a_leg_that_ended_after_status_was_asked_is_no_stray(self) -> None:
        pbx = FakePbx()
        pbx.agent("a1")
        pbx.manager.channels["a1"] = {"Variable": "EC_ROLE=agent"}
        pbx.manager.script("Status", WAITS)
        done = Tried(pbx.switch.reconciliation.reconcile())
        pbx.ends("a1")
        pbx.manager.says()
        assert done.result == "done"
        assert (corrections(pbx), hung_up(pbx)) == ([], [])

    def test_an_audit_between_the_end_of_a_leg_and_the_news_of_it_is_no_finding(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        pbx.clock.advance(AUDIT_SECONDS - 0.01)
        del pbx.manager.channels["c1"]
        pbx.clock.advance(0.02)
        pbx.ends("c1")
        assert (caller.gone, corrections(pbx)) == (True, [])
        nothing_left(pbx)

    def test_an_audit_finds_what_no_event_told(self) -> None:
        """reliability F19."""
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        del pbx.manager.channels["c1"]
        pbx.clock.pump([1.0] * (int(AUDIT_SECONDS) + 1))
        assert (caller.gone, corrections(pbx)) == (True, [("c1", "gone")])
        nothing_left(pbx)

    def test_it_is_found_within_ten_seconds_whenever_it_went(self) -> None:
        """It takes two lists; here it went right behind an audit.  reliability F19."""
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        pbx.clock.advance(FIRST_SECONDS)
        del pbx.manager.channels["c1"]
        pbx.clock.pump([0.1] * 100)
        assert caller.gone

    def test_two_at_once(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        agent, _ = pbx.agent("a1")
        del pbx.manager.channels["c1"]
        pbx.manager.script("Status", WAITS, WAITS)
        both = [Tried(pbx.switch.reconciliation.reconcile()) for _ in range(2)]
        pbx.manager.says()
        pbx.manager.says()
        pbx.clock.advance(1)
        assert [one.result for one in both] == ["done", "done"]
        assert (caller.gone, agent.gone, corrections(pbx)) == (True, False, [("c1", "gone")])

    def test_the_link_is_lost_in_the_middle(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        del pbx.manager.channels["c1"]
        pbx.manager.script("Status", WAITS)
        done = Tried(pbx.switch.reconciliation.reconcile())
        pbx.breaks()
        assert done.result == "done"
        assert (caller.gone, corrections(pbx)) == (False, [])

    def test_a_doomed_leg_is_hung_up_again(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        caller.hang_up()
        pbx.clock.pump([1.0] * int(AUDIT_SECONDS))
        assert hung_up(pbx) == ["c1", "c1"]

    def test_a_leg_hung_up_while_the_link_was_down_is_told_when_it_is_back(self) -> None:
        at = Joining()
        at.ask()
        at.bridged()
        at.pbx.breaks()
        at.caller.hang_up()
        assert hung_up(at.pbx) == []
        at.pbx.connects()
        assert hung_up(at.pbx) == ["c1"]

    def test_a_phone_that_rings_is_seen_to_ring(self) -> None:
        pbx = FakePbx()
        leg = pbx.rings()
        ringing = Tried(leg.when_ringing())
        pbx.breaks()
        pbx.manager.channels["a1"] = {"ChannelStateDesc": "Ringing"}
        pbx.connects()
        assert ringing.result == "done"
