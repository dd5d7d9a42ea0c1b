"""Flows: how they are read, what lint finds, and where a caller goes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easycall.ivr import library
from easycall.ivr.flow import Position, begin, chosen, step
from easycall.ivr.instructions import (
    Ask,
    Done,
    Finish,
    Instruction,
    Key,
    Known,
    LookAtHours,
    Receive,
    Said,
    Say,
    Silence,
    ToQueue,
    ToVoicemail,
)
from easycall.ivr.lint import lint
from easycall.ivr.nodes import (
    Choice,
    FaxNode,
    Flow,
    FlowError,
    HangUpNode,
    HoursNode,
    MenuNode,
    QueueNode,
    SayNode,
    VoicemailNode,
)
from easycall.ivr.prompt import Prompt, parse_prompt
from easycall.ivr.source import FILE_LIMIT, parse
from easycall.model import Queue

SHIPPED = Path(__file__).parent.parent / "etc" / "flows"
LANGUAGES = ("en", "zh")

SMALL = """
start: hello
nodes:
  hello:
    say: Hello.
    next: main
  main:
    menu: ["Press 1.", "sound:beep"]
    choices:
      "1": {name: sales, next: queue}
      "9": {name: chinese, next: main, language: zh}
      "*": {name: leave, next: end}
    invalid: {en: "No.", zh: "不。"}
    retries: 1
    timeout: 3
    otherwise: end
  queue:
    queue: sales
  end:
    hangup:
"""
HELLO, PRESS, BEEP = Prompt(texts=(("", "Hello."),)), Prompt(texts=(("", "Press 1."),)), Prompt(sound="beep")
NO = Prompt(texts=(("en", "No."), ("zh", "不。")))


def walk(flow: Flow, said: Iterable[Said]) -> tuple[Position, Instruction]:
    position, instruction = begin(flow)
    for one in said:
        position, instruction = step(flow, position, one)
    return position, instruction


# Reading


def test_a_flow_is_read() -> None:
    assert parse(SMALL, "small") == Flow(
        "small",
        "hello",
        {
            "hello": SayNode((HELLO,), "main"),
            "main": MenuNode(
                (PRESS, BEEP),
                {
                    "1": Choice("sales", "queue"),
                    "9": Choice("chinese", "main", "zh"),
                    "*": Choice("leave", "end"),
                },
                otherwise="end",
                invalid=(NO,),
                retries=1,
                timeout=3.0,
            ),
            "queue": QueueNode("sales"),
            "end": HangUpNode(),
        },
    )
    assert list(parse(SMALL, "small").prompts()) == [HELLO, PRESS, BEEP, NO]
    assert parse(SMALL, "small").nodes["main"].line == 7


def test_a_fax_is_received_and_the_caller_goes_on_or_elsewhere() -> None:
    text = """
start: machine
nodes:
  machine: {fax: office, next: thanks, otherwise: sorry}
  thanks: {say: Thank you., next: end}
  sorry: {say: Sorry., next: end}
  end: {hangup: }
"""
    flow = parse(text, "f")
    assert flow.nodes["machine"] == FaxNode("office", "thanks", "sorry")
    assert lint(flow, (), LANGUAGES) == []
    position, instruction = begin(flow)
    assert instruction == Receive("office")
    assert step(flow, position, Done())[0].node == "thanks"
    assert step(flow, position, Silence())[0].node == "sorry"
    plain = parse(text.replace(", otherwise: sorry", "").replace("  sorry: {say: Sorry., next: end}\n", ""), "f")
    assert plain.nodes["machine"] == FaxNode("office", "thanks", "thanks")
    assert lint(plain, (), LANGUAGES) == []
    round_ = parse("start: a\nnodes: {a: {fax: x, next: a}}", "f")
    assert "no way out for a caller who presses nothing: a -> a" in str(lint(round_, (), ())[0])


MAILBOX = """
start: box
nodes:
  box:
    voicemail: sales
