"""Opening hours and overflow rules in the configuration: what is read, and what is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easycall.config.queues import _loops
from easycall.config.settings import Config
from easycall.hours import Span
from easycall.model import Closing, OverflowRule, OverflowTo, OverflowWhen
from easycall.policy import AgentOrder

from .test_config import faults, folder, read

__all__ = ["folder"]

SITE = """
[asterisk.main]
[voicemail.boxes]
sales = ""
[hours.office]
zone = "Europe/Berlin"
country = "DE"
subdivision = "BY"
[hours.office.week]
mon-fri = ["13:00-18:00", "08:00-12:00"]
sun = []
[hours.office.days]
2026-12-24 = ["08:00-12:00"]
2026-12-31 = []
[queues.backup]
name = "Backup"
[queues.sales]
name = "Sales"
"""

RULE = """
[[queues.sales.overflow]]
when = "{}"
to = "{}"
"""


def config(folder: Path, text: str) -> Config:
    (folder / "flows" / "night.yaml").touch()
    return read(folder, SITE + text)


def refused(folder: Path, text: str) -> str:
    (folder / "flows" / "night.yaml").touch()
    return faults(folder, SITE + text).replace(f"{folder}/easycall.toml:", "line ")


def test_hours_are_read(folder: Path) -> None:
    office = config(folder, "").hours["office"]
    assert str(office.zone) == "Europe/Berlin"
    assert office.week == {**dict.fromkeys(range(5), (Span(480, 720), Span(780, 1080))), 6: ()}
    assert office.days == {date(2026, 12, 24): (Span(480, 720),), date(2026, 12, 31): ()}
    assert office.holidays[date(2026, 1, 6)] == "Heilige Drei Könige"


def test_a_queue_with_everything(folder: Path) -> None:
    read = config(
        folder,
        'hours = "office"\nclosing = "overflow"\nmax_waiting = 5\nmax_wait_seconds = 900\nmax_wait_prompt = "Sorry."\n'
        + RULE.format("closed", "hang_up")
        + 'say = "We are closed."\n'
        + RULE.format("full", "queue:backup")
        + RULE.format("nobody_eligible", "flow:night")
        + RULE.format("waited", "voicemail:sales")
        + "seconds = 120\n",
    )
    queue = read.queues["sales"]
    assert (queue.hours, queue.closing, queue.max_waiting) == (read.hours["office"], Closing.OVERFLOW, 5)
    assert queue.overflow == (
        OverflowRule(OverflowWhen.CLOSED, OverflowTo.HANG_UP, say="We are closed."),
        OverflowRule(OverflowWhen.FULL, OverflowTo.QUEUE, "backup"),
        OverflowRule(OverflowWhen.NOBODY_ELIGIBLE, OverflowTo.FLOW, "night"),
        OverflowRule(OverflowWhen.WAITED, OverflowTo.VOICEMAIL, "sales", 120.0),
    )
    assert [rule.place for rule in queue.overflow] == ["hang_up", "queue:backup", "flow:night", "voicemail:sales"]
    assert queue.rules[:4] == queue.overflow
    assert queue.rules[4] == OverflowRule(OverflowWhen.WAITED, OverflowTo.HANG_UP, "", 900.0, "Sorry.")
    assert read.entered["queues.sales.overflow[3].to"] == "night"


def test_who_gets_whom(folder: Path) -> None:
    queue = config(
        folder,
        'order = "ring_all"\nring_all_agents = 3\nlast_agent_seconds = 20\nlast_agent_days = 14\n'
        "last_agent_any_queue = true\nowner_seconds = 30\nredial_seconds = 300\n",
    ).queues["sales"]
    assert (queue.routing.agent_order, queue.routing.at_once) == (AgentOrder.RING_ALL, 3)
    assert (queue.last_agent_seconds, queue.last_agent_days, queue.last_agent_any_queue) == (20, 14, True)
    assert (queue.owner_seconds, queue.redial_seconds) == (30, 300)
    assert config(folder, 'order = "ring_all"').queues["sales"].routing.at_once == 5
    assert config(folder, "").queues["sales"].routing.at_once == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ring_all_agents = 3", 'queues.sales.ring_all_agents: goes with order = "ring_all"'),
        ('order = "ring_all"\nring_all_agents = 1', "ring_all_agents = 1: must be a whole number of agents from 2 to 20"),
        ("redial_seconds = -1", "redial_seconds = -1: must be a number of seconds from 0 to 3600"),
        ('hours = "night"', "line 19: queues.sales.hours: there are no hours 'night'; there are office"),
        (
            'hours = "office"',
            'queues.sales.hours: where do callers go then? Add [[queues.sales.overflow]] with when = "clo',
        ),
        (
            "max_waiting = 3",
            "queues.sales.max_waiting: where do callers go then? Add [[queues.sales.overflow]] with when =",
        ),
        (RULE.format("full", "hang_up"), "a rule 'full' never holds without queues.sales.max_waiting"),
        (RULE.format("closed", "hang_up"), "a rule 'closed' never holds without queues.sales.hours"),
        ('closing = "overflow"', "queues.sales.closing: a queue never closes without queues.sales.hours"),
        (RULE.format("waited", "hang_up"), "overflow[1].seconds: is missing: how many seconds, as it is a rule 'waited'"),
        (
            RULE.format("nobody_logged_in", "hang_up") + "seconds = 3",
            "overflow[1].seconds: makes no sense in a rule 'nobody_logged_in', which holds at once",
        ),
        (
            RULE.format("nobody_logged_in", "flow:night") + 'say = "Hello"',
            "overflow[1].say: is heard before hanging up only",
        ),
        (
            RULE.format("nobody_logged_in", "queue:bakcup"),
            "queues.sales.overflow[1].to: there is no queue 'bakcup'; there are backup, sales",
        ),
        (
            RULE.format("nobody_logged_in", "voicemail:help"),
            "overflow[1].to: there is no box 'help' in [voicemail.boxes]; there are sales",
        ),
        (RULE.format("nobody_logged_in", "flow:day"), "queues.sales.overflow[1].to: there is no flow 'day'"),
        (
            RULE.format("nobody_logged_in", "callback"),
            "to = 'callback': must be queue:QUEUE, voicemail:BOX, flow:FLOW or ",
        ),
        (RULE.format("nobody_logged_in", "hang_up:now"), "to = 'hang_up:now': must be"),
        (RULE.format("sometimes", "hang_up"), "when = 'sometimes': must be one of closed, full"),
        ("[queues.sales.overflow]\n", "queues.sales.overflow: must be a list of tables: write [[queues.sales.overflow]]"),
        (
            RULE.format("nobody_logged_in", "hang_up") + "secnods = 3",
            "overflow[1].secnods: is unknown; did you mean 'sec",
        ),
        ('[hours.night]\nzone = "Europe/Nowhere"', "hours.night.zone = 'Europe/Nowhere': must be a time zone such as"),
        ("[hours.night]\n", "hours.night.zone: is missing"),
        ('[hours.night]\nzone = "UTC"\nsubdivision = "BY"', "hours.night.subdivision: is a part of a country"),
        ('[hours.night]\nzone = "UTC"\ncountry = "XX"', "hours.night.country: no holidays are known for it: Country XX"),
        (
            '[hours.night]\nzone = "UTC"\ncountry = "DE"\nsubdivision = "QQ"',
            "night.subdivision: no holidays are known",
        ),
        ('[hours.night]\nzone = "UTC"\nmonday = []', "hours.night.monday: is unknown"),
        (
            '[hours.night]\nzone = "UTC"\nweek.monday = []',
            "night.week.monday = 'monday': must be a day or days of the wee",
        ),
        (
            '[hours.night]\nzone = "UTC"\nweek.mon = ["08:00-12:00", "11:00-13:00"]',
            "hours.night.week.mon = ['08:00-12:00', '11:00-13:00']: must be a list of spans that do not overlap",
        ),
        ('[hours.night]\nzone = "UTC"\nweek.mon = []\nweek.mon-fri = []', "hours.night.week.mon-fri: mon is told twice"),
        ('[hours.night]\nzone = "UTC"\ndays.2026-02-30 = []', "hours.night.days.2026-02-30 = '2026-02-30': must be a date"),
        ('[hours.night]\nzone = "UTC"\ndays.20260201 = []', "must be a date such as 2026-12-24"),
    ],
)
def test_what_is_refused(folder: Path, text: str, told: str) -> None:
    assert told in refused(folder, text)


def test_a_loop_of_queues_is_refused_with_its_names(folder: Path) -> None:
    def way(queue: str, to: str) -> str:
        return RULE.replace("sales", queue).format("nobody_logged_in", f"queue:{to}")

    more = '[queues.night]\nname = "Night"\n'
    text = way("sales", "backup") + way("sales", "night") + way("backup", "night") + more
    assert config(folder, text).queues["sales"].overflow[1].target == "night"
    assert "callers would go round: backup -> night -> sales -> backup" in refused(folder, text + way("night", "sales"))
    assert "callers would go round: night -> night" in refused(folder, text + way("night", "night"))


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3, unique=True)))
def test_loops_are_found_when_there_are_some(ways: dict[str, list[str]]) -> None:
    loops = _loops(ways)
    for loop in loops:
        for one, following in zip(loop, [*loop[1:], loop[0]], strict=True):
            assert following in ways[one]
    left = {name: {*targets} for name, targets in ways.items()}
    while ends := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in ends}
    assert bool(loops) is bool(left)
