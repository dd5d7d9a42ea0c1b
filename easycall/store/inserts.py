"""INSERT statements that may take many rows at once, as one statement for each row is what storing events costs most."""

from __future__ import annotations

from functools import lru_cache
from re import DOTALL, fullmatch

from attrs import frozen

__all__ = ["Insert", "insert"]


@frozen
class Insert:
    """An INSERT of rows of marks that leaves rows alone that are there."""

    table: str
    columns: tuple[str, ...]
    row: str
    """The marks of a row, in brackets."""
    tail: str
    """What it does when a row is there."""

    @property
    def head(self) -> str:
        """What stands before the rows."""
        return f"INSERT INTO {self.table} ({', '.join(self.columns)})"

    def of(self, rows: int) -> str:
        """The same for so many rows at once."""
        return f"{self.head} VALUES {', '.join([self.row] * rows)}{self.tail}"


@lru_cache(maxsize=200)
def insert(sql: str) -> Insert | None:
    """What a statement says, if it is such an INSERT; else None."""
    found = fullmatch(r"INSERT INTO (\w+) \(([\w, ]+)\) VALUES (\([?, ]+\))((?: ON CONFLICT .* DO NOTHING)?)", sql, DOTALL)
    return Insert(found[1], tuple(found[2].split(", ")), found[3], found[4]) if found else None
