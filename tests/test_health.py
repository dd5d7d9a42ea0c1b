"""How the daemon is: reasons, the reactor's lag, figures, what systemd is told, and the watchdog."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted
import yaml
from attrs import define, field, fields
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from easycall.config import Config
from easycall.config.schema import SCHEMA
from easycall.defer import start
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
from easycall.health import Lag, Notifier, Pulse, Vitals
from easycall.health import pulse as pulses
from easycall.health.watchdog import GRACE, LOOKS
from easycall.lab.site import CONVERT, SPEAK
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
from easycall.ports import StoreUnavailable
from easycall.stats.metrics import Histogram, Metrics

from .fakes_api import ANA, NOTHING, Running, running

HERE = Path(__file__).parent.parent
DASHBOARD = HERE / "etc/grafana/easycall.json"
RULES = HERE / "etc/prometheus/easycall.rules.yml"

pytestmark = pytest.mark.requirement("S1")


# Reasons


class Journal:
    last = behind = dropped = 0
    trouble = ""


class Database:
    """Answers, refuses or says nothing."""

    def __init__(self) -> None:
        self.answer: Deferred[Any] | Exception | None = None
        self.asked = 0

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            await self.answer
        return [(1,)]

    async def transact(self, *statements: Any) -> None:
        raise AssertionError


class Ill:
    """Vitals on a clock of their own, looked at every second."""

    def __init__(self) -> None:
        self.clock, self.journal, self.database = Clock(), Journal(), Database()
        self.links = {name: SimpleNamespace(up=True, trouble="") for name in "ab"}
        self.vitals = Vitals(self.clock, self.journal, self.links, self.database)

    def after(self, seconds: int) -> list[str]:
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.vitals.look(self.clock.seconds())
        return self.vitals.reasons(self.clock.seconds())


def test_no_reason_when_all_is_well() -> None:
    assert Ill().after(100) == []


def test_each_link_that_is_down_is_named() -> None:
    ill = Ill()
    ill.links["b"].up = False
    assert ill.after(1) == ["no link to Asterisk 'b'"]
    ill.links["b"].up = True
    assert ill.after(1) == []


@pytest.mark.fault("F31")
def test_what_is_wrong_with_an_asterisk_is_told() -> None:
    ill = Ill()
    ill.links["a"].trouble = "there is no home"
    assert ill.after(1) == ["Asterisk 'a': there is no home"]
    ill.links["a"].up = ill.links["b"].up = False
    assert ill.after(1) == ["Asterisk 'a': there is no home", "no link to Asterisk 'b'"]


def test_a_store_that_takes_nothing_is_told_with_since_when() -> None:
    ill = Ill()
    ill.after(10)
    ill.journal.last = ill.journal.behind = 7
    assert ill.after(3) == []
    ill.journal.last = ill.journal.behind = 9  # more waits, none was stored
    assert ill.after(3) == ["the journal is not stored since 1970-01-01T00:00:10Z: 9 events wait"]
    ill.journal.behind = 4  # some was
    assert ill.after(1) == []


def test_a_store_that_is_slow_but_works_is_no_reason() -> None:
    ill = Ill()
    for stored in range(1, 60):
        ill.journal.last, ill.journal.behind = 100 + 2 * stored, 100 + stored
        assert ill.after(1) == []


def test_dropping_is_told_for_a_minute_and_is_no_storing() -> None:
    ill = Ill()
    ill.after(10)
    ill.journal.last, ill.journal.behind = 100, 100
    ill.after(20)
    for _ in range(5):  # the journal is full: everything that comes is dropped
        ill.journal.last += 1
        ill.journal.dropped += 1
        ill.after(1)
    stuck, drops = ill.after(1)
    assert stuck.startswith("the journal is not stored since 1970-01-01T00:00:10Z")
    assert drops == "the journal drops events: 5 so far, the last ones at 1970-01-01T00:00:35Z"
    ill.journal.behind = 0
    assert len(ill.after(50)) == 1
    assert ill.after(20) == []


def test_a_database_that_refuses_or_says_nothing_is_told_and_asked_one_question_at_a_time() -> None:
    ill = Ill()
    ill.after(10)
    ill.database.answer = StoreUnavailable("database /secret: away")
    [reason] = ill.after(20)
    assert re.fullmatch(r"the database does not answer since 1970-01-01T00:00:1\dZ: it refuses", reason)
    assert ill.after(10) == [reason], "since the first time"
    ill.database.answer = None
    assert ill.after(10) == []
    ill.database.answer = silence = Deferred()
    before = ill.database.asked
    [reason] = ill.after(60)
    assert reason.endswith(": no answer within 4 s")
    assert ill.database.asked == before + 1
    ill.database.answer = None
    silence.callback(None)
    assert ill.after(1) == []


def test_what_ends_the_daemon_is_told() -> None:
    ill = Ill()
    ill.vitals.fatal("the port is taken")
    ill.vitals.fatal("and more")
    assert ill.after(1) == ["it ends: the port is taken"]


# The pulse


def test_the_pulse_sees_by_how_much_it_is_late() -> None:
    clock, lag, told = Clock(), Lag(), list[float]()
    pulse = Pulse(clock, lag, [told.append])
    start(pulse.start())
    for _ in range(10):
        clock.advance(pulses.EVERY)
    assert lag.largest == pytest.approx(0.0)
    clock.advance(pulses.EVERY + 3.0)
    assert lag.last == lag.largest == pytest.approx(3.0)
    for _ in range(pulses.REMEMBERED + 1):
        clock.advance(pulses.EVERY)
    assert lag.largest == pytest.approx(0.0), "a minute later"
    assert sum(lag.histogram.counts) == len(told) == pulses.REMEMBERED + 13
    assert lag.histogram.sum == pytest.approx(3.0)
    start(pulse.stop())
    assert not clock.getDelayedCalls()


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


# systemd


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """What listens at NOTIFY_SOCKET, and that."""
    name = f"easycall-test-{tmp_path}"[-90:]
    address, told = (str(tmp_path / "notify"),) * 2 if request.param == "path" else ("\0" + name, "@" + name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(5.0)
        yield listening, told


def heard(listening: socket.socket) -> list[str]:
    listening.setblocking(False)
    found = []
    while True:
        try:
            found += listening.recv(4096).decode().split("\n")
        except BlockingIOError:
            return found


def test_systemd_is_told_that_we_are_up_live_and_stop(systemd: tuple[socket.socket, str]) -> None:
    listening, address = systemd
    clock, statuses = Clock(), iter(f"{number} contacts\nREADY=0" for number in range(100))
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "77"}
    notifier = Notifier(clock, lambda: next(statuses), environ, pid=77)
    start(notifier.start())
    assert heard(listening) == ["READY=1", "WATCHDOG=1", "STATUS=0 contacts READY=0"]
    clock.advance(4.9)
    assert heard(listening) == []
    clock.advance(0.2)
    assert heard(listening) == ["WATCHDOG=1", "STATUS=1 contacts READY=0"]
    start(notifier.stop())
    assert heard(listening) == ["STOPPING=1", "STATUS=stopping"]
    assert not clock.getDelayedCalls()


def test_a_watchdog_of_another_process_is_not_ours(systemd: tuple[socket.socket, str]) -> None:
    listening, address = systemd
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "78"}
    notifier = Notifier(clock := Clock(), lambda: "well", environ, pid=77)
    start(notifier.start())
    clock.advance(10.0)
    assert heard(listening) == ["READY=1", "STATUS=well", "STATUS=well"]
    start(notifier.stop())


def test_without_systemd_nothing_is_told_and_one_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "3000000"}):
        notifier = Notifier(clock := Clock(), lambda: "well", environ)
        start(notifier.start())
        for _ in range(20):
            clock.advance(1.0)
        start(notifier.stop())
        assert not clock.getDelayedCalls()


# The watchdog

DAEMON = """
import re, sys, time
from pathlib import Path
from twisted.internet import reactor
from easycall.clock import SteadyClock
from easycall.defer import start
from easycall.health import Lag, Pulse, Watchdog

