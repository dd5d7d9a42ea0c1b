"""The connection under an AMIProtocol: easycall's own, but every event is given, and nothing is matched to actions."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from easycall.asterisk.ami import Codec, Message, ProtocolError
from easycall.asterisk.link import Link

__all__ = ["EveryEvent", "Wire"]


class EveryEvent(Codec):
    """Gives every event: handlers come and go while the connection lasts."""

    def _sorted_out(self, blocks: list[bytes]) -> list[Message]:
        blocks = [block for each in blocks if (block := each.lstrip(b"\r\n"))]
        if not all(block.startswith((b"Event: ", b"Response: ")) for block in blocks):
            raise ProtocolError("a message that is neither an event nor a response")
        return [Message(block) for block in blocks]


class Wire(Link):
    """A Link that hands on everything, and leaves it to the AMIProtocol whose answer is whose."""

    def __init__(self, clock: IReactorTime, take: Callable[[Message], None]) -> None:
        super().__init__(clock, {})
        self._codec = EveryEvent()
        self._hand_on = take

    def _handle(self, message: Message) -> None:
        self._hand_on(message)
