"""Where things of a customer lie, as protocols, and what is found or erased there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from attrs import frozen

from easycall.events import Event
from easycall.fax.inbox import ReceivedFax
from easycall.model import Callback, Message

__all__ = ["Callbacks", "Erased", "Holding", "Inbox", "Journal", "Shelf", "Told", "VoiceMails"]


@frozen
class Told:
    """An event that tells a number which need not be that of its contact: one was dialled, or is to be called back."""

    seq: int
    at: float
    kind: str
    contact: str
    """Empty: it is of none."""
    body: str


@frozen
class Erased:
    """What was erased; ``done``: nothing is left."""

    done: bool = False
    contacts: int = 0
    recordings: int = 0
    voicemails: int = 0
    faxes: int = 0
    requests: int = 0
    callbacks: int = 0


@frozen
class Holding:
    """What is known of a customer: how many records, and the ids of some of them."""

    count: int
    contacts: Sequence[str]
    voicemails: Sequence[Message]
    faxes: Sequence[ReceivedFax]
    callbacks: Sequence[Callback]


class Shelf(Protocol):
    """What is stored.  Every method raises StoreUnavailable."""

    async def contacts(self, forms: Collection[str], after: str, limit: int) -> Sequence[str]:
        """Ended contacts of a number, in the order of their ids; only those behind ``after``."""

    async def count(self, forms: Collection[str]) -> int:
        """How many there are."""

    async def requests(self, forms: Collection[str], limit: int) -> Sequence[str]:
        """Stored requests of a number."""

    async def callbacks(self, forms: Collection[str]) -> Sequence[Callback]:
        """Callbacks to a number, or that a contact of it led to, open or not."""

    async def told(self, after: tuple[float, int], limit: int) -> Sequence[Told]:
        """The next events that tell a number, the oldest first."""

    async def events(self, contact: str, after: int, limit: int) -> Sequence[tuple[int, str, str]]:
        """The next events of a contact: number, kind and body."""

    async def sounds(self, contact: str) -> Sequence[tuple[str, str]]:
        """Recordings of a contact that have a file, and the file."""

    async def rewrite(self, bodies: Sequence[tuple[int, str]], unreadable: Sequence[int]) -> None:
        """Events have other bodies; those that nobody can read are removed."""

    async def make_anonymous(self, contact: str) -> None:
        """The record of a contact is nobody's any more."""

    async def remove_requests(self, requests: Sequence[str]) -> None:
        """Forget requests."""

    async def remove_callbacks(self, callbacks: Sequence[str]) -> None:
        """Forget callbacks."""


class Callbacks(Protocol):
    """Those that are open."""

    async def cancel(self, name: str, by: str) -> Callback:
        """End the one of that id and store that before this returns; its contact leaves the line.

        ``by``: the name of the API token.  Raises NotNow while its customer is on the line, or dialled, KeyError when it is
        not open any more, StoreUnavailable.
        """


class VoiceMails(Protocol):
    """The messages in the voice mail boxes.  Every method raises OSError."""

    async def of(self, wanted: Callable[[Message], bool]) -> Sequence[Message]:
        """All messages that are wanted."""

    async def remove(self, message: str) -> bool:
        """Remove one; False when there was none."""


class Inbox(Protocol):
    """The faxes that came."""

    def of(self, wanted: Callable[[ReceivedFax], bool]) -> Sequence[ReceivedFax]:
        """All faxes that are wanted."""

    async def remove(self, fax: str) -> bool:
        """Remove one; False when there is none."""


class Journal(Protocol):
    """Where facts go."""

    def record(self, event: Event) -> None:
        """Note something that happened."""

    async def flush(self) -> None:
        """Store everything recorded so far.  Raises StoreUnavailable."""

    def write(self) -> None:
        """What was recorded so far outlives the process from now on."""

    def turn_page(self) -> None:
        """What was recorded so far leaves the journal's file as soon as it can."""
