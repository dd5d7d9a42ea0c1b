"""What contacts ask of callbacks: a new one, the place of one, whether a customer may be dialled."""

from __future__ import annotations

from typing import Protocol

from easycall.callback.wish import Wish
from easycall.model import Callback
from easycall.outbound.rules import NotDialled

__all__ = ["CallbackDesk"]


class CallbackDesk(Protocol):
    """All callbacks; the real one is :class:`easycall.callback.callbacks.Callbacks`."""

    async def ask(self, wish: Wish) -> tuple[Callback, bool]:
        """Somebody is to be called back: it is stored when this returns.  The callback, and whether it is new.

        Raises KeyError for an unknown queue, NotDialled, NotNow, ValueError, StoreUnavailable: then nothing was asked for.
        """

    def take_over(self, number: str, queue: str) -> Callback | None:
        """The customer with this number has called in and comes to this queue: the callback is over, its place is the
        caller's.  None: there is none."""

    def check(self, contact: str) -> None:
        """Whether the customer may be dialled for this contact at this very moment.  Raises NotNow with the reason."""

    def not_dialled(self, contact: str, why: NotDialled) -> None:
        """The rules of dialling do not let the customer be called for this contact, which is about to end."""
