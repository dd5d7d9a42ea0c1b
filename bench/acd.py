"""How fast the waiting room decides, beside what others do and beside a bare heap: ``python bench/acd.py``.

See README.rst for what is measured and how.
"""

from __future__ import annotations

import gc
import heapq
import json
import math
import os
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from random import Random
from typing import Any

import click
from attrs import frozen

from easycall import garbage
from easycall.acd.ranking import WIDTH
from easycall.acd.waiting_room import WaitingRoom
from easycall.policy import Channel, Profile, QueuePolicy, Ring, WorkItem
from easycall.skills import Requirement, parse

AGENTS, WAITING, SETS = (100, 1_000, 10_000), (1_000, 10_000, 100_000), (1, 50, 500)
SKILLS = [f"skill-{number}" for number in range(24)]
STEP = 0.01
"""Seconds between two turns, in the waiting room's own time."""
GOALS: Mapping[str, float] = {"agents": 0.10, "waiting": 0.30, "sets": 0.25}
"""Growth exponents: the most that is wanted."""


@frozen
class Site:
    """What a contact centre of some size is made of."""

    agents: int
    waiting: int
    skills: Sequence[Mapping[str, int]]
    requirements: Sequence[Requirement]

    @classmethod
    def of(cls, agents: int, waiting: int, sets: int) -> Site:
        """Skill sets of eight skills of 24, and for each what some of its owners can do: two of them."""
        random = Random(7)  # noqa: S311 - the same in every run
        skills, requirements = [], []
        for _ in range(sets):
            found = {skill: random.randint(1, 5) for skill in random.sample(SKILLS, 8)}
            one, other = random.sample(sorted(found), 2)
            skills.append(found)
            requirements.append(parse(f"{one} >= {random.randint(1, found[one])} and {other}"))
        return cls(agents, waiting, skills, requirements)

    def tickets(self, first: int, number: int, now: float) -> list[WorkItem]:
        """Items that come one after another."""
        random = Random(first)  # noqa: S311
        return [
            WorkItem(f"c{n:08}", "sales", now + n * STEP, "main", requires=random.choice(self.requirements))
            for n in range(first, first + number)
        ]

    def policy(self) -> QueuePolicy:
        """Each item is relaxed once, when it has waited half of what it will."""
        return QueuePolicy("sales", rings=(Ring(self.waiting * STEP / 2, drop=tuple(SKILLS[:6])),))


class Day:
    """A waiting room in which everybody is busy and so many wait."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.room = WaitingRoom()
        self.now = 1e6
        self.room.set_queue(site.policy(), self.now)
        self.names: list[str] = []
        self.held: list[str] = []
        """What each of them is busy with."""
        for number in range(site.agents):
            name = f"a{number:05}"
            self.room.seat(Profile(name, frozenset({"sales"}), site.skills[number % len(site.skills)]), self.now)
            self.room.hold(name, f"own-{name}", Channel.CALL, self.now)
            self.room.ready(name, self.now)
            self.names.append(name)
            self.held.append(f"own-{name}")
        for ticket in site.tickets(0, site.waiting, self.now):
            self.room.enter(ticket, ticket.enqueued)
        self.count = site.waiting
        self.random = Random(3)  # noqa: S311

    def turns(self, number: int) -> tuple[Callable[[], None], Callable[[], list[int]]]:
        """So many times: an agent is done and gets an item, which leaves, and another comes.

        The same again with a clock in it: it gives how long each decision took, in nanoseconds of the processor.
        """
        room, names, held = self.room, self.names, self.held
        tickets = self.site.tickets(self.count, number, 1e6)
        self.count += number
        half = number // 2
        who = [self.random.randrange(len(names)) for _ in tickets]

        def plain() -> None:
            for agent, ticket in zip(who[:half], tickets[:half], strict=True):
                now = ticket.enqueued
                [(contact, _)] = room.finished(names[agent], held[agent], now)
                held[agent] = contact
                room.leave(contact)
                room.enter(ticket, now)

        def clocked() -> list[int]:
            clock = time.thread_time_ns
            lengths = []
            for agent, ticket in zip(who[half:], tickets[half:], strict=True):
                now = ticket.enqueued
                begin = clock()
                pairs = room.finished(names[agent], held[agent], now)
                middle = clock()
                [(contact, _)] = pairs
                held[agent] = contact
                room.leave(contact)
                between = clock()
                room.enter(ticket, now)
                lengths.append(middle - begin)
                lengths.append(clock() - between)
            return lengths

        return plain, clocked


def timed(run: Callable[[], Any]) -> float:
    """Seconds of the processor, which other programs on the machine disturb less than those of the clock."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


