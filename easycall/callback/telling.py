"""What is told of callbacks: the facts of :mod:`easycall.events.callback`."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from easycall.callback.wish import Wish
from easycall.events import (
    CallbackAsked,
    CallbackBegun,
    CallbackChanged,
    CallbackEnded,
    CallbackLate,
    CallbackSettled,
    Event,
)
from easycall.model import Callback, Outcome
from easycall.ports import Journal

__all__ = ["Telling"]


@frozen
class Telling:
    """See the module."""

    journal: Journal
    clock: IReactorTime

    def asked(self, callback: Callback, wish: Wish) -> None:
        """It is stored, and will be done."""
        self._asked(callback, wish.contact, wish.by)

    def untold(self, callback: Callback, contact: str) -> None:
        """The same of one that a process before us stored and could not tell of."""
        self._asked(callback, contact, callback.created_by)

    def _asked(self, callback: Callback, contact: str, by: str) -> None:
        when = {"due": callback.due, "expires": callback.expires, "since": callback.since, "waited": callback.waited}
        about = {"session": callback.session or callback.id, "reason": callback.reason, "by": by}
        who: dict[str, Any] = {"number": callback.number, "source": callback.source, "contact": contact}
        self._tell(CallbackAsked, callback, **who, **when, **about)

    def begun(self, callback: Callback) -> None:
        """Its contact is in line."""
        self._tell(CallbackBegun, callback, attempt=len(callback.attempts) + 1)

    def settled(self, callback: Callback, contact: str, outcome: Outcome, cause: int, *, dialled: bool) -> None:
        """Its contact has ended, and it is tried again."""
        what: dict[str, Any] = {"outcome": outcome, "cause": cause, "dialled": dialled}
        self._tell(CallbackSettled, callback, contact=contact, due=callback.due, **what)

    def changed(self, callback: Callback, by: str) -> None:
        """Somebody changed it."""
        when = {"due": callback.due, "expires": callback.expires, "priority": callback.priority_seconds}
        self._tell(CallbackChanged, callback, by=by, **when)

    def late(self, callback: Callback) -> None:
        """It could have been made for long."""
        self._tell(CallbackLate, callback, due=callback.due)

    def ended(self, callback: Callback, contact: str = "", by: str = "") -> None:
        """It came to its final state.  ``contact``: that of the attempt it ended with, or in."""
        what: dict[str, Any] = {"source": callback.source, "state": callback.state, "attempts": len(callback.attempts)}
        self._tell(CallbackEnded, callback, contact=contact, created=callback.created, why=callback.why, by=by, **what)

    def _tell(self, event: type[Event], callback: Callback, **facts: Any) -> None:
        which = {"callback": callback.id, "queue": callback.queue, "agent": callback.agent, "contact": callback.contact}
        self.journal.record(event(at=self.clock.seconds(), **{**which, **facts}))