def sleeps():
    time.sleep(60)  # here it stands

def keeps_the_lock():
    re.match("(a+)+$", "a" * 60 + "b")  # here it stands

def works():
    reactor.callLater(3.0, leave)

def leave():
    start(pulse.stop())
    start(thread.stop())
    reactor.stop()

thread = Watchdog(float(sys.argv[3]), Path(sys.argv[2]))
pulse = Pulse(SteadyClock(reactor), Lag(), [thread.beat])
start(thread.start())
start(pulse.start())
reactor.callLater(0.5, globals()[sys.argv[1]])
reactor.run()
"""


def stand(how: str, file: Path, limit: float) -> tuple[int, str, float]:
    """Exit status, standard error, seconds."""
    began = time.monotonic()
    program = file.with_name("daemon.py")
    program.write_text(DAEMON)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    words = [sys.executable, str(program), how, str(file), str(limit)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, check=False, env=environment)
    return done.returncode, done.stderr, time.monotonic() - began


def line(what: str) -> int:
    return next(number for number, text in enumerate(DAEMON.split("\n"), 1) if what in text)


@pytest.mark.alone
def test_a_standing_reactor_is_ended_and_its_place_told(tmp_path: Path) -> None:
    file = tmp_path / "watchdog.log"
    status, told, seconds = stand("sleeps", file, 2.0)
    assert status == -signal.SIGABRT
    assert 2.0 < seconds < 2.0 + 2.0 + 6.0, "and the start of Python, on a busy machine"
    for text in (told, file.read_text()):
        assert text.startswith("easycall's reactor stood still for 2 s, the process ends.")
        assert re.search(rf'daemon.py", line {line("time.sleep(60)")} in sleeps', text)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.alone
def test_code_that_keeps_pythons_lock_is_ended_too(tmp_path: Path) -> None:
    file = tmp_path / "watchdog.log"
    status, _, seconds = stand("keeps_the_lock", file, 2.0)
    assert status == 1
    assert 3.0 < seconds < 3.0 + 2.0 + 6.0
    assert "in keeps_the_lock" in file.read_text()


@pytest.mark.parametrize("limit", [2.0, 0.0])
def test_a_reactor_that_turns_is_left_alone(tmp_path: Path, limit: float) -> None:
    status, told, _ = stand("works", tmp_path / "watchdog.log", limit)
    assert (status, told) == (0, "")
    assert not limit or (tmp_path / "watchdog.log").read_text() == ""


@pytest.mark.parametrize(("given", "taken"), [(0, 0.0), (2, 2.0), (10.5, 10.5), (3600, 3600.0)])
def test_the_limit_of_the_watchdog(given: float, taken: float) -> None:
    assert SCHEMA["node"]["watchdog_seconds"].kind.read(given) == taken


@pytest.mark.parametrize("given", [1, 0.5, -1, 3601, False, True, "10"])
def test_a_limit_that_would_end_a_daemon_that_works_is_refused(given: object) -> None:
    assert not SCHEMA["node"]["watchdog_seconds"].kind.fits(given)


# The whole daemon, beside no Asterisk

HANGS = """
import signal, time

