"""The recording of a contact, as far as a capture needs it.  Pure."""

from __future__ import annotations

from typing import Protocol

__all__ = ["CannotPause", "NotRecorded", "Recorder"]


class CannotPause(Exception):
    """The recording could not be paused; the text says why."""


class Recorder(Protocol):
    """The recording of one contact."""

    @property
    def on(self) -> bool:
        """True while the contact is recorded, paused or not."""

    async def pause(self, why: str) -> None:
        """Nothing is recorded from now on.  Raises CannotPause."""

    async def resume(self, why: str) -> None:
        """That reason to pause is gone."""


class NotRecorded:
    """A contact that is not recorded."""

    on = False

    async def pause(self, why: str) -> None:
        """There is nothing to pause."""

    async def resume(self, why: str) -> None:
        """Nor to resume."""
