"""Functions and the nodes for values: how they are read, what lint finds, where a caller goes, what the runner does."""

from __future__ import annotations

import gc
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from easycall.events import Event
from easycall.ivr.capture import BranchNode, CollectNode, Keys, PostNode, ReturnNode, SealNode, taken
from easycall.ivr.flow import Position, begin, collected, step
from easycall.ivr.function import Field, Function, Unfit
from easycall.ivr.instructions import Done, Failed, Known, Silence
from easycall.ivr.lint import lint
from easycall.ivr.nodes import Flow, FlowError
from easycall.ivr.prompt import Prompt, spell
from easycall.ivr.runner import Means, Returned, run
from easycall.ivr.source import parse
from easycall.ivr.values import parse_text
from easycall.model import Contact
from easycall.ports import Channel, HungUp, ServiceFailed
from easycall.recording import CannotPause
from easycall.secure.secret import Forgotten, Secret

from .fakes_journal import Logged

CARD = "4111111111111111"
PIN = "90716345"

PAY = """
parameters:
  amount: required
  currency: {default: EUR}
result:
  status: [ok, refused, failed, none]
  card: masked
  valid: [yes, no]
  token: text
  sealed: text
limit: 60
start: say
nodes:
  say:
    say: ["You pay", {spell: amount}]
    next: card
  card:
    collect: Your card, please.
    name: card
    digits: 13-19
    check: luhn
    secret: yes
    invalid: That is no card.
    retries: 1
    timeout: 4
    next: pin
    otherwise: nothing
  pin:
    collect: Your PIN.
    name: pin
    digits: 4-8
    secret: yes
    next: seal
    otherwise: nothing
  seal: {seal: pin, key: vault, name: sealed, next: pay}
  pay:
    post: payments
    send: {card: "{card}", pin: "{pin}", amount: "{amount} {currency}", contact: "{contact}"}
    take: {outcome: [approved, declined], token: text}
    next: judge
    otherwise: failed
  judge:
    branch: outcome
    cases: {approved: paid, declined: refused}
    otherwise: failed
  paid:
    return:
      {status: ok, card: "{card.masked}", valid: "{card.luhn}", token: "{token}", sealed: "{sealed}"}
  refused: {return: {status: refused, card: "{card.masked}"}}
  failed: {return: {status: failed}}
  nothing: {return: {status: none}}
"""
FLOW = parse(PAY, "pay")
PLACES = ((), ("en",), ("payments",), ("vault",))


def faults(text: str, name: str = "pay") -> str:
    """What is wrong with a flow, by its reader or by lint."""
    try:
        return "\n".join(map(str, lint(parse(text, name), *PLACES)))
    except FlowError as error:
        return str(error)


