"""Wrap-ups and transactions of contacts in the database: SQL that SQLite and PostgreSQL both understand.

Both may come when the contact has ended and its record is written, so each has its own row, by the number of its event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from easycall.events import TransactionReported, WrapUpEnded
from easycall.ports import Database
from easycall.stats.archive import Entry
from easycall.stats.particulars import Transaction, WrappedUp, latest

__all__ = ["particulars_of", "particulars_to_store"]

WRAP_UP_COLUMNS = "seq, contact, agent, queue, started, ended"
ADD_WRAP_UP = f"INSERT INTO wrap_ups ({WRAP_UP_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (seq) DO NOTHING"  # noqa: S608
ADD_TRANSACTION = (
    "INSERT INTO transactions "
    "(seq, contact, at, name, outcome, reference, amount, currency, agent, data, node, reported_by) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (seq) DO NOTHING"
)
WRAP_UPS_OF = "SELECT agent, queue, started, ended FROM wrap_ups WHERE contact = ? ORDER BY started, agent"
TRANSACTIONS_OF = (
    "SELECT at, name, outcome, reference, amount, currency, agent, data, node, reported_by FROM transactions "
    "WHERE contact = ? ORDER BY seq"
)

_TEXTS = msgspec.json.Decoder(dict[str, str])


def particulars_to_store(entries: Iterable[Entry]) -> tuple[tuple[str, Sequence[Sequence[Any]]], ...]:
    """The statements that store what is told of them in a batch of events."""
    wrap_ups: list[tuple[Any, ...]] = []
    transactions: list[tuple[Any, ...]] = []
    for entry in entries:
        match entry.event:
            case WrapUpEnded() as one:
                wrap_ups.append((entry.seq, one.contact, one.agent, one.queue, one.started, one.at))
            case TransactionReported() as one:
                what = one.name, one.outcome, one.reference, one.amount, one.currency
                data = msgspec.json.encode(one.data).decode()
                transactions.append((entry.seq, one.contact, one.at, *what, one.agent, data, one.node, one.by))
    return (ADD_WRAP_UP, wrap_ups), (ADD_TRANSACTION, transactions)


async def particulars_of(database: Database, contact: str) -> tuple[tuple[WrappedUp, ...], tuple[Transaction, ...]]:
    """The wrap-ups that are over, and the transactions, of a contact.  Raises StoreUnavailable."""
    wrap_ups = await database.query(WRAP_UPS_OF, contact)
    reported = await database.query(TRANSACTIONS_OF, contact)
    transactions = latest(map(_transaction, reported))
    return tuple(WrappedUp(*row) for row in wrap_ups), transactions


def _transaction(row: tuple[Any, ...]) -> Transaction:
    at, name, outcome, reference, amount, currency, agent, data, node, by = row
    return Transaction(at, name, outcome, reference, amount, currency, agent, _TEXTS.decode(data), node, by)
