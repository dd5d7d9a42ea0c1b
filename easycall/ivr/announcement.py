"""What a waiting caller is told of the place in line and of the expected wait, in words.  Pure.

All of it is spoken when the daemon starts, like every prompt: the positions and ranges that are told are few.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from attrs import frozen

from easycall.ivr.prompt import Prompt

__all__ = ["LANGUAGES", "LAST_POSITION", "Announcements"]

LAST_POSITION = 20
"""The last place that is told as a number."""


@frozen
class _Words:
    """How one language says it; minutes are whole ones."""

    first: str
    position: str
    beyond: str
    under: str
    about: str
    over: str


_WORDS: Mapping[str, _Words] = {
    "en": _Words(
        first="You are the next in line.",
        position="You are number {position} in line.",
        beyond="More than {position} callers are in line before you.",
        under="Your call will be answered in less than a minute.",
        about="Your call will be answered in about {low} to {high} minutes.",
        over="It may take more than an hour until your call is answered.",
    ),
    "zh": _Words(
        first="您是下一位。",
        position="您排在第{position}位。",
        beyond="您前面还有超过{position}位来电者。",
        under="预计不到一分钟就会接听您的来电。",
        about="预计大约{low}到{high}分钟后接听您的来电。",
        over="预计等待时间超过一小时。",
    ),
}
LANGUAGES = frozenset(_WORDS)
"""Those in which it can be said."""


class Announcements:
    """What can be said at a site, in those of our languages that have a voice there."""

    def __init__(self, languages: Collection[str] = LANGUAGES) -> None:
        self._words = {language: words for language, words in _WORDS.items() if language in languages}

    def position(self, position: int) -> Prompt:
        """The place in line, from 1."""
        if position > LAST_POSITION:
            return self._prompt("beyond", position=LAST_POSITION)
        return self._prompt("position" if position > 1 else "first", position=position)

    def wait(self, low: int, high: int) -> Prompt:
        """From and to, in seconds, as :func:`easycall.acd.expectation.rounded_range` gives them; ``high`` 0: no end."""
        kind = "over" if not high else "about" if low else "under"
        return self._prompt(kind, low=low // 60, high=high // 60)

    def every(self, ranges: Collection[tuple[int, int]]) -> Iterator[Prompt]:
        """Everything that may be said of places, and of waits in these ranges."""
        yield from (self.position(number) for number in range(1, LAST_POSITION + 2))
        yield from (self.wait(low, high) for low, high in ranges)

    def _prompt(self, kind: str, **numbers: int) -> Prompt:
        """Raises ValueError at a site where nobody speaks one of our languages."""
        texts = tuple((language, getattr(words, kind).format(**numbers)) for language, words in self._words.items())
        if not texts:
            raise ValueError(f"no voice speaks {' or '.join(sorted(LANGUAGES))}")
        return Prompt(texts=texts)
