"""An AMI link under the faults of the line: noticed in time, repaired in time, each action one outcome, nothing replayed."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from easycall.asterisk.ami import MAX_LINE, MAX_MESSAGE, Action
from easycall.asterisk.manager import ActionRefused, ActionTimeout, LinkDown, LinkLost, LoginRefused

from .stage import SOON, Link, Pbx, failed, outcome, until

Measured = Callable[[str], None]


def many(link: Link, leg: str) -> list[list[Any]]:
    """A pile of actions of every kind, under way at the same time; the 21st dials."""
    dial = Action.of(
        "Originate",
        Channel="Local/s@parked/n",
        ChannelId=leg,
        Context="parked",
        Exten="s",
        Priority="1",
        Async="true",
    )
    return [
        *(link.send("Getvar", Variable="EASYCALL_PATIENCE") for _ in range(20)),
        outcome(link.manager.send(dial, action_id=leg)),
        *(outcome(link.manager.collect(Action("Status"))) for _ in range(3)),
        *(link.send("Hangup", Channel="nobody") for _ in range(20)),
    ]


def kinds(outcomes: list[list[Any]]) -> list[str]:
    """What came of each action, which is one thing."""
    assert [len(each) for each in outcomes] == [1] * len(outcomes), "an action with two outcomes, or none"
    return [type(each[0].value).__name__ if isinstance(each[0], Failure) else "answered" for each in outcomes]


# The line is cut


@pytest.mark.fault("F01")
async def test_a_reset_of_an_idle_link_is_repaired_within_half_a_second(pbx: Pbx, measured: Measured) -> None:
    back, synced = [], []
    for _ in range(5):
        link = await pbx.link()
        cut_at = pbx.reactor.seconds()
        link.proxy.reset()
        assert await link.down() - cut_at < 0.1
        back.append(await link.up(2) - cut_at)
        synced.append(link.synced_in[-1])
    measured(f"back after {statistics.median(back):.3f} s, {max(back):.3f} s at most; resynchronised in {max(synced):.4f} s")
    assert statistics.median(back) <= 0.5
    assert max(synced) <= 1.0


@pytest.mark.fault("F01", "F05")
@pytest.mark.parametrize("where", [0, 1, 60, 500, 1500, b"EventList: Complete"])
async def test_cut_answers_give_each_action_one_outcome(pbx: Pbx, where: int | bytes) -> None:
    """Some of the answers do not reach us; what Asterisk did of the rest is for us to look up."""
    link, leg = await pbx.link(), f"leg-{secrets.token_hex(4)}"
    link.proxy.to_client.cut_at(where)
    outcomes = many(link, leg)
    await link.down()
    assert isinstance(failed(link.send("Ping")), LinkDown)
    names = kinds(outcomes)
    assert set(names) <= {"answered", "ActionRefused", "LinkLost"}
    assert names.count("LinkLost") >= (44 if where == 0 else 1)
    await link.up(2)
    assert kinds(outcomes) == names
    assert link.sent(b"Action: Originate") == 1  # nothing is replayed: only who sent it knows whether that is right
    assert names[20] != "answered" or leg in await pbx.channels()


@pytest.mark.fault("F01", "F04")
@pytest.mark.parametrize("where", [0, 1, b"Action: Originate", b"Exten: s"])
async def test_cut_actions_give_each_action_one_outcome(pbx: Pbx, where: int | bytes) -> None:
    """Some of the actions did not reach Asterisk, one of them perhaps by half."""
    link, leg = await pbx.link(), f"leg-{secrets.token_hex(4)}"
    link.proxy.to_server.cut_at(where)
    outcomes = many(link, leg)
    await link.down()
    names = kinds(outcomes)
    assert set(names) <= {"answered", "LinkLost"}
    assert set(names[20:]) == {"LinkLost"}
    await link.up(2)
    assert kinds(outcomes) == names
    assert leg not in await pbx.channels()


# The line is silent, or slow


@pytest.mark.fault("F12", "F13")
async def test_a_silent_link_is_noticed_within_6_s(pbx: Pbx, measured: Measured) -> None:
    """Nothing is closed, packets just do not arrive: in both directions, from Asterisk to us, from us to Asterisk."""
    both, from_pbx, to_pbx = links = [await pbx.link() for _ in range(3)]
    silent_at = pbx.reactor.seconds()
    for link in (both, from_pbx):
        link.proxy.to_client.hold()
    for link in (both, to_pbx):
        link.proxy.to_server.hold()
    pending = [link.send("Getvar", 30, Variable="EASYCALL_PATIENCE") for link in links]
    for link, what in zip(links, ("both ways", "from Asterisk", "to Asterisk"), strict=True):
        noticed = await link.down(seconds=8) - silent_at
        measured(f"silence {what}: noticed after {noticed:.2f} s")
        assert noticed <= 6.1  # 6 s, and a busy machine's hesitation
    assert [type(failed(each)) for each in pending] == [LinkLost] * 3
    await deferLater(pbx.reactor, 0.5)
    assert [len(link.ups) for link in links] == [1, 1, 1]
    for link in links:
        link.proxy.mend()
    mended_at = pbx.reactor.seconds()
    for link in links:
        back = await link.up(2) - mended_at
        measured(f"back {back:.3f} s after the line was")
        assert back <= 1.0


@pytest.mark.fault("F14")
async def test_a_slow_link_is_no_dead_link(pbx: Pbx, measured: Measured) -> None:
    """20 kbit/s and 0.3 s."""
    link = await pbx.link()
    link.proxy.to_client.rate, link.proxy.to_client.delay = 2500, 0.3
    for _ in range(2):
        await pbx.park()
    asked = pbx.reactor.seconds()
    items = await link.manager.collect(Action("Status"), 20)
    measured(f"a list of {len(items)} items over a slow link: {pbx.reactor.seconds() - asked:.2f} s")
    assert len(items) == 5
    assert link.downs == []


# We are slow ourselves


async def storm(pbx: Pbx) -> None:
    """Let a channel say all the time who calls: some 10,000 events a second."""
    for at in range(1, 201):
        await pbx.command(f"dialplan add extension s,{at},Set(CALLERID(num)={at}) into storm replace")
    await pbx.command("dialplan add extension s,201,Wait(0.01) into storm replace")
    await pbx.command("dialplan add extension s,202,Goto(1) into storm replace")
    how = {"ChannelId": "storm", "Application": "Wait", "Data": "60", "Async": "true"}
    await pbx.send("Originate", Channel="Local/s@storm/n", **how)


@pytest.mark.fault("F16")
@pytest.mark.seconds(60)
async def test_a_stall_of_our_own(pbx: Pbx, measured: Measured) -> None:
    """2 s: Asterisk keeps what it has to say.  For longer it cuts us, and then we are back at once."""
    link = await pbx.link(direct=True, events=("NewCallerid",))
    leg = await pbx.park()
    await storm(pbx)
    await until(pbx.reactor, lambda: len(link.heard) > 1000, SOON, "the storm rages")
    before, began = len(link.heard), pbx.reactor.seconds()
    time.sleep(2)  # noqa: ASYNC251 - the stall this is about
    await deferLater(pbx.reactor, 1)
    measured(f"{(len(link.heard) - before) / (pbx.reactor.seconds() - began):.0f} events a second")
    assert link.downs == []
    time.sleep(8)  # noqa: ASYNC251
    stalled_until = pbx.reactor.seconds()
    back = await link.up(2) - stalled_until
    measured(f"cut by Asterisk in a stall of 8 s ({link.downs[0][1]}), back after {back:.2f} s,")
    measured(f"resynchronised in {link.synced_in[-1]:.3f} s")
    assert len(link.downs) == 1
    assert link.synced_in[-1] <= 1.0
    assert back <= 2.0
    assert leg in await pbx.channels()


async def test_a_burst_of_10000_events_does_not_delay_an_action(pbx: Pbx, measured: Measured) -> None:
    """All come in one read, all are wanted; an action sent then is on the line before they are dealt with."""
    link = await pbx.link(events=("Newexten",))
    headers = b"".join(b"Header%d: some value of a usual length\r\n" % number for number in range(22))
    burst = b"".join(b"Event: Newexten\r\nUniqueid: %d\r\n%s\r\n" % (number, headers) for number in range(10_000))
    link.proxy.to_client.say(burst)
    await until(pbx.reactor, lambda: bool(link.heard), SOON, "the burst begins")
    before, asked = link.sent(b"Action: Getvar"), pbx.reactor.seconds()
    answer = link.send("Getvar", Variable="EASYCALL_PATIENCE")
    await until(pbx.reactor, lambda: link.sent(b"Action: Getvar") > before, SOON, "the action is on the line")
    delay, dealt_with = pbx.reactor.seconds() - asked, len(link.heard)
    measured(f"an action left {delay * 1000:.0f} ms after it was sent, when {dealt_with} of 10,000 events were dealt with")
    assert dealt_with < 10_000
    assert delay <= 0.25  # the goal is 50 ms; a shared machine gets some more
    await until(pbx.reactor, lambda: len(answer) == 1, SOON, "it is answered")
    assert [event.get("Uniqueid") for event in link.heard] == [str(number) for number in range(10_000)]


# Asterisk says what it should not


LONG = b"Event: Hangup\r\nX: " + b"x" * MAX_LINE
NO_EVENT = b"Privilege: call,all\r\nUniqueid: 1\r\n\r\n"
OFFENCES = {
    "garbage": b"garbage\r\n\r\n",
    "binary": bytes(range(256)) * 4 + b"\r\n\r\n",
    "a line of 64 KiB": LONG + b"\r\n\r\n",
    "a line of 1 MB": LONG * 16,
    "a line without an end": b"x" * (MAX_LINE + 1),
    "a message of more than 1 MiB": b"Event: Hangup\r\n"
    + b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * (MAX_MESSAGE // 36 + 1),
    "no event": NO_EVENT,
}


@pytest.mark.fault("F20", "A11")
@pytest.mark.parametrize("offence", OFFENCES.values(), ids=OFFENCES.keys())
async def test_what_is_no_ami_costs_one_reconnection(pbx: Pbx, offence: bytes) -> None:
    link = await pbx.link()
    pending = link.send("Getvar", Variable="EASYCALL_PATIENCE")
    link.proxy.to_client.say(offence + b"Event: Hangup\r\nUniqueid: 17.1\r\n\r\n")
    await link.up(2)
    assert kinds([pending])[0] in ("answered", "LinkLost")
    assert link.heard == []  # nothing behind the offence is believed
    assert "protocol error" in link.downs[0][1]
    await deferLater(pbx.reactor, 0.3)
    assert (len(link.proxy.accepted), len(link.ups), len(link.downs)) == (2, 2, 1)
    assert (await link.manager.send(Action.of("Getvar", Variable="EASYCALL_PATIENCE"))).get("Value") == "2"


@pytest.mark.fault("F20")
@pytest.mark.parametrize("kept", [1, 10, 100, -4, -3, -1])
async def test_a_truncated_message_does_no_more_than_get_lost(pbx: Pbx, kept: int) -> None:
    """Its rest is missing, so it runs into the next one: at most these two are lost, or the link is made anew."""
    link = await pbx.link()
    link.proxy.to_client.faults.append(lambda message: [message[:kept] if b"Event: Newchannel" in message else message])
    await pbx.park()
    await until(pbx.reactor, lambda: bool(link.heard or link.downs), SOON, "something of it is heard")
    link.proxy.mend()
    if link.downs:
        await link.up(2)
    link.send("Ping")  # may be what runs into the rest
    answer = await link.manager.send(Action.of("Getvar", Variable="EASYCALL_PATIENCE"))
    assert answer.get("Value") == "2"
    assert len(link.proxy.accepted) <= 2


@pytest.mark.fault("A11")
async def test_an_event_with_10000_headers(pbx: Pbx, measured: Measured) -> None:
    """Within the bounds: it is an event like others, the first of a name counts, and nothing takes long."""
    link = await pbx.link()
    headers = b"".join(b"Header%d: %d\r\n" % (number % 5000, number) for number in range(10_000))
    link.proxy.to_client.say(b"Event: Hangup\r\n" + headers + b"Uniqueid: 17.1\r\nUniqueid: 17.2\r\n\r\n")
    await until(pbx.reactor, lambda: bool(link.heard), SOON, "it is heard")
    [event] = link.heard
    began = time.perf_counter()
    assert (event.get("Uniqueid"), event.get("header4999"), event.get("None", "-")) == ("17.1", "4999", "-")
    assert event.all("Header7") == ["7", "5007"]
    taken = time.perf_counter() - began
    measured(f"4 headers of 10,000 found in {taken * 1000:.1f} ms")
    assert taken < 0.05
    assert link.downs == []


@pytest.mark.fault("F22")
async def test_a_list_that_never_ends(pbx: Pbx) -> None:
    """Its time is up and it is forgotten; other actions are not held up; the second in a row costs the link."""
    link = await pbx.link()
    await pbx.park()
    link.proxy.to_client.drop(b"Event: StatusComplete")
    first = outcome(link.manager.collect(Action("Status"), 0.3))
    other = link.send("Getvar", Variable="EASYCALL_PATIENCE")
    await until(pbx.reactor, lambda: bool(first), SOON, "the list's time is up")
    assert isinstance(failed(first), ActionTimeout)
    assert kinds([other]) == ["answered"]
    assert link.downs == []
    second = outcome(link.manager.collect(Action("Status"), 0.3))
    await until(pbx.reactor, lambda: bool(second), SOON, "the list's time is up")
    assert isinstance(failed(second), ActionTimeout)
    link.proxy.mend()
    await link.down()
    assert link.downs[0][1] == "lists do not end"
    await link.up(2)
    assert len(await link.manager.collect(Action("Status"))) == 3


# The account


@pytest.mark.fault("F21")
async def test_a_wrong_secret_is_said_and_not_hammered(pbx: Pbx, measured: Measured) -> None:
    link = await pbx.connecting(account="nobody")
    began = pbx.reactor.seconds()
    refused: list[Any] = []
    link.first_login.addErrback(refused.append)
    await until(pbx.reactor, lambda: bool(refused), SOON, "the log-in is refused")
    measured(f"refused after {pbx.reactor.seconds() - began:.2f} s")
    assert pbx.reactor.seconds() - began <= 2.0
    assert isinstance(failed(refused), LoginRefused)
    assert "'nobody'" in str(failed(refused))
    assert pbx.state.secrets["easycall"] not in str(failed(refused))
    await deferLater(pbx.reactor, 1)
    assert len(link.proxy.accepted) == 1


@pytest.mark.fault("F21")
async def test_a_secret_that_changes_while_we_run_is_not_hammered(pbx: Pbx) -> None:
    rights = {"read": "call,system,reporting", "write": "call,originate,reporting"}
    await pbx.account("changing", secret=pbx.state.secrets["easycall"], **rights)
    link = await pbx.link(account="changing")
    await pbx.account("changing", secret="another", **rights)
    link.proxy.reset()
    await link.down()
    await deferLater(pbx.reactor, 3)
    assert (len(link.proxy.accepted), len(link.ups)) == (2, 1)  # one try, refused after 1 s; the next is due in 30 s


@pytest.mark.fault("F21")
async def test_a_right_that_is_missing_is_said_by_each_action(pbx: Pbx) -> None:
    await pbx.account("poor", secret=pbx.state.secrets["easycall"], read="system,call", write="reporting,call")
    link = await pbx.link(account="poor")
    with pytest.raises(ActionRefused, match="Permission denied"):
        await link.manager.send(
            Action.of("Originate", Channel="Local/s@easycall/n", Context="easycall", Exten="s", Priority="1")
        )
    assert link.downs == []
