"""What callers are told: the flow of a dialled number, and the sounds of a prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, frozen

from easycall.ivr.announcement import Announcements
from easycall.ivr.function import Function
from easycall.ivr.nodes import Flow
from easycall.ivr.prompt import parse_prompt
from easycall.ivr.runner import Means, Sounds
from easycall.model import Queue

__all__ = ["Script"]


@frozen
class Script:
    """The flows and prompts of now."""

    flows: Mapping[str, Flow]
    name_of: Callable[[str], str]
    """Dialled number -> name of its flow."""
    sounds: Sounds
    """What to play for a prompt, in a language."""
    means: Means = field(factory=Means)
    """What flows may use."""
    boxes: Mapping[str, str] = field(factory=dict)
    """Voice mail box -> its greeting; empty: the tone alone."""
    announcements: Announcements = field(factory=Announcements)
    """What waiting callers are told of their wait."""

    def flow(self, dialled: str) -> Flow:
        """The flow a caller of that number goes through."""
        return self.flows[self.name_of(dialled)]

    def named(self, name: str) -> Flow:
        """The flow of that name.  Raises KeyError."""
        return self.flows[name]

    def knows(self, name: str) -> bool:
        """Whether there is a flow of that name."""
        return name in self.flows

    def greeting(self, box: str, language: str) -> list[str]:
        """What a caller of a voice mail box hears.  Raises KeyError."""
        return self.spoken(self.boxes[box], language)

    def function(self, name: str) -> Function | None:
        """What the flow of that name takes and gives; None when it is no function.  Raises KeyError."""
        return self.flows[name].function

    def spoken(self, text: str, language: str) -> list[str]:
        """What a text, or ``sound:NAME``, sounds like; of an empty one there is nothing."""
        return self.sounds(parse_prompt(text), language) if text else []

    def busy(self, queue: Queue, language: str) -> list[str]:
        """What a caller of a queue hears when nobody is free; empty: nothing."""
        return self.spoken(queue.busy_prompt, language)

    def place(self, position: int, language: str) -> list[str]:
        """What a waiting caller is told of the place in line, from 1."""
        return self.sounds(self.announcements.position(position), language)

    def expected_wait(self, low: int, high: int, language: str) -> list[str]:
        """What a waiting caller is told of the expected wait: from and to, in seconds; ``high`` 0: no end."""
        return self.sounds(self.announcements.wait(low, high), language)
