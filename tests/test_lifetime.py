"""F67: nobody waits or talks for ever, not even when the daemon is gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from easycall.store.memory import MemoryDatabase

from .test_talk import Stage
from .virtual import opened

LONGEST = 43_200.0


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


@pytest.fixture
def stage(database: MemoryDatabase) -> Stage:
    return Stage(database)


def until(stage: Stage, moment: float) -> None:
    stage.pass_(moment - stage.reactor.seconds())


@pytest.mark.fault("F67")
def test_a_talk_of_twelve_hours_is_told_to_be_near_its_end_and_ended(stage: Stage) -> None:
    caller, ana = stage.talk()
    arrived = stage.contact.arrived
    until(stage, arrived + LONGEST - 70)
    assert stage.talking(caller, ana)
    assert not stage.daemon.of("call.ending")
    until(stage, arrived + LONGEST - 1)
    [near] = stage.daemon.of("call.ending")
    assert (near.agent, near.seconds, round(near.at - arrived)) == ("ana", 60.0, LONGEST - 60)
    assert stage.talking(caller, ana)
    stage.pass_(2)
    assert caller.line.over
    assert ana.line.over
    [cut] = stage.daemon.of("call.cut")
    assert (cut.agent, cut.seconds) == ("ana", LONGEST)
    [ended] = stage.daemon.of("contact.ended")
    assert (ended.outcome, ended.ended_by) == ("answered", "system")
    assert not stage.joined.contacts.live
    stage.close()


@pytest.mark.fault("F67")
def test_asterisk_ends_it_when_the_daemon_is_not_there_any_more(stage: Stage) -> None:
    caller, ana = stage.talk()
    arrived = stage.contact.arrived
    stage.daemon.now(stage.joined.daemon.stopService())
    until(stage, arrived + LONGEST + 58)
    assert stage.talking(caller, ana)
    until(stage, arrived + LONGEST + 62)
    assert caller.line.over
    ana.line.hang_up()  # she hears the fallback of the dialplan
    stage.pass_(1)
    assert not stage.asterisk.core.channels
    stage.daemon.now(stage.asterisk.stop())


@pytest.mark.fault("F67")
def test_a_call_that_ends_before_leaves_nothing_behind(stage: Stage) -> None:
    caller, _ = stage.talk()
    caller.line.hang_up()
    stage.pass_(LONGEST + 100)
    assert not stage.daemon.of("call.ending")
    assert not stage.daemon.of("call.cut")
    assert len(stage.daemon.of("contact.ended")) == 1
    stage.close()
