"""What callbacks need around them: the journal, the stored events, the live contacts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from easycall.events import Event
from easycall.model import Callback, Contact, EndedBy
from easycall.stats.standing import Standing

__all__ = ["Carriers", "History", "StoredEvents"]


class History(Protocol):
    """The journal."""

    @property
    def left(self) -> Standing:
        """What stood open when it was started."""

    @property
    def last(self) -> int:
        """The number of the latest event."""

    async def catch_up(self) -> None:
        """Wait until the store has what the processes before told.  Raises StoreUnavailable."""

    def record(self, event: Event) -> None:
        """Note something that happened."""

    def write(self) -> None:
        """What was recorded so far outlives the process from now on."""

    def subscribe(self, listener: Callable[[int, Event], None]) -> Callable[[], None]:
        """Call ``listener(sequence, event)`` for each event from now on; returns how to stop it."""

    async def resume(self, contact: str) -> None:
        """A contact from before the start goes on.  Raises StoreUnavailable."""

    async def events_of(self, contact: str) -> Sequence[Event]:
        """What was told of a contact, in its order.  Raises StoreUnavailable."""


class Carriers(Protocol):
    """The live contacts."""

    @property
    def live(self) -> Mapping[str, Contact]:
        """The contacts of now, by id."""

    def call_back(
        self, callback: Callback, owner: str, *, restored: bool = False, arrived: float = 0.0, attempts: int = 0
    ) -> Contact:
        """Let the contact of a callback begin: it is in line.  ``owner``: for whom alone at first; ``restored``: it was so
        before the daemon started; ``arrived``: when it began, as was told then, 0: that was not told; ``attempts``: the
        number of the last agent it was offered to."""

    def hang_up(self, contact_id: str, ended_by: EndedBy) -> None:
        """End a contact now.  Raises KeyError when it is not live."""


class StoredEvents(Protocol):
    """The stored events."""

    async def place(self, moment: float) -> int:
        """The number of an event before which all others happened before that moment; some may be behind it, too.  Raises
        StoreUnavailable."""

    async def events(self, after: int, upto: int, kinds: Sequence[type[Event]]) -> list[tuple[int, Event]]:
        """Those of some kinds with numbers above ``after`` and up to ``upto``, in order.  Raises StoreUnavailable."""
