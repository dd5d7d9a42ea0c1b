"""Functions: flows that take parameters and give a result.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from attrs import field, frozen

__all__ = ["KINDS", "STATUS", "Field", "Function", "Unfit"]

STATUS = "status"
"""The field that every result has."""
KINDS: Mapping[str, str] = {
    "text": r"[^\x00-\x1f\x7f]{0,4000}",
    "number": r"-?[0-9]{1,10}(\.[0-9]{1,6})?",
    "masked": r"\*{4,64}[0-9]{0,4}",
}
"""Kind of a field -> the pattern of what fits."""


class Unfit(ValueError):
    """Parameters or a result that do not fit; the text says why, and never quotes a value."""


@frozen
class Field:
    """A field of a result, or of a service's answer: of a kind, or one of the allowed values."""

    kind: str = ""
    allowed: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What fits, for people."""
        return f"one of {', '.join(self.allowed)}" if self.allowed else self.kind

    def fits(self, value: str) -> bool:
        """Whether a value may stand there."""
        return value in self.allowed if self.allowed else bool(re.fullmatch(KINDS[self.kind], value))


@frozen
class Function:
    """What a flow takes and gives."""

    parameters: Mapping[str, str | None]
    """Name -> default; None: it must be given."""
    result: Mapping[str, Field]
    limit: float = 300.0
    """Seconds it may take as a whole."""
    line: int = field(default=0, eq=False)

    def arguments(self, given: Mapping[str, str]) -> dict[str, str]:
        """The parameters with those that were left out.  Raises Unfit."""
        for name in given:
            if name not in self.parameters:
                near = get_close_matches(name[:40], self.parameters, 1)
                known = f"there are {', '.join(self.parameters)}" if self.parameters else "there is none"
                raise Unfit(f"there is no parameter {name[:40]!r}; " + (f"did you mean {near[0]!r}?" if near else known))
        for name, default in self.parameters.items():
            if default is None and not given.get(name):
                raise Unfit(f"the parameter {name!r} is missing")
        defaults = {name: default for name, default in self.parameters.items() if default is not None}
        return {**defaults, **given}

    def check(self, result: Mapping[str, str]) -> Mapping[str, str]:
        """The result, if it fits.  Raises Unfit."""
        if STATUS not in result:
            raise Unfit(f"the result has no {STATUS}")
        for name, value in result.items():
            if name not in self.result:
                raise Unfit(f"the result has no field {name!r}")
            if not self.result[name].fits(value):
                raise Unfit(f"the result's {name} is not {self.result[name].words}")
        return result
