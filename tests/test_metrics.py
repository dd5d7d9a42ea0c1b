"""Figures for Prometheus, the dashboard and the alerts made of them, and ``/readyz``."""

from __future__ import annotations

import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from twisted.internet import reactor

from easycall.events import (
    Answered,
    CallAnswered,
    CallbackAsked,
    CallbackEnded,
    CallbackLate,
    CallDialled,
    CallFailed,
    ContactArrived,
    ContactEnded,
    Event,
    OfferEnded,
    PbxDown,
    PbxUp,
    Queued,
    QueueOverflowed,
    TalkEnded,
)
from easycall.model import (
    CallbackSource,
    CallbackState,
    DialOutcome,
    Direction,
    EndedBy,
    OfferOutcome,
    Outcome,
    OverflowWhen,
)
from easycall.policy import Channel, WorkItem
from easycall.stats.metrics import Histogram, Metrics

from .fakes_api import ANA, NOTHING, Running, running

HERE = Path(__file__).parent.parent
DASHBOARD = HERE / "etc/grafana/easycall.json"
RULES = HERE / "etc/prometheus/easycall.rules.yml"

pytestmark = pytest.mark.requirement("S1")


# The fold over events


@given(st.lists(st.floats(0, 100)), st.lists(st.floats(0, 50), min_size=1, unique=True).map(sorted))
def test_a_histogram_counts_every_value_once(values: list[float], bounds: list[float]) -> None:
    histogram = Histogram(bounds)
    for value in values:
        histogram.observe(value)
    for index, bound in enumerate(bounds):
        assert sum(histogram.counts[: index + 1]) == sum(value <= bound for value in values)
    assert sum(histogram.counts) == len(values)
    assert histogram.sum == pytest.approx(sum(values))


QUEUES, TRUNKS = ("cards", "loans"), ("out", "back")


@st.composite
def stories(draw: st.DrawFn) -> list[Event]:
    """What happens to some contacts at once, in the order of time, as the conduct tells it."""
    at, events, live = 0.0, list[Event](), dict[str, str]()
    for number in range(draw(st.integers(0, 40))):
        at += draw(st.integers(1, 90))
        contact = draw(st.sampled_from("abcdef"))
        same = {"at": at, "contact": contact}
        queue = draw(st.sampled_from(QUEUES))
        if contact not in live:
            live[contact] = "ivr"
            facts = {"pbx": "main", "leg": f"l{number}", "caller": "+4930", "caller_name": "", "dialled": "1"}
            events.append(ContactArrived(**same, **facts, channel=draw(st.sampled_from(Channel))))
            continue
        what = draw(st.sampled_from(["queue", "overflow", "offer", "answer", "talk_end", "end", "dial", "pbx"]))
        if what == "queue":
            events.append(Queued(**same, queue=queue, position=1, channel=draw(st.sampled_from(Channel))))
        elif what == "overflow":
            events.append(QueueOverflowed(**same, queue=queue, to="hang_up", rule=OverflowWhen.WAITED, waited=1.0))
        elif what == "offer":
            events.append(OfferEnded(**same, attempt=1, outcome=draw(st.sampled_from(OfferOutcome))))
        elif what == "answer":
            events.append(Answered(**same, queue=queue, agent=draw(st.sampled_from(["ana", "bo"])), waited=float(number)))
        elif what == "talk_end":
            events.append(TalkEnded(**same, agent=draw(st.sampled_from(["ana", "bo", ""])), ended_by=EndedBy.AGENT))
        elif what == "dial":
            leg, trunk = f"leg-{number}", draw(st.sampled_from(TRUNKS))
            dialled = {"leg": leg, "number": "+4930"}
            events.append(CallDialled(**same, **dialled, trunk=trunk, caller_id="", purpose="customer"))
            outcome = draw(st.sampled_from([*DialOutcome, None]))
            if outcome is DialOutcome.ANSWERED:
                events.append(CallAnswered(**same, **dialled))
            elif outcome is not None:
                events.append(CallFailed(**same, **dialled, outcome=outcome, cause=0))
        elif what == "pbx":
            events.append(draw(st.sampled_from([PbxUp(at=at, pbx="main"), PbxDown(at=at, pbx="main", reason="")])))
        else:
            del live[contact]
            events.append(ContactEnded(**same, outcome=draw(st.sampled_from(Outcome)), ended_by=EndedBy.CALLER))
    return events


def folded(events: list[Event]) -> Metrics:
    metrics = Metrics()
    for number, event in enumerate(events):
        metrics.take(number, event)
    return metrics


