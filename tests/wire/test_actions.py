"""What strangers write must not become part of an action: refused before a byte is sent, or it arrives as it is."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from easycall.asterisk.ami import MAX_ACTION_LINE, MAX_ACTION_LINES, Action, UnsafeValue, variable
from easycall.asterisk.manager import ActionRefused
from easycall.asterisk.switch import AsteriskSwitch

from .stage import SOON, Link, Pbx, until


async def refused(link: Link, name: str, **headers: Any) -> None:
    """Our own side must refuse it, and send nothing."""
    before = link.bytes_sent()
    with pytest.raises(UnsafeValue) as error:
        await link.manager.send(Action.of(name, **headers))
    assert "Ping" not in str(error.value)
    assert "PWN" not in str(error.value)
    await settled(link)
    assert link.bytes_sent() == before


async def settled(link: Link) -> None:
    """Wait until what we may have sent has reached the proxy."""
    await link.manager.send(Action("Ping"))


BREAKS = [
    "\r\nAction: Ping",
    "\r\n\r\nAction: Ping",
    "\nAction: Ping",
    "\n\nAction: Ping",
    "\rAction: Ping",
    "\0Action: Ping",
]


@pytest.mark.fault("A01", "A02")
@pytest.mark.parametrize("bad", BREAKS)
async def test_a_break_in_a_value_sends_nothing(pbx: Pbx, bad: str) -> None:
    link, leg = await pbx.link(), await pbx.park()
    await refused(link, "Setvar", Channel=leg, Variable="NOTE", Value=f"Ana{bad}\r\nActionID: x")
    await refused(link, "Originate", Channel=f"PJSIP/2001{bad}", Application="Wait")
    await refused(link, "Originate", Channel="PJSIP/2001@world", CallerID=f'"Ana{bad}" <1>')
    await refused(link, "Setvar", **{f"Channel{bad}": leg})
    assert await pbx.get(leg, "NOTE") == ""


@pytest.mark.fault("A01")
async def test_why_a_lone_line_feed_is_refused(pbx: Pbx) -> None:
    """M10: for Asterisk it ends a line, and two of them an action; the rest of the value is another action."""
    link, leg = await pbx.link(), await pbx.park()
    first = f"Action: Setvar\r\nActionID: 1\r\nChannel: {leg}\r\nVariable: NOTE\r\nValue: Ana"
    second = f"\n\nAction: Setvar\r\nChannel: {leg}\r\nVariable: PWN\r\nValue: 1\r\n\r\n"
    link.proxy.to_server.say((first + second).encode())
    await settled(link)
    assert (await pbx.get(leg, "NOTE"), await pbx.get(leg, "PWN")) == ("Ana", "1")


TEXTS = [
    "a\u2028b",
    "a\u2029b",
    "a\x85b",
    "a\x0bb\x0cc",
    "Jörg",
    "名前",
    "🙂",
    "${SHELL(id)}",
    "a;b|c&d",
    "%0D%0AAction: Ping",
    "=",
]


@pytest.mark.fault("A02")
@pytest.mark.parametrize("text", TEXTS)
async def test_other_separators_are_text_and_arrive_as_they_are(pbx: Pbx, text: str) -> None:
    link, leg = await pbx.link(), await pbx.park()
    await link.manager.send(Action.of("Setvar", Channel=leg, Variable="NOTE", Value=text))
    answer = await link.manager.send(Action.of("Getvar", Channel=leg, Variable="NOTE"))
    assert answer.get("Value") == text
    assert answer.action_id


@pytest.mark.fault("A03")
async def test_the_longest_line_arrives_and_a_longer_one_is_not_sent(pbx: Pbx) -> None:
    link, leg = await pbx.link(), await pbx.park()
    longest = "x" * (MAX_ACTION_LINE - len("Value: "))
    await link.manager.send(Action.of("Setvar", Channel=leg, Variable="LONG", Value=longest))
    assert await pbx.get(leg, "LONG") == longest
    await refused(link, "Setvar", Channel=leg, Variable="LONG", Value=longest + "x")
    await refused(link, "Setvar", Channel=leg, Variable="LONG", Value="ö" * 600)


@pytest.mark.fault("A03")
async def test_the_most_lines_arrive_and_one_more_is_not_sent(pbx: Pbx) -> None:
    link, leg = await pbx.link(), f"leg-{secrets.token_hex(4)}"
    fixed = {"Channel": "Local/s@parked/n", "ChannelId": leg, "Application": "Wait", "Data": "60", "Async": "true"}
    rest = MAX_ACTION_LINES - 2 - len(fixed)
    many = [variable(f"V{number}", str(number)) for number in range(rest)]
    await link.manager.send(Action.of("Originate", **fixed, Variable=many))
    await pbx.appears(leg)
    assert await pbx.get(leg, f"V{rest - 1}") == str(rest - 1)
    await refused(link, "Originate", **fixed, Variable=[*many, "PWN=1"])


@pytest.mark.fault("A04")
async def test_a_variable_cannot_bring_another(pbx: Pbx) -> None:
    """M11: Asterisk splits the header at commas and eats quotes; what is left arrives letter by letter."""
    link, leg = await pbx.link(), f"leg-{secrets.token_hex(4)}"
    for bad in ("Smith, John,PWN=1", 'a",PWN=1,"', "a\\,PWN=1", "a'b\\", "a\r\nVariable: PWN=1"):
        with pytest.raises(UnsafeValue) as error:
            variable("NAME", bad)
        assert bad not in str(error.value)
    with pytest.raises(UnsafeValue):
        variable("NAME,PWN", "1")
    odd = {
        "A": "x=y=PWN=1",
        "B": "${SHELL(id)}",
        "C": "${EXTEN}",
        "D": "a b|c;d&e%f'g",
        "E": "Jörg 🙂",
        "F": " lead and trail ",
    }
    await link.manager.send(
        Action.of(
            "Originate",
            Channel="Local/s@parked/n",
            ChannelId=leg,
            Application="Wait",
            Data="60",
            Async="true",
            Variable=[variable(name, value) for name, value in odd.items()],
        )
    )
    await pbx.appears(leg)
    assert {name: await pbx.get(leg, name) for name in odd} == odd
    assert await pbx.get(leg, "PWN") == ""


PATTERNS = ["//", "/./", "/.*/", "/^PJSIP/", "/^Local/i", " //", "\t//", "\x0b //", "\x1f/./"]


@pytest.mark.fault("A05")
async def test_a_channel_pattern_hangs_nobody_up(pbx: Pbx) -> None:
    """M13: ``Hangup`` of ``//`` hangs up every call."""
    link = await pbx.link()
    calls = {await pbx.park(), await pbx.park()}
    before = await pbx.channels()
    for pattern in PATTERNS:
        await refused(link, "Hangup", Channel=pattern)
        await refused(link, "Redirect", Channel=pattern, Context="easycall", Exten="s", Priority="1")
        await refused(link, "Bridge", Channel1=pattern, Channel2=next(iter(calls)))
    assert link.sent(b"Action: Hangup") == 0
    for name in ("", "*", "Local", "PJSIP/", ".", "parked"):
        with pytest.raises(ActionRefused):
            await link.manager.send(Action.of("Hangup", Channel=name))
    assert set(await pbx.channels()) == set(before)
    assert calls <= set(before)


