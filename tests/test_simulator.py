"""The simulated Asterisk by itself, in virtual time, spoken with over the daemon's own AMI link and FastAGI server.

That it does what a real Asterisk does is held by tests/conformance and tests/scenarios; here is what those do not reach:
races on demand, far ends, sounds, and its end.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint

from easycall.asterisk import agi as our_agi
from easycall.asterisk.ami import Action, Codec, Message, variable
from easycall.asterisk.fastagi import FastAgiFactory, Session, SessionOver
from easycall.asterisk.manager import Account as OurAccount
from easycall.asterisk.manager import ActionRefused, Manager
from easycall.simulator import agi, ami
from easycall.simulator.asterisk import Account, Settings, SimulatedAsterisk
from easycall.simulator.dialplan import DialplanMistake, parse
from easycall.simulator.expression import Mistake, compiled
from easycall.simulator.faults import Chaos, Faults
from easycall.simulator.fax import Machine
from easycall.simulator.line import FarEnd, Unreachable
from easycall.simulator.virtual import VirtualReactor

from .transcripts.record import white_page

DIALPLAN = Path(__file__).parent.parent / "etc" / "asterisk" / "extensions.conf"
RIGHTS = frozenset({"system", "call", "dtmf", "dialplan", "user", "reporting", "originate", "command"})
KINDS = (
    *("Newchannel", "Newstate", "DialBegin", "DialState", "DialEnd", "OriginateResponse", "BridgeEnter", "BridgeLeave"),
    *("HangupRequest", "Hangup", "DTMFEnd", "UserEvent", "ConfbridgeJoin", "FAXStatus", "SendFAX", "MixMonitorMute"),
)


class Person(FarEnd):
    """Keeps what reaches it; a phone rings, and does what ``then`` says after ``seconds``."""

    def __init__(self, stage: Stage, then: str = "", seconds: float = 1.0) -> None:
        self.stage = stage
        self.then = then
        self.seconds = seconds
        self.story: list[str] = []

    def rung(self, caller: str, caller_name: str) -> None:
        self.story.append(f"rung by {caller} {caller_name}")
        self.line.ring()
        if self.then:
            self.stage.reactor.callLater(self.seconds, getattr(self.line, self.then))

    def answered(self) -> None:
        self.story.append("answered")

    def heard_key(self, key: str) -> None:
        self.story.append(f"key {key}")

    def heard(self, sound: str) -> None:
        self.story.append(f"hears {sound or 'nothing'}")

    def ended(self, cause: int) -> None:
        self.story.append(f"ended {cause}")


class Stage:
    """A simulated Asterisk, an AMI link and a FastAGI server of ours, and everybody's phones."""

    def __init__(self, **how: Any) -> None:
        self.reactor = VirtualReactor()
        self.phones: dict[str, FarEnd | Unreachable] = {}
        dialplan = DIALPLAN.read_text() + how.pop("more", "")
        faults = how.pop("faults", Faults())
        account = {"lab": Account("secret", RIGHTS, RIGHTS), "easycall": Account("secret", RIGHTS, frozenset({"call"}))}
        self.pbx = SimulatedAsterisk(self.reactor, Settings(5038, account, dialplan, **how), self.phones.get, faults=faults)
        self.events: list[Message] = []
        self.sessions: list[Session] = []
        self.lost: list[str] = []
        self.ups = 0
        self.run(self.pbx.start())
        self.manager = Manager(
            "pbx",
            TCP4ClientEndpoint(self.reactor, "127.0.0.1", 5038),
            OurAccount("lab", "secret"),
            self.reactor,
            events=dict.fromkeys(KINDS, self.events.append),
            connected=self._connected,
            lost=self.lost.append,
        )
        self.manager.start()
        self.fastagi = FastAgiFactory(self.sessions.append, self.reactor)
        self.port = self.reactor.listenTCP(4573, self.fastagi)
        self.pass_(1.0)

    async def _connected(self) -> None:
        self.ups += 1
        await self.manager.send(Action.of("Events", EventMask="system,call,dtmf,user"))

    def pass_(self, seconds: float = 0.5) -> None:
        self.reactor.advance(seconds)

    def run(self, work: Coroutine[Any, Any, Any], seconds: float = 0.5) -> Any:
        """Let it run; its result, or None when it goes on."""
        outcome: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(outcome.append)
        self.pass_(seconds)
        return outcome[0] if outcome else None

    def send(self, name: str, **headers: Any) -> Any:
        """The answer, or the reason why not."""

        async def send() -> Message | str:
            try:
                return await self.manager.send(Action.of(name, **headers), action_id=headers.get("ChannelId", ""))
            except ActionRefused as refusal:
                return refusal.message

        return self.run(send())

    def caller(self, number: str = "95588") -> tuple[Person, Session]:
        """A caller who has come home and is answered."""
        person = Person(self)
        self.pbx.call_in(number, "+4930123456", "Carl", person)
        self.pass_()
        session = self.sessions[-1]
        self.run(session.answer())
        return person, session

    def rings(self, leg: str, person: FarEnd | Unreachable | None = None, **more: Any) -> Any:
        """An Originate to a phone."""
        if person is not None:
            self.phones["PJSIP/2001@world"] = person
        how = {"Context": "easycall", "Exten": "s", "Priority": "1", "Timeout": "10000", "Async": "true", **more}
        role = variable("EC_ROLE", "agent")
        return self.send("Originate", Channel="PJSIP/2001@world", ChannelId=leg, CallerID='"C" <1>', Variable=role, **how)

    def agent(self, leg: str = "agent") -> tuple[Person, Session]:
        """An agent who has answered and is at home."""
        person = Person(self, "answer", 0.1)
        self.rings(leg, person)
        self.pass_(1)
        return person, self.sessions[-1]

    def told(self, leg: str) -> list[str]:
        """The events of one channel, with what decides."""
        story = []
        for event in self.events:
            if leg in (event.get("Uniqueid"), event.get("DestUniqueid"), event.action_id):
                more = event.get("DialStatus") or event.get("Cause") or event.get("Response")
                story.append(f"{event.name} {more}".strip())
        return story

    def close(self) -> None:
        self.run(self.manager.stop())
        self.run(self.pbx.stop())
        for session in list(self.fastagi.sessions):
            session.close()
        self.port.stopListening()
        self.pass_(3)
        assert not self.pbx.core.channels
        assert not self.pbx.sessions
        assert not self.pbx.managers
        assert not [call for call in self.reactor.getDelayedCalls() if call.active()]


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    stage = Stage(**getattr(request, "param", {}))
    yield stage
    stage.close()