def lives(events: list[Event]) -> Iterator[list[Event]]:
    """The events of each contact by itself, from its arrival to its end; ids are used again here."""
    open_: dict[str, list[Event]] = {}
    for event in events:
        if event.contact:
            open_.setdefault(event.contact, []).append(event)
            if isinstance(event, ContactEnded):
                yield open_.pop(event.contact)
    yield from open_.values()


@given(stories())
def test_counters_equal_a_brute_force_count(events: list[Event]) -> None:
    metrics = folded(events)
    assert metrics.offers == Counter(event.outcome for event in events if isinstance(event, OfferEnded))
    trunks = {event.leg: event.trunk for event in events if isinstance(event, CallDialled)}
    assert metrics.dialled == Counter(
        (trunks[event.leg], DialOutcome.ANSWERED if isinstance(event, CallAnswered) else event.outcome)
        for event in events
        if isinstance(event, CallAnswered | CallFailed)
    )
    links = [isinstance(event, PbxUp) for event in events if isinstance(event, PbxUp | PbxDown)]
    assert metrics.reconnects["main"] == sum(up and not before for before, up in pairwise(links))
    contacts: Counter[Any] = Counter()
    waits: dict[str, list[float]] = defaultdict(list)
    attempts: Counter[Any] = Counter()
    for life in lives(events):
        came = [event.channel for event in life if isinstance(event, ContactArrived | Queued)]
        seen = [event for event in life if isinstance(event, Queued | QueueOverflowed | Answered)]
        for before, event in pairwise(seen):
            on_the_line = isinstance(before, Queued) and before.channel is not Channel.CALLBACK
            if on_the_line and isinstance(event, Answered):
                waits[event.queue].append(event.waited)
        if isinstance(life[-1], ContactEnded):
            queue = seen[-1].queue if seen else ""
            contacts[queue, life[-1].outcome, came[-1]] += 1
            dialled = any(isinstance(event, CallDialled) for event in life)
            attempts[queue, life[-1].outcome] += dialled and came[-1] is Channel.CALLBACK
    assert metrics.contacts == contacts
    assert metrics.callback_attempts == attempts
    assert {queue: (sum(one.counts), one.sum) for queue, one in metrics.waits.items()} == {
        queue: (len(values), sum(values)) for queue, values in waits.items()
    }


@given(stories())
def test_every_talk_is_measured_once_and_no_contact_is_kept_after_its_end(events: list[Event]) -> None:
    metrics, talks, seconds = folded(events), 0, 0.0
    for life in lives(events):
        began, agent = None, ""
        for event in life:
            leaves = isinstance(event, TalkEnded) and event.agent in ("", agent)
            if began is not None and (leaves or isinstance(event, Answered | ContactEnded)):
                talks, seconds, began = talks + 1, seconds + event.at - began, None
            if isinstance(event, Answered):
                began, agent = event.at, event.agent
    assert sum(sum(one.counts) for one in metrics.talks.values()) == talks
    assert sum(one.sum for one in metrics.talks.values()) == pytest.approx(seconds)
    assert len(metrics._stories) == sum(not isinstance(life[-1], ContactEnded) for life in lives(events))


def test_what_is_kept_of_contacts_that_never_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easycall.stats.metrics.MOST", 3)
    metrics = folded([Queued(at=1.0, contact=f"c{number}", queue="cards", position=1) for number in range(9)])
    assert list(metrics._stories) == ["c6", "c7", "c8"]


# The answer to Prometheus


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[Running]:
    async with running() as site:
        yield site


def fill(site: Running) -> None:
    """Let a bit of everything happen."""
    now = reactor.seconds()
    facts = {"pbx": "main", "leg": "l", "caller": "+49301234", "caller_name": "Eva", "dialled": "95588"}
    dialled = {"leg": "x", "number": "+49301234"}
    site.contacts.add("01ABC", "ana")
    site.desk.items.append(WorkItem("w", "cards", 5.0, channel=Channel.CHAT))
    site.journal.behind, site.journal.dropped = 12, 3
    site.lag.add(0.02)
    for event in (
        ContactArrived(at=now + 1, contact="01ABC", **facts),
        Queued(at=now + 2, contact="01ABC", queue="cards", position=1),
        OfferEnded(at=now + 9, contact="01ABC", agent="ana", attempt=1, outcome=OfferOutcome.ANSWERED),
        Answered(at=now + 9, contact="01ABC", agent="ana", queue="cards", waited=7.0),
        CallDialled(at=now + 9, contact="01ABC", **dialled, trunk="out", caller_id="+49301", purpose="consult"),
        CallFailed(at=now + 9, contact="01ABC", **dialled, outcome=DialOutcome.BUSY, cause=17),
        ContactEnded(at=now + 40, contact="01ABC", outcome=Outcome.ANSWERED, ended_by=EndedBy.CALLER),
        PbxDown(at=now + 41, pbx="main", reason="cut"),
        PbxUp(at=now + 42, pbx="main"),
        *called_back(now),
    ):
        site.levels.take(0, event)
        site.recovery.take(0, event)
        site.journal.record(event)


