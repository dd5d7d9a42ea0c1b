"""What Asterisk tells the daemon comes doubled, in another order, or not at all: calls go right, and records add up."""

from __future__ import annotations

from random import Random

import pytest

from easycall.client import Refused

from .callcentre import STRAIGHT, CallCentre, after
from .people import SOON, Agent, segments, talking

AUDIT = 10.0
"""Seconds within which the daemon's picture is right again after whatever it was not told."""


async def answered_and_left_by_the_agent(centre: CallCentre, chen: Agent) -> None:
    carl = await centre.caller().dials(STRAIGHT)
    await chen.answers()
    await talking(carl, chen)
    await chen.is_("talking")
    chen.hangs_up()
    record = await carl.record()
    assert segments(record)[-3:] == ["offer(chen, answered)", "talk", "closing"]
    assert (record["outcome"], record["ended_by"]) == ("answered", "agent")
    await chen.is_("ready")


async def answered_and_left_by_the_caller(centre: CallCentre, chen: Agent) -> None:
    carl = await centre.caller().dials(STRAIGHT)
    await chen.answers()
    await talking(carl, chen)
    carl.hangs_up()
    await chen.is_released(1.0)
    record = await carl.record()
    assert (record["outcome"], record["ended_by"]) == ("answered", "caller")
    await chen.is_("ready")


async def declined(centre: CallCentre, chen: Agent) -> None:
    carl = await centre.caller().dials(STRAIGHT)
    await chen.declines()
    await chen.is_released(1.0)
    await centre.feed.wait("offer.ended", SOON, contact=await carl.contact(), outcome="declined")
    carl.hangs_up()
    record = await carl.record()
    assert "offer(chen, declined)" in segments(record)
    assert record["outcome"] == "abandoned"
    await chen.is_("ready")


async def abandoned_while_it_rings(centre: CallCentre, chen: Agent) -> None:
    carl = await centre.caller().dials(STRAIGHT)
    await chen.rings()
    carl.hangs_up()
    await chen.is_released(1.0)
    record = await carl.record()
    assert (record["outcome"], record["ended_by"]) == ("abandoned", "caller")
    assert "offer(chen, caller_left)" in segments(record)
    await chen.is_("ready")


async def missed(centre: CallCentre, chen: Agent) -> None:
    carl = await centre.caller().dials(STRAIGHT)
    await chen.rings()
    await chen.is_released(3.0)
    await chen.is_("not_ready", reason="missed")
    carl.hangs_up()
    record = await carl.record()
    assert "offer(chen, no_answer)" in segments(record)
    await chen.becomes("ready")


async def no_leg_is_left(centre: CallCentre) -> float:
    """Wait until the daemon knows that every call has ended; for how long that took."""
    began = centre.reactor.seconds()

    async def empty() -> bool:
        return not any(pbx.switch.legs for pbx in centre.running.pbxs)

    await centre.until(empty, AUDIT + 0.5, "the daemon holds no leg")
    return float(centre.reactor.seconds() - began)


EVERYTHING = (
    answered_and_left_by_the_agent,
    answered_and_left_by_the_caller,
    declined,
    abandoned_while_it_rings,
    missed,
    answered_and_left_by_the_agent,
)


@pytest.mark.fault("F17")
@pytest.mark.seconds(60)
@pytest.mark.site(wrap_up_seconds=0.1, ring_seconds=1)
async def test_everything_is_told_twice(centre: CallCentre) -> None:
    """Events, answers and lists: nothing happens twice, and nothing has to be corrected."""
    centre.ami.to_client.duplicate()
    chen = await centre.agent("chen").works()
    for scene in EVERYTHING:
        await scene(centre, chen)
    ended = [one["contact"] for one in centre.feed.heard if one["kind"] == "contact.ended"]
    assert len(ended) == len(set(ended)) == len(EVERYTHING)


@pytest.mark.fault("F18")
@pytest.mark.seconds(60)
@pytest.mark.site(wrap_up_seconds=0.1, ring_seconds=1)
@pytest.mark.parametrize("seed", range(2))
async def test_events_are_told_in_another_order(centre: CallCentre, seed: int) -> None:
    """Across channels, and answers before what happened earlier."""
    centre.ami.to_client.reorder(Random(seed), 0.05)  # noqa: S311
    chen = await centre.agent("chen").works()
    for scene in EVERYTHING:
        await scene(centre, chen)