def test_a_function_is_read() -> None:
    assert lint(FLOW, *PLACES) == []
    assert FLOW.function == Function(
        {"amount": None, "currency": "EUR"},
        {
            "status": Field(allowed=("ok", "refused", "failed", "none")),
            "card": Field("masked"),
            "valid": Field(allowed=("yes", "no")),
            "token": Field("text"),
            "sealed": Field("text"),
        },
        60.0,
    )
    assert FLOW.nodes["card"] == CollectNode(
        prompts=(Prompt(texts=(("", "Your card, please."),)),),
        name="card",
        least=13,
        most=19,
        next="pin",
        otherwise="nothing",
        invalid=(Prompt(texts=(("", "That is no card."),)),),
        retries=1,
        timeout=4.0,
        check="luhn",
        secret=True,
    )
    assert FLOW.nodes["seal"] == SealNode("pin", "vault", "sealed", "pay")
    assert FLOW.nodes["judge"] == BranchNode("outcome", {"approved": "paid", "declined": "refused"}, "failed")
    assert FLOW.nodes["nothing"] == ReturnNode({"status": parse_text("none")})
    pay = FLOW.nodes["pay"]
    assert isinstance(pay, PostNode)
    assert pay.take == {"outcome": Field(allowed=("approved", "declined")), "token": Field("text")}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # the reader
        (("amount: required", "amount: 5"), "pay.yaml:3: parameters.amount: must be 'required', or '{default: …}'"),
        (("amount: required", "Amount: required"), "pay.yaml:3: parameters: 'Amount' is no name of a parameter"),
        (("amount: required", "caller: required"), "pay.yaml:3: parameters: 'caller' is no name of a parameter"),
        (("status: [ok, refused, failed, none]", "status: text"), "result: must have a field 'status' with a list"),
        (("card: masked", "card: hidden"), "pay.yaml:7: result.card: 'hidden' is no kind: text, number, masked, or a list"),
        (("limit: 60", "limit: 1"), "limit: '1' must be a number of seconds from 5 to 3600"),
        (("digits: 13-19", "digits: 19-13"), "card: digits: '19-13' must be a number, or two as in 13-19, from 1 to 40"),
        (("digits: 13-19", "digits: 41"), "digits: '41' must be a number"),
        (("check: luhn", "check: /(a+)+/"), "check: '/(a+)+/' must be luhn, or a pattern"),
        (("check: luhn", "check: mod11"), "check: 'mod11' must be luhn, or a pattern"),
        (("secret: yes", "secret: true"), "card: secret: 'true' must be yes or no"),
        (("name: card", "name: Card"), "name: 'Card' is no name of a value"),
        (("name: card", "name: caller"), "name: 'caller' is known to every flow"),
        (('"{card}"', '"{card"'), "pay.send.card: '{card' has a brace too many"),
        (('"{card.masked}"', '"{card.shown}"'), "paid.return.card: {card.shown} is no value"),
        (("{spell: amount}", "{spell: 9}"), "say.say: spell: '9' is no name of a value"),
        # lint
        (("post: payments", "post: paymnts"), "pay: there is no service 'paymnts' in the configuration; there are payments"),
        (("key: vault", "key: valt"), "seal: there is no key 'valt' in the configuration; there are vault"),
        (("nothing: {return: {status: none}}", "nothing: {hangup: }"), "nothing: a function ends with 'return'"),
        (("{status: refused, card", "{card"), "refused: return: 'status' is missing"),
        (("status: refused,", "status: maybe,"), "refused: return.status: what stands there is not always one of ok"),
        (("{return: {status: failed}}", "{return: {status: failed, x: y}}"), "return: the result has no field 'x'"),
        (('token: "{token}"', 'token: "{card}"'), "paid: return.token: the value 'card' is secret: write {card.masked}"),
        (('card: "{card.masked}", valid', 'card: "{token}", valid'), "return.card: what stands there is not always masked"),
        (('valid: "{card.luhn}"', 'valid: "{token}"'), "return.valid: what stands there is not always one of yes, no"),
        (
            ("{return: {status: failed}}", '{return: {status: failed, token: "{token}"}}'),
            "failed: the value 'token' is not known on every way to here",
        ),
        (("{spell: amount}", "{spell: card}"), "say: the value 'card' is not known on every way to here"),
        (("{spell: amount}", "{spell: nothing}"), "say: there is no value 'nothing'; known: amount, caller"),
        (
            ("    collect: Your PIN.", "    collect: [Your PIN for, {spell: card}]"),
            "pin: the value 'card' is secret and is not read out",
        ),
        (("branch: outcome", "branch: pin"), "judge: the value 'pin' is secret and nothing is decided by it here"),
        (("    secret: yes\n    invalid", "    invalid"), "card: what has the check digit of a card number is secret"),
        (("name: pin", "name: card"), "there is no value 'pin'"),
        (("digits: 4-8\n    secret: yes", "digits: 4-8"), ""),
        (
            ("otherwise: failed\n  judge", "otherwise: pay\n  judge"),
            "no way out for a caller who presses nothing: pay -> pay",
        ),
    ],
)
def test_a_fault_of_a_function_is_told(change: tuple[str, str], expected: str) -> None:
    text = PAY.replace(*change, 1)
    assert text != PAY
    told = faults(text)
    assert expected in told
    assert bool(told) == bool(expected)


def test_a_flow_that_is_no_function_has_nothing_to_return() -> None:
    assert "only a function returns: give the flow a 'result'" in faults("start: a\nnodes: {a: {return: {status: ok}}}", "a")
    assert "only a function has it" in faults("parameters: {a: required}\nstart: a\nnodes: {a: {hangup: }}", "a")


# Deciding

COLLECT = CollectNode((), "n", 3, 5, "next", "otherwise", invalid=(Prompt(sound="no"),), retries=1)
ASKING = Flow("f", "ask", {"ask": COLLECT, "next": ReturnNode({}), "otherwise": ReturnNode({})})