class TestExpressions:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("plain", "plain"),
            ("${A}${B}", "12"),
            ("x${A}y$z", "x1y$z"),
            ("${NAME${A}}", "inner"),
            ("$[1 + 2 * 3]", "7"),
            ("$[(1 + 2) * 3]", "9"),
            ("$[-2 + 5]", "3"),
            ('$["${A}" = "1"]', "1"),
            ('$["${NONE}" = ""]', "1"),
            ('$["a" != "b" & 2 > 1]', "1"),
            ('$["" | "x"]', "x"),
            ("$[!0]", "1"),
            ("$[7 % 3]", "1"),
            ("$[7 / 2]", "3.5"),
            ("$[ 10 >= 9 ]?yes", "1?yes"),
            ("$[abc < abd]", "1"),
        ],
    )
    def test_values(self, text: str, value: str) -> None:
        variables = {"A": "1", "B": "2", "NAME1": "inner"}
        assert compiled(text)(lambda name: variables.get(name, "")) == value

    @pytest.mark.parametrize("text", ["${A", "$[1", "$[1 / 0]", "$[(1]", "$[x + 1]", '$["a]'])
    def test_mistakes(self, text: str) -> None:
        with pytest.raises(Mistake):
            compiled(text)(lambda name: "")


class TestDialplan:
    def test_patterns_labels_and_includes(self) -> None:
        plan = parse(
            "[globals]\nG = 5 ; a comment\n[in]\ninclude => more\nexten => _2[0-3]XX,1,NoOp(${EXTEN})\n"
            " same => n(here),Goto(here)\nexten => 9,1,Hangup\n[more]\nexten => _X.,1,Answer()\n"
        )
        assert plan.variables == {"G": "5"}
        assert plan.priority("in", "2100", "here") == 2
        assert plan.priority("in", "2400", "here") is None
        found = plan.step("in", "77", 1)
        assert found is not None
        assert found.application == "answer"
        assert plan.step("in", "2100", 3) is None
        assert plan.step("nowhere", "2100", 1) is None

    def test_a_line_that_cannot_be_understood_is_named(self) -> None:
        with pytest.raises(DialplanMistake, match="line 2 of the dialplan"):
            parse("[in]\nexten => 1,x,Answer()\n")


