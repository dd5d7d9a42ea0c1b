"""Days in virtual time: the board of the moment is counted again from the journal, every minute, by hand.

``--virtual-days 30 --restarts 5``: longer, and with a daemon that ends some times a day, in order or killed.  It prints a
table (``-s``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
from attrs import define, evolve, field

from easycall.api.schemas import board, level_view
from easycall.defer import start
from easycall.events import (
    Answered,
    ContactArrived,
    ContactEnded,
    Event,
    Queued,
    QueueLeft,
    QueueOverflowed,
    TalkEnded,
)
from easycall.lab.day.centre import VirtualCentre
from easycall.lab.day.plan import DAY_SECONDS, Habits, Plan
from easycall.lab.day.result import Progress
from easycall.model import EndedBy
from easycall.stats.codec import decode
from easycall.stats.service_level import ServiceLevels

QUEUES = ("sales", "support")
SHOWN = ("waiting", "talking", "queued", "answered", "answered_within", "abandoned", "abandoned_within")
IN_TIME = 20.0
OVERNIGHT = 6 * 3600.0
"""Nobody is there longer than that."""


def midnight_before(now: float) -> float:
    return datetime.fromtimestamp(now).astimezone().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def counted(events: Iterable[Event], now: float) -> dict[str, dict[str, int]]:
    """The board of each queue, from all that happened: contact by contact, with no memory of the last time."""
    stories: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.contact:
            stories[event.contact].append(event)
    found = {queue: Counter[str]() for queue in QUEUES}
    for story in stories.values():
        _count(story, found, midnight_before(now))
    return {queue: {name: counts[name] for name in SHOWN} for queue, counts in found.items()}


def _count(story: Sequence[Event], found: Mapping[str, Counter[str]], midnight: float) -> None:
    """One contact."""
    waits_in, since, talks_in = "", 0.0, ""
    for event in story:
        today = since >= midnight
        soon = event.at - since <= IN_TIME
        if isinstance(event, Queued):
            again = (waits_in, since) == (event.queue, event.since)
            waits_in, since = event.queue, event.since
            found[waits_in]["queued"] += since >= midnight and not again
        elif isinstance(event, Answered):
            if waits_in:
                found[waits_in]["answered"] += today
                found[waits_in]["answered_within"] += today and soon
            waits_in, talks_in = "", event.queue
        elif isinstance(event, TalkEnded):
            talks_in = ""
        elif isinstance(event, QueueOverflowed | QueueLeft):
            waits_in = ""
        elif isinstance(event, ContactEnded):
            if waits_in and event.ended_by is EndedBy.CALLER:
                found[waits_in]["abandoned"] += today
                found[waits_in]["abandoned_within"] += today and soon
            waits_in = talks_in = ""
    if waits_in:
        found[waits_in]["waiting"] += 1
    if talks_in:
        found[talks_in]["talking"] += 1


def boards(centre: VirtualCentre) -> dict[str, dict[str, Any]]:
    """What ``GET /api/v1/queues`` and the snapshot of the feed show."""
    conduct, now = centre.conduct, centre.reactor.seconds()
    room, levels = conduct.distributor, conduct.levels
    asked = {queue: level_view(levels.of_queue(queue, now))["call"] for queue in QUEUES}
    snapshot = board(room.staff, room, levels, conduct.recovery, conduct.history, conduct.contacts.live, "", now)
    shown = {queue["id"]: queue for queue in snapshot["queues"]}
    assert {name: queue["service_level"]["call"] for name, queue in shown.items()} == asked
    for name, queue in shown.items():
        asked[name]["in line"] = queue["waiting"]
    return asked


@define
class Auditor:
    """Compares both every minute."""

    centre: VirtualCentre
    last: int = 0
    recent: list[Event] = field(factory=list)
    """The journal of today, and of the hours before."""
    compared: int = 0
    differences: list[str] = field(factory=list)
    arrived: Counter[str] = field(factory=Counter)
    ended: Counter[str] = field(factory=Counter)

    def look(self, progress: Progress) -> None:
        self._read()
        now = self.centre.reactor.seconds()
        since = midnight_before(now) - OVERNIGHT
        self.recent = [event for event in self.recent if event.at >= since]
        if self.centre.conduct.history.missing:
            return
        self.compared += 1
        shown = boards(self.centre)
        for queue, expected in counted(self.recent, now).items():
            for name in SHOWN:
                if shown[queue][name] != expected[name]:
                    self._differs(now, f"{queue}: {name} is {shown[queue][name]}, counted {expected[name]}")
            if shown[queue]["in line"] > expected["waiting"]:  # who is reserved for an agent is in line no more
                self._differs(now, f"{queue}: {shown[queue]['in line']} in line, counted {expected['waiting']}")

    def _differs(self, now: float, words: str) -> None:
        self.differences.append(f"{datetime.fromtimestamp(now).astimezone():%d. %H:%M} {words}")

    def _read(self) -> None:
        """What was stored since the last time; it is the journal itself that is counted."""
        now_or_never(self.centre.joined.journal.flush())
        sql = "SELECT seq, kind, body FROM events WHERE seq > ? ORDER BY seq"
        for seq, kind, body in now_or_never(self.centre.database.query(sql, self.last)):
            assert seq > self.last
            self.last, event = seq, decode(kind, body)
            self.recent.append(event)
            self.arrived[event.contact] += isinstance(event, ContactArrived)
            self.ended[event.contact] += isinstance(event, ContactEnded)


def now_or_never(work: Any) -> Any:
    """In memory nothing waits."""
    results: list[Any] = []
    start(work).addCallback(results.append)
    return results[0]


def lived(plan: Plan, crash: str = "") -> tuple[Auditor, Any]:
    centre = VirtualCentre(plan, crash=crash)
    auditor = Auditor(centre)
    result = centre.run(auditor.look)
    return auditor, result


def table(auditor: Auditor, result: Any) -> str:
    arrived = sum(1 for number in auditor.arrived.values() if number)
    once = sum(1 for contact, number in auditor.arrived.items() if number and auditor.ended[contact] == 1)
    rows = {
        "days": f"{result.days:g}",
        "contacts": arrived,
        "ended exactly once": once,
        "records that add up": result.records,
        "restarts": auditor.centre.restarts,
        "boards compared": auditor.compared,
        "differences of the boards": len(auditor.differences),
        "invariants violated": len(result.violations),
    }
    return "\n".join(f"{name:28}{value:>8}" for name, value in rows.items())


BUSY = Plan(calls=250, agents=6, check_every=50, kept_days=4, habits=Habits(patience=40.0, talk=90.0))


@pytest.mark.requirement("S1")
@pytest.mark.seconds(3600)
def test_every_contact_has_one_record_and_every_board_is_right(pytestconfig: pytest.Config) -> None:
    days, restarts = pytestconfig.getoption("--virtual-days"), pytestconfig.getoption("--restarts")
    auditor, result = lived(evolve(BUSY, days=days, restarts=restarts))
    print(f"\n{table(auditor, result)}")  # noqa: T201 - it was asked for
    assert auditor.differences[:20] == []
    assert result.violations[:20] == ()
    assert auditor.compared > 1_400 * days * (0.9 if restarts else 1)
    assert all(auditor.ended[contact] == 1 for contact, number in auditor.arrived.items() if number)
    assert result.records == len([number for number in auditor.arrived.values() if number])
    assert result.outcomes["abandoned"] > 10 * days
    assert result.outcomes["answered"] > 100 * days


def test_a_board_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who ends a talk is counted as talking on."""
    monkeypatch.setattr(ServiceLevels, "_parts", lambda *about: None)
    auditor, _ = lived(Plan(days=0.4, calls=100, agents=4, kept_days=4))
    assert any("talking is 1, counted 0" in one for one in auditor.differences)


def test_the_board_goes_on_after_restarts_in_quiet_moments() -> None:
    """Nobody is there, but what was is counted on: once an hour, in order and killed in turn."""
    plan = Plan(days=0.75, calls=150, agents=6, check_every=40, kept_days=4)
    centre = VirtualCentre(plan)
    auditor, hours = Auditor(centre), set[int]()

    def look(progress: Progress) -> None:
        auditor.look(progress)
        hour = int(progress.seconds // 3600)
        if hour not in hours and not centre.conduct.contacts.live and progress.seconds < plan.days * DAY_SECONDS:
            hours.add(hour)
            before = boards(centre)
            centre.restart(orderly=bool(hour % 2))
            centre.reactor.advance(2.0)
            assert centre.conduct.history.missing == {}
            if not centre.conduct.contacts.live:
                assert boards(centre) == before

    result = centre.run(look)
    assert auditor.differences[:20] == []
    assert result.violations == ()
    assert centre.restarts > 10
    assert boards(centre)["sales"]["answered"] > 30
