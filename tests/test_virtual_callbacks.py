"""Days in virtual time at a site that calls back: who is called, when, how often, and in which order, told from the journal.

Each check counts by itself: hours by the clock on the customer's wall, written down here once more; what rang by what the
telephones saw; who was recovered by brute force.  ``--virtual-days 30 --restarts 5``: a month with the change of the clock
in New York and in Europe.  It prints a table (``-s``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import define, evolve, field

from easycall.callback import circumstances
from easycall.callback.calling_hours import CallingHours
from easycall.events import (
    AgentChanged,
    Answered,
    CallAnswered,
    CallbackAsked,
    CallbackEnded,
    CallDialled,
    CallFailed,
    ContactArrived,
    ContactEnded,
    Event,
    OfferEnded,
    Queued,
    QueueOverflowed,
    SessionJoined,
)
from easycall.lab.day.centre import CLOSED, VirtualCentre
from easycall.lab.day.customers import Ring
from easycall.lab.day.machine import HeldDisk
from easycall.lab.day.plan import DAY_SECONDS, Habits, Plan
from easycall.lab.day.result import Progress, Result
from easycall.model import AgentState, CallbackSource, CallbackState, Direction, EndedBy, OfferOutcome, Outcome
from easycall.policy import Channel
from easycall.stats.codec import decode

from .test_virtual_days import now_or_never

pytestmark = [
    pytest.mark.requirement("B2"),
    pytest.mark.requirement("B3"),
    pytest.mark.fault("F72", "F74"),
    pytest.mark.seconds(7200),
]

QUEUES = ("sales", "support")
ZONES = {
    "+4930": "Europe/Berlin",
    "+49221": "Europe/Berlin",
    "+1212": "America/New_York",
    "+4420": "Europe/London",
    "+8610": "Asia/Shanghai",
}
"""Where customers live."""
WORKDAYS, SATURDAY, SUNDAY = range(5), 5, 6
SPANS: Mapping[str, Mapping[int, tuple[float, float]]] = {
    "sales": {**dict.fromkeys(WORKDAYS, (9, 20)), SATURDAY: (10, 18), SUNDAY: (10, 18)},
    "support": {**dict.fromkeys(WORKDAYS, (17, 21)), SATURDAY: (22, 28), SUNDAY: (17, 21)},
}
"""Queue -> day of the week -> from which hour to which its customers may be called."""
OFFICE = {**dict.fromkeys(WORKDAYS, (6.5, 21)), SATURDAY: (8, 18), SUNDAY: (8, 18)}
"""When sales is open, in Berlin."""
MOST = {"sales": (4, 3), "support": (3, 2)}
"""Queue -> attempts in all, and on one day."""
CALLS_PER_CUSTOMER = 3
"""Attempts at one number in 24 hours, and calls of agents."""
ASKED_PER_DAY = 3
EXPIRES = {"sales": 2 * DAY_SECONDS, "support": 4 * DAY_SECONDS}
RING_SECONDS = {"sales": 20.0, "support": 25.0}
MIN_WAIT_SECONDS = 10.0
PROMISED_SECONDS = 60.0
"""So soon after a loss the callback is made, a restart in between or not."""
RESTART_SECONDS = 120.0
"""So near to a restart it is not measured how long something took."""
FINAL = set(CallbackState) - {CallbackState.SCHEDULED, CallbackState.IN_LINE}


def in_spans(spans: Mapping[int, tuple[float, float]], zone: str, at: float) -> bool:
    """Whether the clock on the wall shows a time of one of them; one that began yesterday may go on."""
    wall = datetime.fromtimestamp(at, ZoneInfo(zone))
    hour = wall.hour + wall.minute / 60 + wall.second / 3600
    today, before = spans[wall.weekday()], spans[(wall.weekday() - 1) % 7]
    return today[0] <= hour < today[1] or before[0] <= hour + 24 < before[1]


def zone_of(number: str) -> str:
    return next(zone for prefix, zone in ZONES.items() if number.startswith(prefix))


def customers_day(number: str, at: float) -> date:
    return datetime.fromtimestamp(at, ZoneInfo(zone_of(number))).date()


@define(slots=False)
class Story:
    """One contact."""

    arrived: ContactArrived
    events: list[Event] = field(factory=list)

    def of(self, *kinds: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    @cached_property
    def dialled(self) -> CallDialled | None:
        """The customer."""
        return next((one for one in self.of(CallDialled) if one.purpose == "customer"), None)

    @cached_property
    def ended(self) -> ContactEnded | None:
        return next(iter(self.of(ContactEnded)), None)

    @cached_property
    def talked(self) -> Answered | None:
        return next(iter(self.of(Answered)), None)

    @cached_property
    def is_inbound(self) -> bool:
        return self.arrived.direction is Direction.INBOUND

    @cached_property
    def number(self) -> str:
        """The customer's."""
        return self.arrived.caller if self.is_inbound else self.arrived.dialled

    @cached_property
    def joined(self) -> tuple[str, float, float]:
        """The last queue, when it came there, and since when it counts as waiting there; an empty one: none."""
        queue, at, since = "", 0.0, 0.0
        for event in self.of(Queued, QueueOverflowed):
            if event.queue != queue:
                queue, at, since = event.queue, event.at, (isinstance(event, Queued) and event.since) or event.at
        return queue, at, since