class TestWires:
    @given(st.lists(st.tuples(st.from_regex(r"[A-Z][A-Za-z]{0,9}", fullmatch=True), st.text().filter(str.isprintable))))
    def test_what_our_codec_sends_is_read(self, headers: list[tuple[str, str]]) -> None:
        safe = [(name, value.strip()) for name, value in headers if name not in ("Action", "ActionID")]
        safe = [(name, value) for name, value in safe if "hannel" not in name and len(value.encode()) < 900]
        data = Codec.encode(Action("X", tuple(safe)), "1")
        [request] = ami.Reader().receive(data)
        assert list(request.headers) == [("Action", "X"), ("ActionID", "1"), *safe]

    @given(st.lists(st.text().filter(lambda text: not set(text) & set("\r\n\0")), max_size=4))
    def test_what_our_agi_sends_is_read(self, words: list[str]) -> None:
        [line] = agi.Reader().receive(our_agi.command("EXEC", *words))
        assert agi.words(line) == ["EXEC", *words]

    def test_too_long_and_too_many(self) -> None:
        reader = ami.Reader()
        [long] = reader.receive(b"Action: X\r\nActionID: 1\r\nA: " + b"x" * 1020 + b"\r\n\r\n")
        assert long.fault == "Failed to parse message: line too long"
        [many] = reader.receive(b"Action: X\r\n" + b"A: 1\r\n" * 128 + b"\r\n")
        assert many.fault
        [fine] = reader.receive(b"action: Ping\nActionID: 7\n\n")
        assert (fine.get("ACTION"), fine.get("actionid"), fine.fault) == ("Ping", "7", "")

    def test_a_long_command_is_cut_in_two(self) -> None:
        reader = agi.Reader()
        assert [len(line) for line in reader.receive(b"x" * 10_000 + b"\n")] == [8191, 1809]
        assert reader.receive(b"NOOP\nNOOP\n") == ["NOOP"]
        assert reader.receive(b"ANSWER\n") == ["NOOP", "ANSWER"]


