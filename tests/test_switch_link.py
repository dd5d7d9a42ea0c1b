"""A switch and its link: up and down, the dialplan, a daemon that lets go, and whom it serves."""

from __future__ import annotations

import pytest

from easycall.asterisk.audit import AUDIT_SECONDS, FIRST_SECONDS
from easycall.asterisk.dialplan import steps
from easycall.asterisk.link import ActionRefused, ActionTimeout
from easycall.asterisk.wake import LOOK_SECONDS, UNHEARD_SECONDS
from easycall.events import PbxDown, PbxUp
from easycall.ports import NotAnswered

from .fakes_wires import WAITS, FakePbx, FakeSession, event
from .legs import Tried, corrections, hung_up, nothing_left


class TestTheLink:
    def test_up_and_down_are_told_once(self) -> None:
        pbx = FakePbx()
        assert (pbx.switch.up, pbx.told) == (True, ["up"])
        pbx.breaks("cut")
        pbx.switch.lost("cut again")
        assert (pbx.switch.up, pbx.told) == (False, ["up", "down"])
        pbx.connects()
        assert pbx.told == ["up", "down", "up"]
        assert [type(one) for one in pbx.notes.events] == [PbxUp, PbxDown, PbxUp]
        assert len(pbx.clock.getDelayedCalls()) == 1

    def test_no_business_before_the_picture_is_right(self) -> None:
        """The manager closes a link whose ``connected`` fails, and makes it anew."""
        pbx = FakePbx(up=False)
        pbx.manager.script("Status", ActionTimeout("5 s"))
        assert Tried(pbx.connects()).raised is ActionTimeout
        assert (pbx.switch.up, pbx.told, pbx.notes.events) == (False, [], [])
        assert not pbx.clock.getDelayedCalls()
        pbx.connects()
        assert pbx.switch.up

    def test_legs_that_moved_while_the_picture_was_made(self) -> None:
        pbx = FakePbx(up=False)
        pbx.manager.script("Status", WAITS)
        _caller, session = pbx.caller("c1")
        pbx.connects()
        session.ends()
        pbx.ends("c1")
        pbx.manager.says()
        assert (pbx.switch.up, corrections(pbx)) == (True, [])
        nothing_left(pbx)


@pytest.mark.fault("F31")
class TestTheDialplan:
    def test_a_context_that_is_gone_is_told_until_it_is_back(self) -> None:
        pbx = FakePbx()
        pbx.clock.advance(FIRST_SECONDS)
        assert pbx.switch.trouble == ""
        pbx.manager.dialplan = False
        pbx.clock.advance(AUDIT_SECONDS)
        assert "extensions.conf: [easycall]" in pbx.switch.trouble
        assert "dialplan reload" in pbx.switch.trouble
        pbx.manager.dialplan = True
        pbx.clock.advance(AUDIT_SECONDS)
        assert pbx.switch.trouble == ""

    @pytest.mark.parametrize(
        ("name", "module", "asks"),
        [
            ("Reload", "pbx_config.so", True),
            ("Reload", "All", True),
            ("Unload", "pbx_config.so", True),
            ("Load", "pbx_ael.so", True),
            ("Reload", "res_musiconhold.so", False),
        ],
    )
    def test_what_asterisk_reads_anew_is_looked_at_at_once(self, name: str, module: str, asks: bool) -> None:
        pbx = FakePbx()
        pbx.manager.dialplan = False
        pbx.tells(event(name, Module=module))
        assert bool(pbx.switch.trouble) == asks

    @pytest.mark.parametrize("why", ["Permission denied", "Invalid/unknown command: ShowDialPlan."])
    def test_what_may_not_be_asked_is_no_trouble(self, why: str) -> None:
        pbx = FakePbx()
        pbx.manager.script("ShowDialPlan", *([ActionRefused(why)] * 3))
        pbx.clock.pump([FIRST_SECONDS, AUDIT_SECONDS, AUDIT_SECONDS])
        assert pbx.switch.trouble == ""

    def test_extensions_from_elsewhere_are_no_trouble(self) -> None:
        assert steps([event("ListDialplan", IncludeContext="shared"), event("ShowDialPlanComplete")]) is None
        assert steps([event("ListDialplan", Switch="Realtime/easycall"), event("ShowDialPlanComplete")]) is None
        assert steps([event("ListDialplan", Extension="fax", Application="AGI"), event("ShowDialPlanComplete")]) == []

    def test_no_answer_changes_nothing_and_a_lost_link_is_the_worse_news(self) -> None:
        pbx = FakePbx()
        pbx.manager.dialplan = False
        pbx.clock.advance(FIRST_SECONDS)
        trouble = pbx.switch.trouble
        assert trouble
        pbx.manager.script("ShowDialPlan", ActionTimeout("5 s"))
        pbx.clock.advance(AUDIT_SECONDS)
        assert pbx.switch.trouble == trouble
        pbx.breaks()
        assert pbx.switch.trouble == ""


