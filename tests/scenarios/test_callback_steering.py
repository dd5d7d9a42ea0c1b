"""Callbacks over the API: asked for once however often, why one is not made yet, changed while it is in line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
import treq
from twisted.internet.defer import DeferredSemaphore, gatherResults
from twisted.web.client import HTTPConnectionPool

from easycall.client import Refused
from easycall.defer import start

from .callbacks import Customer, becomes, dialled, quick, the_callback
from .callcentre import CallCentre
from .people import SOON, talking

pytestmark = [
    pytest.mark.requirement("B2"),
    pytest.mark.requirement("B3"),
    pytest.mark.seconds(60),
]

AT_ONCE = 50
CONNECTIONS = 40
"""More are not accepted from one address."""
NEVER = """\
[hours.never]
zone = "UTC"
[hours.never.days]
2020-01-01 = ["09:00-12:00"]
"""


async def asks(centre: CallCentre, number: str, **more: Any) -> Mapping[str, Any]:
    """Ask for a callback over the API."""
    asked: Mapping[str, Any] = await centre.client.post("/api/v1/callbacks", queue="sales", number=number, **more)
    return asked


async def why(centre: CallCentre, number: str) -> str:
    """Why the callback of a number is not made yet."""
    return str((await the_callback(centre, number))["why"]["why"])


# Asked for


@pytest.mark.fault("F69")
@quick()
async def test_of_many_who_ask_at_once_one_is_first(centre: CallCentre) -> None:
    dora = Customer(centre, "dora")

    async def status() -> tuple[int, str]:
        answer = await treq.post(
            f"http://127.0.0.1:{centre.site.port}/api/v1/callbacks",
            headers={"Authorization": f"Bearer {centre.site.token}"},
            json={"queue": "sales", "number": dora.at_phone.number},
            timeout=SOON,
            reactor=centre.reactor,
            pool=HTTPConnectionPool(centre.reactor, persistent=False),
        )
        return answer.code, (await treq.json_content(answer))["id"]

    lines = DeferredSemaphore(CONNECTIONS)
    answers = await gatherResults([lines.run(lambda: start(status())) for _ in range(AT_ONCE)])
    assert Counter(code for code, _ in answers) == {201: 1, 200: AT_ONCE - 1}
    assert len({callback for _, callback in answers}) == 1
    there = (await centre.client.get("/api/v1/callbacks?state=open"))["callbacks"]
    assert [one["id"] for one in there] == [answers[0][1]]
    await centre.client.delete(f"/api/v1/callbacks/{there[0]['id']}")


@pytest.mark.fault("A23")
@quick()
async def test_what_is_not_promised_is_told_with_the_reason(centre: CallCentre) -> None:
    for number, reason in {
        "0900 123456": r"403: .*does not allow its prefix",
        "+49305550100": r"403: .*is a number of our own",
        "100&Local/9@default": r"422: .* is no telephone number",
        "+1 900 1234567": r"403: ",
    }.items():
        with pytest.raises(Refused, match=reason):
            await asks(centre, number)
    assert not (await centre.client.get("/api/v1/callbacks"))["callbacks"]


# Why not yet


@quick()
async def test_at_a_time_and_then_at_once(centre: CallCentre) -> None:
    dora = Customer(centre, "dora")
    at = centre.reactor.seconds() + 3600
    asked = await asks(centre, dora.at_phone.number, at=at, reason="the invoice")
    assert (asked["why"]["why"], asked["why"]["until"], asked["due"]) == ("not_due", at, at)
    await centre.client.post(f"/api/v1/callbacks/{asked['id']}/now")
    assert await why(centre, dora.at_phone.number) == "nobody_there"
    ana = await centre.agent("ana").works()
    await dora.is_called_back()
    await dora.answers()
    await ana.answers()
    await talking(dora.at_phone, ana)
    dora.at_phone.hangs_up()


@quick(more=NEVER, and_='hours = "never"\n')
async def test_at_quiet_hours_nobody_is_called_whoever_asks(centre: CallCentre) -> None:
    ana, dora = await centre.agent("ana").works(), Customer(centre, "dora")
    asked = await asks(centre, dora.at_phone.number)
    assert asked["why"]["why"] == "quiet_hours"
    await centre.client.post(f"/api/v1/callbacks/{asked['id']}/now")
    assert await why(centre, dora.at_phone.number) == "quiet_hours"
    await ana.is_("ready")
    await centre.client.delete(f"/api/v1/callbacks/{asked['id']}")
    await becomes(centre, dora.at_phone.number, "cancelled")
    assert await dialled(centre, dora.at_phone.number) == 0


# Changed


@quick()
async def test_changed_while_in_line_and_cancelled(centre: CallCentre) -> None:
    """It leaves the line and comes back changed; cancelled it is gone, and so is its contact."""
    await centre.agent("bo").logs_in()
    dora = Customer(centre, "dora")
    asked = await asks(centre, dora.at_phone.number)
    before = await becomes(centre, dora.at_phone.number, "in_line")
    await centre.client.patch(f"/api/v1/callbacks/{asked['id']}", agent="bo", reason="the invoice")
    await centre.feed.wait("contact.ended", SOON, contact=before["contact"])
    after = await becomes(centre, dora.at_phone.number, "in_line")
    assert (after["agent"], after["reason"], after["since"]) == ("bo", "the invoice", before["since"])
    assert after["contact"] != before["contact"]
    ana = await centre.agent("ana").works()
    await ana.is_("ready")  # it waits for bo, whose it is
    await centre.client.delete(f"/api/v1/callbacks/{asked['id']}")
    await centre.feed.wait("contact.ended", SOON, contact=after["contact"], outcome="cancelled")
    over = await becomes(centre, dora.at_phone.number, "cancelled")
    assert (over["attempts"], over["because"]) == ([], "by lab")
    assert await dialled(centre, dora.at_phone.number) == 0


@quick()
async def test_one_who_is_being_called_is_not_changed(centre: CallCentre) -> None:
    ana, dora = await centre.agent("ana").works(), Customer(centre, "dora")
    asked = await asks(centre, dora.at_phone.number)
    await dora.is_called_back()
    for verb in ("patch", "delete"):
        with pytest.raises(Refused, match="409: the customer is being called just now"):
            await getattr(centre.client, verb)(
                f"/api/v1/callbacks/{asked['id']}", **({"reason": "new"} if verb == "patch" else {})
            )
    await dora.answers()
    await ana.answers()
    await talking(dora.at_phone, ana)
    dora.at_phone.hangs_up()


# Whose it is


@quick()
async def test_whose_agent_is_away_is_anybodys(centre: CallCentre) -> None:
    ana, dora = await centre.agent("ana").works(), Customer(centre, "dora")
    await asks(centre, dora.at_phone.number, agent="bo")
    await dora.is_called_back()
    await dora.answers()
    await ana.answers()
    await talking(dora.at_phone, ana)
    dora.at_phone.hangs_up()


@quick('owner_away = "postpone"\n')
async def test_whose_agent_is_away_waits_for_that_one(centre: CallCentre) -> None:
    ana, dora = await centre.agent("ana").works(), Customer(centre, "dora")
    await asks(centre, dora.at_phone.number, agent="bo")
    assert await why(centre, dora.at_phone.number) == "owner_away"
    bo = await centre.agent("bo").works()
    await dora.is_called_back()
    await dora.answers()
    await bo.answers()
    await talking(dora.at_phone, bo)
    await ana.is_("ready")
    assert not ana.had_a_call
    dora.at_phone.hangs_up()