def called_back(now: float) -> list[Event]:
    """A caller asks to be called back and is not reached; another callback is late."""
    facts = {"pbx": "main", "leg": "m", "caller_name": "Eva"}
    outwards = {"caller": "+49301", "dialled": "+49301234", "direction": Direction.OUTBOUND, "channel": Channel.CALLBACK}
    dialled = {"leg": "m", "number": "+49301234", "trunk": "out", "caller_id": "+49301", "purpose": "customer"}
    asked = {"queue": "cards", "number": "+49301234", "session": "01ABD", "due": now, "expires": now + 9e4}
    ended = {"callback": "01ABE", "queue": "cards", "source": CallbackSource.ASKED, "attempts": 1, "created": now}
    return [
        ContactArrived(at=now, contact="01ABD", caller="+49301234", dialled="95588", **facts),
        Queued(at=now, contact="01ABD", queue="cards", position=1),
        CallbackAsked(at=now + 5, contact="01ABD", callback="01ABE", source=CallbackSource.ASKED, **asked),
        ContactEnded(at=now + 6, contact="01ABD", outcome=Outcome.CALLBACK, ended_by=EndedBy.FLOW),
        ContactArrived(at=now + 9, contact="01ABF", callback="01ABE", **facts, **outwards),
        Queued(at=now + 9, contact="01ABF", queue="cards", position=1, channel=Channel.CALLBACK),
        CallDialled(at=now + 9, contact="01ABF", **dialled),
        ContactEnded(at=now + 40, contact="01ABF", outcome=Outcome.NO_ANSWER, ended_by=EndedBy.NETWORK),
        CallbackEnded(at=now + 40, contact="01ABF", state=CallbackState.EXHAUSTED, **ended),
        CallbackAsked(at=now + 50, callback="01ABG", source=CallbackSource.REQUESTED, **asked),
        CallbackLate(at=now + 50, callback="01ABG", queue="cards", due=now),
    ]


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in parse(text):
        assert family.documentation
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, f"twice: {key}"
            found[key] = sample.value
    return found


