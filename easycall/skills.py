"""Skill expressions: what an agent must be able to do to take an item.  Pure.

::

    expression = all ("or" all)*
    all        = one ("and" one)*
    one        = "not" one | "(" expression ")" | skill [">=" level]

A skill is named with a letter and then letters, digits and ``_ - :``; a level is a whole number from 1 to 100, and a
skill without one means "at level 1 or more".  ``not`` is moved down to the skills when an expression is read (De
Morgan), and parts are sorted, without doubles: expressions that are written differently and say the same in this way
are equal, and so make one class of contacts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum

from attrs import field, frozen

__all__ = ["ANYBODY", "LENGTH", "SKILL", "BadExpression", "Requirement", "both", "parse"]

SKILL = re.compile(r"[A-Za-z][A-Za-z0-9_:-]{0,63}")
"""The name of a skill."""
LENGTH = 1000
"""The most characters of an expression."""
_DEPTH = 20
_HIGHEST = 100
_KEYWORDS = frozenset({"and", "or", "not"})
_TOKEN = re.compile(
    rf"\s*(?:(?P<name>{SKILL.pattern})(?![A-Za-z0-9_:-])|(?P<level>[0-9]+)(?![A-Za-z_:-])|(?P<sign>>=|[()]))"
)
_MISTAKES: Mapping[str, str] = {
    "&": 'write "and"',
    "|": 'write "or"',
    "!": 'write "not"',
    ",": 'write "and" or "or"',
    "=": 'write ">=" and a level',
    ">": 'write ">=" and a level',
    "<": 'write "not skill >= level"',
}


class BadExpression(ValueError):
    """An expression that cannot be read; the message names the column and the remedy."""


class Kind(Enum):
    """What a part of an expression says."""

    HAS = "has"
    LACKS = "lacks"
    ALL = "and"
    ANY = "or"


@frozen(cache_hash=True)
class Requirement:
    """An expression, or a part of one, in its one canonical form: made by :func:`parse` and :func:`both` only.

    Two are equal when they are written alike in that form.
    """

    text: str
    """The canonical form; empty: anybody will do."""
    kind: Kind = field(eq=False, repr=False)
    skill: str = field(eq=False, repr=False, default="")
    level: int = field(eq=False, repr=False, default=0)
    parts: tuple[Requirement, ...] = field(eq=False, repr=False, default=())
    _needs: tuple[tuple[str, int], ...] = field(eq=False, repr=False, init=False)
    """Skills and levels that are needed in any case: looked at first, because most expressions are no more than that."""

    @_needs.default
    def _needed(self) -> tuple[tuple[str, int], ...]:
        parts = self.parts if self.kind is Kind.ALL else (self,)
        return tuple((part.skill, part.level) for part in parts if part.kind is Kind.HAS)

    def __str__(self) -> str:
        return self.text

    def fits(self, skills: Mapping[str, int]) -> bool:
        """Whether somebody with these skills and levels will do."""
        for skill, level in self._needs:
            if skills.get(skill, 0) < level:
                return False
        if self.kind is Kind.ALL:
            rest = self.parts if len(self._needs) < len(self.parts) else ()
            return all(part.fits(skills) for part in rest)
        if self.kind is Kind.ANY:
            return any(part.fits(skills) for part in self.parts)
        return self.kind is Kind.HAS or skills.get(self.skill, 0) < self.level

    def missing(self, skills: Mapping[str, int]) -> tuple[str, ...]:
        """Why somebody with these skills will not do, in words; empty when they will."""
        if self.fits(skills):
            return ()
        if self.kind is Kind.ALL:
            return tuple(word for part in self.parts for word in part.missing(skills))
        if self.kind is Kind.ANY:
            return (" or ".join(" and ".join(part.missing(skills)) for part in self.parts),)
        has = skills.get(self.skill, 0)
        if self.kind is Kind.LACKS:
            return (f"skill {self.skill} {has} is not wanted",)
        return (f"skill {self.skill} {has} < {self.level}" if has else f"no skill {self.skill}",)

    def grade(self, skills: Mapping[str, int]) -> int:
        """How well somebody with these skills does, for a preference: 0 is not at all.

        A skill counts its level, if that is the one asked for or more; ``and`` adds up, ``or`` takes the best,
        ``not`` counts 1.
        """
        if self.kind is Kind.ALL:
            return sum(part.grade(skills) for part in self.parts)
        if self.kind is Kind.ANY:
            return max(part.grade(skills) for part in self.parts)
        if not self.fits(skills):
            return 0
        return skills[self.skill] if self.kind is Kind.HAS else 1

    def without(self, skill: str) -> Requirement:
        """Relaxed: whatever is said of the skill counts as met, so nobody who fitted is lost."""
        return self._changed(lambda part: ANYBODY if part.skill == skill else part)

    def lowered(self, skill: str, by: int) -> Requirement:
        """Relaxed: the level asked for of the skill is lower; where none is left, it counts as met."""

        def lower(part: Requirement) -> Requirement:
            if part.kind is not Kind.HAS or part.skill != skill:
                return part
            return _skill(Kind.HAS, skill, part.level - by) if part.level > by else ANYBODY

        return self._changed(lower)

    def skills(self) -> frozenset[str]:
        """The skills that it names."""
        return frozenset({self.skill} if self.skill else ()).union(*(part.skills() for part in self.parts))

    def _changed(self, change: Callable[[Requirement], Requirement]) -> Requirement:
        if self.kind in (Kind.HAS, Kind.LACKS):
            return change(self)
        return _joined(self.kind, [part._changed(change) for part in self.parts])


ANYBODY = Requirement("", Kind.ALL)
"""Nothing is required."""


def both(one: Requirement, other: Requirement) -> Requirement:
    """What asks for the one and the other."""
    return _joined(Kind.ALL, [one, other])


def _skill(kind: Kind, skill: str, level: int) -> Requirement:
    text = skill if level == 1 else f"{skill} >= {level}"
    return Requirement(f"not {text}" if kind is Kind.LACKS else text, kind, skill, level)


def _joined(kind: Kind, parts: list[Requirement]) -> Requirement:
    """Parts joined by ``and`` or ``or``: flat, without doubles, in order of their text."""
    found: dict[str, Requirement] = {}
    for part in parts:
        for inner in part.parts if part.kind is kind else (part,):
            found[inner.text] = inner
    if kind is Kind.ANY and (not found or "" in found):
        return ANYBODY
    if len(found) == 1:
        return next(iter(found.values()))
    ordered = tuple(found[text] for text in sorted(found))
    texts = (f"({part.text})" if part.kind is Kind.ANY else part.text for part in ordered)
    return Requirement(f" {kind.value} ".join(texts), kind, parts=ordered)


@frozen
class _Token:
    text: str
    column: int
    sort: str


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            column = at + len(text[at:]) - len(text[at:].lstrip())
            raise BadExpression(
                f"column {column + 1}: {text[column]!r} is not understood: "
                + _MISTAKES.get(text[column], "a skill is a letter, then letters, digits and _ - :")
            )
        sort = match.lastgroup or ""
        word = match[sort]
        if sort == "name" and word.lower() in _KEYWORDS:
            word, sort = word.lower(), "keyword"
        yield _Token(word, match.start(match.lastgroup or "") + 1, sort)
        at = match.end()
    yield _Token("", end + 1, "end")


class _Reader:
    """One expression, read from left to right."""

    def __init__(self, text: str) -> None:
        self._rest = _tokens(text)
        self._next = next(self._rest)
        self._depth = 0

    def whole(self) -> Requirement:
        if self._next.sort == "end":
            return ANYBODY
        found = self._any(True)
        if self._next.text == ")":
            raise self._wrong('")" closes nothing: remove it')
        if self._next.sort != "end":
            raise self._wrong(f'{self._next.text!r} is one too many: write "and" or "or" before it')
        return found

    def _any(self, wanted: bool) -> Requirement:
        parts = [self._all(wanted)]
        while self._next.text == "or":
            self._step()
            parts.append(self._all(wanted))
        return _joined(Kind.ANY if wanted else Kind.ALL, parts)

    def _all(self, wanted: bool) -> Requirement:
        parts = [self._one(wanted)]
        while self._next.text == "and":
            self._step()
            parts.append(self._one(wanted))
        return _joined(Kind.ALL if wanted else Kind.ANY, parts)

    def _one(self, wanted: bool) -> Requirement:
        self._depth += 1
        if self._depth > _DEPTH:
            raise self._wrong(f"more than {_DEPTH} parts within each other: write it simpler")
        try:
            if self._next.text == "not":
                self._step()
                return self._one(not wanted)
            if self._next.text == "(":
                opened = self._step()
                found = self._any(wanted)
                if self._next.text != ")":
                    raise self._wrong(f'")" is missing for the "(" of column {opened.column}')
                self._step()
                return found
            return self._has(wanted)
        finally:
            self._depth -= 1

    def _has(self, wanted: bool) -> Requirement:
        if self._next.sort != "name":
            found = repr(self._next.text) if self._next.text else "the end"
            raise self._wrong(f"a skill is expected, not {found}: write one such as billing >= 3")
        name = self._step().text
        level = 1
        if self._next.text == ">=":
            self._step()
            if self._next.sort != "level" or not 1 <= int(self._next.text[:9]) <= _HIGHEST:
                raise self._wrong(f'after ">=" a level from 1 to {_HIGHEST} is expected')
            level = int(self._step().text)
        return _skill(Kind.HAS if wanted else Kind.LACKS, name, level)

    def _step(self) -> _Token:
        token, self._next = self._next, next(self._rest, self._next)
        return token

    def _wrong(self, what: str) -> BadExpression:
        return BadExpression(f"column {self._next.column}: {what}")


def parse(text: str) -> Requirement:
    """Read an expression; an empty one asks for nothing.  Raises BadExpression."""
    if len(text) > LENGTH:
        raise BadExpression(f"column {LENGTH + 1}: more than {LENGTH} characters: write it simpler")
    return _Reader(text).whole()