class TestLegs:
    def test_a_call_comes_in_and_is_played_to(self, stage: Stage) -> None:
        person, session = stage.caller()
        assert session.arguments == ("95588", "")
        assert session.variables["agi_calleridname"] == "Carl"
        assert stage.run(session.stream_file("welcome"), 2) == ""
        stage.run(session.set_music(True))
        assert person.story == ["answered", "hears speech", "hears nothing", "hears 440"]

    def test_keys_reach_who_reads_them(self, stage: Stage) -> None:
        person, session = stage.caller()
        typed: list[Any] = []
        Deferred.fromCoroutine(session.get_data("menu", 2000, 4)).addBoth(typed.append)
        for key in "12#":
            person.line.press(key)
            stage.pass_(0.2)
        assert typed == [("12", False)]
        Deferred.fromCoroutine(session.get_data("menu", 2000, 2)).addBoth(typed.append)
        person.line.press("7")
        stage.pass_(3)
        assert typed[1:] == [("7", True)]
        assert stage.run(session.wait_for_digit(100)) == ""
        person.line.press("9")  # nobody reads
        stage.pass_()
        assert stage.run(session.wait_for_digit(100)) == ""

    def test_two_are_bridged_and_the_one_left_comes_home(self, stage: Stage) -> None:
        person, session = stage.caller()
        agent, other = stage.agent()
        assert agent.story[:2] == ["rung by 1 C", "answered"]
        agent.line.say("1000")
        person.line.say("700")
        assert stage.send("Bridge", Channel1=person.line.id, Channel2="agent").ok
        assert (session.over, other.over) == (True, True)
        assert (person.story[-1], agent.story[-1]) == ("hears 1000", "hears 700")
        person.line.press("4")
        stage.pass_()
        assert agent.story[-1] == "key 4"
        homes = len(stage.sessions)
        agent.line.hang_up()
        stage.pass_()
        assert len(stage.sessions) == homes + 1
        assert stage.sessions[-1].variables["agi_uniqueid"] == person.line.id
        assert agent.story[-1] == "ended 16"

    def test_a_bridge_steals(self, stage: Stage) -> None:
        person, _ = stage.caller()
        stage.agent("one")
        stage.agent("two")
        stage.send("Bridge", Channel1=person.line.id, Channel2="one")
        stage.send("Bridge", Channel1=person.line.id, Channel2="two")
        assert stage.sessions[-1].variables["agi_uniqueid"] == "one"
        assert stage.pbx.core.channels["two"].bridge is stage.pbx.core.channels[person.line.id].bridge

    def test_redirects_bring_both_home(self, stage: Stage) -> None:
        person, _ = stage.caller()
        stage.agent()
        stage.send("Bridge", Channel1=person.line.id, Channel2="agent")
        homes = len(stage.sessions)
        home = {"Context": "easycall", "Exten": "s", "Priority": "1"}
        assert stage.send("Redirect", Channel=person.line.id, ExtraChannel="agent", **home).ok
        assert len(stage.sessions) == homes + 2

    @pytest.mark.parametrize("stage", [{"more": "\n[conference]\nexten => s,1,ConfBridge(900)\n"}], indirect=True)
    def test_a_conference_is_left_by_redirect_only(self, stage: Stage) -> None:
        person, _ = stage.caller()
        people = [person, stage.agent("one")[0], stage.agent("two")[0]]
        for one in people:
            one.line.say(str(500 + 100 * people.index(one)))
            stage.send("Redirect", Channel=one.line.id, Context="conference", Exten="s", Priority="1")
        assert people[2].line.hears == "speech"  # two tones at once
        answer = stage.send("Bridge", Channel1=person.line.id, Channel2="one")
        assert answer == f"Unable to add Channel1 to bridge: {stage.pbx.core.channels[person.line.id].name}"
        stage.send("Redirect", Channel=person.line.id, Context="easycall", Exten="s", Priority="1")
        assert stage.sessions[-1].variables["agi_uniqueid"] == person.line.id
        assert people[2].line.hears == "600"

    def test_a_supervisor_who_barges_in_is_heard_by_both(self, stage: Stage) -> None:
        person, _ = stage.caller()
        agent, _ = stage.agent()
        stage.send("Bridge", Channel1=person.line.id, Channel2="agent")
        boss = stage.phones["PJSIP/9"] = Person(stage, "answer")
        name = stage.pbx.core.channels["agent"].name
        stage.send("Originate", Channel="PJSIP/9", ChannelId="boss", Application="ChanSpy", Data=f"{name},qEB", Async="true")
        stage.pass_(2)
        boss.line.say("1200")
        assert (agent.line.hears, person.line.hears) == ("1200", "1200")
        boss.line.hang_up()
        assert (agent.line.hears, person.line.hears) == ("", "")

    def test_a_supervisor_listens_and_whispers(self, stage: Stage) -> None:
        person, _ = stage.caller()
        agent, _ = stage.agent()
        person.line.say("700")
        stage.send("Bridge", Channel1=person.line.id, Channel2="agent")
        boss = stage.phones["PJSIP/9"] = Person(stage, "answer")
        name = stage.pbx.core.channels["agent"].name
        stage.send("Originate", Channel="PJSIP/9", ChannelId="boss", Application="ChanSpy", Data=f"{name},qEw", Async="true")
        stage.pass_(2)
        assert boss.line.hears == "700"
        boss.line.say("1200")
        assert agent.line.hears == "speech"  # two tones are no pure one
        person.line.say("")
        assert agent.line.hears == "1200"
        assert person.line.hears == ""
        stage.pbx.core.channels["agent"].hang_up()
        stage.pass_()
        assert boss.story[-1].startswith("ended")

    def test_a_fax(self, stage: Stage, tmp_path: Path) -> None:
        person, session = stage.caller()
        page = tmp_path / "page.tiff"
        page.write_bytes(white_page())
        stage.pbx.core.later(1.0, person.line.start_fax, Machine(tmp_path / "got.tiff", sends=False, station="+49 30 77"))
        stage.run(session.exec("SendFAX", str(page), "s", seconds=60), 20)
        asked = ("FAXSTATUS", "FAXERROR", "FAXPAGES", "REMOTESTATIONID")
        assert [stage.run(session.get_variable(name)) for name in asked] == ["SUCCESS", None, "1", "+49 30 77"]
        assert (tmp_path / "got.tiff").read_bytes() == page.read_bytes()
        assert [event.name for event in stage.events][-3:] == ["FAXStatus", "FAXStatus", "SendFAX"]

    def test_a_fax_to_nobody(self, stage: Stage, tmp_path: Path) -> None:
        _, session = stage.caller()
        (tmp_path / "page.tiff").write_bytes(white_page())
        stage.run(session.exec("SendFAX", str(tmp_path / "page.tiff"), "f", seconds=90), 61)
        assert stage.run(session.get_variable("FAXERROR")) == "Timed out waiting for initial communication"

    def test_a_recording_is_muted(self, stage: Stage) -> None:
        person, session = stage.caller()
        assert stage.send("MixMonitorMute", Channel=person.line.id, State="1", Direction="both") == "Cannot set mute flag"
        stage.run(session.exec("MixMonitor", "call.wav"))
        assert stage.send("MixMonitorMute", Channel=person.line.id, State="1", Direction="both").ok
        [recording] = stage.pbx.core.channels[person.line.id].recordings.values()
        assert (recording.file, recording.muted) == ("call.wav", "both")


