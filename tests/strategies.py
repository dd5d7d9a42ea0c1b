"""Strategies for tests: packages that are installed, and one that answers when the test says so."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from easycall.config import StrategySettings
from easycall.policy import Case

__all__ = ["Oracle", "from_the_docs", "install"]

DOCS = Path(__file__).parent.parent / "docs" / "architecture.rst"


def from_the_docs() -> str:
    """The example for contributors, as it stands there."""
    block = DOCS.read_text(encoding="utf-8").partition(".. code-block:: python\n")[2]
    lines = []
    for line in block.splitlines():
        if line and not line.startswith("   "):
            break
        lines.append(line)
    return textwrap.dedent("\n".join(lines))


def install(folder: Path, patch: pytest.MonkeyPatch, source: str, **points: str) -> None:
    """A package with one module ``example_strategy``, and its entry points: name -> class."""
    (folder / "example_strategy.py").write_text(source, encoding="utf-8")
    info = folder / "example_strategy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-strategy\nVersion: 1.0\n")
    lines = [f"{name} = example_strategy:{made}" for name, made in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[easycall.strategies]", *lines, ""]))
    patch.syspath_prepend(folder)
    patch.delitem(sys.modules, "example_strategy", raising=False)


class Oracle:
    """Answers what the test says, when it says so."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.promises: list[Deferred[Any]] = []

    def choose(self, case: Case) -> Any:
        self.cases.append(case)
        self.promises.append(Deferred())
        return self.promises[-1]

    def says(self, answer: Any) -> None:
        """The oldest question that waits for an answer gets it."""
        next(promise for promise in self.promises if not promise.called).callback(answer)

    def settings(self, **more: Any) -> dict[str, StrategySettings]:
        """A configuration with this one in it, named ``crm``."""
        return {"crm": StrategySettings("crm", self, **more)}
