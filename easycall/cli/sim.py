"""``easycall sim``: a simulated Asterisk, for anyone who has no time to wait for a real one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import click

if TYPE_CHECKING:
    from easycall.lab.day.result import Progress, Result

__all__ = ["sim"]

DAY_SECONDS = 86_400
SHOWN_VIOLATIONS = 20


@click.group()
def sim() -> None:
    """A call centre on a simulated Asterisk, without audio, in this process."""


@sim.command()
@click.option("--days", default=1.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Virtual days.")
@click.option("--calls", default=10_000, show_default=True, type=click.IntRange(0), help="Calls a day.")
@click.option("--agents", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Agents, in shifts.")
@click.option("--seed", default=1, show_default=True, help="The same seed is the same days again.")
@click.option(
    "--check-every",
    default=1_000,
    show_default=True,
    type=click.IntRange(1),
    help="Calls between two checks of all invariants.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object, and no progress.")
def run(days: float, calls: int, agents: int, seed: int, check_every: int, as_json: bool) -> None:
    """Let days of a call centre pass in virtual time, as fast as they can be computed.

    The daemon is the real one but for its database, which is in memory.  Exit code 1 when an invariant was violated.
    """
    from twisted.logger import globalLogBeginner  # here: the other commands do without Twisted

    from easycall.lab.day.centre import VirtualCentre
    from easycall.lab.day.plan import Plan

    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)  # failures are in the result
    centre = VirtualCentre(Plan(days=days, calls=calls, agents=agents, seed=seed, check_every=check_every))
    if as_json:
        result = centre.run()
        click.echo(json.dumps(attrs.asdict(result)))
    else:
        with _progress_bar(days) as tell:
            result = centre.run(tell)
        _print(result)
    if result.violations:
        sys.exit(1)


@contextmanager
def _progress_bar(days: float) -> Iterator[Callable[[Progress], None]]:
    """A bar of virtual time, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(20), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True), refresh_per_second=4) as bar:
        task = bar.add_task("begins", total=days * DAY_SECONDS)

        def tell(at: Progress) -> None:
            day, moment = divmod(int(at.seconds), DAY_SECONDS)
            clock = f"day {day + 1} {moment // 3600:02}:{moment // 60 % 60:02}"
            doing = f"{clock}  {at.calls:,} calls, {at.live} now, {at.checks} checks, {at.violations} violations"
            bar.update(task, completed=at.seconds, description=doing)

        yield tell


def _print(result: Result) -> None:
    """The result for a person."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{result.days:g} virtual days, {result.agents:,} agents, seed {result.seed}", show_header=False)
    for name, value in _rows(result):
        table.add_row(name, value)
    console = Console()
    console.print(table)
    for violation in result.violations[:SHOWN_VIOLATIONS]:
        console.print(violation, markup=False, style="red")
    if len(result.violations) > SHOWN_VIOLATIONS:
        console.print(f"and {len(result.violations) - SHOWN_VIOLATIONS} more")


def _rows(result: Result) -> Iterator[tuple[str, str]]:
    yield "calls", f"{result.calls:,}"
    for outcome, number in result.outcomes.items():
        yield f"  {outcome.replace('_', ' ')}", f"{number:,}"
    yield "offers to agents", f"{sum(result.offers.values()):,}"
    for outcome, number in result.offers.items():
        yield f"  {outcome.replace('_', ' ')}", f"{number:,}"
    yield "average wait of the answered", f"{result.average_wait:.1f} s"
    yield "longest wait of the answered", f"{result.longest_wait:.1f} s"
    yield "service level, 20 s", f"{result.service_level:.1%}"
    yield "most calls at one moment", f"{result.peak_live:,}"
    yield "events", f"{result.events:,}"
    yield "corrections", f"{result.corrected:,}"
    yield "checks of all invariants", f"{result.checks:,}"
    yield "choices judged as to who waited longest", f"{result.choices:,}"
    yield "records proved to add up", f"{result.records:,}"
    yield "violations", f"{len(result.violations):,}"
    yield "virtual time", f"{result.virtual_seconds:,.0f} s"
    yield "wall time", f"{result.wall_seconds:,.1f} s"
    yield "times real time", f"{result.times_real_time:,.0f}"
    yield "calls a second of wall time", f"{result.calls_per_second:,.0f}"
    yield "calls a second of virtual time", f"{result.calls / result.virtual_seconds:.2f}"
    yield "peak memory", f"{result.peak_memory_mib:,.0f} MiB"
