"""Races in which the daemon is killed and begins again, in virtual time: nobody is lost, and nothing is twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from easycall.events import Event
from easycall.lab.evidence import Evidence
from easycall.model import Stage
from easycall.store.memory import MemoryDatabase

from .test_interleavings import LongTalks, Race, race
from .virtual import opened

DEAD_SECONDS = (0.0, 0.3, 1.0)
"""How long there is no daemon.  The dialplan keeps callers company for longer."""
SEEN_SECONDS = 1.5
"""After so long everything is as without a kill: a leg on its way home comes within a second."""


class KilledRace(Race):
    """The daemon is killed once or twice in the middle of it."""

    longest = 4.0
    """After so many seconds at most."""

    def __init__(self, seed: int, database: MemoryDatabase) -> None:
        self.stages: set[Stage] = set()
        """In which a contact was when the daemon was killed."""
        super().__init__(seed, database)

    def live(self) -> list[str]:
        for _ in range(self.random.choice((1, 1, 2))):
            self.reactor.callLater(self.random.uniform(0.2, self.longest), self.killed)
        return super().live()

    def killed(self) -> None:
        if not self.daemon.process.alive:
            return
        self.stages.update(contact.stage for contact in self.joined.contacts.live.values())
        self.daemon.kill(unsent=self.random.random() < 0.5)
        self.asked, self.carried_out, self.refusals = 0, 0, 0  # who has asked hears nothing any more
        self.reactor.callLater(self.random.choice(DEAD_SECONDS), self.begins)

    def begins(self) -> None:
        self.daemon.restart()
        self.joined = self.daemon.joined

    def someone_asks(self) -> None:
        if self.daemon.process.alive:
            super().someone_asks()

    def someone_changes(self) -> None:
        if self.daemon.process.alive:
            super().someone_changes()

    def seen(self) -> Evidence:
        """Nothing while there is no daemon, or it does not know yet."""
        there = self.daemon.process.alive and all(pbx.switch.up for pbx in self.joined.pbxs)
        return super().seen() if there else Evidence()

    def end(self) -> None:
        """Not while it begins: a hang-up that nobody hears of and that a Bridge crosses is forgotten by Asterisk."""
        self.look()
        self.reactor.advance(SEEN_SECONDS)
        super().end()

    def look(self) -> None:
        self.reactor.run_until(lambda: self.daemon.process.alive, within=60)
        self.reactor.run_until(lambda: all(pbx.switch.up for pbx in self.joined.pbxs), within=60)
        super().look()


class KilledTalks(KilledRace, LongTalks):
    """The same of conferences and what leads there."""

    longest = 6.0
    patience = 8.0
    stretches = 5

    def hear(self, event: Event) -> None:
        super().hear(event)
        if event.kind in ("conference.started", "conference.joined") and self.random.random() < 0.3:
            self.soon(self.killed, 0.5)
        elif event.kind == "consult.started" and self.joined.contacts.live[event.contact].conference:
            self.soon(self.killed, 0.2)


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


@pytest.mark.fault("F33")
def test_nothing_is_violated_by_a_kill(pytestconfig: pytest.Config, database: MemoryDatabase) -> None:
    """I1 to I9 after every restart, one record each, no phone left ringing."""
    for seed in range(pytestconfig.getoption("--interleavings") // 4):
        one = race(seed, database, KilledRace)
        assert not one.wrong, f"seed {seed}: {one.wrong}\n" + "\n".join(map(str, one.told))


@pytest.mark.fault("F33")
def test_nothing_is_violated_by_a_kill_in_long_talks(pytestconfig: pytest.Config, database: MemoryDatabase) -> None:
    """The same of consultations, conferences, loans and parked contacts."""
    stages: set[Stage] = set()
    for seed in range(pytestconfig.getoption("--interleavings") // 4):
        one = race(seed, database, KilledTalks)
        assert isinstance(one, KilledTalks)
        assert not one.wrong, f"seed {seed}: {one.wrong}\n" + "\n".join(map(str, one.told))
        stages |= one.stages
    missing = {Stage.IVR, Stage.DIALLING, Stage.OUTSIDE, Stage.FAX, Stage.VOICEMAIL, Stage.HANDLING, Stage.ENDED}
    assert stages >= set(Stage) - missing
