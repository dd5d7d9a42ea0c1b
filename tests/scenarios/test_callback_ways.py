"""The ways to a customer who is called back: the agent first, a key that accepts, the link cut meanwhile."""

from __future__ import annotations

import pytest

from easycall.lab.layout import shipped

from .callbacks import SILENCE_SECONDS, Customer, attempts, becomes, dialled, quick, the_callback
from .callcentre import CallCentre, after
from .people import SOON, hears, offers, talking

pytestmark = [
    pytest.mark.requirement("B2"),
    pytest.mark.requirement("F8"),
    pytest.mark.seconds(90),
]

AGENT_FIRST = 'first = "agent"\n'


async def asks(centre: CallCentre, number: str, **more: object) -> str:
    """Ask over the API for a callback; its id."""
    answer = await centre.client.post("/api/v1/callbacks", queue="sales", number=number, **more)
    return str(answer["id"])


# The agent first


@quick(AGENT_FIRST)
async def test_the_customer_is_dialled_when_an_agent_is_there(centre: CallCentre) -> None:
    """Ana declines, Bo takes it, and only then the customer's telephone rings."""
    ana, dora = await centre.agent("ana").works(), Customer(centre, "dora")
    callback = await asks(
        centre, dora.at_phone.number, reason="wants to know about the invoice", name="Dora", data={"order": "4711"}
    )
    await ana.declines()
    bo = await centre.agent("bo").works()
    await bo.rings()
    assert await dialled(centre, dora.at_phone.number) == 0
    pop = await centre.feed.wait("screen.pop", SOON, agent="bo")
    assert (pop["callback"], pop["reason"], pop["data"]) == (callback, "wants to know about the invoice", {"order": "4711"})
    assert (pop["dialled"], pop["caller_name"], pop["direction"]) == (dora.at_phone.number, "Dora", "outbound")
    await bo.answers()
    await hears(bo, "music")
    await dora.is_called_back()
    await dora.answers()
    await talking(dora.at_phone, bo)
    bo.hangs_up()
    record = await dora.at_phone.record()
    assert offers(record) == ["offer(ana, declined)", "offer(bo, answered)"]
    reached = await becomes(centre, dora.at_phone.number, "reached")
    assert [(one["outcome"], one["agent"]) for one in reached["attempts"]] == [("answered", "bo")]


@quick(AGENT_FIRST)
async def test_what_is_known_of_the_customer_comes_with_the_pop(centre: CallCentre) -> None:
    """What was chosen in the IVR, and how long was waited, when the line was left for the callback."""
    ana, dora = centre.agent("ana"), Customer(centre, "dora")
    await ana.logs_in()
    await dora.caller.dials()
    await dora.caller.waits_in("sales")
    await dora.caller.presses("1")
    await dora.caller.reaches("where")
    await dora.caller.presses("1")
    await centre.feed.wait("callback.asked", SOON, source="asked")
    await dora.caller.is_released(3 * SOON)
    await ana.becomes("ready")
    await ana.answers()
    await dora.is_called_back()
    pop = await centre.feed.wait("screen.pop", SOON, agent="ana", contact=dora.at_phone.called_as)
    assert pop["waited_before"] > 0
    assert pop["answers"]["where"] == "this number"
    await dora.answers()
    await talking(dora.at_phone, ana)
    dora.at_phone.hangs_up()
    asked, called = await dora.caller.record(), await dora.at_phone.record()
    assert (asked["outcome"], called["session"]) == ("callback", asked["session"] or asked["id"])


@quick(AGENT_FIRST)
async def test_the_agent_hears_that_the_customer_is_busy_and_is_free_again(centre: CallCentre) -> None:
    ana, dora = await centre.agent("ana").works(), Customer(centre, "dora")
    await asks(centre, dora.at_phone.number)
    await ana.answers()
    await dora.is_called_back()
    dora.declines()
    await ana.is_released()
    assert attempts(await becomes(centre, dora.at_phone.number, "scheduled")) == [("busy", 17)]
    await ana.becomes("ready")
    await ana.answers()
    await dora.is_called_back()
    await dora.answers()
    await talking(dora.at_phone, ana)
    dora.at_phone.hangs_up()


# One line for all