class TestOriginate:
    def test_answered(self, stage: Stage) -> None:
        stage.agent()
        assert stage.told("agent") == [
            "Newchannel", "DialBegin", "Newstate", "DialState RINGING", "Newstate", "OriginateResponse Success",
            "DialEnd ANSWER",
        ]  # fmt: skip

    def test_declined(self, stage: Stage) -> None:
        stage.rings("x", Person(stage, "decline"))
        stage.pass_(2)
        assert stage.told("x")[-3:] == ["DialEnd BUSY", "OriginateResponse Failure", "Hangup 17"]

    def test_not_answered(self, stage: Stage) -> None:
        stage.rings("x", Person(stage), Timeout="3000")
        stage.pass_(2)
        assert stage.told("x")[-1] != "OriginateResponse Failure"
        stage.pass_(1)
        assert stage.told("x")[-2:] == ["OriginateResponse Failure", "Hangup 19"]
        assert "DialEnd NOANSWER" not in stage.told("x"), "a real one tells of none"

    def test_cancelled(self, stage: Stage) -> None:
        stage.rings("x", Person(stage))
        assert stage.send("Hangup", Channel="x").ok
        assert stage.told("x")[-3:] == ["DialEnd NOANSWER", "OriginateResponse Failure", "Hangup 0"]

    @pytest.mark.parametrize("who", [None, Unreachable()])
    def test_who_cannot_be_reached_makes_no_channel(self, stage: Stage, who: Unreachable | None) -> None:
        stage.rings("x", who)
        assert stage.told("x") == ["OriginateResponse Failure"]

    def test_the_same_channel_id_twice(self, stage: Stage) -> None:
        stage.agent()
        stage.rings("agent", Person(stage))
        assert stage.told("agent")[-1] == "OriginateResponse Failure"
        assert len(stage.pbx.core.channels) == 1

    def test_a_place_that_is_not_there(self, stage: Stage) -> None:
        assert stage.rings("x", Person(stage), Context="nowhere") == "Extension does not exist."


