"""A comparison of policies for a person: tables on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from easycall.acd.replay.comparison import Account
    from easycall.acd.replay.figures import QueueFigures

__all__ = ["show"]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


@frozen
class _Column:
    """One figure of the table."""

    heading: str
    figure: str
    shown: Callable[[float | None], str]
    better: int = 0
    """1: more of it is better, -1: less of it is."""
    always: bool = True
    """Shown even if there is none of it."""


COLUMNS = (
    _Column("offered", "offered", _number),
    _Column("answered", "answered", _number, 1),
    _Column("abandoned", "abandoned", _number, -1),
    _Column("left", "left", _number, 0, always=False),
    _Column("waiting", "waiting", _number, -1, always=False),
    _Column("service level", "service_level", _share, 1),
    _Column("mean wait", "mean_wait", _seconds, -1),
    _Column("median", "median_wait", _seconds, -1),
    _Column("p90", "p90_wait", _seconds, -1),
    _Column("longest", "longest_wait", _seconds, -1),
    _Column("overtaken", "overtaken", _number, -1),
    _Column("skilled", "skilled", _share, 1, always=False),
)


def show(accounts: Sequence[Account], heading: Mapping[str, Any]) -> None:
    """Print what a day came to as it was, as configured, and under another policy."""
    from rich.console import Console

    console = Console()
    console.print(_queues(accounts, heading))
    console.print(_agents(accounts))
    for line in _told(accounts, heading):
        console.print(line, markup=False, highlight=False)


def _queues(accounts: Sequence[Account], heading: Mapping[str, Any]) -> Any:
    from rich.table import Table
    from rich.text import Text

    from easycall.acd.replay.figures import TOTAL

    columns = [column for column in COLUMNS if column.always or _any(accounts, column.figure)]
    table = Table(title=f"{heading['from']} to {heading['to']}", title_justify="left")
    table.add_column("queue")
    table.add_column("")
    for column in columns:
        table.add_column(column.heading, justify="right")
    for queue in (*(queue for queue in accounts[0].queues if queue != TOTAL), TOTAL):
        table.add_section()
        for number, account in enumerate(accounts):
            base = accounts[1].queues[queue] if number > 1 else None
            cells = [Text(*_cell(column, account.queues[queue], base)) for column in columns]
            table.add_row(Text(queue or "all" if number == 0 else ""), Text(account.name), *cells)
    return table


def _any(accounts: Sequence[Account], figure: str) -> bool:
    return any(getattr(figures, figure) for account in accounts for figures in account.queues.values())


def _cell(column: _Column, figures: QueueFigures, base: QueueFigures | None) -> tuple[str, str]:
    """A figure, and how it is written: marked where it is another than as configured, in green where it is better."""
    value = getattr(figures, column.figure)
    text = column.shown(value)
    other = getattr(base, column.figure) if base is not None else value
    if text == column.shown(other) or value is None or other is None:
        return text, ""
    more = value > other
    style = {0: "bold", 1: "bold green", -1: "bold red"}[column.better * (1 if more else -1)]
    return f"{'▲' if more else '▼'} {text}", style


def _agents(accounts: Sequence[Account]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="agents, of each figure: least, median, most", title_justify="left")
    for heading in ("", "agents", "contacts", "occupancy"):
        table.add_column(heading, justify="left" if not heading else "right")
    for account in accounts:
        contacts = [figures.contacts for figures in account.agents.values()]
        occupancy = [figures.occupancy for figures in account.agents.values() if figures.occupancy is not None]
        table.add_row(Text(account.name), f"{len(account.agents):,}", _spread(contacts, _number), _spread(occupancy, _share))
    return table


def _spread(values: Sequence[float], shown: Callable[[float | None], str]) -> str:
    return "   ".join(shown(value) for value in (min(values), median(values), max(values))) if values else "–"


def _told(accounts: Sequence[Account], heading: Mapping[str, Any]) -> Iterator[str]:
    """How true it is, what is to be noted, and how the figures are defined."""
    from easycall.acd.replay.figures import FORMULAS, TOTAL

    was, again = accounts[0].queues[TOTAL], accounts[1].queues[TOTAL]
    if was.service_level is not None and again.service_level is not None:
        points = 100 * (again.service_level - was.service_level)
        seconds = (again.mean_wait or 0) - (was.mean_wait or 0)
        yield (
            f"How true it is: as configured the replay has {points:+.1f} points of service level, {seconds:+.1f} s of mean "
            f"wait and {again.abandoned - was.abandoned:+.0f} abandoned against what really happened."
        )
    if heading["runs"] > 1:
        yield f"The replays are means of {heading['runs']} runs."
    for note in heading["notes"]:
        yield f"Note: {note}."
    for name, formula in FORMULAS.items():
        yield f"  {name.replace('_', ' ')}: {formula.format(seconds=heading['seconds'])}"
