"""The folders of faxes, the commands that make one kind of file of another, and the notes beside each file.

Asterisk is another user on the machine.  So that it reads what is sent and writes what is received, and others do not find
the files, the folders can be entered and not listed, and names are 128 random bits.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from twisted.internet.defer import Deferred

from easycall.fax.tiff import count_pages
from easycall.ivr.prompts import pipe

__all__ = ["Folder", "InThread", "Noted", "convert", "new_id", "pages_of"]

T = TypeVar("T")

CONVERT_SECONDS = 60.0
"""How long making one file of another may take."""
LIMITS = ("prlimit", "--cpu=60", "--as=2147483648", "--fsize=268435456")
"""What a command may use of the machine: a small file can unpack to a very large one."""


class InThread(Protocol):
    """Runs work that may wait for a disk somewhere else than on the reactor."""

    def __call__(self, work: Callable[..., T], /, *arguments: Any) -> Deferred[T]:
        """What ``work(*arguments)`` gives."""


class Noted(Protocol):
    """Something that is kept beside its file, as attrs class."""

    @property
    def id(self) -> str:
        """Names the files."""

    @property
    def at(self) -> float:
        """Since when it is there."""


def new_id() -> str:
    """A name that cannot be guessed."""
    return secrets.token_hex(16)


def pages_of(file: Path, limit: int) -> int:
    """The pages of a TIFF file.  Raises ValueError."""
    try:
        with file.open("rb") as data:
            return count_pages(data, limit)
    except OSError as why:
        raise ValueError(why.strerror) from why


async def convert(command: Sequence[str], reactor: Any, **places: str) -> str:
    """Run a command without a shell, ``{input}`` and so on put in; what it complains of.  Raises CommandFailed."""
    words = [_filled(word, places) for word in command]
    limits = LIMITS if shutil.which(LIMITS[0]) else ()
    if shutil.which(words[0]) is None:
        limits = ()  # let the message name the command that is missing
    said = await pipe([*limits, *words], b"", reactor, CONVERT_SECONDS)
    return " ".join(said.decode(errors="replace").split())[:400]


def _filled(word: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        word = word.replace(f"{{{name}}}", value)
    return word


class Folder:
    """A folder of ours with files ``ID.tiff`` and so on, and a note ``ID.json`` beside each."""

    def __init__(self, path: Path, seen: str, mode: int) -> None:
        """``seen``: the same folder as Asterisk sees it; ``mode``: who may enter it."""
        self.path = path
        self._seen = seen.rstrip("/")
        self._mode = mode

    def file(self, name: str, suffix: str) -> Path:
        """Where we find a file."""
        return self.path / f"{name}.{suffix}"

    def seen(self, name: str, suffix: str) -> str:
        """Where Asterisk finds it."""
        return f"{self._seen}/{name}.{suffix}"

    def prepare(self, shape: type[T], keep: str = "") -> list[T]:
        """Make the folder, remove what is half there, and give what is noted.  Raises OSError.

        ``keep``: the suffix of files that stay although nothing is noted of them.
        """
        if not self.path.parent.is_dir():
            self.path.parent.mkdir(parents=True)
            self.path.parent.chmod(0o711)
        self.path.mkdir(exist_ok=True)
        self.path.chmod(self._mode)
        found: dict[str, T] = {}
        for note in self.path.glob("*.json"):
            with suppress(msgspec.DecodeError, OSError):
                found[note.stem] = msgspec.json.decode(note.read_bytes(), type=shape)
        for file in self.path.iterdir():
            if file.stem not in found and (not keep or file.suffix != f".{keep}"):
                file.unlink(missing_ok=True)
        return list(found.values())

    def note(self, noted: Noted) -> None:
        """Keep a note: from now on the file counts.  Raises OSError."""
        part = self.file(noted.id, "part")
        part.write_bytes(msgspec.json.encode(noted))
        part.chmod(0o600)
        part.replace(self.file(noted.id, "json"))

    def remove(self, name: str) -> None:
        """Remove all that belongs to a name, the note first."""
        for suffix in ("json", "tiff", "pdf", "part", "in", "between"):
            with suppress(OSError):
                self.file(name, suffix).unlink(missing_ok=True)
