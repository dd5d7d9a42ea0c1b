"""Something that waits or is reserved for an agent, and the course it is on.  Pure."""

from __future__ import annotations

from easycall.acd.classes import ItemClass, Row
from easycall.acd.ordered import Entry
from easycall.acd.places import Block
from easycall.acd.seating import Before, Hold
from easycall.acd.waiting import NEVER, Line
from easycall.policy import Channel
from easycall.skills import Requirement, both

__all__ = ["Course", "Item"]


class Course:
    """The classes of items of one queue, channel, Asterisk and requirement, ring by ring."""

    __slots__ = ("channel", "hold", "key", "line", "pbx", "requires", "rows", "spare", "times", "users")

    def __init__(self, key: tuple[str, ...], line: Line, channel: Channel, pbx: str, requires: Requirement) -> None:
        self.key = key
        self.line = line
        self.channel = channel
        self.pbx = pbx
        self.requires = requires
        """Beside what the queue asks for."""
        self.hold: Hold = (line, channel, (channel,))
        self.spare: Hold = (None, channel, (channel,))
        """Of agents who are rung beside the one who has it: no further contact of the queue."""
        self.rows: tuple[Row, ...] = ()
        self.times: tuple[float, ...] = ()
        """After how many seconds of waiting each row is left for another one: a ring that changes nothing for these items
        ends nothing."""
        self.users = 0

    def lay(self, rows: tuple[Row, ...]) -> None:
        """The course goes by these rows, one for each ring."""
        self.rows = rows
        ends, times = NEVER, [NEVER]
        for ring, row, following in zip(reversed(self.line.policy.rings), rows[-2::-1], rows[:0:-1], strict=True):
            ends = ends if row is following else ring.after
            times.append(ends)
        self.times = tuple(reversed(times))

    def classes(self) -> list[ItemClass]:
        """The class of each ring."""
        policy = self.line.policy
        needed = both(policy.requires, self.requires)
        groups = frozenset({policy.id})
        found = []
        for ring in (None, *policy.rings):
            if ring is not None:
                needed = ring.relax(needed)
                groups |= frozenset(ring.groups)
            found.append(
                ItemClass(policy.id, groups, self.channel, needed, self.pbx, policy.rate, self.line.order, policy.graded)
            )
        return found


class Item:
    """One item in the waiting room."""

    __slots__ = (
        "agent",
        "before",
        "block",
        "course",
        "due",
        "enqueued",
        "offset",
        "owner",
        "owner_until",
        "place",
        "refused",
        "ring",
        "row",
    )

    def __init__(self, contact: str, enqueued: float, offset: float, course: Course) -> None:
        self.enqueued = enqueued
        self.offset = offset
        """Points of score beside those of its queue."""
        self.agent: str | None = None
        """For whom it is reserved."""
        self.before: Before | None = None
        """When it was reserved, and how the agent stood until then."""
        self.owner = ""
        """To whom alone it belongs, until :attr:`owner_until`."""
        self.owner_until = 0.0
        self.refused: dict[str, float] | None = None
        """Agents who did not take it -> until when it is not offered to them again."""
        self.due = NEVER
        """When something of this changes by itself."""
        self.begin(contact, course)

    def begin(self, contact: str, course: Course) -> None:
        """Give it a place, and put it on a course, at its first ring: to be followed by :meth:`relax`."""
        policy = course.line.policy
        self.course = course
        self.place: Entry = (self.enqueued - (policy.offset + self.offset) / policy.rate, contact)
        """Its key, and the contact: what it is ordered by."""
        self.block: Block = course.line.places.add(self.place)
        """Where the place is given up."""
        self.ring = 0
        self.row = course.rows[0]

    def relax(self, now: float) -> float:
        """Go on to the row that its time of waiting has reached; when that one is left."""
        course, enqueued, ring = self.course, self.enqueued, self.ring
        while (ends := enqueued + course.times[ring]) <= now:
            ring += 1
        self.ring = ring
        self.row = course.rows[ring]
        return ends

    def score(self, now: float) -> float:
        """Points."""
        return self.course.line.policy.rate * (now - float(self.place[0]))

    def changes_at(self) -> float:
        """When its row, a refusal or the owner's time ends next."""
        when = self.enqueued + self.course.times[self.ring]
        if self.owner and self.owner_until < when:
            when = self.owner_until
        if self.refused:
            when = min(when, *self.refused.values())
        return when
