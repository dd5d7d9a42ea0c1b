"""The board in a terminal, or as a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from easycall.lab.day.figures import SERVICE_SECONDS
from easycall.lab.demo.board import AgentRow, QueueRow, View
from easycall.model import AgentState

__all__ = ["line", "picture"]

COLOURS: Mapping[AgentState, str] = {
    AgentState.READY: "green",
    AgentState.RESERVED: "yellow",
    AgentState.RINGING: "yellow",
    AgentState.TALKING: "bold cyan",
    AgentState.WRAP_UP: "blue",
    AgentState.NOT_READY: "red",
    AgentState.SUPERVISING: "magenta",
    AgentState.OFFLINE: "dim",
}
LATE_SECONDS = SERVICE_SECONDS
"""Who waits longer is shown in red."""


def picture(view: View, notes: Sequence[str]) -> RenderableType:
    """The whole board, for a terminal of 80 columns and 24 lines; ``notes`` are lines at its end."""
    head = Text.assemble(
        ("easycall", "bold"),
        f"  a busy contact centre on a simulated Asterisk, {_clock(view.seconds)}, {view.calls} calls",
    )
    half = (len(view.agents) + 1) // 2
    desks = Columns([_agents(view.agents[:half]), _agents(view.agents[half:])], padding=(0, 2))
    return Group(head, Text(), _queues(view.queues), Text(), desks, Text(), _events(view), Text(), *map(Text, notes))


def _queues(rows: Sequence[QueueRow]) -> Table:
    table = Table("queue", box=None, pad_edge=False, header_style="dim")
    for name in ("waiting", "longest", "answered", "abandoned", "average wait", f"within {SERVICE_SECONDS:g} s"):
        table.add_column(name, justify="right")
    for row in rows:
        late = "bold red" if row.longest_wait > LATE_SECONDS else ""
        table.add_row(
            Text(row.name, "bold"),
            str(row.waiting),
            Text(f"{row.longest_wait:.0f} s" if row.waiting else "-", late),
            str(row.answered),
            str(row.abandoned),
            f"{row.average_wait:.1f} s",
            f"{row.service_level:.0%}",
        )
    return table


def _agents(rows: Sequence[AgentRow]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(min_width=7)
    table.add_column(min_width=11)
    table.add_column(min_width=5, justify="right")
    table.add_column(min_width=10)
    for row in rows:
        state = row.reason or row.state.value.replace("_", " ")
        table.add_row(Text(row.name, "bold"), Text(state, COLOURS[row.state]), f"{row.seconds:.0f} s", row.caller)
    return table


def _events(view: View) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(style="dim", min_width=5)
    table.add_column(no_wrap=True)
    for at, text in view.last:
        table.add_row(_clock(at), text)
    return table


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def line(view: View) -> str:
    """The board in one line."""
    waiting = sum(row.waiting for row in view.queues)
    longest = max((row.longest_wait for row in view.queues), default=0.0)
    answered = sum(row.answered for row in view.queues)
    abandoned = sum(row.abandoned for row in view.queues)
    levels = ", ".join(f"{row.name} {row.service_level:.0%}" for row in view.queues)
    states = Counter(row.state.value.replace("_", " ") for row in view.agents)
    agents = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    return (
        f"{_clock(view.seconds)}  {view.calls} calls, {waiting} waiting (longest {longest:.0f} s), {answered} answered,"
        f" {abandoned} abandoned; within {SERVICE_SECONDS:g} s: {levels}; agents: {agents}"
    )