class Unheard:
    """A journal that nobody reads."""

    def record(self, event: Any) -> None:
        """Nothing."""

    def write(self) -> None:
        """Nothing."""


TARGETS = [
    *("Local/1@easycall", "2001&Local/9@default", "2001@other", "x/sip:evil@host", "2001/n", "2001,30,g", "^1", "../2001"),
    *(
        "${SHELL(id)}",
        "2001\r\nAction: Ping",
        "2001 ",
        " 2001",
        "",
        "2001\n",
        "x" * 41,
        "٢٠٠١",
        "2001;2",
        "PJSIP/2001",
        "//",
    ),
]


@pytest.mark.fault("A06", "A07")
async def test_a_phone_is_a_name_and_nothing_that_dials_elsewhere(pbx: Pbx) -> None:
    """The one template of the configuration is filled with one word; anything else dials nobody."""
    link = await pbx.link()
    switch = AsteriskSwitch(
        "pbx",
        dial="PJSIP/{phone}@world",
        context="easycall",
        clock=pbx.reactor,
        journal=Unheard(),
        arrived=lambda arrival: None,
        went_up=lambda name: None,
        went_down=lambda name: None,
        phone_is=lambda name, phone, state: None,
    )
    switch.use(link.manager)
    for target in TARGETS:
        with pytest.raises(ValueError, match="phone"):
            switch.ring(target, leg="leg-1", caller="+491", caller_name="Ana", seconds=5, values={})
    await settled(link)
    assert link.sent(b"Action: Originate") == 0
    switch.ring("2201", leg="leg-1", caller="1>,PWN<", caller_name='A"\r\n,PWN <9>', seconds=5, values={})
    await until(pbx.reactor, lambda: link.sent(b"Action: Originate") == 1, SOON, "a good one is dialled")
    await pbx.empty()
    [sent] = [part for part in bytes(link.proxy.accepted[0].to_server.heard).split(b"\r\n\r\n") if b"Originate" in part]
    assert b"Channel: PJSIP/2201@world\r\n" in sent
    assert b'CallerID: "A,PWN 9" <>' in sent
    switch.let_go()
