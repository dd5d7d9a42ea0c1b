"""``easycall callback`` on the command line: who is called back, why not yet, and what is done about it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_twisted

from easycall.callback.shelf import Filter
from easycall.callback.wish import Change
from easycall.model import OPEN, Attempt, CallbackSource, CallbackState, Outcome
from easycall.verbs import NotNow

from .fakes_api import command
from .fakes_callbacks import IN_LINE, NUMBER, Office, office


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[Office]:
    async with office() as started:
        yield started


async def run(site: Office, *words: str) -> str:
    """What the command prints; it complains of nothing."""
    out, err, status = await command(site, "callback", *words)
    assert (err, status) == ("", 0)
    return out


def clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC).astimezone():%Y-%m-%d %H:%M}"


async def test_they_are_listed_with_why_not_yet(site: Office) -> None:
    site.callbacks.add("k1", attempts=(Attempt("c1", 10.0, Outcome.BUSY, 17),), why="busy", name="[bold]Eva", agent="ana")
    site.callbacks.add("k2", state=IN_LINE, queue="loans")
    out = await run(site, "list", "--queue", "cards", "--number", NUMBER, "--limit", "2")
    assert site.callbacks.asked == [("find", Filter("cards", NUMBER, OPEN), 2)]
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]
    assert lines == [
        ["k2", "loans", NUMBER, "", "in line", "abandoned", clock(2), "anybody", "0", "it is in line"],
        ["k1", "cards", NUMBER, "[bold]Eva", "scheduled", "abandoned", clock(2), "ana", "1", *lines[1][9:]],
    ]
    assert lines[1][9] == f"quiet hours until {clock(77)}; last: busy"
    assert out.endswith("There may be more: --before k1\n")


async def test_nobody_is_to_be_called_back(site: Office) -> None:
    assert await run(site, "list", "--state", "all", "--before", "k9") == "There is none.\n"
    assert site.callbacks.asked == [("find", Filter(before="k9"), 50)]


async def test_one_is_shown_with_the_history_of_its_attempts(site: Office) -> None:
    attempts = (Attempt("c1", 10.0, Outcome.NO_ANSWER, 19, "ana", 12.0), Attempt("c2", 400.0))
    facts = {"name": "Eva", "reason": "the invoice", "waited": 33.0, "data": {"order": "4711"}, "skills": "billing"}
    more = {"source": CallbackSource.REQUESTED, "created_by": "crm", "priority_seconds": 60.0, "zone": "Europe/Berlin"}
    site.callbacks.add("k1", attempts=attempts, why="no answer", **facts, **more)
    assert (await run(site, "show", "k1")).splitlines() == [
        f"Callback k1 of cards: {NUMBER} Eva, scheduled",
        f"  why: quiet hours until {clock(77)}; last: no answer",
        f"  requested by crm, {clock(1)}; due {clock(2)}, expires {clock(9e9)}",
        "  for anybody, needs billing, priority 60, in Europe/Berlin",
        "  about: the invoice",
        "  waited before: 33 s",
        "  data: order = 4711",
        "Its attempts:",
        f"  1. {clock(10)}  no answer (cause 19), ana, contact c1",
        f"  2. {clock(400)}  going on, contact c2",
    ]
    site.callbacks.add("k2", state=CallbackState.EXPIRED, why="it was not possible in time")
    told = (await run(site, "show", "k2")).splitlines()
    assert (told[0], told[1], told[-1]) == (
        f"Callback k2 of cards: {NUMBER}, expired",
        "  why: it was not possible in time",
        "Nobody was dialled yet.",
    )


async def test_one_is_asked_for_and_steered(site: Office) -> None:
    at = datetime.fromtimestamp(int(site.api._clock.seconds()) + 600, UTC).replace(second=0)
    moment = f"{at:%Y-%m-%dT%H:%M}+0000"
    told = await run(site, "add", "cards", NUMBER, "--at", moment, "--name", "Eva", "--priority", "30", "--agent", "bo")
    assert told.startswith(f"Callback k1 of cards: {NUMBER} Eva, scheduled\n")
    [wish] = site.callbacks.wishes
    assert (wish.due, wish.expires, wish.priority_seconds, wish.agent) == (at.timestamp(), 0.0, 30.0, "bo")
    told = json.loads(await run(site, "edit", "k1", "--json", "--at", moment, "--reason", "", "--queue", "loans"))
    assert told["id"] == "k1"
    await run(site, "assign", "k1", "ana")
    await run(site, "assign", "k1", "anybody")
    assert "in line" in await run(site, "now", "k1")
    assert "cancelled" in await run(site, "cancel", "k1")
    assert site.callbacks.asked == [
        ("edit", "k1", Change(due=at.timestamp(), queue="loans", reason=""), "crm"),
        ("edit", "k1", Change(agent="ana"), "crm"),
        ("edit", "k1", Change(agent=""), "crm"),
        ("now", "k1", "crm"),
        ("cancel", "k1", "crm"),
    ]


@pytest.mark.parametrize("words", [("now", "k1"), ("cancel", "k1"), ("assign", "k1", "bo"), ("edit", "k1", "--reason", "x")])
async def test_what_is_in_the_way_is_said(site: Office, words: tuple[str, ...]) -> None:
    site.callbacks.add("k1")
    site.callbacks.refusal = NotNow("the customer is being called just now")
    assert await command(site, "callback", *words) == ("", "Error: the customer is being called just now\n", 1)


async def test_a_change_of_nothing_asks_nobody(site: Office) -> None:
    site.callbacks.add("k1")
    _, err, status = await command(site, "callback", "edit", "k1")
    assert (status, site.callbacks.asked) == (2, [])
    assert "say what is to be different" in err
