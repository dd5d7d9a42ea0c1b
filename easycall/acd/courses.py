"""The courses that items are on.  Pure."""

from __future__ import annotations

from collections import OrderedDict

from easycall.acd.classes import ItemClass, Row
from easycall.acd.item import Course
from easycall.acd.matching import Matching
from easycall.acd.waiting import Line
from easycall.policy import Channel
from easycall.skills import Requirement

__all__ = ["SPARE", "Courses"]

SPARE = 1000
"""How many courses that no item is on are kept for the next one, which need not compute their classes again."""


class Courses:
    """All courses with items on them, and some that had."""

    def __init__(self, matching: Matching) -> None:
        self._matching = matching
        self._known: dict[tuple[str, ...], Course] = {}
        self._spare: OrderedDict[tuple[str, ...], Course] = OrderedDict()

    def take(self, line: Line, channel: Channel, pbx: str, requires: Requirement) -> Course:
        """The course for one more item."""
        key = (line.policy.id, channel, pbx, requires.text)
        course = self._known.get(key)
        if course is None:
            course = self._known[key] = Course(key, line, channel, pbx, requires)
            course.lay(tuple(map(self._row, course.classes())))
        elif not course.users:
            del self._spare[key]
        course.users += 1
        return course

    def rest(self, course: Course) -> None:
        """No item is on it any more."""
        self._spare[course.key] = course
        if len(self._spare) > SPARE:
            self._drop(self._spare.popitem(last=False)[1])

    def drop_spare(self, queue: str) -> None:
        """Keep none of this queue that no item is on: its policy is about to change."""
        for key in [key for key in self._spare if key[0] == queue]:
            self._drop(self._spare.pop(key))

    def _row(self, key: ItemClass) -> Row:
        matching = self._matching
        row = matching.table.row(key)
        if row.users == 1:
            row.members = matching.waiting.attach(row)
            matching.idle.ask(row, matching.seats)
            matching.close()
        return row

    def _drop(self, course: Course) -> None:
        del self._known[course.key]
        matching = self._matching
        for row in course.rows:
            if matching.table.release_row(row):
                matching.waiting.detach(row)
                matching.idle.ask_no_more(row)
                matching.close()
