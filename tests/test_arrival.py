"""What is taken from a FastAGI connection, and from whom."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easycall.asterisk import arrival

from .fakes_wires import FakePbx, FakeSession


def name_of(text: str) -> str:
    return arrival.caller_name(FakeSession("c1", agi_calleridname=text))  # type: ignore[arg-type]


def number_of(text: str) -> str:
    return arrival.caller_number(FakeSession("c1", agi_callerid=text))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+4930123", "+4930123"),
        ("*21#", "*21#"),
        ("unknown", ""),
        ("", ""),
        ("anonymous", ""),
        ("1" * 40, "1" * 40),
        ("1" * 41, ""),
        ("100@evil", ""),
        ("100\n", ""),
        ("١٢٣", ""),
        ("12 34", ""),
        ('"x" <1>', ""),
    ],
)
def test_a_number_is_a_number_or_withheld(number: str, expected: str) -> None:
    assert number_of(number) == expected


@pytest.mark.parametrize(("presentation", "shown"), [("0", True), ("1", True), ("67", True), ("32", False), ("35", False)])
def test_a_number_that_may_not_be_shown_is_withheld(presentation: str, shown: bool) -> None:
    """The network may tell us nevertheless (P-Asserted-Identity and Privacy)."""
    session = FakeSession("c1", agi_callerid="+4930123", agi_callingpres=presentation)
    assert arrival.caller_number(session) == ("+4930123" if shown else "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("unknown", ""),
        ("", ""),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("=cmd()", "=cmd()"),
        ("a\r\nEvent: Fake\x00", "aEvent: Fake"),
        ("‮evil⁦", "evil"),
        ("😀 李", "😀 李"),
        ("x" * 10_000, "x" * 256),
        ("caf\udcc3\udca9", "café"),
        ("caf\udce9", "caf�"),
    ],
)
def test_a_name_is_text_to_show(name: str, expected: str) -> None:
    """reliability A10."""
    assert name_of(name) == expected


@settings(deadline=None)
@given(st.binary(max_size=2000))
def test_no_name_does_harm(raw: bytes) -> None:
    name = name_of(raw.decode("utf-8", "surrogateescape"))
    assert len(name) <= 256
    assert not any(unicodedata.category(char).startswith("C") for char in name)
    name.encode("utf-8")


@pytest.mark.parametrize(
    ("arguments", "dialled", "agent"),
    [
        (("95588",), "95588", False),
        (("95588", ""), "95588", False),
        (("95588", "caller"), "95588", False),
        (("", "agent"), "", True),
        (("", "supervisor"), "", True),
        (("agent",), "agent", False),
        (("95588", "agents"), "95588", False),
        (("95588", "", "agent"), "95588", False),
        ((), "", False),
    ],
)
def test_the_arguments_of_the_dialplan(arguments: tuple[str, ...], dialled: str, agent: bool) -> None:
    session = FakeSession("c1", *arguments)
    assert arrival.dialled_number(session) == dialled  # type: ignore[arg-type]
    assert arrival.is_agent(session) is agent  # type: ignore[arg-type]


def test_a_new_caller_is_told_with_all_that_is_known() -> None:
    pbx = FakePbx()
    pbx.home("c1", "95588", agi_callerid="+4930", agi_calleridname="Ada")
    [one] = pbx.arrivals
    assert (one.channel.id, one.caller, one.caller_name, one.dialled) == ("c1", "+4930", "Ada", "95588")
    assert one.switch is pbx.switch


def test_a_leg_needs_an_id() -> None:
    with pytest.raises(ValueError, match="agi_uniqueid"):
        arrival.leg_id(FakeSession(""))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("channel", "endpoint"),
    [
        ("PJSIP/carrier-0000002a", "PJSIP/carrier"),
        ("PJSIP/my-carrier.1-0000002a", "PJSIP/my-carrier.1"),
        ("Local/x@y-0001;2", ""),
        ("", ""),
    ],
)
def test_where_a_call_came_in(channel: str, endpoint: str) -> None:
    assert arrival.endpoint(FakeSession("c1", agi_channel=channel)) == endpoint  # type: ignore[arg-type]


def test_a_leg_of_somebody_outside_whom_nobody_waits_for_is_hung_up() -> None:
    pbx = FakePbx()
    session = pbx.home("o1", "", "outside")
    assert not pbx.arrivals
    assert ("SET VARIABLE", "EC_DONE", "end") in session.sent
