"""A phone is rung: what is asked of Asterisk, what comes of it, and what must not be dialled."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from easycall.asterisk.ami import Action
from easycall.asterisk.channel import Place
from easycall.asterisk.link import ActionRefused, ActionTimeout, AmiError, TooManyActions
from easycall.asterisk.originate import UNSHOWN_SECONDS
from easycall.events import PbxUp
from easycall.model import OfferOutcome, Trunk

from .fakes_wires import WAITS, FakePbx, event
from .legs import Tried, corrections, hung_up, nothing_left, outcome_of


class TestRinging:
    @pytest.mark.parametrize(
        "phone",
        [
            "",
            "/x",
            "//",
            "100@evil",
            "100&Local/9@default",
            "a,b",
            "${SHELL(id)}",
            "x\r\nAction: Ping",
            "x\n",
            "é",
            "1" * 41,
            "-1",
        ],
    )
    def test_a_phone_that_must_not_be_dialled(self, phone: str) -> None:
        pbx = FakePbx()
        with pytest.raises(ValueError, match="must not be dialled"):
            pbx.rings(phone=phone)
        assert not pbx.manager.of("Originate")
        nothing_left(pbx)

    def test_a_value_that_must_not_be_sent(self) -> None:
        pbx = FakePbx()
        with pytest.raises(ValueError, match="EC_AG"):
            pbx.switch.ring("2001", leg="a1", caller="", caller_name="", seconds=20, values={"EC_AG": "x,PWN=1"})
        assert not pbx.manager.of("Originate")
        nothing_left(pbx)

    def test_what_is_asked_of_asterisk(self) -> None:
        pbx = FakePbx()
        pbx.rings()
        assert pbx.manager.of("Originate") == [
            {
                "Channel": "PJSIP/2001",
                "ChannelId": "a1",
                "Context": "easycall",
                "Exten": "s",
                "Priority": "1",
                "Timeout": "20000",
                "CallerID": '"Carl" <+4930>',
                "Async": "true",
                "Variable": "EC_ROLE=agent",
            }
        ]

    @pytest.mark.fault("F33")
    def test_what_was_told_outlives_the_process_before_a_phone_rings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a timer sends leaves in the same turn, before what waits for the turn's end is done."""
        pbx, sent = FakePbx(), list[tuple[str, int]]()
        send = pbx.manager.send

        def sends(action: Action, *how: Any, **more: Any) -> Any:
            sent.append((action.name, pbx.notes.outlive))
            return send(action, *how, **more)

        monkeypatch.setattr(pbx.manager, "send", sends)
        pbx.notes.record(PbxUp(at=1.0, pbx="main"))
        pbx.rings()
        assert sent == [("Originate", len(pbx.notes.events))]

    @pytest.mark.requirement("F7")
    def test_a_number_outside(self) -> None:
        pbx = FakePbx()
        out = Trunk("out", "main", "PJSIP/{digits}@carrier", 1)
        how = {"leg": "o1", "caller": "+4930555", "seconds": 30, "longest": 7290, "values": {"EC_ROLE": "caller"}}
        leg = pbx.switch.dial(out, "+49301234567", **how)
        [sent] = pbx.manager.of("Originate")
        assert (sent["Channel"], sent["ChannelId"]) == ("PJSIP/49301234567@carrier", "o1")
        assert (sent["CallerID"], sent["Timeout"]) == ('"+4930555" <+4930555>', "30000")
        pbx.manager.channels["o1"] = {}
        pbx.tells(event("Newchannel", Uniqueid="o1", ChannelStateDesc="Down"))
        why: list[Any] = []
        Deferred.fromCoroutine(leg.answered()).addErrback(lambda failure: why.append(failure.value))
        pbx.tells(event("DialEnd", DestUniqueid="o1", DialStatus="NOANSWER"))
        pbx.ends("o1", "1")
        assert (why[0].outcome, why[0].cause) == (OfferOutcome.UNREACHABLE, 1)
        nothing_left(pbx)

    @pytest.mark.fault("A07")
    @pytest.mark.parametrize("number", ["", "+49301234567&Local/9", "4930", "+49 30 1234567", "+49301234567\r\nX: y"])
    def test_a_number_that_must_not_be_dialled(self, number: str) -> None:
        pbx = FakePbx()
        how = {"leg": "o1", "caller": "", "seconds": 5, "longest": 60, "values": {}}
        with pytest.raises(ValueError, match="must not be dialled"):
            pbx.switch.dial(Trunk("out", "main", "PJSIP/{number}@c", 1), number, **how)
        assert not pbx.manager.of("Originate")
        nothing_left(pbx)

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.text(max_size=300), st.text(max_size=60))
    def test_no_name_or_number_of_a_caller_breaks_out(self, name: str, number: str) -> None:
        self.caller_id_is_safe(name, number)

    @staticmethod
    def caller_id_is_safe(name: str, number: str) -> None:
        pbx = FakePbx()
        pbx.switch.ring("2001", leg="a1", caller=number, caller_name=name, seconds=20, values={})
        [sent] = pbx.manager.of("Originate")
        assert re.fullmatch(r'"[^"<>\\\x00-\x1f]{0,40}" <[0-9+*#]{0,40}>', sent["CallerID"])

    @pytest.mark.parametrize(
        "name", ['a" <1>\r\nAction: x', "<script>", "a\x00b", "‮abc", "x" * 10_000, "\udcff\ud800", "😀"]
    )
    def test_names_that_were_tried_elsewhere(self, name: str) -> None:
        self.caller_id_is_safe(name, '1"<')

    def test_without_a_link_the_leg_is_lost_at_once(self) -> None:
        pbx = FakePbx()
        pbx.breaks()
        leg = pbx.rings()
        assert leg.gone
        assert outcome_of(leg) is OfferOutcome.LOST
        nothing_left(pbx)

    @pytest.mark.parametrize("failure", [ActionRefused("Extension does not exist."), TooManyActions("500")])
    def test_refused_at_once(self, failure: AmiError) -> None:
        pbx = FakePbx()
        pbx.manager.script("Originate", failure)
        assert outcome_of(pbx.rings()) is OfferOutcome.LOST
        nothing_left(pbx)

    def test_answered_in_every_order(self) -> None:
        """The FastAGI connection is the answer, whatever AMI told by then."""
        events = [
            event("Newchannel", Uniqueid="a1", ChannelStateDesc="Down"),
            event("OriginateResponse", ActionID="a1", Response="Success", Uniqueid="a1"),
            event("DialEnd", DestUniqueid="a1", DialStatus="ANSWER"),
        ]
        for place in range(4):
            pbx = FakePbx()
            leg = pbx.rings()
            pbx.tells(*events[:place])
            answered = Tried(leg.answered())
            assert answered.pending
            pbx.home("a1", "", "agent")
            assert answered.result == "done"
            pbx.tells(*events[place:])
            pbx.manager.channels["a1"] = {}
            pbx.clock.pump([1.0] * 40)
            assert (leg.place, hung_up(pbx), corrections(pbx)) == (Place.HOME, [], [])

    def test_unknown_endpoint_only_the_answer_comes(self) -> None:
        pbx = FakePbx()
        leg = pbx.rings()
        pbx.tells(event("OriginateResponse", ActionID="a1", Response="Failure", Reason="0", Uniqueid="<null>"))
        pbx.clock.advance(0.2)
        assert outcome_of(leg) is OfferOutcome.UNREACHABLE
        nothing_left(pbx)

    def test_a_failure_that_overtakes_the_events_of_its_leg(self) -> None:
        pbx = FakePbx()
        leg = pbx.rings()
        pbx.tells(event("OriginateResponse", ActionID="a1", Response="Failure", Reason="0", Uniqueid="<null>"))
        pbx.clock.advance(0.05)
        pbx.tells(
            event("Newchannel", Uniqueid="a1", ChannelStateDesc="Down"),
            event("DialEnd", DestUniqueid="a1", DialStatus="BUSY"),
            event("Hangup", Uniqueid="a1", Cause="17"),
        )
        assert outcome_of(leg) is OfferOutcome.DECLINED
        nothing_left(pbx)

    @pytest.mark.fault("F66")
    def test_a_channel_that_was_renamed_is_the_same_leg(self) -> None:
        """A masquerade gives a leg another channel and another name: it is known by its Uniqueid."""
        pbx = FakePbx()
        leg, _ = pbx.agent()
        pbx.home("a1", "", "agent", agi_channel="PJSIP/world-00000007<ZOMBIE>")
        pbx.tells(
            event("BridgeEnter", Uniqueid="a1", Channel="Surrogate/PJSIP/2001-00000001", BridgeUniqueid="b1"),
            event("Hangup", Uniqueid="other", Channel="PJSIP/2001-00000001", Cause="16"),
        )
        assert (leg.gone, leg.bridge) == (False, "b1")
        pbx.tells(event("Hangup", Uniqueid="a1", Channel="PJSIP/nobody-00000002<MASQ>", Cause="16"))
        assert leg.gone

    @pytest.mark.parametrize(
        ("status", "outcome"), [("BUSY", OfferOutcome.DECLINED), ("CANCEL", OfferOutcome.NO_ANSWER), ("", OfferOutcome.LOST)]
    )
    def test_the_dial_status_counts_when_the_cause_says_nothing(self, status: str, outcome: OfferOutcome) -> None:
        pbx = FakePbx()
        leg = pbx.rings()
        pbx.tells(event("DialEnd", DestUniqueid="a1", DialStatus=status))
        pbx.ends("a1", "16")
        assert outcome_of(leg) is outcome

    def test_the_response_counts_by_its_action_only(self) -> None:
        """reliability M14: the Uniqueid in it can be another, live call's."""
        pbx = FakePbx()
        caller, session = pbx.caller("c1")
        leg = pbx.rings("a1")
        pbx.tells(event("OriginateResponse", ActionID="a1", Response="Failure", Reason="0", Uniqueid="c1"))
        pbx.tells(event("OriginateResponse", ActionID="c2", Response="Failure", Reason="0", Uniqueid="c1"))
        pbx.tells(event("OriginateResponse", Response="Failure", Reason="0", Uniqueid="c1"))
        pbx.clock.advance(1)
        assert (caller.place, session.closed, leg.gone) == (Place.HOME, False, True)

    def test_not_answered_in_time_it_is_given_up_and_hung_up(self) -> None:
        pbx = FakePbx()
        leg = pbx.rings(seconds=20)
        pbx.manager.channels["a1"] = {"ChannelStateDesc": "Ringing"}
        pbx.tells(event("Newchannel", Uniqueid="a1", ChannelStateDesc="Ringing"))
        pbx.clock.advance(20.9)
        assert hung_up(pbx) == []
        pbx.clock.advance(0.2)
        assert outcome_of(leg) is OfferOutcome.NO_ANSWER
        assert hung_up(pbx) == ["a1"]
        pbx.ends("a1", "0")
        nothing_left(pbx)

    def test_cancelled_right_behind_the_originate(self) -> None:
        """reliability M15, F58: Hangup is refused until Asterisk knows the leg, so it is said again and again."""
        pbx = FakePbx()
        pbx.manager.script("Hangup", *[ActionRefused("No such channel")] * 3)
        leg = pbx.rings()
        leg.hang_up()
        for told in (
            event("Newchannel", Uniqueid="a1", ChannelStateDesc="Down"),
            event("DialBegin", DestUniqueid="a1"),
            event("OriginateResponse", ActionID="a1", Response="Success", Uniqueid="a1"),
        ):
            before = len(hung_up(pbx))
            pbx.tells(told)
            assert len(hung_up(pbx)) == before + 1, told
        assert not leg.gone
        pbx.ends("a1", "0")
        nothing_left(pbx)

    def test_cancelled_and_answered_at_once_it_is_ended_at_home(self) -> None:
        pbx = FakePbx()
        leg = pbx.rings()
        leg.hang_up()
        session = pbx.home("a1", "", "agent")
        assert session.sent == [("SET VARIABLE", "EC_DONE", "end")]
        assert session.closed

    @pytest.mark.parametrize("failure", [None, ActionTimeout("5 s")])
    @pytest.mark.parametrize("made", [True, False])
    def test_the_link_is_lost_before_the_originate_is_answered(self, failure: AmiError | None, made: bool) -> None:
        """reliability F04: made or not is looked up, the leg is neither lost nor kept for ever."""
        pbx = FakePbx()
        pbx.manager.script("Originate", WAITS)
        leg = pbx.rings()
        if failure:
            pbx.manager.says(failure)
        pbx.breaks()
        if made:
            pbx.manager.channels["a1"] = {"ChannelStateDesc": "Ringing"}
        pbx.connects()
        assert leg.gone is not made
        ringing = Tried(leg.when_ringing())
        assert ringing.pending is not made
        if not made:
            assert outcome_of(leg) is OfferOutcome.LOST
            nothing_left(pbx)

    @pytest.mark.parametrize("made", [True, False])
    def test_the_link_is_lost_between_the_answer_and_the_first_event(self, made: bool) -> None:
        """reliability F05."""
        pbx = FakePbx()
        leg = pbx.rings()
        pbx.breaks()
        if made:
            pbx.manager.channels["a1"] = {"ChannelStateDesc": "Ringing"}
        pbx.connects()
        assert leg.gone is not made
        if not made:
            assert outcome_of(leg) is OfferOutcome.LOST
            nothing_left(pbx)

    def test_a_leg_of_which_nothing_is_ever_heard_is_not_kept_for_ever(self) -> None:
        """reliability F19, P5: its events were lost, perhaps that it could not be made: its agent is free within seconds."""
        pbx = FakePbx()
        leg = pbx.rings(seconds=20)
        pbx.clock.advance(UNSHOWN_SECONDS)
        assert outcome_of(leg) is OfferOutcome.UNREACHABLE
        nothing_left(pbx)

    def test_a_leg_of_which_nothing_is_heard_and_that_is_there_rings_on(self) -> None:
        """reliability F19."""
        pbx = FakePbx()
        leg = pbx.rings(seconds=20)
        pbx.manager.channels["a1"] = {"ChannelStateDesc": "Ringing", "Variable": "EC_ROLE=agent"}
        pbx.clock.advance(UNSHOWN_SECONDS)
        assert not leg.gone
        pbx.manager.channels.clear()
        pbx.clock.pump([1.0] * 12)
        assert outcome_of(leg) is OfferOutcome.LOST

    def test_answered_while_the_link_is_down(self) -> None:
        """reliability F06."""
        pbx = FakePbx()
        leg = pbx.rings()
        answered = Tried(leg.answered())
        pbx.breaks()
        pbx.home("a1", "", "agent")
        assert answered.result == "done"
        assert Tried(leg.music("default")).result == "done"
