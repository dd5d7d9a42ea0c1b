"""Recordings: their index in the database, and their files, which Asterisk writes."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from easycall.events import RecordingStarted
from easycall.ports import Database
from easycall.stats.journal import Entry
from easycall.stats.record import Record
from easycall.stats.recordings import Gap, Recording

__all__ = ["ADD_RECORDING", "RecordingFiles", "RecordingIndex", "recording_rows"]

log = Logger()
T = TypeVar("T")

# The row is there from the moment the recording begins, and is completed when its contact has ended; a batch whose commit
# was not confirmed is written again, and must not take that back.
ADD_RECORDING = (
    "INSERT INTO recordings (id, contact, file, started, ended, gaps) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, gaps = excluded.gaps WHERE excluded.ended IS NOT NULL"
)
_OF_CONTACT = "SELECT id, file, started, ended, gaps FROM recordings WHERE contact = ? ORDER BY started, id"
_CONTACT_OF = "SELECT contact FROM recordings WHERE id = ?"
_PAGE = (
    "SELECT id, file, started, ended, gaps, contact FROM recordings WHERE started >= ? AND started < ? "
    "ORDER BY started DESC, id DESC LIMIT ?"
)
_PAGE_BEFORE = (
    "SELECT id, file, started, ended, gaps, contact FROM recordings WHERE started >= ? AND started < ? "
    "AND (started, id) < (SELECT started, id FROM recordings WHERE id = ?) ORDER BY started DESC, id DESC LIMIT ?"
)
_GAPS = msgspec.json.Decoder(tuple[Gap, ...])
_FILE = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2}/[A-Za-z0-9]{1,40}\.wav")
"""What :func:`easycall.recording.file_of` makes."""


def recording_rows(entries: Sequence[Entry], records: Sequence[Record]) -> list[tuple[Any, ...]]:
    """What :data:`ADD_RECORDING` wants, of a batch of events and the records of the contacts that ended in it."""
    begun = [
        (event.recording, event.contact, event.file, event.at, None, "[]")
        for event in (entry.event for entry in entries)
        if isinstance(event, RecordingStarted)
    ]
    ended = [
        (one.id, record.id, one.file, one.started, one.ended, msgspec.json.encode(one.gaps).decode())
        for record in records
        for one in record.recordings
    ]
    return begun + ended


class RecordingIndex:
    """Which recordings there are.  Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_contact(self, contact: str) -> tuple[Recording, ...]:
        """The recordings of a contact, the first one first."""
        return tuple(map(_recording, await self._database.query(_OF_CONTACT, contact)))

    async def contact_of(self, recording: str) -> str:
        """The contact of a recording; empty when there is none of that id."""
        rows = await self._database.query(_CONTACT_OF, recording)
        return str(rows[0][0]) if rows else ""

    async def page(self, limit: int, before: str, first: float, end: float) -> list[tuple[str, Recording]]:
        """Contacts and recordings that began from ``first`` on and before ``end``, the latest first; only those before
        recording ``before``.  What still runs has no end and no gaps yet."""
        if before:
            rows = await self._database.query(_PAGE_BEFORE, first, end, before, limit)
        else:
            rows = await self._database.query(_PAGE, first, end, limit)
        return [(str(row[5]), _recording(row)) for row in rows]


def _recording(row: tuple[Any, ...]) -> Recording:
    return Recording(row[0], row[1], row[2], row[3], _GAPS.decode(row[4]))


class RecordingFiles:
    """The files below one folder.  Nothing is opened that is a symbolic link, or below one."""

    def __init__(self, directory: Path, reactor: Any) -> None:
        """``reactor`` runs the threads in which files are looked at."""
        self._directory = directory
        self._reactor = reactor

    def prepare(self) -> None:
        """Make the folder when it is not there, for us and our group.  Raises OSError when we cannot read in it."""
        if not self._directory.is_dir():
            self._directory.mkdir()
            self._directory.chmod(0o2770)
        os.scandir(self._directory).close()
        if not os.access(self._directory, os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        found = self._directory.stat()
        if found.st_uid == os.geteuid() != 0 and not found.st_mode & 0o022:
            log.warn(
                "recordings.directory: only this user may write in {directory}; an Asterisk of another user cannot record",
                directory=self._directory,
            )

    async def size(self, file: str) -> int | None:
        """How many bytes it has; None when it is not there or cannot be looked at."""
        return await self._in_thread(self._size, file)

    async def open(self, file: str) -> BinaryIO:
        """The file, for reading.  Raises FileNotFoundError, and OSError when it may not be read."""
        return await self._in_thread(self._open, file)

    async def remove(self, file: str) -> bool:
        """Remove a file; False when there was none.  Raises OSError."""
        return await self._in_thread(self._remove, file)

    def _in_thread(self, work: Callable[[str], T], file: str) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work, file)

    def _size(self, file: str) -> int | None:
        try:
            with self._open(file) as opened:
                return os.fstat(opened.fileno()).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error("recordings.directory: {file} cannot be read: {why}", file=file, why=error.strerror)
            return None

    def _remove(self, file: str) -> bool:
        try:
            below, name = self._below(file)
        except FileNotFoundError:
            return False
        try:
            os.unlink(name, dir_fd=below)
        except FileNotFoundError:
            return False
        finally:
            os.close(below)
        return True

    def _open(self, file: str) -> BinaryIO:
        below, name = self._below(file)
        try:
            found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=below)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise FileNotFoundError(errno.ENOENT, "a symbolic link is no recording", file) from None
            raise
        finally:
            os.close(below)
        if not stat.S_ISREG(os.fstat(found).st_mode):
            os.close(found)
            raise FileNotFoundError(errno.ENOENT, "not a file", file)
        return os.fdopen(found, "rb")

    def _below(self, file: str) -> tuple[int, str]:
        """The folder of a recording, open, and its name in there."""
        if not _FILE.fullmatch(file):
            raise FileNotFoundError(errno.ENOENT, "not the name of a recording", file)
        *folders, name = file.split("/")
        here = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
                os.close(here)
                here = below
        except OSError as error:
            os.close(here)
            if error.errno in (errno.ELOOP, errno.ENOTDIR):  # a symbolic link
                raise FileNotFoundError(errno.ENOENT, "a symbolic link is no recording", file) from None
            raise
        return here, name
