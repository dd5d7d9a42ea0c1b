"""What was decided, and why: the last decisions, kept compactly.  Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from attrs import frozen

from easycall.acd.ordered import Entry
from easycall.acd.ranking import Look, Rung
from easycall.acd.waiting import Best

__all__ = ["Decision", "Decisions", "Runner"]

_Record = tuple[float, str, str, float, int, int, bool, Best | tuple[()], Look | None]
"""What :class:`Decision` has, as far as ``at_least``; the items among which an agent's was chosen; the agents among whom an
item's was."""
RUNNERS = 3
"""How many of those who were not chosen are told."""


@frozen
class Runner:
    """An item or an agent that was compared with the one chosen, and came behind."""

    id: str
    score: float | None = None
    """An item's, at that moment."""
    order: Entry = ()
    """What an agent was sorted by."""


@frozen
class Decision:
    """A contact and an agent who were given to each other."""

    at: float
    contact: str
    agent: str
    score: float
    """The contact's."""
    ring: int
    """The ring that had last changed anything for the contact."""
    idle: int
    """How many eligible agents were idle, the chosen one among them."""
    at_least: bool
    """There may have been more: only the classes that were compared are counted."""
    heads: int
    """How many heads of eligible classes were among those looked through: at most 12 for each rate."""
    runners: tuple[Runner, ...]
    """The best of those that were compared and not chosen: items if an agent became free, agents if an item came."""
    note: str = ""
    """What became of asking the queue's strategy, in words; empty: none was asked."""


class Decisions:
    """The last so many, oldest first.  A record is a tuple that shares what the waiting room has made anyway."""

    def __init__(self, remembered: int) -> None:
        self._records: deque[_Record] = deque(maxlen=remembered)
        self.add = self._records.append
        self._notes: dict[tuple[str, str, float], str] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Decision]:
        return map(self._told, self._records)

    def note(self, contact: str, agent: str, at: float, words: str) -> None:
        """Say something of a decision that was made then."""
        self._notes[contact, agent, at] = words
        if len(self._notes) > (self._records.maxlen or 0):
            del self._notes[next(iter(self._notes))]

    def of(self, *, contact: str = "", agent: str = "", limit: int | None = None) -> list[Decision]:
        """Those about a contact, or an agent, oldest first; at most the last ``limit``."""
        latest = (rec for rec in reversed(self._records) if contact in ("", rec[1]) and agent in ("", rec[2]))
        return [self._told(record) for record in islice(latest, limit)][::-1]

    def _told(self, record: _Record) -> Decision:
        at, contact, agent, *_ = record
        return _told(record, self._notes.get((contact, agent, at), ""))


def _told(record: _Record, note: str) -> Decision:
    at, contact, agent, score, ring, idle, at_least, best, agents = record
    items = list(_items(best, at)) if best else []
    behind = [Runner(name, -turned) for turned, _, name in sorted(items) if name != contact]
    others = sorted(_eligible(*agents[1:])) if agents is not None else []
    behind += [Runner(entry[-1], order=entry[:-1]) for entry in others if entry[-1] != agent]
    return Decision(at, contact, agent, score, ring, idle, at_least, len(items) + len(others), tuple(behind[:RUNNERS]), note)


def _items(best: Best, at: float) -> Iterator[tuple[float, float, str]]:
    """All items that were compared: score with its sign turned, key and contact."""
    *_, rate, asked, rungs, others = best
    for key, contact in _eligible(asked, rungs):
        yield (rate * (key - at), key, contact)
    for other in others:
        yield from _items(other, at)


def _eligible(asked: int, rungs: Sequence[Rung]) -> list[Entry]:
    """The heads that were asked for among those that were looked through."""
    return [rung[:-1] for rung in rungs if rung[-1] & asked]
