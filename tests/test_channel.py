"""One leg over visits home, stays in bridges and its end: verbs, Taken and HungUp, hang-ups that must not get lost."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from easycall.asterisk.causes import of_cause, of_dial_status
from easycall.asterisk.channel import AsteriskChannel, Place
from easycall.asterisk.conversation import AsteriskConversation
from easycall.asterisk.fastagi import CommandFailed
from easycall.defer import start
from easycall.model import OfferOutcome
from easycall.ports import HungUp, NotAnswered, Taken

from .fakes_wires import WAITS, FakePbx, FakeSession, event
from .legs import Tried, outcome_of


class Leg(AsteriskChannel):
    """A leg of its own, without a switch."""

    def __init__(self, *, dialled: bool = False, reachable: bool = True) -> None:
        super().__init__("c1", self._reach, self._left, dialled=dialled)
        self.reachable = reachable
        self.reached = 0
        self.causes: list[str] = []
        self.left = 0

    def _reach(self, leg: AsteriskChannel, cause: str) -> bool:
        self.causes.append(cause)
        self.reached += self.reachable
        return self.reachable

    def _left(self, leg: AsteriskChannel) -> None:
        self.left += 1

    def comes(self, **answers: list[Any]) -> FakeSession:
        """It comes home."""
        session = FakeSession("c1")
        session.answers = {verb.replace("_", " "): script for verb, script in answers.items()}
        self.came_home(session)  # type: ignore[arg-type]
        return session


VERBS: dict[str, Callable[[AsteriskChannel], Coroutine[Any, Any, Any]]] = {
    "answer": lambda leg: leg.answer(),
    "play": lambda leg: leg.play(["hello"]),
    "collect": lambda leg: leg.collect(["pin"], 4, 5),
    "wait_key": lambda leg: leg.wait_key(5),
    "music": lambda leg: leg.music("default"),
    "remember": lambda leg: leg.remember({"EC_Q": "sales"}),
}
COMMANDS = {
    "answer": "ANSWER",
    "play": "STREAM FILE",
    "collect": "GET DATA",
    "wait_key": "WAIT FOR DIGIT",
    "music": "SET MUSIC",
    "remember": "SET VARIABLE",
}
verbs = pytest.mark.parametrize("verb", VERBS)


class TestVerbs:
    @verbs
    def test_at_home_it_is_one_command(self, verb: str) -> None:
        leg = Leg()
        session = leg.comes(WAIT_FOR_DIGIT=["0"])
        tried = Tried(VERBS[verb](leg))
        assert not tried.pending
        assert [words[0] for words in session.sent] == [COMMANDS[verb]]

    @verbs
    def test_away_it_raises_taken_at_once(self, verb: str) -> None:
        leg = Leg()
        session = leg.comes()
        leg.taking = True
        session.ends()
        assert leg.place is Place.AWAY
        assert Tried(VERBS[verb](leg)).raised is Taken

    @verbs
    def test_gone_it_raises_hung_up_at_once(self, verb: str) -> None:
        leg = Leg()
        leg.comes()
        leg.ended()
        assert Tried(VERBS[verb](leg)).raised is HungUp

    @verbs
    def test_in_between_it_waits_and_works_when_the_leg_is_home_again(self, verb: str) -> None:
        leg = Leg()
        leg.comes().ends()
        assert (leg.place, leg.left) == (Place.BETWEEN, 1)
        tried = Tried(VERBS[verb](leg))
        assert tried.pending
        session = leg.comes(WAIT_FOR_DIGIT=["0"])
        assert [words[0] for words in session.sent] == [COMMANDS[verb]]
        assert not tried.pending

    @verbs
    @pytest.mark.parametrize(("then", "raises"), [("ended", HungUp), ("joined", Taken)])
    def test_in_between_it_waits_for_what_is_told(self, verb: str, then: str, raises: type[Exception]) -> None:
        leg = Leg()
        leg.comes().ends()
        tried = Tried(VERBS[verb](leg))
        leg.ended() if then == "ended" else leg.joined("b1")
        assert tried.raised is raises

    @verbs
    @pytest.mark.parametrize(("then", "raises"), [("hangup", HungUp), ("bridge", Taken), ("home", Taken)])
    def test_in_flight_when_the_session_ends(self, verb: str, then: str, raises: type[Exception]) -> None:
        """On the wire taken and hung up look the same; what follows tells."""
        leg = Leg()
        tried, session = self._in_flight(leg, verb)
        session.ends()
        assert tried.pending
        match then:
            case "hangup":
                leg.ended()
            case "bridge":
                leg.joined("b1")
            case _:
                again = leg.comes()
                assert again.sent == []
        assert tried.raised is raises

    @verbs
    def test_in_flight_when_the_leg_ends_first(self, verb: str) -> None:
        leg = Leg()
        tried, session = self._in_flight(leg, verb)
        leg.ended()
        assert tried.raised is HungUp
        assert session.closed

    @verbs
    def test_in_flight_when_we_take_the_leg(self, verb: str) -> None:
        leg = Leg()
        tried, session = self._in_flight(leg, verb)
        leg.taking = True
        session.ends()
        assert (tried.raised, leg.left) == (Taken, 0)

    @verbs
    def test_in_flight_when_the_bridge_is_told_before_the_session_ends(self, verb: str) -> None:
        leg = Leg()
        tried, session = self._in_flight(leg, verb)
        leg.joined("b1")
        assert tried.pending
        session.ends()
        assert (tried.raised, leg.left) == (Taken, 0)

    @verbs
    def test_in_flight_when_the_leg_comes_home_a_second_time(self, verb: str) -> None:
        leg = Leg()
        tried, session = self._in_flight(leg, verb)
        again = leg.comes()
        assert (tried.raised, session.closed, again.closed) == (Taken, True, False)
        assert (leg.place, leg.left) == (Place.HOME, 0)

    @verbs
    def test_cancelled_in_flight_it_is_over_and_the_next_one_works(self, verb: str) -> None:
        leg = Leg()
        tried, session = self._in_flight(leg, verb)
        tried.running.cancel()
        assert tried.raised is CancelledError
        assert Tried(leg.answer()).result == "done"
        assert session.sent[-1] == ("ANSWER",)

    @verbs
    def test_cancelled_in_between(self, verb: str) -> None:
        leg = Leg()
        leg.comes().ends()
        tried = Tried(VERBS[verb](leg))
        tried.running.cancel()
        assert tried.raised is CancelledError
        assert leg.comes().sent == []

    @staticmethod
    def _in_flight(leg: Leg, verb: str) -> tuple[Tried, FakeSession]:
        session = leg.comes(**{COMMANDS[verb].replace(" ", "_"): [WAITS]})
        tried = Tried(VERBS[verb](leg))
        assert tried.pending
        return tried, session


class TestPlaying:
    def test_a_key_stops_all_the_sounds(self) -> None:
        leg = Leg()
        session = leg.comes(STREAM_FILE=["0", str(ord("1")), "0"])
        assert Tried(leg.play(["a", "b", "c"], "12")).result == "1"
        assert session.sent == [("STREAM FILE", "a", "12", "0"), ("STREAM FILE", "b", "12", "0")]

    def test_a_sound_that_is_missing_is_passed_over(self) -> None:
        leg = Leg()
        session = leg.comes(STREAM_FILE=["-1", "0"])
        assert Tried(leg.play(["missing", "b"])).result == ""
        assert [words[1] for words in session.sent if words[0] == "STREAM FILE"] == ["missing", "b"]

    def test_music_that_is_missing_is_passed_over(self) -> None:
        leg = Leg()
        leg.comes(SET_MUSIC=[CommandFailed("no")])
        assert Tried(leg.music("nowhere")).result == "done"

    def test_the_rest_is_not_played_after_the_leg_was_taken(self) -> None:
        leg = Leg()
        session = leg.comes(STREAM_FILE=[WAITS])
        tried = Tried(leg.play(["a", "b"]))
        leg.taking = True
        session.ends()
        assert tried.raised is Taken
        assert len(session.sent) == 1

    def test_the_rest_is_not_played_on_a_second_session(self) -> None:
        leg = Leg()
        leg.comes(STREAM_FILE=[WAITS])
        tried = Tried(leg.play(["a", "b"]))
        assert leg.comes().sent == []
        assert tried.raised is Taken


class TestCollecting:
    @pytest.mark.parametrize(
        ("sounds", "streamed", "read", "expected", "asked"),
        [
            (["pin"], [], "1234", "1234", ("pin", 4)),
            ([], [], "12", "12", ("silence/1", 4)),
            (["hello", "pin"], ["0"], "12", "12", ("pin", 4)),
            (["hello", "pin"], ["1"], "234", "1234", ("silence/1", 3)),
            (["hello", "please", "pin"], ["0", "1"], "", "1", ("silence/1", 3)),
            (["hello", "pin"], ["*"], "1", "*1", ("silence/1", 3)),
            (["hello", "pin"], ["#"], None, "", None),
        ],
    )
    def test_keys_typed_ahead_count(
        self, sounds: list[str], streamed: list[str], read: str | None, expected: str, asked: tuple[str, int] | None
    ) -> None:
        leg = Leg()
        keys = [key if key == "0" else str(ord(key)) for key in streamed]
        session = leg.comes(STREAM_FILE=keys, GET_DATA=[read])
        assert Tried(leg.collect(sounds, 4, 5.0)).result == expected
        data = [words for words in session.sent if words[0] == "GET DATA"]
        assert data == ([] if asked is None else [("GET DATA", asked[0], "5000", str(asked[1]))])

    def test_the_only_key_wanted_was_typed_ahead(self) -> None:
        leg = Leg()
        session = leg.comes(STREAM_FILE=[str(ord("7"))])
        assert Tried(leg.collect(["hello", "choose"], 1, 5.0)).result == "7"
        assert [words[0] for words in session.sent] == ["STREAM FILE"]

    def test_a_sound_that_is_missing_is_passed_over(self) -> None:
        leg = Leg()
        leg.comes(STREAM_FILE=["-1"], GET_DATA=["-1", "1234"])
        assert Tried(leg.collect(["missing", "missing-too"], 4, 5.0)).result == "1234"


class TestComingAndGoing:
    def test_a_caller_begins_in_between_and_is_home_with_the_first_session(self) -> None:
        leg = Leg()
        waiting = Tried(leg.home())
        assert (leg.place, waiting.pending) == (Place.BETWEEN, True)
        leg.comes()
        assert (leg.place, waiting.pending) == (Place.HOME, False)

    def test_waiting_for_home_ends_with_the_leg(self) -> None:
        leg = Leg()
        waiting = Tried(leg.home())
        leg.ended()
        assert waiting.raised is HungUp

    def test_the_end_is_told_to_everyone_and_once(self) -> None:
        leg = Leg()
        session = leg.comes()
        gone, back = Tried(leg.when_gone()), Tried(leg.when_back())
        leg.ended()
        leg.ended()
        assert (gone.result, back.result, leg.gone, session.closed) == ("done", "done", True, True)
        assert Tried(leg.when_gone()).result == "done"
        assert leg.left == 0

    def test_a_session_after_the_end_is_closed(self) -> None:
        leg = Leg()
        leg.ended()
        session = leg.comes()
        assert session.closed
        assert leg.gone

    def test_the_old_session_may_end_late(self) -> None:
        leg = Leg()
        old = leg.comes()
        old.close = lambda: None  # type: ignore[method-assign]
        leg.comes()
        old.ends()
        assert (leg.place, leg.left) == (Place.HOME, 0)

    def test_bridge_told_late_after_it_is_home_again(self) -> None:
        leg = Leg()
        leg.comes()
        leg.joined("b1")
        assert leg.place is Place.HOME
        leg.parted("b2")
        leg.parted("b1")
        assert leg.bridge == ""

    @pytest.mark.parametrize("end", ["taken", "closed", "dead"])
    def test_a_call_from_before_the_bridge_is_no_homecoming(self, end: str) -> None:
        """It was on its way home when it was put into the bridge, and of the two the bridge is told first."""
        leg, other = Leg(), Leg()
        other.comes()
        leg.joined("b1")
        conversation = AsteriskConversation(leg, other)
        over = start(conversation.over())
        session = leg.comes(ANSWER=[CommandFailed("ANSWER", 511)] if end == "dead" else [WAITS])
        if end == "taken":
            session.ends()
        elif end == "closed":
            leg.parted("b1")
            leg.ended()
            session.ends()
        assert leg.place is (Place.GONE if end == "closed" else Place.AWAY)
        assert over.called is (end == "closed")
        assert session.over

    def test_a_homecoming_that_is_told_before_the_bridge_was_left_counts(self) -> None:
        leg = Leg()
        leg.joined("b1")
        back = leg.when_back()
        session = leg.comes()
        assert (leg.place, leg.bridge, back.called, session.over) == (Place.HOME, "", True, False)

    def test_back_is_told_when_verbs_work(self) -> None:
        leg = Leg()
        seen: list[Any] = []
        leg.when_back().addCallback(lambda _: seen.append((leg.place, Tried(leg.answer()).result)))
        leg.comes()
        assert seen == [(Place.HOME, "done")]

    @pytest.mark.parametrize("told", ["home", "back", "ringing", "answered", "old"])
    def test_whoever_is_told_may_hang_up(self, told: str) -> None:
        """Re-entrancy: the link is down, so hanging up closes the session inside ``came_home``."""
        leg = Leg(dialled=told in ("ringing", "answered"), reachable=False)
        match told:
            case "home":
                work: Deferred[Any] = start(leg.home())
            case "back":
                work = leg.when_back()
            case "ringing":
                work = leg.when_ringing()
            case "answered":
                work = start(leg.answered())
            case _:
                leg.comes(STREAM_FILE=[WAITS])
                work = start(leg.play(["a"])).addErrback(lambda failure: None)
        work.addCallback(lambda _: leg.hang_up())
        session = leg.comes()
        assert session.closed
        assert leg.place is not Place.HOME, "at home without a session: who waits for home would turn for ever"
        assert leg.comes().sent == [("SET VARIABLE", "EC_DONE", "end")]

    def test_a_session_that_was_over_when_it_came(self) -> None:
        leg = Leg()
        session = FakeSession("c1")
        session.ends()
        leg.came_home(session)  # type: ignore[arg-type]
        assert (leg.place, leg.left) == (Place.BETWEEN, 1)


class TestHangingUp:
    def test_over_ami_once(self) -> None:
        leg = Leg()
        leg.comes()
        leg.hang_up()
        leg.hang_up()
        assert leg.reached == 1

    @pytest.mark.parametrize(("elsewhere", "cause"), [(False, "16"), (True, "26")])
    def test_a_phone_is_told_when_another_has_answered(self, elsewhere: bool, cause: str) -> None:
        leg = Leg(dialled=True)
        leg.hang_up(elsewhere=elsewhere)
        leg.hang_up()
        assert leg.causes == [cause]
        assert leg.parting == cause  # with which a leg that Asterisk did not know yet is hung up later

    def test_without_ami_the_leg_is_sent_through_its_dialplan_and_told_to_end(self) -> None:
        leg = Leg(reachable=False)
        session = leg.comes()
        leg.hang_up()
        assert session.closed
        again = leg.comes()
        assert again.sent == [("SET VARIABLE", "EC_DONE", "end")]
        assert again.closed

    def test_without_ami_and_not_at_home_it_is_told_when_it_comes(self) -> None:
        leg = Leg(dialled=True, reachable=False)
        leg.hang_up()
        session = leg.comes()
        assert (session.sent, session.closed) == ([("SET VARIABLE", "EC_DONE", "end")], True)

    def test_a_leg_that_cannot_be_told_comes_again_and_is_told_again(self) -> None:
        leg = Leg(reachable=False)
        leg.comes()
        leg.hang_up()
        lost = leg.comes(SET_VARIABLE=[WAITS])
        lost.ends()
        assert leg.comes().sent == [("SET VARIABLE", "EC_DONE", "end")]

    def test_gone_already(self) -> None:
        leg = Leg()
        leg.ended()
        leg.hang_up()
        assert leg.reached == 0


class TestRinging:
    def ring(self) -> tuple[Leg, Tried, Tried]:
        leg = Leg(dialled=True)
        return leg, Tried(leg.answered()), Tried(leg.when_ringing())

    def test_answered_when_it_is_home(self) -> None:
        leg, answered, ringing = self.ring()
        leg.rings()
        assert (ringing.result, answered.pending) == ("done", True)
        leg.comes()
        assert answered.result == "done"

    def test_answered_without_ringing_rings_too_and_before(self) -> None:
        leg = Leg(dialled=True)
        order: list[str] = []
        start(leg.answered()).addCallback(lambda _: order.append("answered"))
        leg.when_ringing().addCallback(lambda _: order.append("rings"))
        leg.comes()
        assert order == ["rings", "answered"]

    @pytest.mark.parametrize("outcome", [OfferOutcome.DECLINED, OfferOutcome.UNREACHABLE, OfferOutcome.NO_ANSWER])
    def test_refused_is_decided_by_the_end(self, outcome: OfferOutcome) -> None:
        leg, answered, _ = self.ring()
        leg.refused(outcome)
        assert answered.pending
        leg.ended()
        assert answered.raised is NotAnswered
        assert outcome_of(leg) is outcome

    def test_gone_without_a_word_is_lost(self) -> None:
        leg, _, _ = self.ring()
        leg.ended()
        assert outcome_of(leg) is OfferOutcome.LOST

    def test_given_up_the_phone_is_hung_up_and_an_answer_comes_too_late(self) -> None:
        leg, answered, _ = self.ring()
        leg.give_up(OfferOutcome.NO_ANSWER)
        assert (answered.raised, leg.reached) == (NotAnswered, 1)
        assert outcome_of(leg) is OfferOutcome.NO_ANSWER
        session = leg.comes()
        assert session.sent == [("SET VARIABLE", "EC_DONE", "end")]
        leg.ended()

    def test_given_up_after_the_answer_changes_nothing(self) -> None:
        leg, answered, _ = self.ring()
        session = leg.comes()
        leg.give_up(OfferOutcome.NO_ANSWER)
        assert (answered.result, leg.reached, session.closed) == ("done", 0, False)

    def test_answered_and_gone_before_anyone_asked_is_answered(self) -> None:
        leg = Leg(dialled=True)
        leg.comes()
        leg.ended()
        assert Tried(leg.answered()).result == "done"
        assert Tried(leg.answer()).raised is HungUp


class TestCauses:
    @pytest.mark.parametrize(
        ("cause", "outcome"),
        [
            ("17", OfferOutcome.DECLINED),
            ("21", OfferOutcome.DECLINED),
            ("18", OfferOutcome.NO_ANSWER),
            ("19", OfferOutcome.NO_ANSWER),
            ("1", OfferOutcome.UNREACHABLE),
            ("20", OfferOutcome.UNREACHABLE),
            ("0", None),
            ("16", None),
            ("127", None),
            ("", None),
            ("-1", None),
            ("x", None),
            ("²", None),
        ],
    )
    def test_what_a_cause_means(self, cause: str, outcome: OfferOutcome | None) -> None:
        assert of_cause(cause) is outcome

    def test_what_a_dial_status_means(self) -> None:
        assert of_dial_status("BUSY") is OfferOutcome.DECLINED
        assert of_dial_status("NOANSWER") is OfferOutcome.NO_ANSWER
        assert of_dial_status("ANSWER") is None
        assert of_dial_status("") is None


class TestConversation:
    def talk(self) -> tuple[FakePbx, AsteriskChannel, AsteriskChannel, Tried]:
        pbx = FakePbx()
        caller, at_home = pbx.caller()
        agent, agent_at_home = pbx.agent()
        conversation = AsteriskConversation(caller, agent)
        caller.taking = agent.taking = True
        for session in (at_home, agent_at_home):
            session.ends()
        pbx.tells(*(event("BridgeEnter", Uniqueid=leg.id, BridgeUniqueid="b1") for leg in (caller, agent)))
        over = Tried(conversation.over())
        assert over.pending
        return pbx, caller, agent, over

    def test_who_is_gone_first_left_it(self) -> None:
        pbx, caller, _agent, over = self.talk()
        pbx.ends("c1")
        pbx.home("a1", "", "agent")
        assert over.result is caller

    def test_who_comes_home_first_was_left(self) -> None:
        pbx, caller, _agent, over = self.talk()
        pbx.home("a1", "", "agent")
        pbx.ends("c1")
        assert over.result is caller

    def test_both_gone_the_first_left_it(self) -> None:
        pbx, _caller, agent, over = self.talk()
        pbx.ends("a1")
        pbx.ends("c1")
        assert over.result is agent

    def test_a_leg_gone_before_it_began(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller()
        agent, _ = pbx.agent()
        pbx.ends("a1")
        assert Tried(AsteriskConversation(caller, agent).over()).result is agent

    def test_a_doomed_leg_that_comes_home_tells_nothing_and_ends(self) -> None:
        pbx, _caller, agent, over = self.talk()
        agent.hang_up()
        session = pbx.home("a1", "", "agent")
        assert session.sent == [("SET VARIABLE", "EC_DONE", "end")]
        pbx.ends("a1")
        assert over.result is agent
