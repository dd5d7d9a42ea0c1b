"""A PostgreSQL database read beside the daemon that writes it.  Blocking: for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg2

from easycall.ports import StoreUnavailable
from easycall.store.postgres.address import Address, refusal
from easycall.store.postgres.connection import marked

__all__ = ["PostgresReader"]


class PostgresReader:
    """A :class:`easycall.store.past.Reader`: each question sees what is there then, and holds no lock after it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        try:
            self._connection = address.connect()
            self._connection.set_session(readonly=True, autocommit=True)
        except psycopg2.Error as why:
            raise self._unreadable(why) from why

    def __str__(self) -> str:
        return str(self._address)

    def rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of one statement.  Raises StoreUnavailable, with the remedy."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(marked(sql), tuple(values))
                return list(cursor.fetchall())
        except psycopg2.Error as why:
            raise self._unreadable(why) from why

    def close(self) -> None:
        """Let go."""
        self._connection.close()

    def _unreadable(self, why: psycopg2.Error) -> StoreUnavailable:
        if isinstance(why, psycopg2.errors.UndefinedTable):
            return StoreUnavailable(
                f"{self} is no database of easycall ({refusal(why)}): see store.url of the configuration"
            )
        return StoreUnavailable(f"database {self} cannot be read: {refusal(why)}")