@quick(lines=1)
async def test_who_waits_longest_gets_the_next_line(centre: CallCentre) -> None:
    """While the trunk's only line is used, the others keep their places, though an agent is free all the time."""
    dora, eva, finn = (
        Customer(centre, name, phone) for name, phone in [("dora", "2350"), ("eva", "2351"), ("finn", "2352")]
    )
    ana = await centre.agent("ana").works()
    await asks(centre, dora.at_phone.number)
    await dora.is_called_back()
    await centre.agent("bo").works("sales")
    for one in (eva, finn):
        callback = await asks(centre, one.at_phone.number)
        await centre.feed.wait("callback.begun", SOON, callback=callback)
    await dora.answers()
    await ana.answers()
    await talking(dora.at_phone, ana)
    assert [await dialled(centre, one.at_phone.number) for one in (dora, eva, finn)] == [1, 0, 0]
    dora.at_phone.hangs_up()
    for first, then in ((eva, finn), (finn, None)):
        await first.is_called_back()
        if then is not None:
            assert await dialled(centre, then.at_phone.number) == 0, "only one line is there"
        await first.answers()
        offer = await centre.feed.wait("offer.made", SOON, contact=first.at_phone.called_as)
        agent = centre.agent(offer["agent"])
        await agent.answers()
        await talking(first.at_phone, agent)
        first.at_phone.hangs_up()
        assert (await first.at_phone.record())["outcome"] == "answered"


# A key that accepts


ACCEPT = (
    'greeting = "You are called back."\naccept = "To talk with us, press 1."\naccept_seconds = 2\nmost = {machine = 2}\n'
)


async def presses_until(centre: CallCentre, dora: Customer, kind: str) -> None:
    """Press the key again and again, as one does who does not know whether it works yet, until that is told."""

    async def told() -> bool:
        if any(one["kind"] == kind and one["contact"] == dora.at_phone.called_as for one in centre.feed.heard):
            return True
        await dora.at_phone.leg.press("1")
        await after(centre.reactor, 0.5)
        return False

    await centre.until(told, SOON, kind)


@pytest.mark.fault("F72")
@quick(ACCEPT)
async def test_who_presses_the_key_talks_and_a_machine_does_not(centre: CallCentre) -> None:
    ana, dora = await centre.agent("ana").works(), Customer(centre, "dora")
    await asks(centre, dora.at_phone.number)
    await dora.is_called_back()
    await dora.answers()
    await hears(dora.at_phone, "speech")
    await dora.at_phone.is_released(2 * SOON)
    assert (await dora.at_phone.record())["outcome"] == "machine"
    assert [one for one, _ in attempts(await the_callback(centre, dora.at_phone.number))] == ["machine"]
    await ana.is_("ready")
    assert not ana.had_a_call
    await dora.is_called_back()
    await dora.answers()
    await hears(dora.at_phone, "speech")
    await presses_until(centre, dora, "offer.made")
    await ana.answers()
    await talking(dora.at_phone, ana)
    reached = await becomes(centre, dora.at_phone.number, "reached")
    assert [one for one, _ in attempts(reached)] == ["machine", "answered"]
    dora.at_phone.hangs_up()


@pytest.mark.fault("F72")
@quick(AGENT_FIRST + ACCEPT)
async def test_where_the_agent_is_there_first_the_customer_is_asked_too(centre: CallCentre) -> None:
    """The agent hears music until the key is pressed, and is free again when it is not."""
    ana, dora = await centre.agent("ana").works(), Customer(centre, "dora")
    await asks(centre, dora.at_phone.number)
    await ana.answers()
    await dora.is_called_back()
    await dora.answers()
    await hears(dora.at_phone, "speech")
    await hears(ana, "music")
    await dora.at_phone.is_released(2 * SOON)
    await ana.is_released()
    assert [one for one, _ in attempts(await becomes(centre, dora.at_phone.number, "scheduled"))] == ["machine"]
    await ana.becomes("ready")
    await ana.answers()
    await dora.is_called_back()
    await dora.answers()
    await hears(dora.at_phone, "speech")
    await presses_until(centre, dora, "talk.started")
    await talking(dora.at_phone, ana)
    assert [one for one, _ in attempts(await becomes(centre, dora.at_phone.number, "reached"))] == ["machine", "answered"]
    dora.at_phone.hangs_up()


# The agent's own call


