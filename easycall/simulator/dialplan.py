"""A dialplan, as ``extensions.conf`` writes it: which application a channel runs next.  Pure.

Known is what easycall's own dialplan and those around it are made of: contexts, ``include``, extensions and patterns
(``_X.``), ``same =>``, priorities by number, ``n`` and label, and ``[globals]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from attrs import Factory, define, frozen

from easycall.simulator.expression import Filled, compiled

__all__ = ["Dialplan", "DialplanMistake", "Step", "parse"]


class DialplanMistake(ValueError):
    """A line of the dialplan that cannot be understood; the text names it."""


@frozen
class Step:
    """One priority of an extension."""

    application: str
    """In lower case."""
    data: Filled
    """Its arguments, to be filled in for a channel."""
    written: tuple[str, str]
    """Application and arguments as they are written."""


@define
class _Extension:
    steps: dict[int, Step] = Factory(dict)
    labels: dict[str, int] = Factory(dict)


@define
class _Context:
    extensions: dict[str, _Extension] = Factory(dict)
    includes: list[str] = Factory(list)


class Dialplan:
    """Every context.  Made by :func:`parse`."""

    def __init__(self, contexts: Mapping[str, _Context], variables: Mapping[str, str]) -> None:
        self._contexts = contexts
        self._found: dict[tuple[str, str], _Extension | None] = {}
        self.variables = variables
        """The variables of ``[globals]``."""

    def step(self, context: str, extension: str, priority: int) -> Step | None:
        """What is to be run there; None when there is nothing."""
        found = self._extension(context, extension)
        return found.steps.get(priority) if found else None

    def written(self, context: str) -> list[tuple[str, int, Step]] | None:
        """Every extension, priority and step of a context, without those it includes; None when there is no such context."""
        found = self._contexts.get(context)
        if found is None:
            return None
        extensions = sorted(found.extensions.items())
        return [(name, priority, step) for name, one in extensions for priority, step in sorted(one.steps.items())]

    def priority(self, context: str, extension: str, name: str) -> int | None:
        """The priority of that number or label; None when there is none."""
        found = self._extension(context, extension)
        if found is None:
            return None
        priority = int(name) if name.isdecimal() else found.labels.get(name, 0)
        return priority if priority in found.steps else None

    def _extension(self, context: str, extension: str) -> _Extension | None:
        key = (context, extension)
        if key not in self._found:
            self._found[key] = self._look_up(context, extension, frozenset())
        return self._found[key]

    def _look_up(self, context: str, extension: str, seen: frozenset[str]) -> _Extension | None:
        here = self._contexts.get(context)
        if here is None or context in seen:
            return None
        if extension in here.extensions:
            return here.extensions[extension]
        for pattern in sorted(here.extensions):
            if pattern.startswith("_") and _matches(pattern[1:], extension):
                return here.extensions[pattern]
        for included in here.includes:
            if (found := self._look_up(included, extension, seen | {context})) is not None:
                return found
        return None


_CLASSES = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]", ".": ".+", "!": ".*"}


def _matches(pattern: str, extension: str) -> bool:
    expression, at = "", 0
    while at < len(pattern):
        end = pattern.find("]", at) if pattern[at] == "[" else -1
        if end >= 0:
            expression += pattern[at : end + 1]
            at = end + 1
        else:
            expression += _CLASSES.get(pattern[at].upper() if pattern[at] in "xzn" else pattern[at], re.escape(pattern[at]))
            at += 1
    return re.fullmatch(expression, extension) is not None


_EXTEN = re.compile(r"(?:exten|same)\s*=>?\s*(.*)")
_PRIORITY = re.compile(r"(\d+|n)(?:\(([\w-]+)\))?")
_CALL = re.compile(r"([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*", re.DOTALL)


def parse(text: str) -> Dialplan:
    """Read an ``extensions.conf``; ``#include`` lines are left out.  Raises DialplanMistake."""
    contexts: dict[str, _Context] = {}
    variables: dict[str, str] = {}
    section = extension = ""
    last = 0
    for number, line in _lines(text):
        if line.startswith("["):
            section = line[1 : line.index("]")]
            contexts.setdefault(section, _Context())
        elif section in ("general", "globals"):
            name, _, value = line.partition("=")
            if section == "globals":
                variables[name.strip()] = value.lstrip(">").strip()
        elif line.startswith("include"):
            contexts[section].includes.append(line.partition("=")[2].lstrip("> ").strip())
        elif (found := _EXTEN.fullmatch(line)) is not None and section:
            rest = found[1]
            if line.startswith("exten"):
                extension, _, rest = (part.strip() for part in rest.partition(","))
            last = _add(contexts[section].extensions.setdefault(extension, _Extension()), rest, last, number)
        else:
            raise DialplanMistake(f"line {number} of the dialplan: {line}")
    return Dialplan(contexts, variables)


def _add(extension: _Extension, rest: str, last: int, number: int) -> int:
    """Add one priority; which one it was."""
    word, _, call = (part.strip() for part in rest.partition(","))
    given, application = _PRIORITY.fullmatch(word), _CALL.fullmatch(call)
    if given is None or application is None:
        raise DialplanMistake(f"line {number} of the dialplan: {rest}")
    priority = last + 1 if given[1] == "n" else int(given[1])
    arguments = application[2] or ""
    extension.steps[priority] = Step(application[1].lower(), compiled(arguments), (application[1], arguments))
    if given[2]:
        extension.labels[given[2]] = priority
    return priority


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Every line with something in it, without its comment."""
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r"(?<!\\);.*", "", line).strip()
        if bare and not bare.startswith("#"):
            yield number, bare