class SlowOriginate(Faults):
    def originate(self) -> float:
        return 0.2


class LosesOne(Faults):
    lost = 0

    def loses_redirect(self) -> bool:
        self.lost += 1
        return self.lost == 1


class Parts(Faults):
    def parts(self) -> bool:
        return True


class TestRacesOnDemand:
    @pytest.mark.parametrize("stage", [{"faults": Parts()}], indirect=True)
    def test_a_second_bridge_of_two_who_talk_sends_both_home(self, stage: Stage) -> None:
        person, _ = stage.caller()
        stage.agent("agent")
        pair = {"Channel1": person.line.id, "Channel2": "agent"}
        assert stage.send("Bridge", **pair).ok
        before = len(stage.sessions)
        assert stage.send("Bridge", **pair) == f"Unable to add Channel2 to bridge: {stage.pbx.core.channels['agent'].name}"
        stage.pass_(0.1)
        assert {session.variables["agi_uniqueid"] for session in stage.sessions[before:]} == set(pair.values())

    @pytest.mark.parametrize("stage", [{"faults": SlowOriginate()}], indirect=True)
    def test_a_hangup_right_behind_an_originate_finds_nothing(self, stage: Stage) -> None:
        stage.phones["PJSIP/2001@world"] = Person(stage)
        refused: list[Any] = []

        async def both() -> None:
            place = {"Context": "easycall", "Exten": "s", "Priority": "1"}
            await stage.manager.send(Action.of("Originate", Channel="PJSIP/2001@world", ChannelId="x", **place))
            try:
                await stage.manager.send(Action.of("Hangup", Channel="x"))
            except ActionRefused as refusal:
                refused.append(refusal.message)

        stage.run(both(), 1)
        assert refused == ["No such channel"]
        assert "x" in stage.pbx.core.channels

    @pytest.mark.parametrize("stage", [{"faults": LosesOne()}], indirect=True)
    def test_a_redirect_is_lost_once(self, stage: Stage) -> None:
        person, session = stage.caller()
        home = {"Context": "easycall", "Exten": "s", "Priority": "1"}
        assert stage.send("Redirect", Channel=person.line.id, **home).ok
        assert not session.over
        assert stage.send("Redirect", Channel=person.line.id, **home).ok
        assert session.over
        assert stage.sessions[-1] is not session

    @pytest.mark.parametrize("seed", range(20))
    def test_events_of_one_strand_of_a_channel_keep_their_order_whatever_else_does_not(self, seed: int) -> None:
        stage = Stage(faults=Chaos(seed, late=0.7, doubled=0.3))
        person, _ = stage.caller()
        stage.agent("agent")
        stage.send("Bridge", Channel1=person.line.id, Channel2="agent")
        person.line.hang_up()
        stage.pass_(2)
        told = [event.name for event in stage.events if event.get("Uniqueid") == person.line.id]
        assert told[0] == "Newchannel"
        assert told[-1] == "Hangup"
        once = list(dict.fromkeys(told))
        assert [name for name in once if name.startswith("New")] == ["Newchannel", "Newstate"]
        assert [name for name in once if name.startswith("Bridge")] == ["BridgeEnter", "BridgeLeave"]
        assert len(once) == 6
        stage.close()

    def test_chaos_is_the_same_for_the_same_seed(self) -> None:
        one, other = Chaos(7, lost=0.1), Chaos(7, lost=0.1)
        assert [one.event("X") for _ in range(100)] == [other.event("X") for _ in range(100)]

    def test_the_link_is_cut_and_asterisk_goes_on(self, stage: Stage) -> None:
        person, session = stage.caller()
        stage.pbx.cut_ami()
        stage.pass_(2)
        assert (stage.ups, len(stage.lost)) == (2, 1)
        assert not session.over
        assert person.line.up

    def test_a_crash_leaves_nothing(self, stage: Stage) -> None:
        person, session = stage.caller()
        stage.run(stage.pbx.crash())
        assert session.over
        assert person.story[-1].startswith("ended")
        assert not [event for event in stage.events if event.name == "Hangup"]
        stage.run(stage.pbx.start())
        stage.pass_(5)
        assert stage.ups == 2
        assert stage.manager.uptime is not None
        assert stage.manager.uptime < 6


