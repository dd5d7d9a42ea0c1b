"""What is computed in a dialplan: ``${variables and functions}`` and ``$[expressions]``.  Pure.

A text is compiled once and then filled in for each channel: :func:`compiled` gives a function of a look-up.  Known are the
operators of Asterisk's ``$[ ]`` but for regular expressions: ``| & = != < > <= >= + - * / % !`` and brackets.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache

__all__ = ["Filled", "Lookup", "Mistake", "compiled", "true"]

Lookup = Callable[[str], str]
"""The value of what stands in ``${ }``: a variable, or a function with its arguments; empty when it is not set."""
Filled = Callable[[Lookup], str]


class Mistake(ValueError):
    """A text in a dialplan that cannot be understood."""


@lru_cache(maxsize=4096)
def compiled(text: str) -> Filled:
    """A function that fills the text in.  Raises Mistake."""
    parts = _parts(text)
    if all(isinstance(part, str) for part in parts):
        whole = "".join(map(str, parts))
        return lambda lookup: whole
    if len(parts) == 1 and not isinstance(parts[0], str):
        return parts[0]
    return lambda lookup: "".join([part if isinstance(part, str) else part(lookup) for part in parts])


def true(text: str) -> bool:
    """Whether a condition holds: neither empty nor zero (``pbx_checkcondition``)."""
    stripped = text.strip()
    return stripped not in ("", "0")


def _parts(text: str) -> list[str | Filled]:
    """The text cut at what is to be filled in."""
    parts: list[str | Filled] = []
    at = 0
    while (found := text.find("$", at)) >= 0:
        kind = text[found + 1 : found + 2]
        if kind not in ("{", "["):
            parts.append(text[at : found + 1])
            at = found + 1
            continue
        end = _closing(text, found + 1)
        parts.append(text[at:found])
        inner = text[found + 2 : end]
        parts.append(_variable(inner) if kind == "{" else _expression(inner))
        at = end + 1
    parts.append(text[at:])
    return [part for part in parts if part != ""] or [""]


def _closing(text: str, opening: int) -> int:
    """Where the bracket that opens there is closed."""
    pair = {"{": "}", "[": "]"}
    waiting: list[str] = []
    for at in range(opening, len(text)):
        if text[at] in pair and (at == opening or text[at - 1] == "$"):
            waiting.append(pair[text[at]])
        elif waiting and text[at] == waiting[-1]:
            waiting.pop()
            if not waiting:
                return at
    raise Mistake(f"a bracket is not closed: {text}")


def _variable(inner: str) -> Filled:
    name = compiled(inner)
    return lambda lookup: lookup(name(lookup))


def _expression(inner: str) -> Filled:
    filled = compiled(inner)
    return lambda lookup: _evaluate(filled(lookup))


_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[|&+*/%()]|!=|<=|>=|[=<>!]|-|[^\s"|&+*/%()!<>=-]+)')
_LEVELS: tuple[tuple[str, ...], ...] = (("|",), ("&",), ("=", "!=", "<", ">", "<=", ">="), ("+", "-"), ("*", "/", "%"))
_COMPARE: dict[str, Callable[[float | str, float | str], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


@lru_cache(maxsize=4096)
def _evaluate(text: str) -> str:
    """The value of an expression in which everything is filled in.  Raises Mistake."""
    tokens = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Mistake(f"no expression: {text}")
        tokens.append(found[1])
        at = found.end()
    value = _level(tokens, 0)
    if tokens:
        raise Mistake(f"no expression: {text}")
    return value


def _level(tokens: list[str], level: int) -> str:
    """The value of the tokens up to the first operator that binds less; they are taken off the list."""
    if level == len(_LEVELS):
        return _operand(tokens)
    left = _level(tokens, level + 1)
    while tokens and tokens[0] in _LEVELS[level]:
        left = _operate(tokens.pop(0), left, _level(tokens, level + 1))
    return left


def _operand(tokens: list[str]) -> str:
    if not tokens:
        return ""
    word = tokens.pop(0)
    if word == "(":
        value = _level(tokens, 0)
        if not tokens or tokens.pop(0) != ")":
            raise Mistake("a bracket is not closed in an expression")
        return value
    if word == "!":
        return "0" if true(_operand(tokens)) else "1"
    if word == "-":
        return _number_text(-_number(_operand(tokens)))
    return word[1:-1] if word.startswith('"') else word


def _operate(sign: str, left: str, right: str) -> str:
    if sign == "|":
        return left if true(left) else right
    if sign == "&":
        return left if true(left) and true(right) else "0"
    if sign in _COMPARE:
        numbers = _maybe_number(left), _maybe_number(right)
        one, other = (left, right) if None in numbers else numbers
        return "1" if _COMPARE[sign](one, other) else "0"  # type: ignore[arg-type]
    one, other = _number(left), _number(right)
    if sign in "/%" and not other:
        raise Mistake("division by zero in an expression")
    result = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "%": operator.mod}[sign]
    return _number_text(result(one, other))


def _maybe_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _number(text: str) -> float:
    number = _maybe_number(text or "0")
    if number is None:
        raise Mistake(f"no number: {text}")
    return number


def _number_text(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)