@pytest.mark.fault("F18")
@pytest.mark.seconds(60)
@pytest.mark.site(wrap_up_seconds=0.1, ring_seconds=1)
async def test_events_of_one_channel_are_told_in_another_order(centre: CallCentre) -> None:
    """Which Asterisk does not do; even so everything comes right, if perhaps by an audit."""
    centre.corrected = True
    centre.ami.to_client.reorder(Random(1), 0.05, within_channels=True)  # noqa: S311
    chen = await centre.agent("chen").works()
    for scene in EVERYTHING:
        await scene(centre, chen)


HINTS = (
    *("Newchannel", "Newstate", "DialBegin", "DialState", "DialEnd", "OriginateResponse"),
    *("BridgeEnter", "BridgeLeave", "HangupRequest"),
)
"""What the daemon listens to, but for the ends of channels."""


@pytest.mark.fault("F19")
@pytest.mark.seconds(60)
@pytest.mark.site(wrap_up_seconds=0.1, ring_seconds=1)
async def test_nothing_is_told_but_the_ends_of_channels(centre: CallCentre) -> None:
    """FastAGI and the ends are enough for calls to go right; an audit sees the rest."""
    centre.corrected = True
    for name in HINTS:
        centre.ami.to_client.drop(f"Event: {name}\r\n".encode())
    chen = await centre.agent("chen").works()
    for scene in EVERYTHING:
        await scene(centre, chen)


@pytest.mark.fault("F19")
@pytest.mark.seconds(60)
@pytest.mark.site(wrap_up_seconds=0.1, ring_seconds=1)
async def test_the_ends_of_channels_are_not_told(centre: CallCentre) -> None:
    """The agent is free, the record closed and no leg left within the time of an audit, and that is counted."""
    centre.corrected = True
    centre.ami.to_client.drop(b"Event: Hangup\r\n")
    chen = await centre.agent("chen").works()
    carl = await centre.caller().dials(STRAIGHT)
    await chen.answers()
    await talking(carl, chen)
    left = centre.reactor.seconds()
    carl.hangs_up()
    record = await carl.record(AUDIT)
    assert (record["outcome"], record["ended_by"]) == ("answered", "caller")
    await chen.is_("ready", AUDIT)
    noticed = [centre.reactor.seconds() - left]

    carl = await centre.caller().dials(STRAIGHT)
    await chen.rings()
    left = centre.reactor.seconds()
    carl.hangs_up()
    assert (await carl.record(AUDIT))["outcome"] == "abandoned"
    await chen.is_released(1.0)
    await chen.is_("ready", AUDIT)
    noticed.append(centre.reactor.seconds() - left)
    print("without Hangup an end is noticed after", ", ".join(f"{one:.2f} s" for one in noticed))  # noqa: T201
    print(f"the last leg was missed after {await no_leg_is_left(centre):.1f} s")  # noqa: T201
    assert [one for one in centre.feed.heard if one["kind"] == "pbx.corrected"]
    centre.ami.mend()


@pytest.mark.fault("F19")
@pytest.mark.seconds(90)
@pytest.mark.site(wrap_up_seconds=0.1, ring_seconds=2)
async def test_one_event_in_five_is_lost(centre: CallCentre) -> None:
    """Whichever: every record is closed, the agent free and no leg left within the time of an audit.

    The phone rings for longer than the second after which the daemon looks for a caller of whose end it was not told: else
    the agent would have missed the call.
    """
    centre.corrected = True
    random = Random(1)  # noqa: S311
    centre.ami.to_client.lose_events(lambda: random.random() < 0.2)
    chen = await centre.agent("chen").works()
    for number in range(6):
        carl = await centre.caller().dials(STRAIGHT)
        await chen.rings()
        if number % 3 < 2:
            await chen.answers()
            await talking(carl, chen)
        if number % 2:
            chen.hangs_up()
            await chen.is_released(1.0)
        carl.hangs_up()
        record = await carl.record(AUDIT)
        assert record["outcome"] in ("answered", "abandoned")
        await chen.is_("ready", AUDIT)
    print(f"the last leg was missed after {await no_leg_is_left(centre):.1f} s")  # noqa: T201
    centre.ami.mend()


# The line


