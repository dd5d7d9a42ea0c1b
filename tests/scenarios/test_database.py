"""A database that is away, hangs or is slow: rows F80 to F84 of the table of faults.  Calls notice nothing of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread

from easycall.client import Refused
from easycall.defer import start

from ..postgres import Cluster, running
from ..proxy import Proxy
from .callcentre import STRAIGHT, CallCentre, after
from .databases import keeps_in
from .people import SOON, talking

AWAY_SECONDS = 4.5
"""In which a daemon starts whose database hangs: three seconds are spent on finding that out."""
BACK_SECONDS = 12.0
"""In which a database that is back has been found and read."""
CALLS = 20
NOISE = 0.05
"""Seconds that a machine with other work to do may add; to wait for the database would cost a call two."""
REPORTS = 40
"""The API takes 50 connections from one address; the others are for the story."""
BARRED = "+49305550199"


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A server that these scenarios may stop and freeze."""
    with running() as cluster:
        yield cluster


async def moves_to(centre: CallCentre, own: Cluster, port: int = 0) -> str:
    """The daemon starts again on an empty PostgreSQL, reached by another ``port``; the name of the database."""
    name = own.create("template0")
    at = own.address(name, tcp=True)
    at = evolve(at, url=at.url.replace(f":{own.port}/", f":{port or own.port}/"))
    keeps_in(centre.site.file.parent, at)
    await centre.stop_daemon()
    await centre.start_daemon()
    return name


async def reasons(centre: CallCentre) -> str:
    """Why it is not ready."""
    try:
        return "; ".join((await centre.client.get("/readyz"))["reasons"])
    except Refused as refusal:
        return "; ".join(refusal.problem["reasons"])


async def gets_well(centre: CallCentre, seconds: float, expected: str) -> None:
    """Wait until it is ready."""

    async def is_well() -> bool:
        return not await reasons(centre)

    try:
        await centre.until(is_well, seconds, expected)
    except AssertionError as late:
        raise AssertionError(f"{late}: {await reasons(centre)}") from late


async def refused(work: Any) -> tuple[int, str]:
    """Status and text of a refusal."""
    with pytest.raises(Refused) as caught:
        await work
    return int(caught.value.status), str(caught.value.problem["detail"])


async def profile(centre: CallCentre, agent: str) -> Any:
    found = await centre.client.get("/api/v1/agents")
    return next(one["skills"] for one in found["agents"] if one["id"] == agent)


@pytest.mark.fault("F80", "F81")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(90)
@pytest.mark.parametrize("how", ["stopped", "frozen"])
async def test_a_daemon_starts_without_its_database_and_finds_it_later(centre: CallCentre, own: Cluster, how: str) -> None:
    name, ana = await moves_to(centre, own), centre.agent("ana")
    await centre.client.put(f"/api/v1/do-not-call/{BARRED}", reason="asked us")
    await centre.client.put("/api/v1/agents/ana/skills", skills={"billing": 3})
    await centre.client.patch("/api/v1/queues/sales/routing", priority_seconds=60)
    chat = (await centre.client.post("/api/v1/requests", queue="sales", channel="chat", name="eve", skills="vip"))["id"]
    await centre.feed.wait("queue.entered", SOON, contact=chat)
    await centre.running.journal.flush()
    last = centre.running.journal.last
    await (deferToThread(own.stop, "fast") if how == "stopped" else deferToThread(own.freeze))
    try:
        await centre.stop_daemon()
        began = centre.reactor.seconds()
        await centre.start_daemon()
        assert centre.reactor.seconds() - began < AWAY_SECONDS
        why = await reasons(centre)
        assert re.search(r"not read yet: database, do-not-call list, calls out, .*requests", why), why

        await ana.works()
        carl = await centre.caller("carl").dials(STRAIGHT)
        await ana.answers()
        await talking(carl, ana)
        assert await profile(centre, "ana") == {}
        numbers = {"agent": "ana", "queue": "sales", "number": "+49305551234"}
        status, text = await refused(centre.client.post("/api/v1/calls", **numbers))
        assert status == 503
        assert "do-not-call list" in text or "dialled before" in text
        for asked in (
            centre.client.get("/api/v1/do-not-call"),
            centre.client.put(f"/api/v1/do-not-call/{BARRED}", reason=""),
            centre.client.put("/api/v1/agents/ana/skills", skills={"billing": 1}),
            centre.client.patch("/api/v1/queues/sales/routing", priority_seconds=30),
            centre.client.post("/api/v1/requests", queue="sales", channel="chat", name="fay"),
        ):
            assert await refused(asked) == (503, "the database does not answer")
    finally:
        await (deferToThread(own.start) if how == "stopped" else deferToThread(own.thaw))

    await gets_well(centre, BACK_SECONDS, "the database is found and read")
    assert BARRED in str(await centre.client.get("/api/v1/do-not-call"))
    assert await profile(centre, "ana") == {"billing": 3}
    assert (await centre.client.get("/api/v1/queues/sales/routing"))["priority_seconds"] == 60
    numbers["number"] = BARRED
    assert (await refused(centre.client.post("/api/v1/calls", **numbers)))[0] == 403
    await talking(carl, ana)
    carl.hangs_up()
    await carl.record()
    await centre.running.journal.flush()
    told = own.sql("SELECT contact, seq FROM events WHERE contact <> ''", name)
    contact = await carl.contact()
    assert min(seq for whose, seq in told if whose == contact) > last, "no number is given twice"
    assert own.sql("SELECT id FROM contacts", name) == [(contact,)]
    await centre.client.delete(f"/api/v1/requests/{chat}")


