"""Strategies: ``[strategies.NAME]`` -> an object that chooses among agents, made by the class its entry point names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from easycall.config.kinds import Kind
from easycall.config.outside import read_ca
from easycall.config.settings import StrategySettings
from easycall.config.toml import Document, read_secret
from easycall.ports import Strategy

__all__ = ["GROUP", "Given", "WrongSetting", "read_strategy"]

GROUP = "easycall.strategies"
"""The group of entry points."""
_REQUIRED = object()


class WrongSetting(ValueError):
    """Something in a strategy's section is not right: its key, and what would be."""

    def __init__(self, key: str, allowed: str) -> None:
        super().__init__(f"{key}: {allowed}")
        self.key = key
        self.allowed = allowed


class Given:
    """What stands in a strategy's section, beside what every strategy has.  Every method raises WrongSetting."""

    def __init__(self, values: Mapping[str, Any], folder: Path) -> None:
        """``folder``: what paths are relative to."""
        self._values = values
        self._folder = folder
        self._read: set[str] = set()

    def value(self, key: str, kind: Kind, default: Any = _REQUIRED) -> Any:
        """The value of a key, read as one of its kind (:mod:`easycall.config.kinds`); without a default it must be there."""
        self._read.add(key)
        if key not in self._values:
            if default is _REQUIRED:
                raise WrongSetting(key, f"is missing: must be {kind.allowed}")
            return default
        try:
            return kind.read(self._values[key])
        except (ValueError, TypeError):
            raise WrongSetting(key, f"must be {kind.allowed}") from None

    def certificates(self, key: str) -> bytes:
        """The CA certificates (PEM) in the file that a key names; empty when it is not there."""
        file = self._file(key)
        try:
            return b"" if file is None else read_ca(file)
        except ValueError as error:
            raise WrongSetting(key, str(error)) from None

    def secret(self, key: str) -> str:
        """The secret in the file that a key names, which others must not be able to read; empty when it is not there."""
        file = self._file(key)
        try:
            return "" if file is None else read_secret(file)
        except ValueError as error:
            raise WrongSetting(key, str(error)) from None

    def check_all_read(self) -> None:
        """Nothing may stand there that nobody has read."""
        for key in sorted(self._values.keys() - self._read):
            known = f"this strategy knows {', '.join(sorted(self._read))}" if self._read else "this strategy knows none"
            raise WrongSetting(key, f"is unknown; {known}")

    def _file(self, key: str) -> Path | None:
        name = self.value(key, Kind("the name of a file", _name), None)
        return None if name is None else self._folder / name


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(value)
    return value


def read_strategy(document: Document, name: str, base: Path) -> StrategySettings | None:
    """One section of ``strategies``; None when something is wrong with it, which becomes a fault of the document."""
    key = f"strategies.{name}"
    section = document.section(key)
    if not (use := section.pop("use")):
        return None
    strategy = _made(document, key, use, Given(document.others(key), base))
    return None if strategy is None else StrategySettings(name, strategy, **section)


def _made(document: Document, key: str, use: str, given: Given) -> Strategy | None:
    found = entry_points(group=GROUP)
    named = [point for point in found if point.name == use]
    if not named:
        there = f"there are {', '.join(sorted({point.name for point in found}))}" if found else "there is none"
        document.fault(f"{key}.use", f"there is no strategy {use!r}; {there}: install the package that has it", use)
        return None
    try:
        strategy: Strategy = named[0].load()(given)
        given.check_all_read()
    except WrongSetting as wrong:
        document.fault(f"{key}.{wrong.key}", wrong.allowed)
        return None
    except Exception as error:  # of somebody else's code
        why = f"{named[0].value} cannot be used, mend its package: {type(error).__name__}: {error}"
        document.fault(f"{key}.use", why, use)
        return None
    if not callable(getattr(strategy, "choose", None)):
        document.fault(f"{key}.use", f"{named[0].value} is no strategy, mend its package: it has no method choose", use)
        return None
    return strategy