def percentile(lengths: Sequence[int], part: float) -> float:
    """In microseconds, of what is in order."""
    return lengths[min(int(len(lengths) * part), len(lengths) - 1)] / 1000


def measure(agents: int, waiting: int, sets: int, turns: int, rounds: int) -> dict[str, float]:
    """One point of the grid: the best of the rounds, each figure for itself."""
    day = Day(Site.of(agents, waiting, sets))
    garbage.settle()
    day.turns(2 * turns)[0]()
    found: list[tuple[float, float, float, float, float]] = []
    heads = 0
    for _ in range(rounds):
        plain, clocked = day.turns(turns)
        seconds = timed(plain)
        lengths = sorted(clocked())
        each = [percentile(lengths, part) for part in (0.5, 0.99, 0.999)]
        found.append((2 * seconds / turns, *each, lengths[-1] / 1e6))  # type: ignore[arg-type]
        heads = max(heads, *(decision.heads for decision in day.room.decisions))
    gc.unfreeze()
    turn, median, p99, p999, longest = (min(column) for column in zip(*found, strict=True))
    return {
        "agents": agents,
        "waiting": waiting,
        "sets": sets,
        "decisions_per_s": round(2 / turn),
        "turns_per_s": round(1 / turn),
        "p50_us": round(median, 2),
        "p99_us": round(p99, 2),
        "p999_us": round(p999, 2),
        "max_ms": round(longest, 3),
        "heads_max": heads,
        "classes": len(day.room.table.rows),
    }


def idle(agents: int, sets: int, turns: int) -> dict[str, float]:
    """The other way round: all are idle, items come one by one and each is served at once; decisions a second."""
    site = Site.of(agents, 1, sets)
    room = WaitingRoom()
    room.set_queue(site.policy(), 0.0)
    for number in range(agents):
        name = f"a{number:05}"
        room.seat(Profile(name, frozenset({"sales"}), site.skills[number % sets]), 0.0)
        room.ready(name, number / 1000)
    now = 1e6
    tickets = site.tickets(0, turns, now)

    def run() -> None:
        nonlocal now
        for ticket in tickets:
            now += STEP
            [(contact, name)] = room.enter(ticket, now)
            room.leave(contact)
            room.finished(name, contact, now)

    run()
    run_of = min(timed(run) for _ in range(3))
    return {"agents": agents, "sets": sets, "decisions_per_s": round(2 * turns / run_of)}