async def one_call(centre: CallCentre, seconds: float = 0.0) -> float:
    """Carl calls and talks to Ana; how long after joining the queue she was asked."""
    ana, carl = centre.agent("ana"), centre.caller()
    await carl.dials(STRAIGHT)
    await ana.answers()
    await talking(carl, ana)
    contact = await carl.contact()
    entered = await centre.feed.wait("queue.entered", SOON, contact=contact)
    asked = await centre.feed.wait("screen.pop", SOON, contact=contact)
    await after(centre.reactor, seconds)
    carl.hangs_up()
    await centre.feed.wait("contact.ended", SOON, contact=contact)
    await ana.is_("ready")
    return float(asked["at"] - entered["at"])


def p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


@pytest.mark.fault("F82")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(120)
@pytest.mark.site(wrap_up_seconds=0)
async def test_a_database_that_takes_two_seconds_for_everything_makes_no_call_wait(centre: CallCentre, own: Cluster) -> None:
    proxy = await Proxy(centre.reactor, own.port).start()
    try:
        name = await moves_to(centre, own, proxy.port)
        await centre.agent("ana").works()
        usual = [await one_call(centre) for _ in range(CALLS)]
        proxy.to_client.delay = 2.0
        began = centre.reactor.seconds()
        await centre.running.journal._archive.last()  # type: ignore[attr-defined]
        assert centre.reactor.seconds() - began >= 2.0, "the database is slow"
        slow = [await one_call(centre) for _ in range(CALLS)]
        print(f"offers: p95 {1000 * p95(usual):.1f} ms, behind a slow database {1000 * p95(slow):.1f} ms")  # noqa: T201
        assert p95(slow) <= 1.1 * p95(usual) + NOISE
        assert own.sql("SELECT count(*) FROM contacts", name) < [(2 * CALLS,)], "it is still behind"
        proxy.to_client.delay = 0.0
        await centre.running.journal.flush()
        assert own.sql("SELECT count(*), count(DISTINCT id) FROM contacts", name) == [(2 * CALLS, 2 * CALLS)]
    finally:
        proxy.mend()
        (centre.site.file.parent / "conf.d/store.toml").unlink()
        await centre.stop_daemon()
        await proxy.stop()
        await centre.start_daemon()


@pytest.mark.fault("F80")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(900)
async def test_two_calls_a_second_without_the_database_for_a_while(
    centre: CallCentre, own: Cluster, request: pytest.FixtureRequest
) -> None:
    """Half a minute in every run, ten minutes with ``--long``: 1,200 records."""
    seconds = 600 if request.config.getoption("--long") else 30
    name = await moves_to(centre, own)
    await deferToThread(own.stop, "fast")
    began = centre.reactor.seconds()
    try:
        for number in range(2 * seconds):
            await after(centre.reactor, max(0.0, began + number / 2 - centre.reactor.seconds()))
            caller = await centre.caller().dials(STRAIGHT)
            await caller.waits_in("support")
            caller.hangs_up()
    finally:
        await deferToThread(own.start)
    began = centre.reactor.seconds()

    async def stored() -> bool:
        found = await deferToThread(own.sql, "SELECT count(*) FROM contacts", name)
        return found == [(2 * seconds,)]

    await centre.until(stored, 60, "every call has its record")
    print(f"{2 * seconds} records {centre.reactor.seconds() - began:.1f} s after the database was back")  # noqa: T201
    await centre.running.journal.flush()
    assert centre.running.journal.dropped == 0
    ended = "SELECT count(*), count(DISTINCT contact) FROM events WHERE kind = 'contact.ended'"
    assert own.sql(ended, name) == [(2 * seconds, 2 * seconds)]
    assert own.sql("SELECT count(*) - max(seq) + min(seq) - 1 FROM events", name) == [(0,)], "no event is missing"
    await centre.stop_daemon()
    await centre.start_daemon()  # what follows looks at every contact, one by one


SLOW = (
    "ALTER TABLE contacts RENAME TO kept; CREATE VIEW contacts AS SELECT * FROM kept WHERE pg_sleep(0.3)::text IS NOT NULL"
)
"""Every contact read costs so long; writing them costs nothing."""
QUICK = "DROP VIEW contacts; ALTER TABLE kept RENAME TO contacts"
RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'easycall' AND wait_event = 'PgSleep'"


@pytest.mark.fault("F84")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(90)
@pytest.mark.site(wrap_up_seconds=0)
async def test_forty_slow_reports_are_not_in_the_way_of_calls(centre: CallCentre, own: Cluster) -> None:
    name = await moves_to(centre, own)
    await centre.agent("ana").works()
    for _ in range(2):
        await one_call(centre)
    await centre.running.journal.flush()
    await deferToThread(own.sql, SLOW, name)
    took: list[tuple[int, float]] = []

    async def report() -> None:
        began = centre.reactor.seconds()
        try:
            await centre.client.get("/api/v1/contacts?state=ended")
            status = 200
        except Refused as refusal:
            status = refusal.status
        took.append((status, centre.reactor.seconds() - began))

    reports = [start(report()) for _ in range(REPORTS)]
    most = 0
    for number in range(3, 7):
        await one_call(centre)
        most = max(most, *(count for (count,) in await deferToThread(own.sql, RUNNING, name)))
        began = centre.reactor.seconds()
        await centre.running.journal.flush()
        assert centre.reactor.seconds() - began < 1.0, "the journal's writes do not wait"
        assert await deferToThread(own.sql, "SELECT count(*) FROM kept", name) == [(number,)]
    await gatherResults(reports)
    await deferToThread(own.sql, QUICK, name)
    assert 1 <= most <= 2, "reports have two connections"
    assert {status for status, _ in took} == {200, 503}
    assert max(seconds for _, seconds in took) < 6.5
    assert all(seconds > 2 for status, seconds in took if status == 503), "who is refused has waited for a turn"
