"""Reads TOML files against a table of what may stand in them, and keeps every fault instead of stopping at the first.

Nothing in here knows what easycall is configured with: that is :mod:`easycall.config.schema`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self, TypeAlias

from attrs import field, frozen, mutable

from easycall.config.kinds import Kind

__all__ = ["ConfigError", "Document", "Entries", "Fault", "Open", "Option", "Schema", "read_secret"]


@frozen
class Fault:
    """One thing that is wrong with a configuration."""

    file: str
    line: int
    """Counted from 1; 0 when it is not known."""
    key: str
    """Dotted, such as ``queues.sales.ring_seconds``; ``""`` for the file as a whole."""
    value: str
    """The value as shown to people; ``""`` when there is none, or when it may be a secret."""
    allowed: str
    """What would be right."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        named = f"{self.key} = {self.value}" if self.value else self.key
        return f"{place}: {named}: {self.allowed}" if named else f"{place}: {self.allowed}"


class ConfigError(Exception):
    """A configuration that must not be used, with every fault found in it."""

    def __init__(self, faults: list[Fault], readable: Any = None) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)
        self.readable = readable
        """What could be read all the same, to look for faults elsewhere; None when that is nothing."""


# What may stand where


@frozen
class Option:
    """One key of a section."""

    kind: Kind
    required: bool = False
    secret: bool = False
    """Its value is never shown."""


@frozen
class Entries:
    """A section whose keys are the operator's own."""

    key: Kind
    value: Kind


class Open(dict[str, Option]):
    """The options of a section in which others may stand too, which somebody else reads (:meth:`Document.others`)."""


Schema: TypeAlias = Mapping[str, Mapping[str, Option] | Entries]
"""Section -> what may stand in it.  A section of the operator's own naming stands below its family: ``queues.sales`` is
described under ``queues``, and what is below it, ``hours.office.days``, under ``hours.*.days``."""


@frozen
class _File:
    path: Path
    others: bool
    """Others than the owner and the group may read or write it."""
    values: Mapping[str, Any]


