"""How fast our AMI and FastAGI are, beside other libraries and the limits of Python: ``python bench/wire.py``.

See README.rst for what is measured and how.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import asterisk
import click
import contestants
import memory
import stream
from asterisk import Failed, Rate
from attrs import frozen

PEERS = ("panoramisk", "pystrix", "starpy")
RATIOS: Mapping[str, tuple[str, str, float]] = {
    # name: the group, the one we are compared with, the goal
    "parse_all_vs_panoramisk": ("parse_all", "panoramisk", 2.6),
    "parse_3_vs_panoramisk": ("parse_3", "panoramisk", 13),
    "socket_3_vs_panoramisk": ("socket_3", "panoramisk", 8),
    "parse_3_vs_split": ("parse_3", "split", 0.45),
    "acd_mix_vs_panoramisk": ("acd_mix", "panoramisk", 6),
    "actions_vs_echo": ("actions", "echo", 0.4),
    "agi_commands_vs_pystrix": ("agi_commands_100", "pystrix", 2),
    "agi_commands_vs_limit": ("agi_commands_100", "limit", 0.7),
    "agi_sessions_vs_pystrix": ("agi_sessions_100", "pystrix", 2.5),
    "agi_sessions_vs_limit": ("agi_sessions_100", "limit", 0.7),
}
ACTIONS = {"easycall": 20_000, "echo": 50_000, "bare_echo": 100_000, "panoramisk": 5_000, "pystrix": 200}
"""How many each sends, so that each takes about as long."""
WARM = {"split": 40, "easycall": 20, "line_only": 6}
"""How often the fast ones are given the stream, so that each measurement takes about as long."""


@frozen
class Group:
    """What is measured one after another, again and again."""

    name: str
    contestants: Mapping[str, Callable[[], Rate]]


def in_memory(name: str, wanted: tuple[str, ...], read: str, libraries: tuple[str, ...], calls: int) -> Group:
    """Events fed directly."""
    events = stream.calls(calls)

    def measure(library: str) -> Rate:
        rate = memory.measure(library, wanted, read, events, WARM.get(library, 2))
        return Rate(rate, rate)

    return Group(name, {library: functools.partial(measure, library) for library in libraries})


def over_loopback(name: str, wanted: tuple[str, ...], libraries: tuple[str, ...], calls: int) -> Group:
    """Events over a socket."""
    events = stream.calls(calls)
    repeat = {"easycall": 5, "line_only": 3}
    return Group(
        name,
        {
            library: functools.partial(asterisk.events, library, wanted, events * repeat.get(library, 1))
            for library in libraries
        },
    )


def groups(servers: Mapping[str, asterisk.Server], scale: float) -> Iterator[Group]:
    """Everything that is measured."""
    calls = round(100 * scale)
    yield in_memory("parse_all", stream.KINDS, "all", ("easycall", "panoramisk", "pystrix"), calls)
    yield in_memory("parse_3", stream.THREE, "nothing", ("easycall", "panoramisk", "pystrix", "line_only", "split"), calls)
    yield in_memory("acd_mix", stream.ACD, "six", ("easycall", "panoramisk", "pystrix"), calls)
    yield over_loopback("socket_3", stream.THREE, tuple(contestants.CONTESTANTS["events"]), calls * 3)
    yield over_loopback("socket_all", stream.KINDS, ("easycall", "panoramisk", "pystrix"), calls * 3)
    sent = {library: max(round(number * scale) // 100, 1) * 100 for library, number in ACTIONS.items()}
    yield Group(
        "actions",
        {library: functools.partial(asterisk.actions, library, number) for library, number in sent.items()},
    )
    for clients, each in ((1, 2000), (100, 200), (1000, 20)):
        number = max(round(each * scale), 2)
        yield Group(
            f"agi_commands_{clients}",
            {library: functools.partial(asterisk.commands, server, clients, number) for library, server in servers.items()},
        )
    for clients, total in ((1, 300), (100, 1500), (1000, 2000)):
        number = max(round(total * scale), clients)
        yield Group(
            f"agi_sessions_{clients}",
            {library: functools.partial(asterisk.sessions, server, clients, number) for library, server in servers.items()},
        )


def measured(group: Group, rounds: int, missing: set[str]) -> dict[str, list[Rate | None]]:
    """The rates of each contestant, round by round; None where it failed."""
    rates: dict[str, list[Rate | None]] = {name: [] for name in group.contestants if name not in missing}
    for number in range(rounds):
        for name in list(rates)[:: 1 if number % 2 else -1]:
            try:
                rate = group.contestants[name]()
            except (Failed, OSError) as error:
                click.echo(f"{group.name}: {error}", err=True)
                rate = None
            rates[name].append(rate)
    return rates


def ratio(ours: list[Rate | None], theirs: list[Rate | None], of: Callable[[Rate], float]) -> float | None:
    """The median of the ratios of each round; None when there is none."""
    found = [of(one) / of(other) for one, other in zip(ours, theirs, strict=True) if one and other]
    return round(statistics.median(found), 3) if found else None


def ratios(rates: Mapping[str, dict[str, list[Rate | None]]], of: Callable[[Rate], float]) -> dict[str, float | None]:
    """All of the table; null when the other one is missing."""
    return {
        name: ratio(rates[group]["easycall"], rates[group].get(other, []), of) if other in rates[group] else None
        for name, (group, other, _) in RATIOS.items()
    }


def medians(rates: Mapping[str, dict[str, list[Rate | None]]], of: Callable[[Rate], float]) -> dict[str, dict[str, int]]:
    """What each one reached."""
    return {
        group: {
            name: round(statistics.median(of(rate) for rate in found if rate))
            for name, found in by_name.items()
            if any(found)
        }
        for group, by_name in rates.items()
    }


def show(result: Mapping[str, dict[str, dict[str, int]]], table: Mapping[str, float | None]) -> None:
    """Print it for a person."""
    for group, rates in result["rates"].items():
        click.echo(f"{group:<18}" + "  ".join(f"{name} {rate:,}" for name, rate in rates.items()))
    click.echo()
    for name, (_, _, goal) in RATIOS.items():
        value = table[name]
        told = "not measured" if value is None else f"{value:6.2f}  {'reached' if value >= goal else 'MISSED'}"
        click.echo(f"{name:<26} goal {goal:5.2f}   {told}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Medians of so many.")
@click.option("--quick", is_flag=True, help="A quarter of the work: to see that it runs.")
def main(as_json: bool, rounds: int, quick: bool) -> None:
    """Measure AMI and FastAGI against other libraries and against the limits."""
    missing = {peer for peer in PEERS if importlib.util.find_spec(peer) is None}
    for peer in sorted(missing):
        click.echo(f"{peer} is not installed: not measured (see bench/README.rst)", err=True)
    load = os.getloadavg()[0]
    if load > 1.2:
        click.echo(f"this machine is busy (load {load:.1f}): the figures will be noisy", err=True)
    with ExitStack() as stack:
        servers = {
            library: stack.enter_context(asterisk.serving(library))
            for library in contestants.CONTESTANTS["agi"]
            if library not in missing
        }
        rates = {}
        for group in groups(servers, 0.25 if quick else 1.0):
            rates[group.name] = measured(group, rounds, missing)
            click.echo(f"{group.name} measured", err=True)
    table = ratios(rates, lambda rate: rate.clock)
    result = {
        "ratios": table,
        "processor_ratios": ratios(rates, lambda rate: rate.processor),
        "rates": medians(rates, lambda rate: rate.clock),
        "processor_rates": medians(rates, lambda rate: rate.processor),
        "rounds": rounds,
        "load": [round(load, 2), round(os.getloadavg()[0], 2)],
        "versions": {"python": sys.version.split()[0]}
        | {name: importlib.metadata.version(name) for name in ("Twisted", *PEERS) if name not in missing},
        "missing": sorted(missing),
    }
    if as_json:
        click.echo(json.dumps(result))
    else:
        show(result, table)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