@define(slots=False)
class Journal:
    """All that was told, and what was seen outside."""

    centre: VirtualCentre
    last: int = 0
    events: list[Event] = field(factory=list)
    restarts: list[float] = field(factory=list)
    compared: int = 0
    """How many days of queues were compared with the report of lost contacts."""
    differences: list[str] = field(factory=list)

    def look(self, progress: Progress) -> None:
        """Every minute."""
        now_or_never(self.centre.joined.journal.flush())
        sql = "SELECT seq, kind, body FROM events WHERE seq > ? ORDER BY seq"
        for seq, kind, body in now_or_never(self.centre.database.query(sql, self.last)):
            self.last = seq
            self.events.append(decode(kind, body))
        if self.centre.restarts > len(self.restarts):
            self.restarts.append(self.centre.reactor.seconds())
        if progress.seconds % DAY_SECONDS == 0 and not self.centre.conduct.history.missing:
            self._compare()

    def _compare(self) -> None:
        """At midnight: the report of lost contacts, counted again from the beginning."""
        now, recovery = self.centre.reactor.seconds(), self.centre.conduct.recovery
        counted = lost_and_recovered(self.events)
        for queue in QUEUES:
            told = {day: one.lost for day, one in recovery.of_queue(queue, now).items()}
            for day in sorted({day for of, day in counted if of == queue} | set(told)):
                self.compared += 1
                expected = counted[queue, day]
                found = (told[day].lost(), told[day].recovered()) if day in told else (0, 0)
                if found != expected:
                    self.differences.append(f"{queue} {day}: {found} lost and recovered, counted {expected}")

    @cached_property
    def stories(self) -> dict[str, Story]:
        return stories_of(self.events)

    @cached_property
    def attempts(self) -> list[tuple[Story, CallDialled]]:
        """Those for callbacks, in order."""
        found = [(story, story.dialled) for story in self.stories.values() if story.arrived.callback]
        return sorted(((story, one) for story, one in found if one is not None), key=lambda pair: pair[1].at)

    @cached_property
    def asked(self) -> dict[str, CallbackAsked]:
        return {event.callback: event for event in self.events if isinstance(event, CallbackAsked)}

    @cached_property
    def ended(self) -> dict[str, CallbackEnded]:
        return {event.callback: event for event in self.events if isinstance(event, CallbackEnded)}

    def near_a_restart(self, *moments: float) -> bool:
        return any(abs(moment - restart) < RESTART_SECONDS for moment in moments for restart in self.restarts)


def stories_of(events: Sequence[Event]) -> dict[str, Story]:
    stories: dict[str, Story] = {}
    for event in events:
        if isinstance(event, ContactArrived):
            stories.setdefault(event.contact, Story(event))
        if event.contact in stories:
            stories[event.contact].events.append(event)
    return stories


