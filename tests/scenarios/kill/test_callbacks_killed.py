"""The daemon is killed, or stops in order, while somebody is to be called back: the customer's telephone rings once."""

from __future__ import annotations

import pytest

from ..callbacks import SILENCE_SECONDS, Customer, attempts, becomes, dialled, quick, the_callback
from ..people import SOON, hears, talking
from .centre import KillableCentre

POSTGRESQL = pytest.mark.site(store="PostgreSQL")

pytestmark = [
    pytest.mark.requirement("B2"),
    pytest.mark.requirement("A3"),
    pytest.mark.fault("F70"),
    pytest.mark.seconds(120),
    pytest.mark.parametrize("how", ["killed", "stopped", pytest.param("killed", id="killed-PostgreSQL", marks=POSTGRESQL)]),
]


async def goes_and_comes(centre: KillableCentre, how: str) -> None:
    """The daemon ends, and another one starts."""
    await (centre.kill() if how == "killed" else centre.terminate())
    await centre.start_daemon()


@quick()
async def test_in_line_it_keeps_its_place(centre: KillableCentre, how: str) -> None:
    ana, dora, last = centre.agent("ana"), Customer(centre, "dora"), centre.caller("last")
    await ana.logs_in()
    await dora.breaks_off()
    await centre.feed.wait("callback.begun", SOON)
    await last.dials()
    await last.waits_in("sales")
    before = await the_callback(centre, dora.at_phone.number)
    line = (await centre.lines())["sales"]
    assert line == [before["contact"], await last.contact()]
    await goes_and_comes(centre, how)

    async def as_before() -> bool:
        return (await centre.lines()).get("sales") == line

    await centre.until(as_before, SOON, f"in line as before: {line}")
    after = await the_callback(centre, dora.at_phone.number)
    assert (after["state"], after["contact"], after["since"]) == ("in_line", before["contact"], before["since"])
    await ana.becomes("ready")
    await dora.is_called_back()
    await dora.answers()
    await ana.answers()
    await talking(dora.at_phone, ana)
    assert attempts(await becomes(centre, dora.at_phone.number, "reached")) == [("answered", None)]
    dora.at_phone.hangs_up()
    await ana.is_("wrap_up")
    await ana.becomes("ready")
    await ana.answers()
    await talking(last, ana)
    last.hangs_up()


@pytest.mark.fault("F73")
@quick()
async def test_who_has_called_in_meanwhile_is_of_the_same_session_still(centre: KillableCentre, how: str) -> None:
    ana, dora, again = centre.agent("ana"), Customer(centre, "dora"), centre.caller("dora again")
    await ana.logs_in()
    await dora.breaks_off()
    await centre.feed.wait("callback.begun", SOON)
    again.number = dora.at_phone.number
    await again.dials()
    joined = await centre.feed.wait("contact.joined", SOON)
    over = await becomes(centre, dora.at_phone.number, "called_in")
    assert (joined["session"], joined["callback"]) == (over["session"], over["id"])
    await goes_and_comes(centre, how)
    await ana.becomes("ready")
    await ana.answers()
    await talking(again, ana)
    pop = await centre.feed.wait("screen.pop", SOON, agent="ana", contact=joined["contact"])
    assert pop["waited_before"] == pytest.approx(joined["waited"], abs=0.01)
    assert joined["waited"] > 0
    assert (await centre.client.get(f"/api/v1/contacts/{joined['contact']}"))["session"] == over["session"]
    again.hangs_up()
    await ana.is_("wrap_up")


@quick("ring_seconds = 60\n")
async def test_the_customers_telephone_rings_on(centre: KillableCentre, how: str) -> None:
    ana, dora = await centre.agent("ana").works(), Customer(centre, "dora")
    await centre.client.post("/api/v1/callbacks", queue="sales", number=dora.at_phone.number, reason="the invoice")
    await dora.is_called_back()
    await goes_and_comes(centre, how)
    await ana.is_("reserved")
    await dora.answers()
    await hears(dora.at_phone, "music", SILENCE_SECONDS)
    await ana.answers()
    await talking(dora.at_phone, ana)
    pop = await centre.feed.wait("screen.pop", SOON, agent="ana", contact=dora.at_phone.called_as)
    assert pop["reason"] == "the invoice"
    assert attempts(await becomes(centre, dora.at_phone.number, "reached")) == [("answered", None)]
    assert await dialled(centre, dora.at_phone.number) == 1
    dora.at_phone.hangs_up()


@quick('ring_seconds = 60\nfirst = "agent"\n')
async def test_an_agent_waits_and_the_customers_telephone_rings_on(centre: KillableCentre, how: str) -> None:
    ana, dora = await centre.agent("ana").works(), Customer(centre, "dora")
    await centre.client.post("/api/v1/callbacks", queue="sales", number=dora.at_phone.number)
    await ana.answers()
    await dora.is_called_back()
    await goes_and_comes(centre, how)
    await hears(ana, "music")
    await dora.answers()
    await talking(dora.at_phone, ana)
    assert attempts(await becomes(centre, dora.at_phone.number, "reached")) == [("answered", None)]
    assert await dialled(centre, dora.at_phone.number) == 1
    dora.at_phone.hangs_up()


@quick('first = "agent"\n', ring_seconds=30)
async def test_an_agent_who_is_rung_first_is_rung_anew(centre: KillableCentre, how: str) -> None:
    """The customer, who was not dialled, is dialled once."""
    ana, dora = await centre.agent("ana").works(), Customer(centre, "dora")
    await centre.client.post("/api/v1/callbacks", queue="sales", number=dora.at_phone.number)
    await ana.rings()
    await goes_and_comes(centre, how)
    await ana.answers()
    await dora.is_called_back()
    await dora.answers()
    await talking(dora.at_phone, ana)
    assert attempts(await becomes(centre, dora.at_phone.number, "reached")) == [("answered", None)]
    assert await dialled(centre, dora.at_phone.number) == 1
    dora.at_phone.hangs_up()


@quick()
async def test_a_customer_who_waits_for_an_agent_has_the_next_one(centre: KillableCentre, how: str) -> None:
    """Called back, answered, and the agent declined: at home with music, in the old place."""
    ana, bo, dora = await centre.agent("ana").works(), centre.agent("bo"), Customer(centre, "dora")
    await centre.client.post("/api/v1/callbacks", queue="sales", number=dora.at_phone.number)
    await dora.is_called_back()
    await dora.answers()
    await ana.declines()
    await hears(dora.at_phone, "music", SILENCE_SECONDS)
    await goes_and_comes(centre, how)
    await hears(dora.at_phone, "music", SILENCE_SECONDS)
    await bo.works()
    await bo.answers()
    await talking(dora.at_phone, bo)
    assert attempts(await becomes(centre, dora.at_phone.number, "reached")) == [("answered", None)]
    assert await dialled(centre, dora.at_phone.number) == 1
    dora.at_phone.hangs_up()
