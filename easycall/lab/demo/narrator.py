"""Prints the story: one line a step, with its time and a mark that says whether it was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text
from twisted.internet.defer import CancelledError

__all__ = ["Facts", "Narrator"]

DONE, SEEN, MISSED = "›", "✓", "✗"
COLOURS = {DONE: "cyan", SEEN: "green", MISSED: "bold red"}
INDENT = 11
"""Columns before a line's text: the time and the mark."""


class Facts:
    """What a step found out, told behind it."""

    def __init__(self) -> None:
        self.text = ""


class Narrator:
    """Tells on a console.  Colour is the console's own decision: only a terminal gets it."""

    def __init__(self, console: Console, seconds: Callable[[], float]) -> None:
        """``seconds``: the time, from any moment on."""
        self._console = console
        self._seconds = seconds
        self._began = seconds()
        self._missed = False

    def chapter(self, title: str) -> None:
        """A heading, or only a gap; the seconds of what follows count from here."""
        self._console.print()
        if title:
            self._print(Text(title, "bold"))
        self._began = self._seconds()

    def restart(self) -> None:
        """The seconds count from now."""
        self._began = self._seconds()

    def progress(self, text: str) -> None:
        """A line of the lab's preparations."""
        self._line(DONE, "lab", text)

    def show(self, what: RenderableType) -> None:
        """A table or a text below the line before, as far in as its text."""
        self._console.print(Padding(what, (0, 0, 0, INDENT)))

    def missed(self, why: str) -> None:
        """Why the story ends here: below the step that was missed, or by itself when it was in no step."""
        if self._missed:
            self.note(why)
        else:
            self._print(Text(f"{MISSED} {why}", COLOURS[MISSED]))

    def plain(self, text: str) -> None:
        """A line as it is."""
        self._print(Text(text))

    def note(self, text: str) -> None:
        """More about the line before."""
        for line in text.splitlines():
            self._print(Text(" " * INDENT + line))

    @contextmanager
    def act(self, who: str, what: str) -> Iterator[None]:
        """Somebody of the story does something: told first, then done."""
        self._line(DONE, who, what)
        with self._told_if_missed(who, what):
            yield

    @contextmanager
    def step(self, who: str, what: str) -> Iterator[Facts]:
        """Something must happen: told once it was seen, with the facts found, or else as missed."""
        facts = Facts()
        with self._told_if_missed(who, what):
            yield facts
        self._line(SEEN, who, what + facts.text)

    @contextmanager
    def _told_if_missed(self, who: str, what: str) -> Iterator[None]:
        try:
            yield
        except (Exception, CancelledError):
            self._missed = True
            self._line(MISSED, who, f"{what}  (not seen)")
            raise

    def _line(self, mark: str, who: str, what: str) -> None:
        seconds = f"{self._seconds() - self._began:8.3f}"
        self._print(Text.assemble((seconds, "dim"), " ", (mark, COLOURS[mark]), " ", (f"{who:<9}", "bold"), what))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)  # a pasted line must stay one line