"""


@pytest.mark.requirement("M5")
def test_a_flow_ends_with_a_message_left() -> None:
    flow = parse(MAILBOX, "f")
    assert flow.nodes["box"] == VoicemailNode("sales")
    assert lint(flow, (), (), boxes=("sales",)) == []
    position, instruction = begin(flow)
    assert instruction == ToVoicemail("sales")
    with pytest.raises(ValueError, match="is over"):
        step(flow, position, Done())


@pytest.mark.requirement("M5")
@pytest.mark.parametrize(
    ("text", "boxes", "expected"),
    [
        (
            MAILBOX,
            ("support", "office"),
            "f.yaml:4: box: there is no voice mail box 'sales'; [voicemail.boxes] has office, support",
        ),
        (MAILBOX, (), "f.yaml:4: box: there is no voice mail box 'sales'; [voicemail.boxes] has none"),
        (
            "result: {status: [ok]}" + MAILBOX,
            ("sales",),
            "f.yaml:4: box: a function ends with 'return': the customer goes back to the agent",
        ),
    ],
)
def test_a_box_that_cannot_be_is_told_with_its_line(text: str, boxes: tuple[str, ...], expected: str) -> None:
    assert [str(fault) for fault in lint(parse(text, "f"), (), (), boxes=boxes)] == [expected]


@pytest.mark.requirement("V1")
def test_a_flow_goes_on_by_opening_hours() -> None:
    text = """
start: now
nodes:
  now: {hours: office, open: sales, closed: sorry}
  sales: {queue: sales}
  sorry: {say: We are closed., next: end}
  end: {hangup: }
