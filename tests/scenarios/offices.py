"""The site of the matrix: for each cell queues, agents and numbers of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from easycall.lab.site import Desk

from .matrix import Cell, Failure

__all__ = ["MISSES", "agents_of", "number_of", "offices", "telephone_of"]

MISSES = (Failure.ONE_MISSES, Failure.TWO_MISSES)
MISSED_SECONDS = 2.0
"""How long an agent's phone rings that is not answered."""
MISSED_OUTSIDE_SECONDS = 10.0
"""The same of all telephones outside: what else happens while one rings must not take so long."""


def number_of(line: str, number: int) -> str:
    """What is dialled to come into a queue of a cell."""
    return f"{'97' if line == 'sales' else '98'}{number:03}"


def agents_of(number: int) -> dict[str, Desk]:
    """Agent 1, agent 2, and the one who is free in the end."""
    sales, group = f"sales{number}", f"group{number}"
    served = {"ana": (sales,), "bo": (group,), "chen": (sales, group)}
    return {
        f"{name}{number}": Desk(str(2000 + 3 * number + index), queues, supervises=(sales,))
        for index, (name, queues) in enumerate(served.items())
    }


def telephone_of(number: int) -> str:
    """Of somebody outside, a number of the world from its other end."""
    return str(2399 - number)


QUEUE = """\
[queues.{line}{n}]
name = "{line}"
ring_seconds = {ring:g}
wrap_up_seconds = 60
"""
STRAIGHT = "start: q\nnodes:\n  q:\n    queue: {line}{n}\n"
ONWARD = """\
start: menu
nodes:
  menu:
    menu: Sales, press 1. Support, press 2.
    choices:
      "1": {{name: group, next: to_group}}
    timeout: 20
    otherwise: to_group
  to_group:
    queue: group{n}
"""


FUNCTION = """\
result: {status: [ok, none]}
start: pin
nodes:
  pin: {collect: Your PIN., name: pin, digits: 4, secret: yes, timeout: 20, next: ok, otherwise: none}
  ok: {return: {status: ok}}
  none: {return: {status: none}}
"""


def offices(folder: Path, cells: Sequence[Cell]) -> Mapping[str, Any]:
    """Write what a daemon needs for calls of these cells; how its site is to be configured besides."""
    flows, more = folder / "flows", folder / "site" / "conf.d"
    flows.mkdir()
    more.mkdir(parents=True)
    sections, agents, numbers = [], {}, {}
    for n, cell in enumerate(cells):
        for line in ("sales", "group"):
            sections.append(QUEUE.format(line=line, n=n, ring=MISSED_SECONDS if cell.failure in MISSES else 60))
            (flows / f"{line}{n}.yaml").write_text(STRAIGHT.format(line=line, n=n))
            numbers[number_of(line, n)] = f"{line}{n}"
        (flows / f"onward{n}.yaml").write_text(ONWARD.format(n=n))
        agents |= agents_of(n)
    (flows / "pin.yaml").write_text(FUNCTION)
    (flows / "welcome.yaml").write_text(STRAIGHT.format(line="sales", n=0))
    (more / "queues.toml").write_text("\n".join(sections))
    return {
        "flows": flows,
        "agents": agents,
        "numbers": numbers,
        "lines": 2 * len(cells),
        "fax_lines": len(cells),
        "ring_outside": MISSED_OUTSIDE_SECONDS,
        "park_seconds": max(step.seconds for cell in cells for step in cell.steps) or 90,
    }