# What is wrong, in words


def outside_hours(journal: Journal) -> Iterator[str]:
    for _, one in journal.attempts:
        if not in_spans(SPANS[one.queue], zone_of(one.number), one.at):
            yield f"{one.number} of {one.queue} is dialled at {wall(one.number, one.at)}"
        if one.queue == "sales" and not in_spans(OFFICE, "Europe/Berlin", one.at):
            yield f"{one.number} is dialled at {one.at}, when sales is closed"


def wall(number: str, at: float) -> str:
    return f"{datetime.fromtimestamp(at, ZoneInfo(zone_of(number))):%a %d. %H:%M:%S}"


def too_often(journal: Journal) -> Iterator[str]:
    of_callback: defaultdict[str, list[CallDialled]] = defaultdict(list)
    for story, one in journal.attempts:
        of_callback[story.arrived.callback].append(one)
    for callback, all_of_it in of_callback.items():
        most, a_day = MOST[all_of_it[0].queue]
        days = Counter(customers_day(one.number, one.at) for one in all_of_it)
        if len(all_of_it) > most or max(days.values()) > a_day:
            yield f"callback {callback}: {len(all_of_it)} attempts, on one day {max(days.values())}"
        ended = journal.ended.get(callback)
        if ended is not None and ended.attempts != len(all_of_it):
            yield f"callback {callback} ended after {ended.attempts} attempts, {len(all_of_it)} were made"
    of_number: defaultdict[str, list[float]] = defaultdict(list)
    for story in journal.stories.values():
        if story.dialled is not None:
            of_number[story.number].append(story.dialled.at)
    for number, times in of_number.items():
        for first, fourth in zip(sorted(times), sorted(times)[CALLS_PER_CUSTOMER:], strict=False):
            if fourth < first + DAY_SECONDS:
                yield f"{number} is dialled {CALLS_PER_CUSTOMER + 1} times within a day"


def two_at_once(journal: Journal) -> Iterator[str]:
    busy: dict[str, tuple[float, str]] = {}
    for story, one in journal.attempts:
        until, before = busy.get(one.number, (0.0, ""))
        if one.at < until:
            yield f"{one.number} is called by {story.arrived.contact} while {before} goes on"
        ended = story.ended.at if story.ended is not None else float("inf")
        busy[one.number] = ended, story.arrived.contact


def rung_twice(journal: Journal, rings: Sequence[Ring]) -> Iterator[str]:
    """Each attempt makes one telephone ring, once, and nothing else does."""
    seen = Counter(ring.leg for ring in rings)
    dialled = {story.dialled.leg: story for story in journal.stories.values() if story.dialled is not None}
    for leg, times in seen.items():
        if times > 1 or leg not in dialled:
            yield f"the telephone of {leg} rang {times} times"
    for leg, story in dialled.items():
        at = story.dialled.at if story.dialled is not None else 0.0
        if not seen[leg] and not journal.near_a_restart(at):
            yield f"{leg} was dialled at {wall(story.number, at)}, and its telephone did not ring"


def rung_too_long(journal: Journal, rings: Sequence[Ring]) -> Iterator[str]:
    queues = {one.leg: one.queue for _, one in journal.attempts}
    for ring in rings:
        if ring.leg in queues and not journal.near_a_restart(ring.began):
            seconds = (ring.answered or ring.ended) - ring.began
            if seconds > RING_SECONDS[queues[ring.leg]] + 1.0:
                yield f"the telephone of {ring.leg} of {queues[ring.leg]} rang for {seconds:.1f} s"