@mutable
class Document:
    """One or more TOML files, read as one."""

    path: Path
    schema: Schema
    files: list[_File] = field(factory=list)
    faults: list[Fault] = field(factory=list)
    _values: dict[str, Any] = field(factory=dict)
    _places: dict[str, tuple[str, int]] = field(factory=dict)

    @classmethod
    def read(cls, path: Path, schema: Schema, *, alone: bool = False) -> Self:
        """``path``, then, unless it stands ``alone``, ``conf.d/*.toml`` beside it in the order of their names.

        Tables are merged and lists of tables joined; of any other value given twice the later counts.  Raises ConfigError
        when a file cannot be read as TOML.
        """
        document = cls(path, schema)
        beside = [] if alone else sorted((path.parent / "conf.d").glob("*.toml"))
        for file in (path, *beside):
            try:
                document._add(file)
            except OSError as error:
                document.faults.append(Fault(str(file), 0, "", "", f"cannot be read: {error.strerror}"))
            except (ValueError, RecursionError) as error:
                document.faults.append(Fault(str(file), 0, "", "", f"cannot be read as TOML: {error}"))
        document.check()
        document._unknown("", document._values, {name.partition(".")[0] for name in schema})
        return document

    def check(self, readable: Any = None) -> None:
        """Raise ConfigError when there is a fault; ``readable`` is what could be read all the same."""
        if self.faults:
            faults = sorted(self.faults, key=lambda fault: (fault.file != str(self.path), fault.file, fault.line))
            raise ConfigError(faults, readable)

    def section(self, name: str) -> dict[str, Any]:
        """The values of a section that are right.  A required one that is not right or not there is ``""``."""
        return self._read(name, self._table(name), self._options(name))

    def others(self, name: str) -> dict[str, Any]:
        """What stands in a section that is open beside its options, as it is in the file."""
        options = self._options(name)
        return {key: value for key, value in self._table(name).items() if key not in options}

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The values of each table of a list of tables (``[[name]]``)."""
        rows = self._value(name, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            self.fault(name, f"must be a list of tables: write [[{name}]]")
            return []
        return [self._read(f"{name}[{index}]", row, self._options(name)) for index, row in enumerate(rows, 1)]

    def entries(self, name: str) -> dict[str, Any]:
        """The right ones of the entries of a section whose keys are the operator's own."""
        kinds = self.schema[self._described(name)]
        if not isinstance(kinds, Entries):
            raise TypeError(f"{name} is described by its options")
        entries = {}
        for key, value in self._table(name).items():
            right = self._right(f"{name}.{key}", kinds.key, key), self._right(f"{name}.{key}", kinds.value, value)
            if None not in right:
                entries[key] = right[1]
        return entries

    def given(self, name: str) -> bool:
        """Whether something stands there, right or wrong."""
        return self._value(name, None) is not None

    def names(self, family: str, kind: Kind) -> list[str]:
        """The names of the sections below ``family``."""
        return [name for name in self._table(family) if self._right(f"{family}.{name}", kind, name) is not None]

    def fault(self, key: str, allowed: str, value: Any = None, secret: bool = False) -> None:
        """Keep a fault of ``key``."""
        near = key
        while near and near not in self._places:
            near = near.rpartition(".")[0] or near.rpartition("[")[0]
        file, line = self._places.get(near, (str(self.path), 0))
        name = key if key.isprintable() else ascii(key)[1:-1]
        self.faults.append(Fault(file, line, name[:200], "***" if secret else _shown(value), allowed))

    def _add(self, path: Path) -> None:
        with path.open("rb") as file:
            raw, others = file.read().decode(), _open_to_others(file.fileno())
        values = tomllib.loads(raw)
        self.files.append(_File(path, others, values))
        self._locate(str(path), raw)
        _merge(self._values, values)

    def _locate(self, file: str, raw: str) -> None:
        """Remember on which line a key stands: by look only, as tomllib does not tell, and only for people's eyes."""
        section = ""
        for line, content in enumerate(raw.splitlines(), 1):
            if header := re.match(r"\s*(\[\[?)([^\[\]]+)\]", content):
                section = _plain(header[2])
                if header[1] == "[[":
                    index = 1
                    while f"{section}[{index}]" in self._places:
                        index += 1
                    section = f"{section}[{index}]"
                self._places[section] = file, line
            elif pair := re.match(r"([^=#\[{]+)=", content):
                self._places[f"{section}.{_plain(pair[1])}".removeprefix(".")] = file, line

    def _described(self, name: str) -> str:
        """Where the schema tells what may stand in a section."""
        family, _, below = name.partition(".")
        inner = f"{family}.*.{below.partition('.')[2]}"
        return name if name in self.schema else inner if inner in self.schema else family

    def _options(self, name: str) -> Mapping[str, Option]:
        options = self.schema[self._described(name)]
        if isinstance(options, Entries):
            raise TypeError(f"{name} has entries of the operator's own")
        return options

    def _value(self, name: str, default: Any) -> Any:
        value: Any = self._values
        for part in name.split("."):
            if not isinstance(value, dict) or part not in value:
                return default
            value = value[part]
        return value

    def _table(self, name: str) -> dict[str, Any]:
        value = self._value(name, {})
        if isinstance(value, dict):
            return value
        self.fault(name, f"must be a section: write [{name}]")
        return {}

    def _read(self, name: str, table: Mapping[str, Any], options: Mapping[str, Option]) -> dict[str, Any]:
        family, _, own = name.partition(".")
        above = f"{family}.*." if own and "." not in own else f"{name}."
        below = {key.removeprefix(above) for key in self.schema if key.startswith(above)}
        if not isinstance(options, Open):
            self._unknown(name, table, {*options, *below})
        values = {}
        for key, option in options.items():
            value = None
            if key in table:
                value = self._right(f"{name}.{key}", option.kind, table[key], option.secret)
            elif option.required:
                self.fault(f"{name}.{key}", f"is missing: must be {option.kind.allowed}")
            if value is not None or option.required:
                values[key] = "" if value is None else value
        return values

    def _right(self, key: str, kind: Kind, value: Any, secret: bool = False) -> Any:
        """The value as read, None with a fault when it is not of that kind."""
        try:
            return kind.read(value)
        except (ValueError, TypeError):
            self.fault(key, f"must be {kind.allowed}", value, secret)
            return None

    def _unknown(self, name: str, table: Mapping[str, Any], known: set[str]) -> None:
        for key in table.keys() - known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(known))}"
            self.fault(f"{name}.{key}".removeprefix("."), f"is unknown; {hint}")  # without its value: it may be a secret


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        old = into.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            _merge(old, value)
        elif isinstance(old, list) and isinstance(value, list) and all(isinstance(row, dict) for row in (*old, *value)):
            into[key] = [*old, *value]
        else:
            into[key] = value


def _plain(key: str) -> str:
    return re.sub(r"[\"'\s]", "", key)


def _shown(value: Any) -> str:
    """The value for people: on one line, short, and nothing of what is inside a table."""
    match value:
        case None:
            return ""
        case dict():
            return "a table"
        case list() if any(isinstance(item, dict | list) for item in value):
            return "a list"
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


# Secrets


def _open_to_others(file: int) -> bool:
    """Whether others than owner and group may read or write an open file."""
    return bool(os.fstat(file).st_mode & 0o006)


def read_secret(path: Path) -> str:
    """The secret on the first line of a file.  Raises ValueError, which says what is wrong and never what is in it."""
    try:
        with path.open("rb") as file:
            if _open_to_others(file.fileno()):
                raise ValueError(f"others may read or write {path}: chmod o-rw it")
            secret = file.read(4096).decode(errors="replace").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if not 1 <= len(secret) <= 256 or not secret.isprintable():
        raise ValueError(f"{path} must hold 1 to 256 printable characters on one line")
    return secret