def naive(agents: int, waiting: int, sets: int) -> float:
    """Decisions a second of one who looks at every waiting item when an agent is free, with what fits looked up."""
    site = Site.of(agents, waiting, sets)
    line = [(ticket.enqueued, ticket.contact, ticket.requires.text) for ticket in site.tickets(0, waiting, 0.0)]
    fitting = [{need.text for need in site.requirements if need.fits(skills)} for skills in site.skills]
    number = max(3, 2_000_000 // (waiting * 10))

    def run() -> None:
        for turn in range(number):
            fits = fitting[turn % sets]
            min(((key, contact) for key, contact, need in line if need in fits), default=None)

    return 2 * number / timed(run)


def app_queue(agents: int) -> float:
    """Contacts a second that get an agent as Asterisk's app_queue finds it: by walking all members of the queue.

    One walk for each state of the agent's device that a call makes (ringing, in use, idle), one to count who is free
    (``is_our_turn``), one to rate all (``calc_metric``).  That all other callers do the fourth once a second is left out.
    """
    members: list[dict[str, Any]] = [
        {"id": number, "state": "in use", "paused": False, "penalty": 0, "last": float(number)} for number in range(agents)
    ]

    def run() -> None:
        for name in ("ringing", "in use", "idle"):
            for member in members:
                if member["id"] == agents // 2:
                    member["state"] = name
        free = sum(member["state"] == "idle" and not member["paused"] for member in members)
        if free:
            best = None
            for member in members:
                if member["state"] == "idle" and not member["paused"]:
                    metric = (member["penalty"], member["last"])
                    if best is None or metric < best:
                        best = metric

    number = max(3, 2_000_000 // (agents * 10))
    return number / timed(lambda: [run() for _ in range(number)])


def bare_heap(waiting: int) -> float:
    """One heap of all items: the next is taken and one is put in, as often a second."""
    heap = [(float(number), f"c{number:08}") for number in range(waiting)]
    new = [(float(number), f"c{number:08}") for number in range(waiting, waiting + 20_000)]

    def run() -> None:
        for entry in new:
            heapq.heappop(heap)
            heapq.heappush(heap, entry)

    return len(new) / min(timed(run) for _ in range(3))


def memory(waiting: int = 50_000, agents: int = 20_000) -> dict[str, int]:
    """Bytes of the waiting room for each waiting item and for each idle agent; ids and profiles are the caller's."""
    site = Site.of(agents, waiting, 50)
    tickets = site.tickets(0, waiting, 1e6)
    profiles = [Profile(f"a{n:05}", frozenset({"sales"}), site.skills[n % 50]) for n in range(agents)]
    tracemalloc.start()
    room = WaitingRoom()
    room.set_queue(site.policy(), 0.0)
    begin = tracemalloc.get_traced_memory()[0]
    for ticket in tickets:
        room.enter(ticket, ticket.enqueued)
    middle = tracemalloc.get_traced_memory()[0]
    for ticket in tickets:
        room.leave(ticket.contact)
    empty = tracemalloc.get_traced_memory()[0]
    for number, profile in enumerate(profiles):
        room.seat(profile, float(number))
        room.ready(profile.id, number + 0.5)
    end = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return {"bytes_per_waiting": (middle - begin) // waiting, "bytes_per_idle_agent": (end - empty) // agents}


def exponents(grid: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """log time / log n between neighbours of the grid, the median of them all."""
    found = {}
    for axis in ("agents", "waiting", "sets"):
        others = [name for name in ("agents", "waiting", "sets") if name != axis]
        lines: dict[tuple[float, ...], list[Mapping[str, float]]] = {}
        for point in grid:
            lines.setdefault(tuple(point[name] for name in others), []).append(point)
        slopes = [
            math.log(one["decisions_per_s"] / other["decisions_per_s"]) / math.log(other[axis] / one[axis])
            for line in lines.values()
            for one, other in zip(line, islice(line, 1, None), strict=False)
        ]
        if slopes:
            found[axis] = round(statistics.median(slopes), 3)
    return found


def show(result: Mapping[str, Any]) -> None:
    """Print it for a person."""
    click.echo("agents waiting sets  decisions/s   turns/s  p50 us  p99 us p99.9 us  max ms heads classes")
    for point in result["grid"]:
        click.echo(
            "{agents:6} {waiting:7} {sets:4} {decisions_per_s:12,} {turns_per_s:9,} {p50_us:7.1f} {p99_us:7.1f}"
            " {p999_us:8.1f} {max_ms:7.2f} {heads_max:5} {classes:7}".format(**point)
        )
    for axis, value in result["exponents"].items():
        told = "reached" if value <= GOALS[axis] else "MISSED"
        click.echo(f"growth with {axis:<8} {value:6.3f}   goal {GOALS[axis]:.2f}   {told}")
    for point in result["idle"]:
        click.echo("all idle: {agents:6} agents {sets:4} sets {decisions_per_s:12,} decisions/s".format(**point))
    for name, rates in result["peers"].items():
        click.echo(f"{name:<10}" + "  ".join(f"{size}: {rate:,}/s" for size, rate in rates.items()))
    click.echo(f"bytes per waiting item {result['bytes_per_waiting']}, per idle agent {result['bytes_per_idle_agent']}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="The best of so many.")
@click.option("--quick", is_flag=True, help="The corners of the grid, a quarter of the turns: to see that it runs.")
def main(as_json: bool, rounds: int, quick: bool) -> None:
    """Measure the waiting room."""
    load = os.getloadavg()[0]
    if load > 1.2:
        click.echo(f"this machine is busy (load {load:.1f}): the figures will be noisy", err=True)
    turns = 2_500 if quick else 10_000
    sizes = [(agents, waiting, sets) for agents in AGENTS for waiting in WAITING for sets in SETS]
    if quick:
        sizes = [size for size in sizes if not {1_000, 10_000, 50} & set(size[1:]) and size[0] != 1_000] or sizes[:1]
    grid = []
    for size in sizes:
        grid.append(measure(*size, turns, rounds))
        click.echo("{} agents, {} waiting, {} sets measured".format(*size), err=True)
    peers = [(1_000, 1_000, 50), (10_000, 10_000, 50), (10_000, 100_000, 500)]
    result = {
        "grid": grid,
        "exponents": exponents(grid),
        "idle": [idle(agents, sets, turns) for agents in (1_000, 10_000) for sets in (1, 50, 500)],
        "peers": {
            "naive": {"{}x{}x{}".format(*size): round(naive(*size)) for size in peers},
            "app_queue": {str(size[0]): round(app_queue(size[0])) for size in peers[:2]},
            "bare_heap": {str(size[1]): round(bare_heap(size[1])) for size in peers},
        },
        "heads_goal": WIDTH,
        **memory(),
        "rounds": rounds,
        "load": [round(load, 2), round(os.getloadavg()[0], 2)],
        "python": sys.version.split()[0],
    }
    if as_json:
        click.echo(json.dumps(result))
    else:
        show(result)


if __name__ == "__main__":
    main()
