"""One contact with everything in it: its record has every part in order, and on request nothing of its customer is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from .callcentre import CallCentre, assert_adds_up
from .people import SOON, hears, segments, talking
from .test_call_control import asks

ORDER, PAYMENT = "order-of-carl", "payment-of-carl"
"""Nothing else in a record reads like these: digits stand in many a time, letters in many an id."""


@pytest.mark.requirement("S1")
@pytest.mark.site(sales='disposition = "optional"\ndispositions = ["sold"]', wrap_up_seconds=60)
@pytest.mark.seconds(90)
async def test_every_part_of_a_contact_is_on_its_record(centre: CallCentre) -> None:
    chen, ana, bo = await centre.agent("chen").works("sales"), centre.agent("ana"), centre.agent("bo")
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    (await chen.rings()).decline()
    await ana.works()
    await ana.answers()
    await talking(carl, ana)
    contact = await carl.contact()
    await centre.client.post(f"/api/v1/contacts/{contact}/record", action="start")
    await asks(carl, "data", data={"order": ORDER})
    await asks(carl, "hold")
    await hears(carl, "music")
    await asks(carl, "retrieve")
    await talking(carl, ana)
    await asks(carl, "lend", flow="welcome")
    await hears(ana, "music")
    await carl.presses("2")
    await centre.feed.wait("loan.ended", 15, agent="ana")
    await talking(carl, ana)
    await bo.works()
    await asks(carl, "consult", agent="bo")
    await bo.answers()
    await talking(ana, bo)
    await asks(carl, "merge")
    await asks(carl, "drop", party="consulted")
    await talking(carl, ana)
    paid = {"name": "payment", "outcome": "ok", "reference": PAYMENT, "amount": "120.00", "currency": "EUR"}
    await centre.client.post(f"/api/v1/contacts/{contact}/transactions", **paid)
    await centre.client.put("/api/v1/agents/ana/disposition", disposition="sold")
    carl.hangs_up()
    await carl.record()
    await ana.is_("wrap_up")
    order = {"name": "order", "outcome": "placed", "reference": ORDER}
    await centre.client.post(f"/api/v1/contacts/{contact}/transactions", **order)
    await centre.client.post("/api/v1/agents/ana/wrap-up/end")
    await ana.is_("ready")

    async def complete() -> bool:
        found = await carl.record()
        return len(found["transactions"]) == 2 and len(found["wrap_ups"]) == 2

    await centre.client.post("/api/v1/agents/bo/wrap-up/end")
    await centre.until(complete, SOON, "wrap-ups and what came late are on the record")
    check(await carl.record())
    await nothing_is_left(centre, carl.number, contact)


def check(record: Mapping[str, Any]) -> None:
    """Every part is there, in order."""
    assert_adds_up(record)
    shown = [one for one in segments(record) if one != "waiting"]  # as long as nobody is rung
    assert shown == [
        "ivr",
        "offer(chen, declined)",
        "offer(ana, answered)",
        "talk",
        "hold",
        "talk",
        "loan",
        "talk",
        "hold",
        "consult",
        "conference",
        "talk",
        "closing",
    ]
    nodes = [(one["flow"], one["node"]) for one in record["nodes"]]
    way = [("welcome", "greeting"), ("welcome", "menu")]
    assert nodes == [*way, ("welcome", "to_sales"), *way, ("welcome", "to_support")], "the caller's own way, and the loan's"
    inside = [one for one in record["segments"] if one["kind"] in ("ivr", "loan")]
    for node in record["nodes"]:
        assert any(one["started"] <= node["started"] and node["ended"] <= one["ended"] + 0.001 for one in inside), node
    assert [(one["agent"], one["outcome"]) for one in record["offers"]] == [("chen", "declined"), ("ana", "answered")]
    assert {one["agent"] for one in record["wrap_ups"]} == {"ana", "bo"}
    assert all(one["ended"] > one["started"] for one in record["wrap_ups"])
    assert [(one["name"], one["outcome"], one["amount"]) for one in record["transactions"]] == [
        ("payment", "ok", "120.00"),
        ("order", "placed", ""),
    ]
    assert record["disposition"] == "sold"
    assert (record["outcome"], record["ended_by"]) == ("answered", "caller")
    [recording] = record["recordings"]
    assert {gap["why"] for gap in recording["gaps"]} >= {"hold"}
    assert recording["ended"] <= record["ended"]


async def nothing_is_left(centre: CallCentre, number: str, contact: str) -> None:
    """What is known of the customer is told, and then erased."""
    path = f"/api/v1/customers/{number}"
    known = await centre.client.get(path)
    assert contact in [one["id"] for one in known["contacts"]]
    before = await centre.client.get(f"/api/v1/contacts/{contact}")
    assert (await centre.client.delete(path))["contacts"] == len(known["contacts"])
    after = await centre.client.get(f"/api/v1/contacts/{contact}")
    for word in (number, ORDER, PAYMENT):
        assert word in str(before)
        assert word not in str(after)
    figures = ("arrived", "ended", "outcome", "ended_by", "queue", "agent", "waited", "talked", "disposition")
    assert [after[one] for one in figures] == [before[one] for one in figures]
    assert after["segments"] == before["segments"]
    assert (await centre.client.get(path))["contacts"] == []
