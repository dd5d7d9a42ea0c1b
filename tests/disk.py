"""A disk in memory, which can be full, broken or torn."""

from __future__ import annotations

import errno


class Disk:
    """A folder in memory that can be full, broken or torn."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.room = 1 << 40
        self.broken: set[str] = set()
        """What fails: "append", "read", "sync", "cut"."""
        self.appends = 0
        self.longest = 0
        self.syncs = 0

    def _check(self, what: str) -> None:
        if what in self.broken:
            raise OSError(errno.EIO, "Input/output error")

    def open(self) -> dict[str, int]:
        return {name: len(data) for name, data in self.files.items()}

    def append(self, name: str, data: bytes) -> int:
        self._check("append")
        self.appends += 1
        self.longest = max(self.longest, len(data))
        free = self.room - sum(map(len, self.files.values()))
        if free <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.files[name] = self.files.get(name, b"") + data[:free]
        return min(free, len(data))

    def read(self, name: str, offset: int, size: int) -> bytes:
        self._check("read")
        return self.files[name][offset : offset + size]

    def cut(self, name: str, size: int) -> None:
        self._check("cut")
        self.files[name] = self.files[name][:size]

    def sync(self, name: str) -> None:
        self._check("sync")
        self.syncs += 1

    def remove(self, name: str) -> None:
        self.files.pop(name, None)

    def close(self) -> None:
        pass