def not_clear(journal: Journal) -> Iterator[str]:
    """Of a queue and a number one is open, and each comes to one end."""
    is_open: dict[tuple[str, str], str] = {}
    ends: Counter[str] = Counter()
    for event in journal.events:
        if isinstance(event, CallbackAsked):
            key = event.queue, event.number
            if key in is_open:
                yield f"{event.callback} and {is_open[key]} of {key} are open"
            is_open[key] = event.callback
        elif isinstance(event, CallbackEnded):
            ends[event.callback] += 1
            one = journal.asked[event.callback]
            is_open.pop((one.queue, one.number), None)
            if event.state not in FINAL or (not event.why and event.state is not CallbackState.REACHED):
                yield f"{event.callback} ended as {event.state}: {event.why!r}"
    yield from (f"{callback} ended {times} times" for callback, times in ends.items() if times > 1)
    yield from (f"{callback} is open when all is over" for callback in is_open.values())
    talks = Counter(story.arrived.callback for story in journal.stories.values() if story.talked)
    for callback, ended in journal.ended.items():
        if talks[callback] != (ended.state is CallbackState.REACHED):
            yield f"{callback} ended as {ended.state} with {talks[callback]} talks"


def not_promised(journal: Journal) -> Iterator[str]:
    """Who was lost and is to be called back is called back, by one callback; nobody else is."""
    made = Counter(one.contact for one in journal.asked.values())
    yield from (f"{times} callbacks of contact {contact}" for contact, times in made.items() if times > 1)
    by_contact = {one.contact: one for one in journal.asked.values()}
    for contact, story in journal.stories.items():
        source, one = source_of(story), by_contact.get(contact)
        if one is not None and one.source is not CallbackSource.ASKED and one.source is not source:
            yield f"contact {contact} is called back for {one.source}, and was {source}"
        if source is None or story.ended is None:
            continue
        if one is None and not _spared(journal, story):
            yield f"contact {contact} of {story.number} was lost ({source}) at {story.ended.at} and is not called back"
        elif one is not None and one.at - story.ended.at > PROMISED_SECONDS:
            yield f"contact {contact} was lost, and its callback made {one.at - story.ended.at:.0f} s later"


def source_of(story: Story) -> CallbackSource | None:
    """Why a contact is to lead to a callback; None: it is not."""
    ended, (queue, at, _) = story.ended, story.joined
    if ended is None or story.talked or story.arrived.channel is not Channel.CALL or not story.number:
        return None
    if not story.is_inbound:
        unanswered = story.dialled is not None and ended.outcome in (Outcome.BUSY, Outcome.NO_ANSWER)
        return CallbackSource.UNANSWERED if unanswered else None
    if not queue:
        return None
    if ended.outcome is Outcome.ABANDONED and ended.ended_by is EndedBy.CALLER:
        return CallbackSource.ABANDONED if ended.at - at >= MIN_WAIT_SECONDS else None
    if ended.outcome is Outcome.FAILED or (ended.outcome is Outcome.ABANDONED and ended.ended_by is EndedBy.SYSTEM):
        return CallbackSource.OUTAGE
    return CallbackSource.CLOSED if ended.outcome is Outcome.CLOSED else None


def _spared(journal: Journal, story: Story) -> bool:
    """Whether there is a callback already, were too many, or the number must not be dialled."""
    at = story.ended.at if story.ended is not None else 0.0
    queue = story.joined[0] or (story.dialled.queue if story.dialled is not None else "")
    of_number = [one for one in journal.asked.values() if one.number == story.number]
    for one in of_number:
        ended = journal.ended.get(one.callback)
        if one.queue == queue and one.at <= at + PROMISED_SECONDS and (ended is None or ended.at >= at):
            return True
    recent = [one for one in of_number if at - DAY_SECONDS < one.at <= at + PROMISED_SECONDS]
    return len(recent) >= ASKED_PER_DAY or story.number.startswith("+4930666")


def place_lost(journal: Journal) -> Iterator[str]:
    """Who asked in the line stands where they stood, until the telephone was dialled; who else, not before it was due."""
    dialled: set[str] = set()
    for story in sorted(journal.stories.values(), key=lambda one: one.arrived.at):
        asked = journal.asked.get(story.arrived.callback)
        if asked is None:
            continue
        for event in story.of(Queued):
            if asked.since and asked.callback not in dialled and event.since != asked.since:
                yield f"{asked.callback} has the place of {event.since}, and asked with that of {asked.since}"
            if not asked.since and event.since < asked.due:
                yield f"{asked.callback} has the place of {event.since}, and was due at {asked.due}"
        if story.dialled is not None:
            dialled.add(asked.callback)