def value(found: Mapping[Any, float], name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


@pytest_twisted.ensureDeferred
async def test_two_scrapes_parse_and_counters_do_not_grow_by_being_looked_at(site: Running) -> None:
    fill(site)
    code, text, headers = await site.ask("GET", "/metrics")
    assert code == 200
    assert headers.getRawHeaders("content-type") == ["text/plain; version=0.0.4; charset=utf-8"]
    found, again = samples(text), samples((await site.ask("GET", "/metrics"))[1])
    ours = {key for key in found if key[0].startswith("easycall_")}
    assert {key for key in again if key[0].startswith("easycall_")} == ours
    moving = {"easycall_longest_wait_seconds"}
    assert {key: again[key] for key in ours if key[0] not in moving} == {
        key: found[key] for key in ours if key[0] not in moving
    }
    assert value(found, "easycall_contacts_total", queue="cards", outcome="answered", channel="call") == 1
    assert value(found, "easycall_contacts_waiting", queue="cards", channel="chat") == 1
    assert value(found, "easycall_contacts_waiting", queue="cards", channel="call") == 0
    assert value(found, "easycall_answer_wait_seconds_bucket", queue="cards", le="5.0") == 0
    assert value(found, "easycall_answer_wait_seconds_bucket", queue="cards", le="10.0") == 1
    assert value(found, "easycall_talk_seconds_sum", queue="cards") == pytest.approx(31)
    assert value(found, "easycall_service_level_ratio", queue="cards", channel="call") == 1
    assert value(found, "easycall_callbacks_open", queue="cards", state="scheduled") == 1
    assert value(found, "easycall_callbacks_open", queue="loans", state="in_line") == 0
    assert value(found, "easycall_callbacks_late", queue="cards") == 1
    assert value(found, "easycall_callbacks_ended_total", queue="cards", source="asked", state="exhausted") == 1
    assert value(found, "easycall_callback_attempts_total", queue="cards", outcome="no_answer") == 1
    assert value(found, "easycall_lost_contacts_recovered_ratio", queue="cards") == 0
    assert value(found, "easycall_offers_total", outcome="answered") == 1
    assert value(found, "easycall_offers_total", outcome="declined") == 0
    assert value(found, "easycall_calls_dialled_total", trunk="out", outcome="busy") == 1
    assert value(found, "easycall_agents", state="ready") == 1
    assert value(found, "easycall_queue_agents", queue="loans", state="offline") == 1
    assert value(found, "easycall_asterisk_up", asterisk="main") == 1
    assert value(found, "easycall_asterisk_reconnects_total", asterisk="main") == 1
    assert value(found, "easycall_journal_behind_events") == 12
    assert value(found, "easycall_journal_dropped_events_total") == 3
    assert value(found, "easycall_trunk_lines_limit", trunk="out") == 2
    assert value(found, "easycall_reactor_lag_seconds_count") == 1
    assert value(found, "process_resident_memory_bytes") > 1e6
    assert abs(value(found, "process_start_time_seconds") - time.time()) < 100_000


@pytest_twisted.ensureDeferred
async def test_no_number_name_or_contact_is_in_it(site: Running) -> None:
    fill(site)
    text = (await site.ask("GET", "/metrics"))[1]
    for secret in ("+4930", "01ABC", "Eva", "95588", "ana"):
        assert secret not in text


@pytest_twisted.ensureDeferred
async def test_openmetrics_is_answered_to_who_asks_for_it(site: Running) -> None:
    fill(site)
    accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    _, text, headers = await site.ask("GET", "/metrics", headers=accept)
    assert headers.getRawHeaders("content-type")[0].startswith("application/openmetrics-text; version=1.0.0")
    names = [family.name for family in parse_openmetrics(text)]
    assert len(names) == len(set(names))


@pytest_twisted.ensureDeferred
async def test_figures_need_the_right_to_read(site: Running) -> None:
    assert (await site.ask("GET", "/metrics", token=None))[0] == 401
    assert (await site.ask("GET", "/metrics", token=NOTHING))[0] == 403
    assert (await site.ask("GET", "/metrics", token=ANA))[0] == 200


@pytest_twisted.ensureDeferred
async def test_reasons_are_told_with_503(site: Running) -> None:
    site.health.vitals.fatal("the port is taken")
    wanted = 503, {"ready": False, "reasons": ["it ends: the port is taken"]}
    assert (await site.ask("GET", "/readyz", token=None))[:2] == wanted


# Dashboard and alerts


def expressions() -> dict[str, list[str]]:
    """Every expression of the dashboard and of the rules."""
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    panels = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    variables = [one["query"] for one in board["templating"]["list"] if one["type"] == "query"]
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {"dashboard": panels + variables, "rules": [rule["expr"] for group in groups for rule in group["rules"]]}


def named(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:easycall|process)_[a-z_]+", re.sub(r'"[^"]*"', '""', expression)))


@pytest.mark.parametrize("where", ["dashboard", "rules"])
@pytest_twisted.ensureDeferred
async def test_every_metric_and_label_that_is_named_exists(site: Running, where: str) -> None:
    fill(site)
    labels: dict[str, set[str]] = defaultdict(lambda: {"instance", "job"})
    for name, values in samples((await site.ask("GET", "/metrics"))[1]):
        labels[name] |= {label for label, _ in values}
    asked = set()
    for expression in expressions()[where]:
        asked |= named(expression)
        assert named(expression) <= labels.keys(), expression
        for name, matchers in re.findall(r"\b([a-z_]+)\{([^}]*)\}", expression):
            wanted = set(re.findall(r"([a-z_]+)(?:=~|!=|!~|=)", matchers))
            assert name == "up" or wanted <= labels[name], expression
        for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
            assert set(re.split(r", *", grouped)) <= set().union(*(labels[name] for name in named(expression))), expression
        assert expression.count("(") == expression.count(")")
    assert len(asked) > 8


def test_every_alert_says_what_it_is_about() -> None:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 8
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells


@pytest_twisted.ensureDeferred
async def test_every_figure_of_ours_is_in_the_docs(site: Running) -> None:
    fill(site)
    docs = (HERE / "docs/operating.rst").read_text(encoding="utf-8")
    names = {family.name for family in parse((await site.ask("GET", "/metrics"))[1]) if family.name.startswith("easycall_")}
    assert {name for name in names if name not in docs} == set()