def hangs(*_):
    time.sleep(60)

signal.signal(signal.SIGUSR2, hangs)
"""
TOKEN = "ec_of_prometheus"


@define
class Unit:
    """A daemon as systemd starts it, with no Asterisk to be reached."""

    folder: Path
    api: int
    notify: socket.socket
    process: subprocess.Popen[bytes] = field(init=False)

    def __attrs_post_init__(self) -> None:
        shutil.copytree(HERE / "etc", self.folder / "etc")
        (self.folder / "etc/ami.secret").touch(mode=0o600)
        (self.folder / "etc/ami.secret").write_text("a long random word\n")
        (self.folder / "etc/conf.d").mkdir()
        (self.folder / "etc/conf.d/test.toml").write_text(
            f'[node]\ndata = "{self.folder}/data"\nwatchdog_seconds = 2\n'
            f'[api]\nlisten = "tcp:{self.api}:interface=127.0.0.1"\n'
            f'[[api.tokens]]\nname = "prometheus"\nrights = ["read"]\nsha256 = "{sha256(TOKEN.encode()).hexdigest()}"\n'
            f'[asterisk.main]\nami = "tcp:127.0.0.1:1"\nfastagi = "tcp:{free_port()}:interface=127.0.0.1"\n'
            f"[prompts]\nspeak = {json.dumps(SPEAK)}\nconvert = {json.dumps(CONVERT)}\n"
        )
        (self.folder / "sitecustomize.py").write_text(HANGS)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(HERE), *sys.path]),
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "WATCHDOG_USEC": "1500000",
        }
        code = "from twisted.scripts.twistd import run; run()"
        options = ["--nodaemon", "--pidfile=", "easycall", "-c", str(self.folder / "etc/easycall.toml")]
        with (self.folder / "out").open("w") as out, (self.folder / "err").open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *options], stdout=out, stderr=err, cwd=self.folder, env=environment
            )

    def hears(self, wanted: str) -> None:
        """Wait until systemd is told this."""
        told = list[str]()
        while wanted not in told:
            try:
                told += self.notify.recv(4096).decode().split("\n")
            except TimeoutError:
                log = (self.folder / "out").read_text() + (self.folder / "err").read_text()
                raise AssertionError(f"{told} without {wanted}:\n{log}") from None

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        asked = http.client.HTTPConnection("127.0.0.1", self.api, timeout=10)
        with closing(asked):
            asked.request("GET", path, headers=headers)
            answer = asked.getresponse()
            return answer.status, answer.read().decode()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(20.0)
        one = Unit(tmp_path, free_port(), notify)
        yield one
        one.process.kill()
        one.process.wait()


@pytest.mark.alone
def test_a_daemon_under_systemd(unit: Unit) -> None:
    unit.hears("READY=1")
    unit.hears("WATCHDOG=1")
    unit.hears("STATUS=0 contacts; agents: 0 logged in, 0 ready; Asterisk: main DOWN")
    code, text = unit.get("/readyz")
    assert (code, json.loads(text)["reasons"]) == (503, ["no link to Asterisk 'main'"])
    code, text = unit.get("/healthz")
    assert code == 200
    assert 0 <= json.loads(text)["reactor_lag_seconds"]["last"] < 2
    assert unit.get("/metrics")[0] == 401
    found = samples(unit.get("/metrics", Authorization=f"Bearer {TOKEN}")[1])
    assert value(found, "easycall_asterisk_up", asterisk="main") == 0
    assert value(found, "easycall_reactor_lag_seconds_count") > 0
    unit.hears("WATCHDOG=1")
    unit.process.terminate()
    unit.hears("STOPPING=1")
    assert unit.process.wait(10) == -signal.SIGTERM
    assert "Traceback" not in (unit.folder / "out").read_text() + (unit.folder / "err").read_text()


@pytest.mark.fault("F35")
def test_one_that_hangs_is_there_again_within_15_s() -> None:
    """As it is configured if nothing is: the watchdog notices, and systemd starts it anew, also after SIGABRT."""
    unit = dict(re.findall(r"(?m)^(\w+)=(.*)$", (HERE / "etc/easycall.service").read_text(encoding="utf-8")))
    [limit] = [one.default for one in fields(Config) if one.name == "watchdog_seconds"]
    assert unit["Restart"] in ("on-failure", "on-abnormal", "always")
    assert limit + limit / LOOKS + GRACE + float(unit["RestartSec"]) <= 15


@pytest.mark.alone
@pytest.mark.fault("F35")
def test_a_daemon_that_hangs_ends(unit: Unit) -> None:
    unit.hears("READY=1")
    unit.process.send_signal(signal.SIGUSR2)
    assert unit.process.wait(2 + 2 + 6) == -signal.SIGABRT
    for text in ((unit.folder / "err").read_text(), (unit.folder / "data/watchdog.log").read_text()):
        assert "easycall's reactor stood still for 2 s" in text
        assert re.search(r'sitecustomize.py", line 5 in hangs', text)