def delays(journal: Journal) -> Iterator[tuple[float, float]]:
    """For how long each agent was kept for a customer who was being dialled, and for how long that customer was dialled."""
    for story, dialled in journal.attempts:
        decided = next((one for one in story.of(CallAnswered, CallFailed) if one.leg == dialled.leg), None)
        if decided is None or journal.near_a_restart(dialled.at, decided.at):
            continue
        agent_there = [one for one in story.events if _agent_is_there(one, dialled) and one.at <= decided.at]
        if agent_there:
            yield decided.at - agent_there[-1].at, decided.at - dialled.at


def _agent_is_there(event: Event, dialled: CallDialled) -> bool:
    if dialled.queue == "support":  # the agent first
        return isinstance(event, OfferEnded) and event.outcome is OfferOutcome.ANSWERED
    return isinstance(event, AgentChanged) and event.state is AgentState.RESERVED


# Recovered, by brute force


@define(eq=False)
class Loss:
    """Somebody who was lost in a queue."""

    queue: str
    day: date
    at: float
    short: bool
    callbacks: set[str] = field(factory=set)
    recovered: bool = False


class Losses:
    """Counted by brute force from the whole journal: what is asked of a moment is looked for in what was before."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.asked = {event.callback: event for event in events if isinstance(event, CallbackAsked)}
        self.ends = {event.callback: event for event in events if isinstance(event, CallbackEnded)}
        self._made: defaultdict[str, list[CallbackAsked]] = defaultdict(list)
        for one in self.asked.values():
            self._made[one.contact].append(one)
            self._made[f"{one.queue} {one.number}"].append(one)
        self.all: list[Loss] = []
        self._known: defaultdict[tuple[str, str], dict[Loss, None]] = defaultdict(dict)
        """Queue, and number, contact or callback -> whose they are."""

    def talks(self, story: Story, at: float) -> None:
        """All that it is about is recovered."""
        for queue in {event.queue for event in story.of(Queued, QueueOverflowed, Answered)}:
            for one in self._of(queue, story, at):
                one.recovered = True

    def loses(self, story: Story, ended: ContactEnded) -> None:
        """Somebody is lost, or lost again while no agent has talked with them."""
        queue, joined, since = story.joined
        left = ended.outcome is Outcome.ABANDONED and ended.ended_by is EndedBy.CALLER
        short, at = left and ended.at - joined < MIN_WAIT_SECONDS, ended.at
        again = [one for one in self._of(queue, story, at) if not one.recovered]
        if again:
            loss = again[-1]
            loss.short = loss.short and short
        else:
            day = datetime.fromtimestamp(since, ZoneInfo("Europe/Berlin") if queue == "sales" else None).date()
            loss = Loss(queue, day, at, short)
            self.all.append(loss)
        mine = self._made[story.arrived.contact]
        for name in (story.arrived.contact, story.number, *(one.number for one in mine)):
            self._known[queue, name][loss] = None
        soon = [one for one in self._made[f"{queue} {story.number}"] if one.at <= loss.at + EXPIRES[queue]]
        for one in (*mine, *soon):
            if one.callback not in self.ends or self.ends[one.callback].at >= at:
                loss.callbacks.add(one.callback)
                self._known[queue, one.callback][loss] = None

    def _of(self, queue: str, story: Story, at: float) -> list[Loss]:
        """The losses that a contact is about, as far as that was known then, the earliest first."""
        about = [story.arrived, *story.of(SessionJoined)]
        names = [name for one in about for name in (one.session, one.callback) if name]
        found = dict.fromkeys(one for name in names for one in self._known.get((queue, name), ()))
        for one in self._known.get((queue, story.number), ()) if story.number else ():
            if at <= one.at + EXPIRES[queue] or any(self._is_open(callback, at) for callback in one.callbacks):
                found[one] = None
        return sorted(found, key=lambda one: one.at)

    def _is_open(self, callback: str, at: float) -> bool:
        return self.asked[callback].at <= at <= (self.ends[callback].at if callback in self.ends else at)


def lost_and_recovered(events: Sequence[Event]) -> defaultdict[tuple[str, date], tuple[int, int]]:
    """Queue and day -> how many were lost, and how many of these an agent has talked with since."""
    losses = Losses(events)
    moments: list[tuple[float, Story, Event]] = []
    for story in stories_of(events).values():
        if story.talked is not None:
            moments.append((story.talked.at, story, story.talked))
        elif story.ended is not None and is_lost(story):
            moments.append((story.ended.at, story, story.ended))
    for at, story, event in sorted(moments, key=lambda moment: moment[0]):
        if isinstance(event, ContactEnded):
            losses.loses(story, event)
        else:
            losses.talks(story, at)
    counts = defaultdict[tuple[str, date], tuple[int, int]](lambda: (0, 0))
    for one in losses.all:
        if not one.short:
            lost, recovered = counts[one.queue, one.day]
            counts[one.queue, one.day] = lost + 1, recovered + one.recovered
    return counts


def is_lost(story: Story) -> bool:
    outcomes = {Outcome.ABANDONED, Outcome.CLOSED, Outcome.FULL, Outcome.OVERFLOWED, Outcome.CALLBACK, Outcome.FAILED}
    known = story.is_inbound and story.arrived.channel is Channel.CALL and bool(story.joined[0])
    return known and story.ended is not None and story.ended.outcome in outcomes


# The days


def lived(plan: Plan, crash: str = "") -> tuple[Journal, Result]:
    centre = VirtualCentre(plan, crash=crash)
    journal = Journal(centre)
    result = centre.run(journal.look)
    return journal, result


def faults(journal: Journal, result: Result) -> dict[str, list[str]]:
    """What is looked for -> what was found of it."""
    rings = journal.centre.customers.rings
    overtaken = [one for one in result.violations if one.startswith("I9")]
    return {
        "outside hours": list(outside_hours(journal)),
        "too often": list(too_often(journal)),
        "two at once": list(two_at_once(journal)),
        "double rings": list(rung_twice(journal, rings)),
        "rung too long": list(rung_too_long(journal, rings)),
        "no clear end": list(not_clear(journal)),
        "lost, not called back": list(not_promised(journal)),
        "overtaken": [*overtaken, *place_lost(journal)],
        "kept beyond the answer": [f"{kept:.1f} s" for kept, rang in delays(journal) if kept > rang + 1.0],
        "report differs": journal.differences,
        "invariants violated": [one for one in result.violations if one not in overtaken],
    }


def table(journal: Journal, result: Result, found: Mapping[str, Sequence[str]]) -> str:
    counted = lost_and_recovered(journal.events)
    lost, recovered = (sum(pair[place] for pair in counted.values()) for place in (0, 1))
    sources = Counter(one.source.value for one in journal.asked.values())
    states = Counter("open" if one.by == CLOSED else one.state.value for one in journal.ended.values())
    ended = [story.ended.outcome.value for story, _ in journal.attempts if story.ended is not None]
    kept = max((one for one, _ in delays(journal)), default=0.0)
    rows = {
        "days": f"{result.days:g}",
        "restarts": journal.centre.restarts,
        "contacts": result.calls,
        "waited in line": len(waited := [one for one in journal.stories.values() if one.is_inbound and one.of(Queued)]),
        "broke off, %": f"{100 * sum(map(broke_off, waited)) / max(1, len(waited)):.1f}",
        "lost": lost,
        "recovered": recovered,
        "recovered %": f"{100 * recovered / max(1, lost):.1f}",
        "callbacks": len(journal.asked),
        **{f"  {name}": number for name, number in sorted(sources.items())},
        "became": "",
        **{f"   {name}": number for name, number in sorted(states.items())},
        "attempts": len(journal.attempts),
        **{f"    {name}": number for name, number in sorted(Counter(ended).items())},
        "telephones rung": len(journal.centre.customers.rings),
        "days compared with the report": journal.compared,
        "longest delay, s": f"{kept:.1f}",
        **{name: len(words) for name, words in found.items()},
    }
    return "\n".join(f"{name:32}{value:>8}" for name, value in rows.items())


def broke_off(story: Story) -> bool:
    return story.ended is not None and story.ended.outcome is Outcome.ABANDONED


def planned(days: float, restarts: float, first: str) -> Plan:
    begins = datetime.fromisoformat(first).replace(tzinfo=UTC)
    return Plan(
        days=days,
        calls=600,
        agents=10,
        check_every=50,
        lasting=1.7,  # nothing else takes as long
        restarts=restarts,
        kept_days=60,
        customers=1500,
        calls_out=25,
        midnight=begins.timestamp(),
        habits=Habits(patience=60.0, talk=180.0),
    )


SUMMER_TIME = "2026-03-29"
"""The Sunday on which the clocks of Europe are set, before a working day."""
MONTH = "2026-03-05"
"""Thirty days from here those of New York are set, and those of Europe."""


def test_everybody_who_is_lost_is_called_back_once_in_time_and_in_turn(pytestconfig: pytest.Config) -> None:
    days, restarts = pytestconfig.getoption("--virtual-days"), pytestconfig.getoption("--restarts")
    journal, result = lived(planned(days, restarts, MONTH if days > 7 else SUMMER_TIME))
    found = faults(journal, result)
    print(f"\n{table(journal, result, found)}")  # noqa: T201 - it was asked for
    assert {name: words[:10] for name, words in found.items() if words} == {}
    assert len(journal.attempts) > 10 * days
    assert {one.source for one in journal.asked.values()} > {CallbackSource.ABANDONED, CallbackSource.ASKED}
    assert result.outcomes["answered"] > 50 * days
    assert journal.compared


def test_who_is_called_by_the_clock_of_the_site_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_the_site(number: str, hours: Any, zone: str, site: Any) -> CallingHours:
        return CallingHours((site,), (hours,))

    monkeypatch.setattr(circumstances, "calling_hours", by_the_site)
    plan = evolve(planned(0.05, 0.0, "2026-03-30T13:00"), calls=12_000, agents=12, calls_out=0)
    journal, _ = lived(plan)
    assert any(one.startswith("+8610") for one in outside_hours(journal)), "nine in the evening in Beijing"


MINUTES = evolve(planned(0.008, 0.0, "2026-03-30T10:00"), calls=12_000, agents=80, check_every=20, calls_out=0)
"""Eleven minutes with some ten calls for four agents."""


def telling_writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Which writes to the journal's file tell of somebody lost, or of a callback."""
    writes, found = [0], list[int]()
    append = HeldDisk.append

    def count(disk: HeldDisk, name: str, data: bytes) -> int:
        writes[0] += 1
        if b"abandoned" in data or b"callback." in data:
            found.append(writes[0])
        return append(disk, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(HeldDisk, "append", count)
        lived(MINUTES)
    return found


@pytest.mark.fault("F70")
def test_a_daemon_that_dies_at_any_moment_of_a_callback(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was lost is called back all the same, nobody is rung twice, and each callback was told of once."""
    points = [f"{write}{moment}" for write in telling_writes(monkeypatch) for moment in "-+"]
    tried, wrong = points[: pytestconfig.getoption("--virtual-crash-points")], []
    for point in tried:
        journal, result = lived(MINUTES, point)
        found = faults(journal, result)
        wrong += [f"{point}: {name}: {one}" for name, words in found.items() for one in words]
        assert journal.centre.restarts or not journal.centre.process.alive
    print(f"\n{len(points)} crash points, {len(tried)} tried, {len(wrong)} times something wrong")  # noqa: T201 - asked for
    assert not wrong, "\n".join(wrong[:20])
    assert len(tried) > 5
