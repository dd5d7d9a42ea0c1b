"""The report of lost contacts and callbacks over the API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from twisted.internet import reactor

from easycall.events import CallbackAsked, ContactArrived, ContactEnded, Queued
from easycall.model import CallbackSource, EndedBy, Outcome
from easycall.stats.days import KEPT_DAYS

from .fakes_api import NOTHING, Running, running

pytestmark = pytest.mark.requirement("B3")

REPORT = "/api/v1/reports/callbacks"
DAY = 86_400.0


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[Running]:
    async with running() as site:
        yield site


def is_lost(site: Running, contact: str, ago: float, callback: str = "") -> None:
    """Somebody calls for cards in vain, and is to be called back."""
    at, number = reactor.seconds() - ago, f"+49301{contact}"
    facts = {"pbx": "main", "leg": "l", "caller": number, "caller_name": "Eva", "dialled": "1"}
    asked = {"number": number, "session": contact, "due": at, "expires": at + 2 * DAY}
    events = [
        ContactArrived(at=at - 60, contact=contact, **facts),
        Queued(at=at - 60, contact=contact, queue="cards", position=1),
        ContactEnded(at=at, contact=contact, outcome=Outcome.ABANDONED, ended_by=EndedBy.CALLER),
    ]
    if callback:
        about = {"callback": callback, "queue": "cards", "source": CallbackSource.ABANDONED}
        events.append(CallbackAsked(at=at, contact=contact, **about, **asked))
    for event in events:
        site.recovery.take(0, event)


@pytest_twisted.ensureDeferred
async def test_lost_contacts_by_queue_and_day(site: Running) -> None:
    is_lost(site, "11", 3 * DAY)
    is_lost(site, "12", 0, "k")
    is_lost(site, "13", 0)
    code, body, _ = await site.ask("GET", REPORT)
    assert code == 200
    assert body["incomplete"] == {}
    assert body["queues"]["cards"] == {"scheduled": 1, "in_line": 0, "late": 0, "abandonment_ratio_30_days": None}
    assert body["queues"]["loans"]["scheduled"] == 0
    before, today = body["days"]
    assert (before["queue"], before["lost"]["unattended"], before["callbacks"]) == ("cards", 1, {})
    assert before["day"] < today["day"]
    lost = today["lost"]
    assert (lost["lost"], lost["open"], lost["unattended"], lost["recovered_ratio"], lost["mean_seconds"]) == (
        2,
        1,
        1,
        0,
        None,
    )
    assert lost["by_loss"].keys() == {"abandoned"}
    assert today["callbacks"] == {"abandoned": {"asked": 1}}
    assert today["attempts"]["attempts"] == 0
    assert "+49301" not in str(body)


@pytest_twisted.ensureDeferred
async def test_of_one_queue_and_of_some_days(site: Running) -> None:
    is_lost(site, "11", 3 * DAY)
    is_lost(site, "12", 0)
    assert len((await site.ask("GET", f"{REPORT}?days=4&queue=cards"))[1]["days"]) == 2
    assert len((await site.ask("GET", f"{REPORT}?days=3"))[1]["days"]) == 1
    code, body, _ = await site.ask("GET", f"{REPORT}?queue=loans")
    assert (code, body["days"], list(body["queues"])) == (200, [], ["loans"])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("queue=nowhere", 404),
        ("days=0", 422),
        (f"days={KEPT_DAYS + 1}", 422),
        ("days=-1", 422),
        ("days=%D9%A3", 422),
        ("day=1", 400),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_such_report_is_refused(site: Running, query: str, code: int) -> None:
    assert (await site.ask("GET", f"{REPORT}?{query}"))[0] == code


@pytest_twisted.ensureDeferred
async def test_it_needs_the_right_to_read(site: Running) -> None:
    assert (await site.ask("GET", REPORT, token=None))[0] == 401
    assert (await site.ask("GET", REPORT, token=NOTHING))[0] == 403


@pytest_twisted.ensureDeferred
async def test_queues_tell_their_open_callbacks(site: Running) -> None:
    is_lost(site, "11", 0, "k")
    queues = {one["id"]: one for one in (await site.ask("GET", "/api/v1/queues"))[1]["queues"]}
    assert queues["cards"]["callbacks"] == {"scheduled": 1, "in_line": 0, "late": 0}
    assert queues["loans"]["callbacks"] == {"scheduled": 0, "in_line": 0, "late": 0}
