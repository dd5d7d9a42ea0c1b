"""What outlives a process that is killed: the machine's disk and its database, in memory."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from easycall.ports import Database, StoreUnavailable

__all__ = ["Disk", "HeldDatabase", "HeldDisk", "at_once"]


class Disk:
    """A folder in memory that one process at a time may use."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.held_by: HeldDisk | None = None


class HeldDisk:
    """A :class:`easycall.stats.segments.Folder` as long as its process lives."""

    def __init__(self, disk: Disk, alive: Callable[[], bool]) -> None:
        self._disk = disk
        self.alive = alive

    def open(self) -> dict[str, int]:
        """Take it.  Raises OSError when a living process has it."""
        if self._disk.held_by is not None and self._disk.held_by.alive():
            raise OSError(errno.EAGAIN, "another easycall uses it")
        self._disk.held_by = self
        return {name: len(data) for name, data in self._disk.files.items()}

    def append(self, name: str, data: bytes) -> int:
        """Append.  Raises OSError once the process is dead."""
        if not self.alive():
            raise OSError(errno.EIO, "the process is dead")
        self._disk.files.setdefault(name, bytearray()).extend(data)
        return len(data)

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Up to so many bytes from there on."""
        return bytes(self._disk.files[name][offset : offset + size])

    def cut(self, name: str, size: int) -> None:
        """Throw away what stands behind the first ``size`` bytes."""
        if self.alive():
            del self._disk.files[name][size:]

    def sync(self, name: str) -> None:
        """A memory outlives no machine."""

    def remove(self, name: str) -> None:
        """Delete a file."""
        if self.alive():
            self._disk.files.pop(name, None)

    def close(self) -> None:
        """Give the folder up."""
        if self._disk.held_by is self:
            self._disk.held_by = None


class HeldDatabase:
    """The machine's database as long as a process lives."""

    def __init__(self, database: Database, alive: Callable[[], bool]) -> None:
        self._database = database
        self._alive = alive

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """See :class:`easycall.ports.Database`.  Raises StoreUnavailable once the process is dead."""
        self._check()
        return await self._database.query(sql, *values)

    async def transact(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        """See :class:`easycall.ports.Database`.  Raises StoreUnavailable once the process is dead."""
        self._check()
        await self._database.transact(*statements)

    def _check(self) -> None:
        if not self._alive():
            raise StoreUnavailable("the process is dead")


def at_once(work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    """Run what would block: in virtual time it does not."""
    return maybeDeferred(work, *arguments)