@pytest.mark.requirement("F7")
@quick(of="unanswered")
async def test_who_was_busy_when_an_agent_called_is_called_back(centre: CallCentre) -> None:
    ana, dora = await centre.agent("ana").works(), Customer(centre, "dora")
    call = {"agent": "ana", "number": dora.at_phone.number, "queue": "sales"}
    await centre.client.post("/api/v1/calls", **call)
    await dora.is_called_back()
    dora.declines()
    asked = await centre.feed.wait("callback.asked", SOON, source="unanswered", number=dora.at_phone.number)
    assert asked["agent"] == "ana"
    await dora.is_called_back()
    await dora.answers()
    await ana.answers()
    await talking(dora.at_phone, ana)
    reached = await becomes(centre, dora.at_phone.number, "reached")
    assert (attempts(reached), reached["source"]) == ([("answered", None)], "unanswered")
    dora.at_phone.hangs_up()


# The link is cut


@pytest.mark.fault("F10")
@pytest.mark.parametrize("answered", [False, True], ids=["while it rings", "when it was answered"])
@quick("ring_seconds = 30\n", ring_seconds=10)
async def test_the_link_is_cut_while_a_customer_is_called_back(centre: CallCentre, answered: bool) -> None:
    """The customer is dialled once, hears music all the same, and has the agent when the link is back."""
    ana, dora = await centre.agent("ana").works(), Customer(centre, "dora")
    await asks(centre, dora.at_phone.number)
    contact = await dora.is_called_back()
    await centre.feed.wait("call.ringing", SOON, contact=contact)
    if answered:
        await dora.answers()
        await hears(dora.at_phone, "music", SILENCE_SECONDS)
    await centre.ami.stop()
    await centre.feed.wait("pbx.down", SOON)
    if not answered:
        await dora.answers()
    await hears(dora.at_phone, "music", SILENCE_SECONDS)
    await centre.ami.start()
    await ana.answers()
    await centre.feed.wait("talk.started", SOON, contact=contact)
    await talking(dora.at_phone, ana)
    reached = await becomes(centre, dora.at_phone.number, "reached")
    assert attempts(reached) == [("answered", None)]
    assert await dialled(centre, dora.at_phone.number) == 1
    dora.at_phone.hangs_up()
    assert (await dora.at_phone.record())["outcome"] == "answered"


# The flow that is shipped


@quick(flows=shipped() / "flows")
async def test_the_shipped_flow_reads_the_number_back_and_promises(centre: CallCentre) -> None:
    ana, dora = centre.agent("ana"), Customer(centre, "dora")
    await ana.logs_in()
    await dora.caller.dials()
    await hears(dora.caller, "speech")
    await dora.caller.waits_in("sales", 3 * SOON)
    await dora.caller.presses("1")
    await dora.caller.reaches("where")
    await hears(dora.caller, "speech")
    await dora.caller.presses("1")
    asked = await centre.feed.wait("callback.asked", SOON, source="asked", number=dora.at_phone.number)
    await dora.caller.reaches("promised")
    await hears(dora.caller, "speech")
    await dora.caller.is_released(5 * SOON)
    await ana.becomes("ready")
    await dora.is_called_back()
    await dora.answers()
    await ana.answers()
    await talking(dora.at_phone, ana)
    assert (await the_callback(centre, dora.at_phone.number))["id"] == asked["callback"]
    dora.at_phone.hangs_up()


@quick("other_numbers = true\n", flows=shipped() / "flows")
async def test_the_shipped_flow_takes_another_number(centre: CallCentre) -> None:
    ana, dora, caller = centre.agent("ana"), Customer(centre, "dora"), centre.caller("caller")
    await ana.logs_in()
    await caller.dials()
    await hears(caller, "speech")
    await caller.waits_in("sales", 3 * SOON)
    await caller.presses("1")
    await caller.reaches("where")
    await caller.presses("2")
    await caller.reaches("other")
    for key in f"{dora.at_phone.number.removeprefix('+49').join(('0', ''))}#":
        await caller.presses(key)
    await caller.reaches("read_back", 2 * SOON)
    await hears(caller, "speech")
    await caller.presses("1")
    await centre.feed.wait("callback.asked", SOON, source="asked", number=dora.at_phone.number)
    await caller.is_released(5 * SOON)
    await ana.becomes("ready")
    await dora.is_called_back()
    await dora.answers()
    await ana.answers()
    await talking(dora.at_phone, ana)
    dora.at_phone.hangs_up()