@given(st.text("0123456789*#", max_size=8), st.integers(0, 1), st.sampled_from(["", "luhn", "4[0-9]{2,4}"]))
def test_what_was_keyed_is_a_value_or_asked_for_again(keys: str, tries: int, check: str) -> None:
    node = CollectNode((), "n", 3, 5, "next", "otherwise", retries=1, check=check)
    flow = Flow("f", "ask", {"ask": node, "next": ReturnNode({}), "otherwise": ReturnNode({})})
    position, _ = step(flow, Position("ask", tries), Keys(keys))
    fits = node.fits(keys)
    assert position.node == ("next" if fits else "ask" if tries == 0 else "otherwise")
    assert bool(collected(flow, Position("ask"), Keys(keys))) == fits
    assert not fits or (keys.isdigit() and 3 <= len(keys) <= 5)
    assert keys not in repr(Keys(keys)) or keys == ""


def test_silence_is_a_try_and_what_cannot_be_asked_is_not_asked_again() -> None:
    position, instruction = begin(ASKING)
    position, instruction = step(ASKING, position, Silence())
    assert (position.node, position.tries, instruction.prompts) == ("ask", 1, ())  # type: ignore[union-attr]
    assert step(ASKING, position, Silence())[0].node == "otherwise"
    assert step(ASKING, Position("ask"), Failed())[0].node == "otherwise"
    assert step(ASKING, Position("ask"), Keys("1"))[1].prompts == COLLECT.invalid  # type: ignore[union-attr]


def test_a_branch_goes_by_its_value() -> None:
    ways = {"approved": "paid", "declined": "refused", "": "failed", "else": "failed"}
    assert {value: step(FLOW, Position("judge"), Known(value))[0].node for value in ways} == ways
    assert step(FLOW, Position("pay"), Done())[0].node == "judge"
    assert step(FLOW, Position("pay"), Failed())[0].node == "failed"


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.none() | st.booleans() | st.integers() | st.text(max_size=5)))
def test_an_answer_fits_or_is_none(answer: dict[str, Any]) -> None:
    fields = {"a": Field(allowed=("true", "1", "x")), "b": Field("number")}
    found = taken(fields, answer)
    assert found is None or (
        found.keys() == fields.keys() and all(fields[name].fits(value) for name, value in found.items())
    )


def test_arguments() -> None:
    function = FLOW.function
    assert function is not None
    assert function.arguments({"amount": "5"}) == {"amount": "5", "currency": "EUR"}
    for given_, why in (({}, "'amount' is missing"), ({"amont": "5"}, "did you mean 'amount'"), ({"amount": ""}, "missing")):
        with pytest.raises(Unfit, match=why):
            function.arguments(given_)
    with pytest.raises(Unfit, match="no status"):
        function.check({})
    with pytest.raises(Unfit, match="the result's card is not masked"):
        function.check({"status": "ok", "card": CARD})


def test_spelling() -> None:
    assert spell("19.9a!") == ["digits/1", "digits/9", "letters/dot", "digits/9", "letters/a"]


# Walking


class Till:
    """A leg, a service and a seal, all scripted."""

    id = "leg"
    gone = False

    def __init__(self, *keyed: Any, answer: Any = None) -> None:
        self.keyed = list(keyed)
        self.answer = {"outcome": "approved", "token": "T1"} if answer is None else answer
        self.told: list[Event] = []
        self.posted: list[dict[str, str]] = []
        self.kept: list[Secret] = []
        self.heard: list[str] = []
        self.unheard = 0
        self.pausing: Exception | None = None
        self.contact = Contact(id="c1", pbx="main", leg="leg", caller="4930", caller_name="", dialled="1", arrived=0.0)
        self.now: Callable[[], float] = itertools.count(1.0).__next__

    async def play(self, sounds: Sequence[str], keys: str = "") -> str:
        self.heard += sounds
        return ""

    async def music(self, name: str | None) -> None:
        self.heard.append(f"music {name}")

    async def collect(self, sounds: Sequence[str], digits: int, seconds: float) -> str:
        self.heard += sounds
        keyed = self.keyed.pop(0)
        if isinstance(keyed, Exception):
            raise keyed
        return str(keyed)

    async def post(self, values: Mapping[str, Secret]) -> Mapping[str, Any]:
        self.kept += values.values()
        self.posted.append({name: value.reveal() for name, value in values.items()})
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, Deferred):
            await self.answer
        return dict(self.answer)

    @asynccontextmanager
    async def silently(self) -> AsyncIterator[None]:
        if self.pausing is not None:
            raise self.pausing
        self.unheard += 1
        yield

    async def walk(self, flow: Flow = FLOW, **parameters: str) -> Any:
        channel: Channel = self  # type: ignore[assignment]  # only the verbs a flow uses
        means = Means({"vault": lambda text: f"sealed({len(text)})"}, {"payments": self}, self.silently)
        sounds: Any = lambda prompt, language: [prompt.sound or prompt.texts[0][1]]  # noqa: E731
        return await run(flow, channel, self.told.append, self.now, self.contact, sounds, means, parameters)


