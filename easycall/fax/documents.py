"""Documents that were sent in to be faxed: each made into a fax TIFF at once, kept for a while."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from attrs import frozen
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from easycall.config import FaxSettings
from easycall.fax.files import Folder, InThread, convert, new_id, pages_of
from easycall.ivr.prompts import CommandFailed, CommandMissing
from easycall.verbs import NotNow

__all__ = ["KINDS", "Document", "Documents", "Unreadable"]

log = Logger()

KINDS: Mapping[str, tuple[bytes, ...]] = {"application/pdf": (b"%PDF-",), "image/tiff": (b"II*\0", b"MM\0*")}
"""What is taken: its media type, and how its file begins."""
AT_ONCE = 2
"""How many are made at a time."""
WAITING = 20
"""How many may wait for that."""
ROOM = 10_000
"""Documents kept at the same time."""
HEAD = 1024
"""Within which the beginning of a PDF is looked for, as its readers do."""


class Unreadable(Exception):
    """No fax can be made of it; the text says why."""


@frozen
class Document:
    """A document that can be faxed."""

    id: str
    at: float
    """When it was sent in."""
    pages: int
    bytes: int
    """The size of the fax file."""
    by: str
    """The name of the token that sent it in."""


class Documents:
    """The documents of now."""

    def __init__(self, settings: FaxSettings, clock: IReactorTime, reactor: Any, in_thread: InThread) -> None:
        """``reactor`` gives processes."""
        self._settings = settings
        self._clock = clock
        self._reactor = reactor
        self._in_thread = in_thread
        self._folder = Folder(settings.directory / "documents", f"{settings.asterisk_directory}/documents", 0o711)
        self._documents: dict[str, Document] = {}
        self._turns = DeferredSemaphore(AT_ONCE)
        self._waiting = 0

    async def open(self) -> None:
        """Find what is there.  Raises OSError."""
        found = await self._in_thread(self._folder.prepare, Document)
        self._documents = {document.id: document for document in found}
        await self.clean()

    async def clean(self) -> None:
        """Remove what is older than it may be."""
        oldest = self._clock.seconds() - self._settings.document_days * 86_400
        for document in [one for one in self._documents.values() if one.at < oldest]:
            await self.remove(document.id)

    def get(self, document: str) -> Document | None:
        """The document of that id."""
        return self._documents.get(document)

    def seen(self, document: Document) -> str:
        """Its file as Asterisk sees it."""
        return self._folder.seen(document.id, "tiff")

    async def remove(self, document: str) -> bool:
        """Remove a document; False when there is none.  One that is being sent goes over whole: Asterisk has it open."""
        found = self._documents.pop(document, None)
        if found is not None:
            await self._in_thread(self._folder.remove, document)
        return found is not None

    async def add(self, content: IO[bytes], kind: str, by: str) -> Document:
        """Make a document of what was sent in; ``kind`` is one of :data:`KINDS`.

        Raises Unreadable, NotNow when there are too many, CommandMissing, and OSError when the disk does not take it.
        """
        if self._waiting >= WAITING or len(self._documents) + self._waiting >= ROOM:
            raise NotNow("too many documents: try again later")
        self._waiting += 1
        document = new_id()
        try:
            await self._in_thread(_copy, content, kind, self._folder.file(document, "in"))
            pages = await self._turns.run(self._make, document, kind)
            made = await self._in_thread(self._finish, document, pages, by)
        except BaseException:
            await self._in_thread(self._folder.remove, document)
            raise
        finally:
            self._waiting -= 1
        self._documents[document] = made
        return made

    async def _make(self, document: str, kind: str) -> int:
        file = self._folder.file
        given, fax = file(document, "in"), file(document, "tiff")
        complaint = ""
        try:
            if kind == "image/tiff":
                between = file(document, "between")
                await convert(self._settings.to_pdf, self._reactor, input=str(given), output=str(between))
                given = between
            places = {"input": str(given), "output": str(fax), "last": str(self._settings.pages + 1)}
            complaint = await convert(self._settings.render, self._reactor, **places)
            pages = await self._in_thread(pages_of, fax, self._settings.pages + 1)
        except CommandMissing:
            raise
        except CommandFailed as why:
            raise Unreadable(f"it cannot be read: {why}") from None
        except ValueError:
            raise Unreadable(f"it has no page that can be read: {complaint or 'it is empty'}") from None
        if pages > self._settings.pages:
            raise Unreadable(f"it has more than {self._settings.pages} pages")
        return pages

    def _finish(self, document: str, pages: int, by: str) -> Document:
        for suffix in ("in", "between"):
            self._folder.file(document, suffix).unlink(missing_ok=True)
        fax = self._folder.file(document, "tiff")
        fax.chmod(0o644)  # for Asterisk, which is another user; nobody can list the folder
        made = Document(document, self._clock.seconds(), pages, fax.stat().st_size, by)
        self._folder.note(made)
        return made


def _copy(content: IO[bytes], kind: str, file: Path) -> None:
    """Copy what was sent in, if it is what it is said to be.  Raises Unreadable, OSError."""
    content.seek(0)
    head = content.read(HEAD)
    begins = any(magic in head if kind == "application/pdf" else head.startswith(magic) for magic in KINDS[kind])
    if not begins:
        raise Unreadable(f"it is no {kind}: its first bytes are others")
    content.seek(0)
    with file.open("xb") as target:
        file.chmod(0o600)
        shutil.copyfileobj(content, target)
