"""The runner: what a caller hears, what is told and kept, and that a leg may come and go."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

import pytest
import pytest_twisted

from easycall.events import Event, FlowStep, MenuAnswered
from easycall.hours import Hours, spans_of
from easycall.ivr.instructions import Finish, ToVoicemail
from easycall.ivr.nodes import Choice, Flow, HangUpNode, HoursNode, MenuNode, QueueNode, SayNode, VoicemailNode
from easycall.ivr.prompt import Prompt, parse_prompt
from easycall.ivr.runner import Left, Means, Returned, Stuck, Waiting, run
from easycall.model import Contact
from easycall.ports import Channel, HungUp, Taken

GREETING, PRESS, PLEASE, NO = (parse_prompt(f"sound:{name}") for name in ("hello", "press", "press-zh", "no"))
MENU = MenuNode(
    (PRESS,),
    {"1": Choice("sales", "sales"), "9": Choice("chinese", "main", "zh"), "0": Choice("again", "main")},
    otherwise="bye",
    invalid=(NO,),
    retries=1,
    timeout=4.0,
)
FLOW = Flow(
    "welcome",
    "hello",
    {"hello": SayNode((GREETING,), "main"), "main": MENU, "sales": QueueNode("sales"), "bye": HangUpNode()},
)

OFFICE = Hours("office", ZoneInfo("UTC"), {3: spans_of(["08:00-18:00"])})  # on Thursdays: the epoch began on one
HOURS = Flow(
    "hours",
    "now",
    {"now": HoursNode("office", "open", "shut"), "open": QueueNode("sales"), "shut": HangUpNode()},
)

Answer = str | type[Exception]


class ScriptedChannel:
    """A leg that answers each play and each wait as scripted, and remembers what it was asked."""

    id = "leg-1"
    gone = False

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[object, ...]] = []

    def _answer(self, *asked: object) -> str:
        self.asked.append(asked)
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            return answer
        raise answer

    async def play(self, sounds: Sequence[str], keys: str = "") -> str:
        return self._answer("play", *sounds, keys)

    async def wait_key(self, seconds: float) -> str:
        return self._answer("wait", seconds)

    async def home(self) -> None:
        self._answer("home")


def sounds(prompt: Prompt, language: str) -> list[str]:
    return [f"{prompt.sound}.{language}" if language else prompt.sound]


class Call:
    """One run of a flow and what came of it."""

    def __init__(self, *answers: Answer, flow: Flow = FLOW) -> None:
        self.channel = ScriptedChannel(*answers)
        self.told: list[Event] = []
        self.contact = Contact(id="c1", pbx="main", leg="leg-1", caller="1", caller_name="", dialled="95588", arrived=0.0)
        self.flow = flow
        self.now: Callable[[], float] = itertools.count(100.0).__next__

    def tell(self, event: Event) -> None:
        assert len(self.told) < 5000, "the flow goes round and round"
        self.told.append(event)

    async def run(self, waited: Waiting | None = None) -> Left | Returned:
        channel: Channel = self.channel  # type: ignore[assignment]  # only the verbs a flow uses
        means = Means(hours={"office": OFFICE})
        ended = await run(self.flow, channel, self.tell, self.now, self.contact, sounds, means, goes_on=waited)
        assert not self.channel.answers, "everything scripted was asked for"
        return ended

    async def queue(self) -> str:
        """The queue it ended in."""
        ended = await self.run()
        assert isinstance(ended, Waiting)
        return ended.queue


ANY = "0123456789*#"


@pytest_twisted.ensureDeferred
async def test_a_caller_chooses() -> None:
    call = Call("", "", "1")
    assert await call.queue() == "sales"
    assert call.channel.asked == [("play", "hello", "190"), ("play", "press", ANY), ("wait", 4.0)]
    assert call.contact.answers == {"main": "sales"}
    assert call.contact.data == {}
    assert call.told == [
        FlowStep(at=100.0, contact="c1", flow="welcome", node="hello"),
        FlowStep(at=101.0, contact="c1", flow="welcome", node="main"),
        MenuAnswered(at=102.0, contact="c1", node="main", choice="sales"),
        FlowStep(at=103.0, contact="c1", flow="welcome", node="sales"),
    ]


@pytest.mark.requirement("V1")
@pytest_twisted.ensureDeferred
async def test_the_clock_is_looked_at_when_the_caller_is_there() -> None:
    for now, ended in ((8 * 3600.0 - 2, Finish()), (8 * 3600.0, "sales"), (18 * 3600.0, Finish())):
        call = Call(flow=HOURS)
        call.now = itertools.count(now).__next__
        left = await call.run()
        assert (left.queue if isinstance(left, Waiting) else left) == ended


@pytest_twisted.ensureDeferred
async def test_a_key_stops_the_prompt_and_is_not_asked_for_again() -> None:
    call = Call("", "1")
    assert await call.queue() == "sales"
    assert call.channel.asked == [("play", "hello", "190"), ("play", "press", ANY)]


@pytest_twisted.ensureDeferred
async def test_a_key_in_the_greeting_answers_the_menu_behind_it() -> None:
    call = Call("1")
    assert await call.queue() == "sales"
    assert call.channel.asked == [("play", "hello", "190")]
    assert [event.kind for event in call.told] == ["ivr.step", "ivr.step", "ivr.answered", "ivr.step"]


@pytest_twisted.ensureDeferred
async def test_a_key_in_the_greeting_answers_one_menu_only() -> None:
    call = Call("0", "", "1")
    assert await call.queue() == "sales"
    assert call.channel.asked[1:] == [("play", "press", ANY), ("wait", 4.0)]


@pytest.mark.requirement("M5")
@pytest_twisted.ensureDeferred
async def test_a_message_is_left_where_the_flow_ends() -> None:
    flow = Flow("closed", "hello", {"hello": SayNode((GREETING,), "box"), "box": VoicemailNode("sales")})
    call = Call("", flow=flow)
    assert await call.run() == ToVoicemail("sales")
    assert [event.node for event in call.told if isinstance(event, FlowStep)] == ["hello", "box"]


@pytest_twisted.ensureDeferred
async def test_silence_and_wrong_keys_end_in_otherwise() -> None:
    call = Call("", "", "", "7")
    assert await call.run() == Finish()
    assert call.channel.asked[1:] == [("play", "press", ANY), ("wait", 4.0), ("play", "press", ANY)]
    assert call.contact.answers == {}
    assert [event.node for event in call.told if isinstance(event, FlowStep)] == ["hello", "main", "bye"]
    call = Call("", "7", "", "")
    assert await call.run() == Finish()
    assert call.channel.asked[2] == ("play", "no", "press", ANY)


@pytest_twisted.ensureDeferred
async def test_a_chosen_language_is_heard_and_kept() -> None:
    call = Call("9", "5", "1")
    assert await call.queue() == "sales"
    assert call.channel.asked[1:] == [("play", "press.zh", ANY), ("play", "no.zh", "press.zh", ANY)]
    assert call.contact.data == {"language": "zh"}
    assert call.contact.answers == {"main": "sales"}


@pytest_twisted.ensureDeferred
async def test_a_leg_taken_away_hears_the_same_step_again() -> None:
    home = ""
    call = Call(Taken, home, "", "", Taken, home, Taken, home, "1")
    assert await call.queue() == "sales"
    assert call.channel.asked == [
        ("play", "hello", "190"),
        ("home",),
        ("play", "hello", "190"),
        ("play", "press", ANY),
        ("wait", 4.0),
        ("home",),
        ("play", "press", ANY),
        ("home",),
        ("play", "press", ANY),
    ]
    assert [event.kind for event in call.told] == ["ivr.step", "ivr.step", "ivr.answered", "ivr.step"]


@pytest.mark.parametrize("answers", [(HungUp,), ("", HungUp), ("", "", HungUp), (Taken, HungUp)])
@pytest_twisted.ensureDeferred
async def test_a_hang_up_goes_on_to_whoever_carries_the_contact(answers: tuple[Answer, ...]) -> None:
    call = Call(*answers)
    with pytest.raises(HungUp):
        await call.run()
    assert not call.channel.answers


@pytest_twisted.ensureDeferred
async def test_a_flow_that_never_asks_is_stopped() -> None:
    circle = Flow("round", "a", {"a": SayNode((GREETING,), "b"), "b": SayNode((), "a")})
    call = Call(*[""] * 201, flow=circle)
    with pytest.raises(Stuck, match="flow round at node a"):
        await call.run()
    assert len(call.channel.asked) == 200


@pytest_twisted.ensureDeferred
async def test_a_caller_who_goes_on_choosing_is_not_stopped() -> None:
    call = Call("", *["0"] * 500, "1")
    assert await call.queue() == "sales"


@pytest_twisted.ensureDeferred
async def test_the_keys_a_caller_pressed_are_nowhere() -> None:
    call = Call("", "7", "", "8")
    assert await call.run() == Finish()
    kept = repr(call.told) + repr(call.contact)
    assert not {"7", "8"} & set(kept.replace("95588", ""))