@pytest_twisted.ensureDeferred
async def test_a_payment() -> None:
    till = Till("1234", CARD, PIN)
    with Logged() as logged:
        assert await till.walk(amount="19.90") == Returned(
            {"status": "ok", "card": "************1111", "valid": "yes", "token": "T1", "sealed": "sealed(8)"}
        )
    assert till.posted == [{"card": CARD, "pin": PIN, "amount": "19.90 EUR", "contact": "c1"}]
    assert till.heard[:6] == ["You pay", "digits/1", "digits/9", "letters/dot", "digits/9", "digits/0"]
    assert till.heard[-2:] == ["music default", "music None"]
    assert till.unheard == 3, "each time something secret is asked for"
    kinds = [event.kind for event in till.told if event.kind != "ivr.step"]
    assert kinds == ["ivr.collected", "ivr.collected", "ivr.service"]
    everything = f"{till.told} {till.contact} {logged}"
    assert CARD not in everything
    assert PIN not in everything


@pytest.mark.parametrize(
    ("answer", "outcome", "status"),
    [
        ({"outcome": "declined", "token": ""}, "answered", "refused"),
        ({"outcome": "perhaps", "token": ""}, "misfit", "failed"),
        ({"outcome": "approved"}, "misfit", "failed"),
        ({"outcome": "approved", "token": f"paid with {CARD}"}, "misfit", "failed"),
        (ServiceFailed("it answers 500"), "failed", "failed"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_the_service_answers(answer: Any, outcome: str, status: str) -> None:
    till = Till(CARD, PIN, answer=answer)
    left = await till.walk(amount="1")
    assert left.result["status"] == status
    assert len(till.posted) == 1
    [asked] = [event for event in till.told if event.kind == "ivr.service"]
    assert asked.outcome == outcome  # type: ignore[attr-defined]


@pytest_twisted.ensureDeferred
async def test_a_customer_who_keys_nothing() -> None:
    assert (await Till("", "").walk(amount="1")).result == {"status": "none"}


@pytest_twisted.ensureDeferred
async def test_what_may_be_recorded_is_not_asked_for() -> None:
    till = Till()
    till.pausing = CannotPause("Asterisk does not answer")
    assert (await till.walk(amount="1")).result == {"status": "none"}
    assert not [sound for sound in till.heard if "card" in sound]


@pytest_twisted.ensureDeferred
async def test_secrets_are_forgotten_however_it_ends() -> None:
    """The service keeps what it was handed; the walk keeps nothing."""
    till = Till(CARD, HungUp())
    with pytest.raises(HungUp):
        await till.walk(amount="1")
    waiting: Deferred[None] = Deferred()
    other = Till(CARD, PIN, answer=waiting)
    walking = Deferred.fromCoroutine(other.walk(amount="1"))
    assert other.posted
    walking.cancel()
    with pytest.raises(CancelledError):
        await walking
    [asked] = [event for event in other.told if event.kind == "ivr.service"]
    assert asked.outcome == "cancelled"  # type: ignore[attr-defined]
    for secret in other.kept:
        with pytest.raises(Forgotten):
            secret.reveal()
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, Secret) and one._text in (CARD, PIN)]


PLAIN = parse(
    "start: a\nnodes:\n  a: {collect: Order., name: order, digits: 4, next: b, otherwise: b}\n  b: {queue: sales}", "plain"
)


@pytest_twisted.ensureDeferred
async def test_what_is_not_secret_is_kept_by_its_name() -> None:
    till = Till("4711")
    await till.walk(PLAIN)
    assert till.contact.answers == {"order": "4711"}
    assert till.unheard == 0
    [event] = [event for event in till.told if event.kind == "ivr.collected"]
    assert (event.name, event.value) == ("order", "4711")  # type: ignore[attr-defined]
