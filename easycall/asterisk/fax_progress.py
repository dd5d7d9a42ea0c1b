"""At which page the faxes are: Asterisk tells only when it is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from easycall.asterisk.ami import Action, Message
from easycall.asterisk.channel import AsteriskChannel
from easycall.asterisk.link import AmiError
from easycall.asterisk.roster import Roster

__all__ = ["FaxProgress"]

MAX_PAGE = 100_000


class FaxProgress:
    """Asks about the faxes of our legs, and tells each leg its page."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    async def look(
        self, collect: Callable[[Action], Awaitable[Sequence[Message]]], send: Callable[[Action], Awaitable[Message]]
    ) -> None:
        """Ask, if there is a fax; what comes goes to :meth:`on_session`.  A fax that is just over is passed over."""
        if not any(leg.fax_file for leg in self._roster):
            return
        with suppress(AmiError):
            for item in await collect(Action.of("FAXSessions")):
                if item.name == "FAXSessionsEntry" and self._leg(item.get("Files")) is not None:
                    await send(Action.of("FAXSession", SessionNumber=item.get("SessionNumber")))

    def on_session(self, event: Message) -> None:
        """What Asterisk says of one fax: an event, behind the answer."""
        leg, page = self._leg(event.get("FileName")), event.get("PageNumber")
        if leg is not None and page.isascii() and page.isdigit() and 0 < int(page[:9]) < MAX_PAGE:
            leg.fax_at(int(page))

    def _leg(self, file: str) -> AsteriskChannel | None:
        return next((leg for leg in self._roster if file and leg.fax_file == file), None)