@pytest.mark.fault("F26")
def test_the_legs_of_one_that_shuts_down_are_not_given_up_while_it_speaks() -> None:
    pbx = FakePbx(up=False)
    leg = pbx.switch.expect("x1")
    for _ in range(3 * int(UNHEARD_SECONDS)):
        pbx.manager.heard = pbx.clock.seconds()
        pbx.clock.advance(1)
    assert not leg.gone
    pbx.manager.heard = None
    pbx.clock.advance(LOOK_SECONDS)
    assert leg.gone


class TestLettingGo:
    def test_nothing_is_sent_and_no_timer_stays(self) -> None:
        """reliability P1, F36: the daemon stops, the calls go on."""
        pbx = FakePbx()
        caller, session = pbx.caller("c1")
        agent, agent_session = pbx.agent("a1")
        ringing = pbx.rings("a2")
        waiting = pbx.rings("a3")
        waiting.hang_up()
        leaving, leaving_session = pbx.caller("c2")
        leaving_session.ends()
        pbx.switch.let_go()
        assert not pbx.clock.getDelayedCalls()
        before = len(pbx.manager.actions)
        for leg in (caller, agent, ringing, leaving):
            leg.hang_up()
        pbx.tells(event("Newchannel", Uniqueid="a3", ChannelStateDesc="Down"), event("HangupRequest", Uniqueid="c1"))
        assert len(pbx.manager.actions) == before
        assert (session.closed, session.sent, agent_session.sent) == (False, [], [])
        assert not pbx.clock.getDelayedCalls()

    @pytest.mark.parametrize("leg", ["new", "a1", "a9"])
    def test_who_comes_home_now_is_left_to_the_dialplan(self, leg: str) -> None:
        pbx = FakePbx()
        ringing = pbx.rings("a1")
        pbx.switch.let_go()
        ringing.hang_up()
        session = pbx.home(leg, "", "" if leg == "new" else "agent")
        assert (session.sent, session.closed, pbx.arrivals) == ([], True, [])

    def test_a_link_that_comes_back_now_starts_nothing(self) -> None:
        pbx = FakePbx()
        pbx.breaks()
        pbx.switch.let_go()
        pbx.manager.channels["x1"] = {"Variable": "EC_ROLE=agent"}
        pbx.connects()
        assert (hung_up(pbx), pbx.clock.getDelayedCalls()) == ([], [])


class TestServing:
    def test_an_agents_leg_that_nobody_waits_for_ends(self) -> None:
        pbx = FakePbx()
        session = pbx.home("ec-old-agent-1", "", "agent")
        assert (session.sent, session.closed) == ([("SET VARIABLE", "EC_DONE", "end")], True)
        assert pbx.arrivals == []
        nothing_left(pbx)

    def test_a_caller_who_comes_home_again_is_no_new_caller(self) -> None:
        pbx = FakePbx()
        _, session = pbx.caller("c1")
        session.ends()
        pbx.home("c1")
        assert len(pbx.arrivals) == 1

    def test_the_shell_of_a_leg_that_was_bridged_while_it_called_us_is_no_new_caller(self) -> None:
        """It has an id of its own, and all that the leg was given."""
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        for role in ("caller", "agent"):
            shell = pbx.home("17.2", "95588", role, agi_channel="Surrogate/PJSIP/trunk-00000001")
            assert (shell.sent, shell.closed) == ([], True)
        assert (len(pbx.arrivals), list(pbx.switch.legs)) == (1, [caller])
        assert hung_up(pbx) == []

    def test_a_leg_without_an_id_is_not_served(self) -> None:
        pbx = FakePbx()
        session = FakeSession("")
        with pytest.raises(ValueError, match="agi_uniqueid"):
            pbx.switch.serve(session)  # type: ignore[arg-type]
        assert pbx.arrivals == []
        assert len(pbx.switch.legs) == 0

    def test_not_answered_is_told_with_its_reason(self) -> None:
        pbx = FakePbx()
        leg = pbx.rings()
        pbx.tells(event("Newchannel", Uniqueid="a1", ChannelStateDesc="Down"))
        pbx.ends("a1", "21")
        assert Tried(leg.answered()).raised is NotAnswered
