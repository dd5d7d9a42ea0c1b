"""How queues call back, in the configuration: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from easycall.config.routing import edited
from easycall.config.settings import Config
from easycall.ivr import library
from easycall.ivr.nodes import FlowError
from easycall.ivr.prompt import Prompt
from easycall.model import CallbackRules, CallbackSource, First, Outcome, OwnerAway

from .test_config import faults, folder, read

__all__ = ["folder"]

SITE = """
[asterisk.main]
[dialing]
allow = ["+49"]
calls_per_customer = 10
[trunks.carrier]
dial = "PJSIP/{number}@carrier"
lines = 10
[hours.day]
zone = "UTC"
week.mon-fri = ["08:00-20:00"]
[hours.evening]
zone = "UTC"
week.mon-sun = ["18:00-20:00"]
[queues.sales]
name = "Sales"
[queues.support]
name = "Support"
"""

EVERYTHING = """
of = ["abandoned", "full", "unanswered", "outage"]
first = "agent"
dial_ahead = false
hours = "day"
after_seconds = 120
min_wait_seconds = 5
delays = { busy = 60, machine = 7 }
most = { declined = 1 }
attempts = 6
attempts_per_day = 2
expires_hours = 24
asked_per_day = 5
other_numbers = true
ring_seconds = 40
greeting = "You wanted to be called back."
accept = "sound:press-1"
accept_seconds = 9
detect_machine = true
owner_seconds = 60
owner_away = "postpone"
late_seconds = 0
"""

RULES = CallbackRules(
    of=frozenset(map(CallbackSource, ("abandoned", "full", "unanswered", "outage"))),
    first=First.AGENT,
    dial_ahead=False,
    after_seconds=120.0,
    min_wait_seconds=5.0,
    delays={Outcome.BUSY: 60.0, Outcome.MACHINE: 7.0},
    most={Outcome.DECLINED: 1},
    attempts=6,
    attempts_per_day=2,
    expires_seconds=86_400.0,
    asked_per_day=5,
    other_numbers=True,
    ring_seconds=40.0,
    greeting="You wanted to be called back.",
    accept="sound:press-1",
    accept_seconds=9.0,
    detect_machine=True,
    owner_seconds=60.0,
    owner_away=OwnerAway.POSTPONE,
    late_seconds=0.0,
)


def config(folder: Path, text: str, site: str = SITE) -> Config:
    return read(folder, site + text)


def refused(folder: Path, text: str, site: str = SITE) -> str:
    return faults(folder, site + text).replace(f"{folder}/easycall.toml:", "line ")


def test_unless_told_nobody_is_called_back_by_itself(folder: Path) -> None:
    assert config(folder, "").queues["sales"].callback == CallbackRules()
    assert CallbackRules().of == frozenset()


@pytest.mark.parametrize("section", ["callback", "queues.sales.callback"])
def test_every_option_is_taken(folder: Path, section: str) -> None:
    found = config(folder, f"[{section}]{EVERYTHING}")
    wanted = evolve(RULES, hours=found.hours["day"])
    assert found.queues["sales"].callback == wanted
    assert found.queues["sales"].callback.delay(Outcome.BUSY) == 60.0
    assert found.queues["support"].callback == (wanted if section == "callback" else CallbackRules())


def test_what_a_queue_says_goes_before_option_by_option(folder: Path) -> None:
    own = """
    [queues.sales.callback]
    of = []
    hours = "evening"
    attempts = 3
    [queues.sales.callback.delays]
    busy = 90
    no_answer = 1800
    [queues.sales.callback.most]
    machine = 2
    """
    found = config(folder, f"[callback]{EVERYTHING}{own}")
    assert found.queues["sales"].callback == evolve(
        RULES,
        of=frozenset(),
        hours=found.hours["evening"],
        attempts=3,
        delays={Outcome.BUSY: 90.0, Outcome.MACHINE: 7.0, Outcome.NO_ANSWER: 1800.0},
        most={Outcome.DECLINED: 1, Outcome.MACHINE: 2},
    )
    assert found.queues["support"].callback == evolve(RULES, hours=found.hours["day"])


def test_a_queue_that_is_edited_calls_back_as_before(folder: Path) -> None:
    found = config(folder, f"[queues.sales.callback]{EVERYTHING}")
    queue = edited(found, "sales", {"ring_seconds": 15})
    assert (queue.ring_seconds, queue.callback) == (15, found.queues["sales"].callback)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('of = ["abandonned"]', "of = ['abandonned']: must be a list, each of one of abandoned, closed, full"),
        ('of = ["asked"]', "of = ['asked']: must be a list, each of one of abandoned"),
        ('first = "both"', "first = 'both': must be customer or agent"),
        ('hours = "night"', "line 20: KEY.hours: there are no hours 'night'; there are day, evening"),
        ("delays = { answered = 60 }", "line 20: KEY.delays = a table: must be a table, each line an outcome (busy"),
        ("delays = { busy = 0 }", "= a number of seconds from 1 to 604800"),
        ("delays = 60", "KEY.delays = 60: must be a table"),
        ("most = { busy = 0 }", "KEY.most = a table: must be a table, each line an outcome (busy"),
        ("most = { busy = 5 }", "KEY.most.busy: is more than there are in all: give at most 4, or raise attempts"),
        ("attempts = 2\nattempts_per_day = 3", "line 21: KEY.attempts_per_day: is more than there are in all: give"),
        ("attempts = 20\nattempts_per_day = 11", "KEY.attempts_per_day: dialing.calls_per_customer lets 10 through"),
        ('first = "agent"\ndial_ahead = true', 'KEY.dial_ahead: goes with first = "customer"'),
        (
            "delays = { machine = 7200 }\nexpires_hours = 2",
            "line 20: KEY.delays.machine: is not over when it is given up, after 2 hours: raise expires_hours, or set most",
        ),
        ("attemps = 2", "KEY.attemps: is unknown; did you mean 'attempts'?"),
        ("other_numbers = 1", "KEY.other_numbers = 1: must be true or false"),
        ('owner_away = "wait"', "KEY.owner_away = 'wait': must be anyone or postpone"),
        ("expires_hours = 0", "KEY.expires_hours = 0: must be a number of hours from 0.01 to 2160"),
    ],
)
@pytest.mark.parametrize("key", ["callback", "queues.sales.callback"])
def test_what_is_refused(folder: Path, key: str, text: str, told: str) -> None:
    assert told.replace("KEY", key) in refused(folder, f"[{key}]\n{text}")


def test_an_option_that_never_counts_is_told_where_it_stands(folder: Path) -> None:
    assert config(folder, "[callback]\nattempts_per_day = 4\n[queues.sales.callback]\nattempts = 2").queues
    told = refused(folder, "[callback]\nattempts_per_day = 5\n[queues.sales.callback]\nattempts = 2")
    assert told == "line 20: callback.attempts_per_day: is more than there are in all: give at most 4, or raise attempts"


NOTHING_DIALLED = SITE.replace('allow = ["+49"]\n', "")


def test_nobody_is_called_back_where_nothing_may_be_dialled(folder: Path) -> None:
    trouble = "nobody can be called back: dialing.allow names no number that may be dialled"
    usual = refused(folder, '[callback]\nof = ["abandoned"]', NOTHING_DIALLED)
    assert usual == f"line 19: callback.of: {trouble}"
    own = refused(folder, '[queues.support.callback]\nof = ["abandoned"]', NOTHING_DIALLED)
    assert own == f"line 19: queues.support.callback.of: {trouble}"
    assert config(folder, "[callback]\nof = []\nattempts = 2", NOTHING_DIALLED).queues


def test_a_queue_that_never_closes_loses_nobody_by_it(folder: Path) -> None:
    told = refused(folder, '[queues.sales.callback]\nof = ["closed"]')
    assert told == "line 20: queues.sales.callback.of: the queue never closes without queues.sales.hours"
    assert config(folder, '[callback]\nof = ["closed"]').queues["sales"].callback.of == {CallbackSource.CLOSED}


def test_what_the_customer_hears_is_spoken_beforehand(folder: Path) -> None:
    queues = config(folder, f"[queues.sales.callback]{EVERYTHING}").queues
    assert list(library.every_prompt({}, queues)) == [
        Prompt(texts=(("", "You wanted to be called back."),)),
        Prompt(sound="press-1"),
    ]


def test_a_sound_that_can_be_none_is_told(folder: Path) -> None:
    queues = config(folder, '[queues.sales.callback]\naccept = "sound:../x"').queues
    with pytest.raises(FlowError) as caught:
        library.load(folder / "flows", queues, ["en"])
    assert ("queues.sales", "callback.accept") in [(fault.file, fault.where) for fault in caught.value.faults]
