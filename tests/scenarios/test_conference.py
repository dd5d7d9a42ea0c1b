"""Conference, keys to the line, park and pick, voice mail, answering from the desktop; asked over the API, proved by ear."""

from __future__ import annotations

import array
import cmath
import io
import wave

import pytest

from easycall.client import Refused

from .callcentre import STRAIGHT, CallCentre
from .people import SOON, Agent, Caller, Person, hears, key_crosses, segments, talking
from .test_call_control import asks, connected
from .test_calls_out import uses


def loudness(sound: bytes, tone: int) -> float:
    """How much of a tone is in a wav file."""
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (8000, 2, 1)
        samples = array.array("h", file.readframes(file.getnframes()))
    turn = cmath.exp(-2j * cmath.pi * tone / 8000)
    return abs(sum(sample * turn**number for number, sample in enumerate(samples))) ** 2


CLOSED = "95510"
"""The number whose flow ends at voice mail."""


async def leaves_a_message(centre: CallCentre, carl: Caller) -> None:
    """Carl, who speaks all the time, hears the greeting, speaks, hangs up; what he said is found over the API."""
    await hears(carl, "speech")
    await hears(carl, "silence", 10)  # greeting and tone are over
    await centre.world.pause(2.5)
    carl.hangs_up()
    left = await centre.feed.wait("voicemail.left", SOON, contact=await carl.contact())
    assert left["seconds"] > 1
    messages = (await centre.client.get("/api/v1/voicemails?box=sales"))["voicemails"]
    [message] = [one for one in messages if one["contact"] == await carl.contact()]
    assert (message["id"], message["caller"], message["seconds"]) == (left["message"], carl.number, left["seconds"])
    sound = await centre.client.get(f"/api/v1/voicemails/{message['id']}/audio")
    assert loudness(sound, 700) > 100 * loudness(sound, 1000)


async def three(centre: CallCentre) -> tuple[Caller, Agent, Agent]:
    """Carl, who says nothing, Ana and Bo, each with a voice of their own, in a conference."""
    ana, bo = await centre.agent("ana").works(), centre.agent("bo")
    bo.voice = 700
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await ana.answers()
    await hears(carl, ana)
    await bo.works()
    await asks(carl, "consult", agent="bo")
    await bo.answers()
    await hears(ana, bo)
    assert (await asks(carl, "merge"))["stage"] == "conference"
    return carl, ana, bo


async def all_hear(*people: Person) -> None:
    """Prove that each hears each: a key that one presses arrives at all the others."""
    for who in people:
        await key_crosses("5", who, *(other for other in people if other is not who))


@pytest.mark.requirement("F4")
@pytest.mark.requirement("P2")
async def test_a_conference_of_three_and_back_to_two(centre: CallCentre) -> None:
    carl, ana, bo = await three(centre)
    await hears(carl, "speech")  # two voices at once
    await hears(ana, bo)
    await hears(bo, ana)
    await all_hear(carl, ana, bo)
    await asks(carl, "mute", party="consulted")
    await hears(carl, ana)
    await hears(ana, "silence")
    await asks(carl, "mute", party="agent")
    await hears(carl, "silence")
    await asks(carl, "unmute", party="consulted")
    await hears(carl, bo)
    await asks(carl, "unmute", party="agent")
    await hears(carl, "speech")
    with pytest.raises(Refused, match="Park is not possible while the contact is conference"):
        await asks(carl, "park")
    assert (await asks(carl, "drop", party="consulted"))["stage"] == "talking"
    await talking(carl, ana)
    await bo.is_released()
    carl.hangs_up()
    assert segments(await carl.record())[-4:] == ["consult", "conference", "talk", "closing"]


@pytest.mark.requirement("F4")
async def test_who_asked_leaves_the_conference_and_the_customer_has_the_other(centre: CallCentre) -> None:
    carl, ana, bo = await three(centre)
    ana.hangs_up()
    await hears(carl, bo)
    await talking(carl, bo)
    await ana.is_("wrap_up")
    carl.hangs_up()
    record = await carl.record()
    assert (record["agent"], record["ended_by"]) == ("bo", "caller")


@pytest.mark.requirement("F4")
@pytest.mark.requirement("P2")
@pytest.mark.parametrize("alternating", [False, True], ids=["", "alternating"])
async def test_a_conference_with_somebody_outside_and_back(centre: CallCentre, alternating: bool) -> None:
    carl, ana = await connected(centre)
    dora = centre.outsider("dora")
    await asks(carl, "consult", number=dora.number)
    await dora.answers()
    await talking(ana, dora)
    if alternating:
        await asks(carl, "alternate")
        await hears(dora, "music")
    merged = await asks(carl, "merge")
    assert (merged["stage"], merged["consulted"]) == ("conference", dora.number)
    await all_hear(carl, ana, dora)
    await asks(carl, "mute", party="consulted")
    await hears(ana, "silence")
    await asks(carl, "unmute", party="consulted")
    await hears(ana, dora)
    assert (await asks(carl, "drop", party="consulted"))["stage"] == "talking"
    await dora.is_released()
    await talking(carl, ana)
    await uses(centre, 1)  # the customer's
    carl.hangs_up()
    assert segments(await carl.record())[-3:] == ["conference", "talk", "closing"]


