"""Classes of items and classes of agents, and which of the ones may have which of the others.  Pure.

What decides whether an agent may take an item is the same for many of them: items of one queue, channel, requirement
and Asterisk are one class, agents of the same skills, queues and free channels another.  So eligibility is a table of
rows (classes of items) and columns (classes of agents), a few hundred each, whatever the number of items and agents.
A cell is computed once, when its row or column is new.  Each row has a mask of its columns and each column one of its
rows: "is there anything for you?" is one ``&`` of two integers.  A row or column that nobody uses dies, and its bit
is given to a later one.
"""

from __future__ import annotations

from heapq import heappop, heappush

from attrs import frozen

from easycall.acd.agent_order import Order
from easycall.acd.ranking import Members, Ranking, bits
from easycall.policy import Channel
from easycall.skills import Requirement

__all__ = ["AgentClass", "Column", "ItemClass", "Row", "Table"]


@frozen(cache_hash=True)
class ItemClass:
    """What items have in common that are eligible for the same agents, and choose among them alike."""

    queue: str
    groups: frozenset[str]
    """The queues whose agents may take them: their own, and what rings added."""
    channel: Channel
    requires: Requirement
    """At their present ring."""
    pbx: str
    rate: float
    order: Order
    prefers: Requirement
    """What agents are graded by; nothing when grades do not count."""


@frozen(cache_hash=True)
class AgentClass:
    """What agents have in common who are eligible for the same items."""

    skills: frozenset[tuple[str, int]]
    queues: frozenset[str]
    channels: frozenset[Channel]
    """Those with free capacity."""
    unreachable: frozenset[str]


class Row:
    """A class of items that is in use."""

    __slots__ = ("bit", "columns", "grades", "key", "members", "one", "users")

    def __init__(self, key: ItemClass, bit: int) -> None:
        self.key = key
        self.bit = bit
        self.one = 1 << bit
        self.columns = 0
        """The mask of the classes of agents who may take these items."""
        self.grades: dict[int, int] = {}
        """Grade -> the mask of those of the columns that have it, the highest first; where all are equal there is one."""
        self.members: Members = Ranking().of(bit)
        """Its items that anybody may have, in a ranking of all classes of their rate."""
        self.users = 0

    def add(self, column: Column) -> None:
        """A column is eligible."""
        self.columns |= column.one
        grade = self.key.prefers.grade(column.skills)
        self.grades[grade] = self.grades.get(grade, 0) | column.one
        self.grades = dict(sorted(self.grades.items(), reverse=True))

    def discard(self, column: Column) -> None:
        """A column is no more."""
        self.columns &= ~column.one
        self.grades = {grade: left for grade, mask in self.grades.items() if (left := mask & ~column.one)}


class Column:
    """A class of agents that is in use."""

    __slots__ = ("bit", "key", "members", "one", "orders", "rows", "skills", "users")

    def __init__(self, key: AgentClass, bit: int) -> None:
        self.key = key
        self.skills = dict(key.skills)
        self.bit = bit
        self.one = 1 << bit
        self.rows = 0
        """The mask of the classes of items that these agents may take."""
        self.members: Members = Ranking().of(bit)
        """Those who are idle, in the ranking of who is idle longest."""
        self.orders: tuple[Order, ...] = ()
        """The orders in which idle ones of them stand: those that its rows ask for."""
        self.users = 0


class Table:
    """All rows and columns in use."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        """By bit, as the columns are."""
        self.columns: dict[int, Column] = {}
        self.rows_of_queue: dict[str, int] = {}
        """Queue -> the mask of its rows."""
        self.rows_on_pbx: dict[str, int] = {}
        self._row_by_key: dict[ItemClass, Row] = {}
        self._column_by_key: dict[AgentClass, Column] = {}
        self._free_rows: list[int] = []
        self._free_columns: list[int] = []

    def row(self, key: ItemClass) -> Row:
        """The row of a class, which has one more user now; the only one if it is new."""
        row = self._row_by_key.get(key)
        if row is None:
            bit = heappop(self._free_rows) if self._free_rows else len(self.rows)
            row = self._row_by_key[key] = self.rows[bit] = Row(key, bit)
            self.rows_of_queue[key.queue] = self.rows_of_queue.get(key.queue, 0) | row.one
            self.rows_on_pbx[key.pbx] = self.rows_on_pbx.get(key.pbx, 0) | row.one
            for column in self.columns.values():
                _relate(row, column)
        row.users += 1
        return row

    def column(self, key: AgentClass) -> Column:
        """The column of a class, which has one more user now; the only one if it is new."""
        column = self._column_by_key.get(key)
        if column is None:
            bit = heappop(self._free_columns) if self._free_columns else len(self.columns)
            column = self._column_by_key[key] = self.columns[bit] = Column(key, bit)
            for row in self.rows.values():
                _relate(row, column)
        column.users += 1
        return column

    def release_row(self, row: Row) -> bool:
        """One user less; True when the row is no more."""
        row.users -= 1
        if row.users:
            return False
        del self._row_by_key[row.key], self.rows[row.bit]
        heappush(self._free_rows, row.bit)
        _clear(self.rows_of_queue, row.key.queue, row.one)
        _clear(self.rows_on_pbx, row.key.pbx, row.one)
        for bit in bits(row.columns):
            self.columns[bit].rows ^= row.one
        return True

    def release_column(self, column: Column) -> bool:
        """One user less; True when the column is no more."""
        column.users -= 1
        if column.users:
            return False
        del self._column_by_key[column.key], self.columns[column.bit]
        heappush(self._free_columns, column.bit)
        for bit in bits(column.rows):
            self.rows[bit].discard(column)
        return True


def _relate(row: Row, column: Column) -> None:
    """Compute one cell.  The cheap tests come first."""
    items, agents = row.key, column.key
    if (
        items.channel in agents.channels
        and not items.groups.isdisjoint(agents.queues)
        and items.pbx not in agents.unreachable
        and items.requires.fits(column.skills)
    ):
        column.rows |= row.one
        row.add(column)


def _clear(masks: dict[str, int], name: str, one: int) -> None:
    masks[name] ^= one
    if not masks[name]:
        del masks[name]
