"""Voice mail in a folder: a message is a wav file that Asterisk wrote, and a JSON file of the same name about it.

All files are named by us.  A message without its JSON file is one whose call goes on, or was cut off with the daemon.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec
from attrs import evolve
from twisted.internet.threads import deferToThreadPool

from easycall.model import Message

__all__ = ["MessageFiles"]

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
SHORTEST_SECONDS = 0.5
"""What is shorter is no message."""
HEADER = 44
"""Bytes of a wav file before its samples."""
BYTES_PER_SECOND = 16_000


class MessageFiles:
    """See :class:`easycall.ports.Messages`; and what the API shows.  Files are touched in threads."""

    def __init__(self, directory: Path, asterisk_directory: str, seconds: float, silence: float, reactor: Any) -> None:
        """``asterisk_directory``: the same folder as Asterisk sees it; ``reactor`` gives threads."""
        self.seconds = seconds
        self.silence = silence
        self._directory = directory
        self._seen = asterisk_directory
        self._reactor = reactor

    def make_folder(self) -> None:
        """Make the folder if it is not there; messages are confidential.  Raises OSError."""
        if not self._directory.is_dir():
            self._directory.mkdir(mode=0o770)

    def file(self, message: str) -> str:
        """Where Asterisk records a message."""
        return f"{self._seen}/{message}"

    async def keep(self, message: Message) -> float:
        """Keep what was recorded, and tell how long it is."""
        return await self._in_thread(lambda: self._keep(message))

    async def page(self, limit: int, before: str = "", box: str = "") -> list[Message]:
        """Messages, the latest contact first; ``before``: only those behind this one."""
        return await self._in_thread(lambda: self._page(limit, before, box))

    async def open(self, message: str) -> BinaryIO:
        """The sound of a message.  Raises FileNotFoundError when there is no such message, OSError."""
        return await self._in_thread(lambda: self._open(message))

    async def before(self, moment: float, limit: int) -> list[Message]:
        """Messages that were left before that, the oldest first.  Raises OSError."""
        return await self._in_thread(lambda: self._before(moment, limit))

    async def of(self, wanted: Callable[[Message], bool]) -> list[Message]:
        """All messages that are wanted; ``wanted`` is asked in a thread.  Raises OSError."""
        return await self._in_thread(lambda: [one for one in self._all() if wanted(one)])

    async def remove(self, message: str) -> bool:
        """Remove a message; False when there was none.  Raises OSError."""
        return await self._in_thread(lambda: self._remove(message))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        done: T = await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)
        return done

    def _keep(self, message: Message) -> float:
        sound = self._directory / f"{message.id}.wav"
        try:
            seconds = round(max(0, sound.stat().st_size - HEADER) / BYTES_PER_SECOND, 3)
        except FileNotFoundError:
            return 0.0  # hung up before the tone
        if seconds < SHORTEST_SECONDS:
            sound.unlink()
            return 0.0
        new = sound.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(evolve(message, seconds=seconds)))
        os.replace(new, sound.with_suffix(".json"))
        return seconds

    def _page(self, limit: int, before: str, box: str) -> list[Message]:
        found: list[Message] = []
        for file in sorted(self._directory.glob("*.json"), reverse=True):
            if before and file.stem >= before:
                continue
            message = msgspec.json.decode(file.read_bytes(), type=Message)
            if box in ("", message.box):
                found.append(message)
            if len(found) == limit:
                break
        return found

    def _all(self) -> Iterator[Message]:
        """The oldest contact first."""
        for file in sorted(self._directory.glob("*.json")):
            with suppress(FileNotFoundError, msgspec.DecodeError):
                yield msgspec.json.decode(file.read_bytes(), type=Message)

    def _before(self, moment: float, limit: int) -> list[Message]:
        return list(islice((one for one in self._all() if one.at < moment), limit))

    def _remove(self, message: str) -> bool:
        if not NAME.fullmatch(message):
            return False
        note = self._directory / f"{message}.json"
        found = note.exists()
        # The sound first: what is noted is found again.
        (self._directory / f"{message}.wav").unlink(missing_ok=True)
        note.unlink(missing_ok=True)
        return found

    def _open(self, message: str) -> BinaryIO:
        if not NAME.fullmatch(message) or not (self._directory / f"{message}.json").exists():
            raise FileNotFoundError(message)
        return (self._directory / f"{message}.wav").open("rb")