@pytest.mark.requirement("F4")
@pytest.mark.requirement("F7")
@pytest.mark.parametrize("how", ["complete", "hang-up"])
async def test_the_agent_leaves_the_customer_with_the_one_outside(centre: CallCentre, how: str) -> None:
    carl, ana = await connected(centre)
    dora = centre.outsider("dora")
    await asks(carl, "consult", number=dora.number)
    await dora.answers()
    await talking(ana, dora)
    await asks(carl, "merge")
    await all_hear(carl, ana, dora)
    if how == "complete":
        assert (await asks(carl, "complete"))["stage"] == "outside"
    else:
        ana.hangs_up()
        await centre.feed.wait("outside.started", SOON, number=dora.number)
    await ana.is_released()
    await talking(carl, dora)
    carl.hangs_up()
    await dora.is_released()
    record = await carl.record()
    assert [one for one in segments(record) if one != "closing"][-1] == "outside"
    await uses(centre, 0)


@pytest.mark.fault("F04")
async def test_a_conference_outlives_the_daemon_and_a_caller_left_alone_is_served(centre: CallCentre) -> None:
    centre.corrected = True
    carl, ana, bo = await three(centre)
    await centre.stop_daemon()
    await carl.leg.press("5")
    for other in (ana, bo):
        await other.leg.hears_key("5", SOON)
    ana.hangs_up()
    await hears(carl, bo)
    await centre.start_daemon()
    bo.hangs_up()
    await hears(carl, "speech", 15)  # the welcome of the flow
    carl.hangs_up()


async def test_keys_are_sent_to_the_customers_line(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await ana.answers()
    await talking(carl, ana)
    for keys in ("5w3#", "21"):
        await asks(carl, "digits", digits=keys)
        for key in keys.replace("w", ""):
            await carl.leg.hears_key(key, SOON)
        await hears(carl, ana)
    with pytest.raises(Refused, match="1 to 32 of 0-9"):
        await asks(carl, "digits", digits="5;rm")
    carl.hangs_up()
    assert not [message for message in centre.feed.heard if "5w3#" in str(message)]


@pytest.mark.requirement("P2")
async def test_park_and_pick(centre: CallCentre) -> None:
    ana, bo = await centre.agent("ana").works(), centre.agent("bo")
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await ana.answers()
    await talking(carl, ana)
    assert (await asks(carl, "park"))["stage"] == "parked"
    await ana.is_released()
    await hears(carl, "music")
    with pytest.raises(Refused, match="bo is offline"):
        await asks(carl, "pick", agent="bo")
    await bo.works()
    assert (await asks(carl, "pick", agent="bo"))["agent"] == "bo"
    await bo.answers()
    await talking(carl, bo)
    carl.hangs_up()
    assert segments(await carl.record())[-4:] == ["parked", "offer(bo, answered)", "talk", "closing"]


async def test_a_message_is_left_and_heard(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    carl = await centre.caller("carl").dials(speaks=True)
    await carl.chooses("1", "sales")
    await ana.answers()
    await hears(carl, ana)
    await asks(carl, "transfer", voicemail="sales")
    await ana.is_released()
    await leaves_a_message(centre, carl)
    assert (await carl.record())["ended_by"] == "caller"


@pytest.mark.requirement("M5")
@pytest.mark.site(numbers={STRAIGHT: "straight", CLOSED: "closed"})
async def test_a_flow_lets_a_caller_leave_a_message(centre: CallCentre) -> None:
    await centre.agent("ana").works()
    early = await centre.caller("early").dials(CLOSED)
    await early.reaches("message")
    early.hangs_up()
    record = await early.record()
    assert (segments(record)[-1], record["outcome"], record["ended_by"]) == ("voicemail", "abandoned_in_ivr", "caller")

    carl = await centre.caller("carl").dials(CLOSED, speaks=True)
    await centre.feed.wait("voicemail.started", 10, contact=await carl.contact(), box="sales")
    await leaves_a_message(centre, carl)
    record = await carl.record()
    assert (segments(record), record["outcome"]) == (["ivr", "voicemail"], "message_left")
    assert not [one for one in centre.feed.heard if one["kind"] == "offer.made"], "nobody was rung"


@pytest.mark.site(auto_answer="asked")
async def test_the_phone_is_answered_on_the_desktop(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    first = await ana.rings()
    assert not await first.told_to_answer()
    await asks(carl, "answer")
    await first.ended(SOON)
    second = await ana.rings()
    assert await second.told_to_answer()
    await ana.answers()
    await talking(carl, ana)
    carl.hangs_up()
