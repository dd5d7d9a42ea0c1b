"""The folder of the journal's file on the disk.  Blocking: :mod:`easycall.stats.log_file` knows what belongs in a thread."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["JournalFolder"]


class JournalFolder:
    """See :class:`easycall.stats.segments.Folder`.  Only one process at a time has it; nobody else may read it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None
        self._open: tuple[str, int] | None = None
        self._new: set[str] = set()

    def open(self) -> dict[str, int]:
        """Take the folder.  Raises OSError, EAGAIN when another process has it."""
        self._path.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(self._path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock = lock
            return {entry.name: entry.stat().st_size for entry in os.scandir(self._path) if entry.is_file()}
        except OSError as why:
            os.close(lock)
            self._lock = None
            if why.errno == errno.EAGAIN:
                raise OSError(errno.EAGAIN, "another easycall uses it") from None
            raise

    def append(self, name: str, data: bytes) -> int:
        """Append; the file stays open until another is written."""
        if self._open is None or self._open[0] != name:
            self._leave()
            path = self._path / name
            new = not path.exists()
            self._open = name, os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if new:
                self._new.add(name)
        return os.write(self._open[1], data)

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Up to so many bytes from there on."""
        with (self._path / name).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def cut(self, name: str, size: int) -> None:
        """Throw away what stands behind the first ``size`` bytes."""
        os.truncate(self._path / name, size)

    def sync(self, name: str) -> None:
        """Sync the file, and the folder when the file is new.

        On a descriptor of its own: the other may be closed meanwhile.
        """
        with suppress(FileNotFoundError):  # nobody needs it any more
            _sync(self._path / name, os.fdatasync)
            if name in self._new:
                _sync(self._path, os.fsync)
                self._new.discard(name)

    def remove(self, name: str) -> None:
        """Delete a file; one that is not there is no fault."""
        (self._path / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Give the folder up."""
        self._leave()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _leave(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None


def _sync(path: Path, how: Callable[[int], None]) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        how(descriptor)
    finally:
        os.close(descriptor)