@pytest.mark.fault("F13")
@pytest.mark.seconds(60)
@pytest.mark.site(wrap_up_seconds=0.1, ring_seconds=20)
async def test_we_are_heard_and_hear_nothing(centre: CallCentre) -> None:
    """The phone rings, for what we send arrives; nothing of that is told.  It rings once, and the call goes right."""
    chen = centre.agent("chen")
    await chen.logs_in()
    carl = await centre.caller().dials(STRAIGHT)
    await carl.waits_in("support")
    centre.ami.to_client.hold()
    silent_at = centre.reactor.seconds()
    await chen.becomes("ready")
    await chen.answers()
    await centre.feed.wait("pbx.down", 8.0)
    print(f"silence noticed after {centre.reactor.seconds() - silent_at:.2f} s")  # noqa: T201
    assert centre.reactor.seconds() - silent_at <= 6.1
    centre.ami.mend()
    await centre.feed.wait("pbx.up", SOON, since=centre.feed.heard[-1]["seq"])
    await centre.feed.wait("talk.started", 1.0, contact=await carl.contact())
    await talking(carl, chen)
    sent = b"".join(connection.to_server.heard for connection in centre.ami.accepted)
    assert (sent.count(b"Action: Originate"), sent.count(b"Action: Bridge")) == (1, 1)
    chen.hangs_up()
    assert segments(await carl.record())[-3:] == ["offer(chen, answered)", "talk", "closing"]


@pytest.mark.fault("F20", "F01")
@pytest.mark.site(wrap_up_seconds=0.1)
async def test_garbage_on_the_line_while_people_talk(centre: CallCentre) -> None:
    """One reconnection, within half a second; who talks talks on, and the agent's next state is right."""
    chen = await centre.agent("chen").works()
    carl = await centre.caller().dials(STRAIGHT)
    await chen.answers()
    await talking(carl, chen)
    centre.ami.to_client.say(b"\0garbage\r\n\r\nEvent: Hangup\r\nUniqueid: 1\r\n\r\n")
    down = await centre.feed.wait("pbx.down", 1.0)
    up = await centre.feed.wait("pbx.up", 1.0, since=down["seq"])
    assert up["at"] - down["at"] <= 0.5
    await talking(carl, chen)
    chen.hangs_up()
    assert (await carl.record())["ended_by"] == "agent"
    await chen.is_("ready")
    assert [one["kind"] for one in centre.feed.heard].count("pbx.down") == 1


@pytest.mark.fault("F21")
async def test_readiness_says_what_is_missing(centre: CallCentre) -> None:
    """While no log-in succeeds nothing can be rung: 503 with the reason within 2 s, and ready again afterwards."""
    assert (await centre.client.get("/readyz"))["ready"] is True
    centre.ami.to_server.corrupt(b"Key: ", b"Key: 0")
    centre.ami.reset()

    async def unready() -> bool:
        try:
            await centre.client.get("/readyz")
        except Refused as refused:
            return refused.status == 503 and "'lab'" in refused.problem["reasons"][0]
        return False

    await centre.until(unready, 2.0, "not ready")
    await after(centre.reactor, 2.0)
    assert await unready()
    assert len(centre.ami.accepted) == 2  # and not hammered


# What users write


@pytest.mark.fault("A01", "A05", "A06")
async def test_what_users_write_reaches_no_action(centre: CallCentre) -> None:
    """Phones, agents and contacts of the API: refused with 404 or 422, and nothing is sent."""
    before = sum(len(connection.to_server.heard) for connection in centre.ami.accepted)
    for phone in ("2001\r\nAction: Ping", "2001\n", "2001&Local/9@default", "Local/1@easycall", "x/sip:evil@host", "//", ""):
        with pytest.raises(Refused) as refused:
            await centre.client.post("/api/v1/agents/ana/login", phone=phone)
        assert refused.value.status == 422
    for one in ("%2F%2F", "%2F.%2F", "%2F%5EPJSIP%2F", "%0D%0AAction:%20Ping", ".."):
        with pytest.raises(Refused) as refused:
            await centre.client.post(f"/api/v1/contacts/{one}/hangup")
        assert refused.value.status in (400, 404)
    sent = b"".join(bytes(connection.to_server.heard) for connection in centre.ami.accepted)[before:]
    assert b"Originate" not in sent
    assert b"Hangup" not in sent
