"""The routing of queues as it was changed while the daemon ran: stored before it holds, and back after a restart.

The configuration gives the beginnings: an option that was never changed is as it stands there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from attrs import frozen
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from easycall.acd.distributor import Distributor
from easycall.config import Config, ConfigError
from easycall.config.routing import edited, routing_of
from easycall.defer import shielded
from easycall.events import QueueEdited
from easycall.model import QueueEdit
from easycall.ports import Journal, StoreUnavailable

__all__ = ["QueueEdits", "Routing", "Shelf"]

log = Logger()


class Shelf(Protocol):
    """Where changes outlive the daemon.  Every method raises StoreUnavailable."""

    async def all(self) -> Iterable[QueueEdit]:
        """Those of every queue."""

    async def put(self, edit: QueueEdit) -> None:
        """Store those of a queue, in the place of older ones."""

    async def remove(self, queue: str) -> None:
        """Forget those of a queue."""


@frozen
class Routing:
    """A queue's routing, each option by its name in the configuration."""

    now: Mapping[str, Any]
    configured: Mapping[str, Any]
    edit: QueueEdit | None
    """What was changed, if anything is."""


class QueueEdits:
    """The changes of all queues.  ``await start()`` before the first contact.

    A change is done when it is stored, and holds from then on for contacts that wait already.  It raises KeyError for an
    unknown queue, and StoreUnavailable, and then nothing was changed.
    """

    def __init__(
        self, config: Config, distributor: Distributor, shelf: Shelf, clock: IReactorTime, journal: Journal
    ) -> None:
        self._config = config
        self._distributor = distributor
        self._shelf = shelf
        self._clock = clock
        self._journal = journal
        self._edits: dict[str, QueueEdit] = {}
        self._unread = False
        self._one_by_one = DeferredLock()

    async def start(self) -> None:
        """Read them.  What does not fit the configuration any more is passed over and told.

        Raises StoreUnavailable, and can be tried again: until then nothing can be changed.
        """
        self._unread = True
        for edit in await self._shelf.all():
            if edit.queue not in self._config.queues:
                continue
            try:
                queue = edited(self._config, edit.queue, edit.changed)
            except ConfigError as error:
                log.warn(
                    "queue {queue}: what was changed of its routing does not fit the configuration any more and does not "
                    "hold: {faults}; change it again, or take it back: DELETE /api/v1/queues/{queue}/routing",
                    queue=edit.queue,
                    faults="; ".join(f"{fault.key}: {fault.allowed}" for fault in error.faults),
                )
                continue
            self._edits[edit.queue] = edit
            self._distributor.set_queue(queue)
        self._unread = False

    def of(self, queue_id: str) -> Routing:
        """A queue's routing.  Raises KeyError."""
        now, configured = self._distributor.queues[queue_id], self._config.queues[queue_id]
        return Routing(routing_of(now), routing_of(configured), self._edits.get(queue_id))

    async def change(self, queue_id: str, changes: Mapping[str, Any], by: str) -> None:
        """Some options are these; None: that of the configuration again.

        Raises ConfigError with every fault, each under the key it would have in the file.
        """
        await self._carry_out(queue_id, changes, by)

    async def reset(self, queue_id: str, by: str) -> None:
        """Everything is as in the configuration again."""
        await self._carry_out(queue_id, None, by)

    async def _carry_out(self, queue_id: str, changes: Mapping[str, Any] | None, by: str) -> None:
        """One after another, or one change could undo another; who asks may go away: what is stored always holds."""
        self._config.queues[queue_id]
        if self._unread:
            raise StoreUnavailable("what was changed of queues could not be read yet")

        async def in_turn() -> None:
            await self._one_by_one.run(self._store, queue_id, changes, by)

        await shielded(in_turn(), ConfigError, StoreUnavailable)

    async def _store(self, queue_id: str, changes: Mapping[str, Any] | None, by: str) -> None:
        before = self._edits.get(queue_id)
        wanted = {} if changes is None else {**(before.changed if before else {}), **changes}
        changed = {option: value for option, value in wanted.items() if value is not None}
        queue = edited(self._config, queue_id, changed)
        now = self._clock.seconds()
        if changed:
            edit = QueueEdit(queue_id, changed, now, by)
            await self._shelf.put(edit)
            self._edits[queue_id] = edit
        else:
            await self._shelf.remove(queue_id)
            self._edits.pop(queue_id, None)
        self._journal.record(QueueEdited(at=now, queue=queue_id, changed=changed, by=by))
        self._distributor.set_queue(queue)
