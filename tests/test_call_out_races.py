"""Calls out and numbers outside among all else that happens, in random orders: see tests/test_interleavings.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from easycall.config import DialingSettings
from easycall.model import EndedBy, Party, Stage, Trunk
from easycall.outbound.call import CallOut, First
from easycall.store.memory import MemoryDatabase
from easycall.verbs import Alternate, Cancel, Complete, Consult, Drop, Leave, Merge, NotNow, Retrieve, ToNumber, Verb

from .test_interleavings import AGENTS, GRID, RING_SECONDS, LongTalks, Race
from .virtual import opened

NUMBER = "+493012345678"
SHARE = 4
"""So many races of each four of tests/test_interleavings.py."""


class OutRace(Race):
    """Two lines; agents call customers, ask somebody outside, and give customers away."""

    SITE: ClassVar[Mapping[str, Any]] = {
        "dialing": DialingSettings(allow=("+49",), ring_seconds=RING_SECONDS),
        "trunks": (Trunk("out", "sim", "PJSIP/{number}@out", 2),),
    }

    closed = False

    def verb(self, contact: str, agent: str) -> Verb:
        if self.random.random() < 0.75:
            return super().verb(contact, agent)
        return self.random.choice((Consult(number=NUMBER), Consult(number=NUMBER), ToNumber(NUMBER), Consult(queue="sales")))

    def someone_calls(self) -> None:
        if self.closed or self.random.random() < 0.4:
            super().someone_calls()
            return
        asked = CallOut(self.random.choice(AGENTS), NUMBER, "sales", self.random.choice(list(First)))
        try:
            contact = self.joined.contacts.call(asked)
        except NotNow:
            return
        if self.random.random() < 0.3:
            self.soon(lambda: self.called_off(contact.id), 4.0)

    def called_off(self, contact: str) -> None:
        if contact in self.joined.contacts.live:
            self.joined.contacts.hang_up(contact, EndedBy.API)

    def end(self) -> None:
        self.closed = True  # nobody may be called any more: who talks then talks for ever
        super().end()
        if used := self.daemon.dialling.lines.used("out"):
            self.wrong.append(f"{used} lines are held")


class ConferenceRace(LongTalks, OutRace):
    """One customer at a time, whom agents bring together with each other and with people outside."""

    impatience = 0.03
    sense = 0.95
    patience = 40.0
    crowd = 1
    stretches = 12

    silent_until = 0.0
    """Nobody asks for anything before."""

    def someone_asks(self) -> None:
        now = self.reactor.seconds()
        if now < self.silent_until:
            return
        pause = self.random.choice((0.0, GRID, 0.3, 1.0, 2.0))
        self.silent_until = now + pause
        if self.joined.contacts.live:
            self.reactor.callLater(pause + GRID, self.someone_asks)
        super().someone_asks()

    def fitting(self, agent: str) -> Mapping[Stage, tuple[Verb, ...]]:
        asks = Consult(number=NUMBER) if self.random.random() < 0.4 else Consult(agent)
        who = self.random.choice((NUMBER, *AGENTS))
        return {
            Stage.TALKING: (asks,),
            Stage.HELD: (asks, Retrieve()),
            Stage.CONSULTING: (*[Merge()] * 8, Alternate(), Complete()),
            Stage.CONFERENCE: (*[asks] * 10, Merge(), Alternate(), Drop(Party.CONSULTED, who), Leave(), Complete()),
            Stage.ASIDE: (*[Merge()] * 8, Alternate(), Alternate(), Complete(), Cancel(), Leave()),
        }


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


@pytest.mark.requirement("F7")
def test_nothing_is_ever_violated(pytestconfig: pytest.Config, database: MemoryDatabase) -> None:
    outcomes: set[str] = set()
    for seed in range(pytestconfig.getoption("--interleavings") // SHARE):
        one = OutRace(seed, database)
        one.live()
        assert not one.wrong, f"seed {seed}: {one.wrong}\n" + "\n".join(map(str, one.told))
        outcomes.update(event.outcome.value for event in one.told if event.kind in ("call.failed", "contact.ended"))
    assert outcomes >= {"answered", "abandoned", "no_answer", "busy", "cancelled", "unreachable", "no_agent"}


@pytest.mark.requirement("F4")
@pytest.mark.requirement("F7")
def test_nothing_is_violated_in_conferences(pytestconfig: pytest.Config, database: MemoryDatabase) -> None:
    kinds: set[str] = set()
    for seed in range(pytestconfig.getoption("--interleavings") // SHARE):
        one = ConferenceRace(seed, database)
        one.live()
        assert not one.wrong, f"seed {seed}: {one.wrong}\n" + "\n".join(map(str, one.told))
        kinds.update(event.kind for event in one.told)
    conferences = {f"conference.{what}" for what in ("started", "joined", "left", "ended")}
    assert conferences | {"outside.started", "outside.ended"} <= kinds
