"""Two legs of an Asterisk in one bridge."""

from __future__ import annotations

from easycall.asterisk.channel import AsteriskChannel
from easycall.defer import Bell

__all__ = ["AsteriskConversation"]


class AsteriskConversation:
    """See :class:`easycall.ports.Conversation`.

    Made while both legs are at home, before the bridge is asked for: the first that comes home again or ends is the end
    of it, whatever the order in which AMI and FastAGI tell.
    """

    def __init__(self, one: AsteriskChannel, other: AsteriskChannel) -> None:
        self._ended = Bell()
        self._left: AsteriskChannel | None = None
        one.when_back().addCallback(lambda _: self._parted(one, other))
        other.when_back().addCallback(lambda _: self._parted(other, one))

    def _parted(self, leg: AsteriskChannel, partner: AsteriskChannel) -> None:
        if self._left is None:
            # A leg that comes home alive was left by its partner, even when the partner's end is not told yet.
            self._left = leg if leg.gone else partner
            self._ended.ring()

    async def over(self) -> AsteriskChannel:
        """Wait until they are no longer together; the leg that left first."""
        await self._ended.wait()
        assert self._left is not None  # noqa: S101 - for the type checker: the bell rings after it is set
        return self._left
