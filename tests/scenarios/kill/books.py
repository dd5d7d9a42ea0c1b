"""What a daemon that has stopped leaves behind: its database, read as any program reads it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from attrs import frozen

from easycall.events import ContactArrived, ContactEnded, Event
from easycall.lab.evidence import Evidence
from easycall.lab.invariants import assert_invariants
from easycall.stats.codec import decode
from easycall.stats.framing import scan
from easycall.stats.record import Record, fold

__all__ = ["Ask", "Books", "last_kind"]

Ask = Callable[[str], list[tuple[Any, ...]]]
"""Runs a statement in a database."""


@frozen
class Books:
    """The events in their order, and the ids of the records."""

    events: tuple[tuple[int, Event], ...]
    contacts: tuple[str, ...]
    unstored: int
    """Events that stand in the journal's file and not in the database."""

    @classmethod
    def read(cls, folder: Path, ask: Ask | None = None) -> Books:
        """Those of the daemon whose data folder that is; ``ask`` its database, where that is no SQLite file in there."""
        ask = ask or partial(_in_file, folder / "easycall.db")
        events = [(seq, decode(kind, body)) for seq, kind, body in ask(EVENTS)]
        contacts = [contact for (contact,) in ask("SELECT id FROM contacts")]
        stored = {seq for seq, _ in events}
        written = set(_written(folder / "journal"))
        return cls(tuple(events), tuple(contacts), len(written - stored))

    def of(self, kind: type[Event], **facts: Any) -> list[Any]:
        """The events of a kind with these values."""
        return [
            event
            for _, event in self.events
            if type(event) is kind and all(getattr(event, name) == value for name, value in facts.items())
        ]

    def record(self, contact: str) -> Record:
        """The record of a contact that ended, folded from its events."""
        made = fold(contact, [event for _, event in self.events if event.contact == contact])
        assert made is not None, f"contact {contact} left no event"
        return made

    def add_up(self) -> None:
        """Every contact that arrived has ended once, and has one record, whose segments share out its time."""
        arrived = [event.contact for event in self.of(ContactArrived)]
        ended = [event.contact for event in self.of(ContactEnded)]
        assert not [one for one, times in Counter(arrived).items() if times > 1], "arrived twice"
        assert sorted(ended) == sorted(arrived), "not every contact ended once"
        assert sorted(self.contacts) == sorted(arrived), "not every contact has one record"
        assert_invariants(Evidence(ended=tuple(ended), records=tuple(self.record(one) for one in ended)))
        assert not self.unstored


def _in_file(file: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        return database.execute(statement).fetchall()


EVENTS = "SELECT seq, kind, body FROM events ORDER BY seq"


def last_kind(journal: Path) -> str:
    """The kind of the last event in a journal's file; empty when there is none."""
    segments = sorted(journal.glob("*.log"))
    frames = scan(segments[-1].read_bytes(), 0).frames if segments else []
    return frames[-1].kind if frames else ""


def _written(journal: Path) -> Iterator[int]:
    """The sequences in the journal's file."""
    for segment in sorted(journal.glob("*.log")):
        for frame in scan(segment.read_bytes(), int(segment.stem) - 1).frames:
            yield frame.seq
