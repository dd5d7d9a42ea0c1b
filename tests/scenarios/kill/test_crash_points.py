"""The daemon dies at a write of its journal, just before or just behind it: what it was about to do is done once.

The story of :mod:`.crash_story` is told once for each point, by default for some of them.  ``--crash-points all -s`` tries
every one and prints the table, ``--crash-points=13+,14-`` these.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from .callback_story import AgentFirst, CustomerFirst
from .crash_story import Outcome, Story, told
from .full_house import all_of

SEED = 7
LAST = {Story: 24, CustomerFirst: 14, AgentFirst: 14}
"""No story has more writes; those behind its last are not reached."""
AT_ONCE = 3
SECONDS = 3600.0
CALLBACK = (pytest.mark.fault("F70"), pytest.mark.requirement("B2"))


def points(wanted: str, last: int) -> list[str]:
    """The points to be tried, ``"7-"`` before the seventh write, ``"7+"`` behind it: so many, all, or the named ones."""
    if wanted.endswith(("-", "+")):
        return wanted.split(",")
    every = [f"{number}{moment}" for number in range(1, last + 1) for moment in "-+"]
    return every if wanted == "all" else sorted(Random(SEED).sample(every, int(wanted)), key=every.index)  # noqa: S311


@pytest.mark.fault("F33")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(SECONDS)
@pytest.mark.only("simulator", "a story for each point takes too long where the callers' time is real")
@pytest.mark.parametrize(
    ("kind", "store"),
    [
        pytest.param(Story, "SQLite", id="a call"),
        pytest.param(CustomerFirst, "SQLite", id="a callback", marks=CALLBACK),
        pytest.param(CustomerFirst, "PostgreSQL", id="a callback, in PostgreSQL", marks=CALLBACK),
        pytest.param(AgentFirst, "SQLite", id="a callback, the agent first", marks=CALLBACK),
        pytest.param(AgentFirst, "PostgreSQL", id="a callback, the agent first, in PostgreSQL", marks=CALLBACK),
    ],
)
async def test_nothing_is_done_twice(
    request: pytest.FixtureRequest, pbx: Path, tmp_path: Path, kind: type[Story], store: str
) -> None:
    """Neither lost: the story comes to its end, with one record, and the caller was never hung up."""
    server = request.getfixturevalue("postgresql") if store == "PostgreSQL" else None
    left = iter(points(request.config.getoption("--crash-points"), LAST[kind]))
    found: dict[str, Outcome] = {}
    wrong: dict[str, str] = {}

    async def some(left: Iterator[str]) -> None:
        for at in left:
            try:
                found[at] = await told(tmp_path / at.replace("-", "-before").replace("+", "-behind"), at, kind, server)
            except AssertionError as why:
                wrong[at] = str(why)

    await all_of(some(left) for _ in range(AT_ONCE))
    rows = {at: _row(outcome) for at, outcome in found.items()}
    rows |= {at: f"WRONG  {why.splitlines()[0]}" for at, why in wrong.items()}
    print("", *(f"{at:>4} {rows[at]}" for at in sorted(rows, key=_order)), sep="\n")  # noqa: T201
    assert any(outcome.died for outcome in found.values())
    last = found.get(f"{LAST[kind]}+")
    assert last is None or not last.died, f"the story may have more writes than {LAST[kind]}: raise LAST"
    assert not wrong, "\n\n".join(f"{at}: {why}" for at, why in wrong.items())


def _order(at: str) -> tuple[int, int]:
    return int(at[:-1]), "-+".index(at[-1])


def _row(outcome: Outcome) -> str:
    if not outcome.died:
        return "not reached"
    again = f"; again: {', '.join(outcome.again)}" if outcome.again else ""
    return f"ok  died behind {outcome.where or 'nothing'}, {outcome.rings} rings{again}"