class TestHome:
    def test_a_daemon_that_is_away_is_waited_for_with_music_and_then_the_fallback_comes(self, stage: Stage) -> None:
        stage.port.stopListening()
        person = Person(stage)
        stage.pbx.call_in("95588", "+4930", "", person)
        stage.pass_(10)
        assert person.line.hears == "440"
        stage.pass_(60)
        assert "hears speech" in person.story
        assert person.story[-1].startswith("ended")

    def test_a_leg_that_is_done_goes(self, stage: Stage) -> None:
        person, session = stage.caller()
        stage.run(session.set_variable("EC_DONE", "end"))
        session.close()
        stage.pass_()
        assert person.story[-1] == "ended 16"

    def test_a_leg_that_hung_up_is_listed_until_its_session_is_closed(self, stage: Stage) -> None:
        heard: list[bytes] = []

        class Deaf(FastAgiFactory):
            def buildProtocol(self, addr: Any) -> Any:
                from twisted.internet.protocol import Protocol

                class Server(Protocol):
                    def dataReceived(self, data: bytes) -> None:
                        heard.append(data)

                return Server()

        stage.port.stopListening()
        port = stage.reactor.listenTCP(4573, Deaf(lambda session: None, stage.reactor))
        person = Person(stage)
        line = stage.pbx.call_in("95588", "+4930", "", person)
        stage.pass_()
        line.hang_up()
        stage.pass_(5)
        assert heard[-1] == b"HANGUP\n"
        assert line.id in stage.pbx.core.channels
        [session] = stage.pbx.sessions
        session.abandon()
        stage.pass_()
        assert line.id not in stage.pbx.core.channels
        port.stopListening()

    def test_commands_of_a_dead_leg(self, stage: Stage) -> None:
        person, session = stage.caller()
        waiting: list[Any] = []
        Deferred.fromCoroutine(session.wait_for_digit(20_000)).addErrback(waiting.append)
        stage.pass_()
        person.line.hang_up()
        stage.pass_()
        assert waiting[0].check(SessionOver)


class TestInjection:
    def test_what_asterisk_does_not_escape_forges_an_event(self, stage: Stage) -> None:
        """facts M12: so the simulator must let it happen, or nothing of ours would be held against it."""
        person, _ = stage.caller()
        stage.pbx.core.channels[person.line.id].variables["X"] = "1\r\n\r\nEvent: UserEvent\r\nUserEvent: forged\r\n"
        stage.send("Getvar", Channel=person.line.id, Variable="X")
        assert [event.get("UserEvent") for event in stage.events if event.name == "UserEvent"] == ["forged"]

    def test_a_callers_name_does_not(self, stage: Stage) -> None:
        stage.pbx.call_in("95588", "+4930", "A\r\nEvent: Hangup\r\n\r\nEvent: UserEvent", Person(stage))
        stage.pass_()
        assert [event.name for event in stage.events] == ["Newchannel"]
        assert stage.events[0].get("CallerIDName") == "A\\r\\nEvent: Hangup\\r\\n\\r\\nEvent: UserEvent"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("123#*"), max_size=6), st.integers(1, 4), st.floats(0.05, 3.0))
def test_get_data_reads_what_was_typed(keys: list[str], most: int, pause: float) -> None:
    """Up to ``most`` keys, up to ``#``, and no key that came after the time was up."""
    stage = Stage(sounds=lambda name: 0.0)
    person, session = stage.caller()
    typed: list[Any] = []
    Deferred.fromCoroutine(session.get_data("x", 2000, most)).addBoth(typed.append)
    for key in keys:
        person.line.press(key)
        stage.pass_(pause)
    stage.pass_(4)
    in_time = keys if pause < 2.0 else keys[:1]
    wanted = "".join(in_time).partition("#")[0][:most]
    assert typed[0][0] == wanted
    stage.close()