"""
    flow = parse(text, "f")
    assert flow.nodes["now"] == HoursNode("office", "sales", "sorry")
    assert lint(flow, ("sales",), LANGUAGES, hours=("office",)) == []
    position, instruction = begin(flow)
    assert instruction == LookAtHours("office")
    assert step(flow, position, Known("open"))[1] == ToQueue("sales")
    assert step(flow, position, Known("closed"))[0].node == "sorry"
    told = str(lint(flow, ("sales",), LANGUAGES, hours=("shop", "club"))[0])
    assert told == "f.yaml:4: now: there are no hours 'office' in the configuration; there are club, shop"
    for part in ("open", "closed"):
        with pytest.raises(FlowError, match=f"'{part}' is missing"):
            parse(re.sub(rf", {part}: \w+", "", text), "f")
        round_ = parse(re.sub(rf", {part}: \w+", f", {part}: now", text), "f")
        assert "no way out for a caller who presses nothing: now -> now" in str(
            lint(round_, ("sales",), LANGUAGES, hours=("office",))
        )


@pytest.mark.parametrize("value", ["no", "0123", "1.10", "2026-01-01", "~", "1_000", "0x1f", "yes", "[x]"])
def test_values_are_what_stands_in_the_file(value: str) -> None:
    text = value if value != "[x]" else '"[x]"'
    flow = parse(f"start: a\nnodes: {{a: {{say: {text}, next: b}}, b: {{hangup: }}}}", "f")
    assert next(flow.prompts()).texts == (("", value),)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("start: hello", "start: 'a b'"), "f.yaml:2: start: start: 'a b' is no name"),
        (("start: hello", "strat: hello"), "f.yaml:2: 'strat' is unknown; did you mean 'start'?"),
        (("start: hello", ""), "f.yaml:3: 'start' is missing"),
        (
            ("  queue:\n    queue", "  queue:\n    qeue"),
            "f.yaml:17: queue: a node has exactly one of say, menu, queue, voicemail, fax, hours, hangup, collect, seal, "
            "post, branch, return, transaction",
        ),
        (("    queue: sales", "    queue: sales\n    say: x"), "f.yaml:17: queue: a node has exactly one of"),
        (("    queue: sales", "    queue: [sales]"), "f.yaml:18: queue: must be a single value"),
        (("    queue: sales", "    queue: a&b"), "f.yaml:18: queue: queue: 'a&b' is no name"),
        (("    queue: sales", "    queue: sales\n    next: end"), "f.yaml:19: queue: 'next' is unknown"),
        (("    queue: sales", "    voicemail: a/b"), "f.yaml:18: queue: voicemail: 'a/b' is no name"),
        (("    queue: sales", "    voicemail: sales\n    next: end"), "f.yaml:19: queue: 'next' is unknown"),
        (("    hangup:", "    hangup: bye"), "f.yaml:20: end: hangup takes no value"),
        (("    hangup:", "    hangup: !!python/object:os.system x"), "f.yaml:20: end: tags like"),
        (("  hello:\n", "  end: {hangup: }\n  hello:\n"), "f.yaml:20: nodes: 'end' is given twice, first in line 4"),
        (("say: Hello.", "say:"), "f.yaml:5: hello.say: the text is empty"),
        (("say: Hello.", "say: []"), "f.yaml:5: hello.say: 1 to 20 prompts, not 0"),
        (("say: Hello.", "say: {}"), "f.yaml:5: hello.say: the prompt is missing"),
        (("say: Hello.", "say: {english: Hello}"), "f.yaml:5: hello.say: 'english' is no language"),
        (("say: Hello.", 'say: "a\\u0007b"'), "f.yaml:5: hello.say: 'a\\x07b' holds a character that cannot be spoken"),
        (("say: Hello.", f"say: {'x' * 1001}"), "f.yaml:5: hello.say: 1001 characters is too long"),
        (("say: Hello.", "say: sound:../../etc/passwd"), "f.yaml:5: hello.say: '../../etc/passwd' is no sound name"),
        (("say: Hello.", "say: sound:a&b"), "f.yaml:5: hello.say: 'a&b' is no sound name"),
        (("say: Hello.", "say: 'sound:a,b'"), "f.yaml:5: hello.say: 'a,b' is no sound name"),
        (('"1": {', '"12": {'), "f.yaml:10: main.choices: '12' is no key: one of 0 1 2"),
        (('"1": {', '"A": {'), "f.yaml:10: main.choices: 'A' is no key"),
        (("{name: sales, next: queue}", "{next: queue}"), "f.yaml:10: main.choices.1: 'name' is missing"),
        (
            ("{name: sales, next: queue}", '{name: "a\\nb", next: queue}'),
            "f.yaml:10: main.choices.1.name: 'a\\nb' is no name",
        ),
        (("{name: sales, next: queue}", "sales"), "f.yaml:10: main.choices.1: must be keys and values"),
        (("language: zh", "language: Chinese"), "f.yaml:11: main.choices.9: 'Chinese' is no language"),
        (("retries: 1", "retries: 10"), "f.yaml:14: main: retries: '10' must be a whole number from 0 to 9"),
        (("retries: 1", "retries: 1.5"), "f.yaml:14: main: retries: '1.5'"),
        (("timeout: 3", "timeout: 26"), "f.yaml:15: main: timeout: '26' must be a number of seconds from 1 to 25"),
        (("timeout: 3", "timeout: nan"), "f.yaml:15: main: timeout: 'nan'"),
        (("    otherwise: end\n", ""), "f.yaml:8: main: 'otherwise' is missing"),
    ],
)
def test_a_fault_is_told_with_its_line(change: tuple[str, str], expected: str) -> None:
    text = SMALL.replace(*change, 1)
    assert text != SMALL
    with pytest.raises(FlowError) as caught:
        parse(text, "f")
    assert expected in str(caught.value)


def test_all_faults_are_told_at_once_in_their_order() -> None:
    with pytest.raises(FlowError) as caught:
        parse(SMALL.replace("retries: 1", "retries: x").replace("Hello.", "sound:A").replace("start", "begin"), "f")
    assert [fault.line for fault in caught.value.faults] == [2, 2, 5, 14]


BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f.yaml: the file is empty"),
        ("a: [", "f.yaml:1: cannot be read as YAML: "),
        ("a: \x00", "cannot be read as YAML: "),
        ('"\\UFFFFFFFF"', "cannot be read as YAML: "),
        ('"\\U00110000"', "cannot be read as YAML: "),
        ("a\n---\nb", "cannot be read as YAML: "),
        ("[" * 100_000, "f.yaml:1: cannot be read as YAML: nested deeper than 12"),
        (BOMB, "f.yaml:4: cannot be read as YAML: more than 20 aliases"),
        ("x" * (FILE_LIMIT + 1), "f.yaml: the file is too large: 256 KiB at most"),
        ("just words", "f.yaml:1: must be keys and values"),
        ("&a [*a]", "f.yaml:1: must be keys and values"),
        ("start: a\nnodes: &n {a: *n}", "f.yaml:2: a: a node has exactly one of"),
        ('start: "\\ud800"\nnodes: {}', "is no name"),
    ],
)
def test_hostile_files_are_refused(text: str, expected: str) -> None:
    with pytest.raises(FlowError) as caught:
        parse(text, "f")
    assert expected in str(caught.value)
    assert str(caught.value).isascii()


@pytest.mark.parametrize("name", ["", "../x", "A", "x" * 41])
def test_a_flow_name_is_a_plain_one(name: str) -> None:
    with pytest.raises(FlowError, match="is no flow name"):
        parse(SMALL, name)


def test_prompts() -> None:
    assert parse_prompt("sound:digits/1") == Prompt(sound="digits/1")
    assert parse_prompt(" One\n  two ") == Prompt(texts=(("", "One two"),))
    assert NO.spoken("zh", "en") == ("zh", "不。")
    assert NO.spoken("", "en") == ("en", "No.")
    assert NO.spoken("fr", "zh") == ("en", "No."), "a language it does not have: the first it has"
    assert HELLO.spoken("zh", "en") == ("en", "Hello.")
    assert Prompt(texts=(("zh", "不。"), ("", "No."))).spoken("", "en") == ("en", "No.")


# Lint


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("start: hello", "start: nowhere"), ["small.yaml: start: there is no node 'nowhere'"]),
        (
            ("next: main", "next: nowhere"),
            [
                "small.yaml:4: hello: next: there is no node 'nowhere'",
                "small.yaml:7: main: no way leads here from the start",
                "small.yaml:17: queue: no way leads here from the start",
                "small.yaml:19: end: no way leads here from the start",
            ],
        ),
        (("name: sales, next: queue", "name: sales, next: nowhere"), [
            "small.yaml:7: main: choice 1: there is no node 'nowhere'",
            "small.yaml:17: queue: no way leads here from the start",
        ]),
        (("otherwise: end", "otherwise: nowhere"), ["small.yaml:7: main: otherwise: there is no node 'nowhere'"]),
        (
            ("otherwise: end", "otherwise: hello"),
            ["small.yaml:4: hello: no way out for a caller who presses nothing: hello -> main -> hello"],
        ),
        (
            ("otherwise: end", "otherwise: main"),
            ["small.yaml:7: main: no way out for a caller who presses nothing: main -> main"],
        ),
        (("queue: sales", "queue: salez"), ["small.yaml:17: queue: there is no queue 'salez'; there are sales, support"]),
        (("zh: \"不。\"", "fr: Non."), ["small.yaml:7: main: no voice speaks 'fr'; those with a voice: en, zh"]),
        (("language: zh", "language: de"), ["small.yaml:7: main: no voice speaks 'de'; those with a voice: en, zh"]),
    ],
)  # fmt: skip
def test_lint_finds_it(change: tuple[str, str], expected: list[str]) -> None:
    assert lint(parse(SMALL, "small"), ("sales", "support"), LANGUAGES) == []
    text = SMALL.replace(*change, 1)
    assert text != SMALL
    assert [str(fault) for fault in lint(parse(text, "small"), ("sales", "support"), LANGUAGES)] == expected


def chain(length: int, retries: int = 0) -> Flow:
    menu = MenuNode((BEEP,), {"1": Choice("end", "end")}, "end", retries=retries)
    says = {f"n{index}": SayNode((BEEP,), f"n{index + 1}") for index in range(length)}
    return Flow("chain", "n0", {**says, f"n{length}": menu, "end": HangUpNode()})


def test_lint_bounds_nodes_and_steps() -> None:
    assert lint(chain(199), (), ()) == []
    assert "chain.yaml: n0: 201 steps from here without a choice" in str(lint(chain(200), (), ())[0])
    assert "201 steps" in str(lint(chain(191, retries=9), (), ())[0])
    assert "1002 nodes are too many" in str(lint(chain(1000), (), ())[0])


# Walking


@pytest.mark.parametrize(
    ("said", "node", "instruction"),
    [
        ([], "hello", Say((HELLO,), keys="19*")),
        ([Done()], "main", Ask((PRESS, BEEP), 3.0)),
        ([Key("1")], "main", Ask((PRESS, BEEP), 3.0)),
        ([Done(), Key("1")], "queue", ToQueue("sales")),
        ([Done(), Key("*")], "end", Finish()),
        ([Done(), Silence()], "main", Ask((PRESS, BEEP), 3.0)),
        ([Done(), Key("5")], "main", Ask((NO, PRESS, BEEP), 3.0)),
        ([Done(), Key("")], "main", Ask((NO, PRESS, BEEP), 3.0)),
        ([Done(), Silence(), Key("1")], "queue", ToQueue("sales")),
        ([Done(), Silence(), Silence()], "end", Finish()),
        ([Done(), Key("5"), Key("6")], "end", Finish()),
        ([Done(), Silence(), Key("9"), Silence()], "main", Ask((PRESS, BEEP), 3.0)),
        ([Done(), Silence(), Key("9"), Silence(), Silence()], "end", Finish()),
    ],
)
def test_where_a_caller_goes(said: list[Said], node: str, instruction: Instruction) -> None:
    position, next_instruction = walk(parse(SMALL, "small"), said)
    assert (position.node, next_instruction) == (node, instruction)


def test_a_chosen_language_stays() -> None:
    flow = parse(SMALL, "small")
    assert walk(flow, [Done()])[0].language == ""
    assert {walk(flow, [Done(), Key("9"), *more])[0].language for more in ([], [Silence()], [Key("1")], [Key("*")])} == {
        "zh"
    }


def test_what_was_chosen() -> None:
    flow = parse(SMALL, "small")
    assert chosen(flow, Position("main"), Key("1")) == Choice("sales", "queue")
    assert chosen(flow, Position("main"), Key("5")) is None
    assert chosen(flow, Position("main"), Silence()) is None
    assert chosen(flow, Position("hello"), Key("1")) is None
    assert "1" not in repr(Key("1"))


@pytest.mark.parametrize("node", ["queue", "end"])
def test_nothing_follows_the_end(node: str) -> None:
    with pytest.raises(ValueError, match="is over"):
        step(parse(SMALL, "small"), Position(node), Done())


names = st.sampled_from([f"n{number}" for number in range(6)])
nodes = st.one_of(
    st.builds(SayNode, st.just((BEEP,)), names),
    st.builds(
        MenuNode,
        st.just((BEEP,)),
        st.dictionaries(st.sampled_from("0123456789*#"), st.builds(Choice, st.just("x"), names), min_size=1, max_size=4),
        names,
        retries=st.integers(0, 9),
    ),
    st.builds(HoursNode, st.just("office"), names, names),
    st.just(QueueNode("sales")),
    st.just(VoicemailNode("sales")),
    st.just(HangUpNode()),
)
flows = st.builds(Flow, st.just("f"), names, st.dictionaries(names, nodes, max_size=6))
says = st.lists(st.one_of(st.just(Done()), st.just(Silence()), st.builds(Key, st.text(max_size=2))), max_size=40)


@settings(deadline=None)
@given(flows, says)
def test_a_flow_that_lint_passed_always_ends(flow: Flow, heard: list[Said]) -> None:
    """Whatever a caller does, once they press nothing more the flow ends within the sum of its tries."""
    if lint(flow, ("sales",), (), boxes=("sales",), hours=("office",)):
        return
    position, instruction = begin(flow)
    heard = [*heard, *[Silence()] * 61]
    for said in heard:
        if isinstance(instruction, ToQueue | ToVoicemail | Finish):
            return
        if isinstance(instruction, LookAtHours):
            position, instruction = step(flow, position, Known("open" if isinstance(said, Silence) else "closed"))
        else:
            position, instruction = step(flow, position, said if isinstance(instruction, Ask) else Done())
    pytest.fail(f"still at {position}")


@settings(deadline=None)
@given(st.text(max_size=200) | st.text(alphabet="abn:{}[]-&*!'\"\n \\,?|>%@`0u", max_size=120))
def test_any_text_is_a_flow_or_faults(text: str) -> None:
    for candidate in (text, f"start: a\nnodes:\n  a: {text}", f"start: a\nnodes:\n  a:\n    say: {text}\n    next: a"):
        try:
            flow = parse(candidate, "f")
        except FlowError as error:
            assert all(str(fault).isprintable() for fault in error.faults), candidate  # noqa: PT017
        else:
            lint(flow, (), ())


# The folder


def test_the_shipped_flows_are_right() -> None:
    queues = {"sales": Queue("sales", "Sales", busy_prompt="Busy."), "support": Queue("support", "Support")}
    found = library.load(SHIPPED, queues, LANGUAGES, {"payments"})
    assert found["welcome"].start == "greeting"
    prompts = list(library.every_prompt(found, queues))
    assert prompts[-1] == Prompt(texts=(("", "Busy."),))
    assert all({"en", "zh"} >= {language for language, _ in prompt.texts} for prompt in prompts[:-1])


def test_a_caller_of_the_shipped_flow() -> None:
    flow = parse((SHIPPED / "welcome.yaml").read_text(encoding="utf-8"), "welcome")
    assert walk(flow, [Done(), Key("1")])[1] == ToQueue("sales")
    assert walk(flow, [Done(), Key("9"), Key("2")])[1] == ToQueue("support")
    assert walk(flow, [Done(), Silence(), Key("7"), Silence(), Done()])[1] == Finish()


def test_every_fault_of_a_folder_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SMALL.replace("retries: 1", "retries: x"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(SMALL.replace("queue: sales", "queue: salez"), encoding="utf-8")
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "d.yml").write_text(SMALL, encoding="utf-8")
    (tmp_path / "e.yaml").write_bytes(b"x" * (FILE_LIMIT + 1))
    (tmp_path / "f.yaml").mkdir()
    (tmp_path / ".hidden").touch()
    with pytest.raises(FlowError) as caught:
        library.load(tmp_path, {"q": Queue("q", "Q", busy_prompt="sound:../x")}, LANGUAGES)
    assert [(fault.file, fault.line) for fault in caught.value.faults] == [
        ("queues.q", 0),
        ("a.yaml", 14),
        ("b.yaml", 17),
        ("c.yaml", 0),
        ("d.yml", 0),
        ("e.yaml", 0),
        ("f.yaml", 0),
    ]


@pytest.mark.requirement("M5")
def test_a_folder_knows_the_boxes_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(MAILBOX, encoding="utf-8")
    assert library.load(tmp_path, {}, LANGUAGES, boxes={"sales": ""})["a"].start == "box"
    with pytest.raises(FlowError, match=r"a\.yaml:4: box: there is no voice mail box 'sales'"):
        library.load(tmp_path, {}, LANGUAGES, boxes={"support": ""})


def test_a_folder_without_flows(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match="there is no flow"):
        library.load(tmp_path, {}, LANGUAGES)
    with pytest.raises(FlowError, match="cannot be read: No such file"):
        library.load(tmp_path / "nowhere", {}, LANGUAGES)
