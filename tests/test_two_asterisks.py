"""One daemon, two Asterisks, in virtual time: one line for the callers of both, and one that dies takes only its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from easycall.asterisk.wake import REFUSED_SECONDS, UNHEARD_SECONDS
from easycall.events import Event
from easycall.store.memory import MemoryDatabase

from .test_talk import MUSIC, Person, Stage
from .virtual import opened

A, B = "east", "west"
PHONES = dict.fromkeys(("2001", "2002", "2003"), "Not in use")


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


@pytest.fixture
def stage(database: MemoryDatabase) -> Iterator[Stage]:
    stage = Stage(database, boxes=(A, B), phones=PHONES)
    yield stage
    stage.close()


def calls(stage: Stage, box: str) -> Person:
    """A call comes in; a second passes, so that no two channels have one id (each Asterisk counts for itself)."""
    caller = stage.calls(box)
    stage.pass_(0.9)
    return caller


def legs(stage: Stage, box: str) -> set[str]:
    return {channel.variables.get("EC_AG", "caller") for channel in stage.daemon.asterisks[box].core.channels.values()}


def dies(stage: Stage, box: str) -> None:
    stage.daemon.now(stage.daemon.asterisks[box].crash())


def returns(stage: Stage, box: str) -> None:
    stage.daemon.now(stage.daemon.asterisks[box].start())


def up(stage: Stage) -> list[str]:
    return [pbx.box.name for pbx in stage.joined.pbxs if pbx.switch.up]


def since(stage: Stage, told: int) -> list[Event]:
    return stage.told[told:]


def test_the_agent_is_rung_where_the_caller_is(stage: Stage) -> None:
    stage.ready("ana", "bo")
    on_a, on_b = calls(stage, A), calls(stage, B)
    stage.pass_(2)
    assert stage.talking(on_a, stage.people["ana"])
    assert stage.talking(on_b, stage.people["bo"])
    assert (legs(stage, A), legs(stage, B)) == ({"caller", "ana"}, {"caller", "bo"})
    stage.check()


def test_callers_of_both_stand_in_one_line(stage: Stage) -> None:
    for box in (B, A, B, A):
        calls(stage, box)
    assert [item.pbx for item in stage.joined.distributor.waiting("sales")] == [B, A, B, A]
    stage.ready("ana")
    for caller in stage.customers:
        stage.pass_(2)
        assert stage.talking(caller, stage.people["ana"])
        caller.line.hang_up()
        stage.pass_(5)
    stage.check()


@pytest.mark.fault("F30")
def test_one_that_dies_takes_only_its_own_with_it(stage: Stage) -> None:
    """A talk, an offer and a line on each; the daemon's picture of the dead one is right within ten seconds (P5)."""
    stage.ready("ana", "bo")
    talks_a, talks_b = calls(stage, A), calls(stage, B)
    stage.pass_(2)
    waits_a, waits_b = calls(stage, A), calls(stage, B)
    stage.people["chen"].when_rung = ""
    stage.ready("chen")
    stage.pass_(0.5)
    assert (stage.state("ana"), stage.state("bo"), stage.state("chen")) == ("talking", "talking", "ringing")
    later_a = calls(stage, A)
    told = len(stage.told)

    dies(stage, B)
    stage.pass_(0.5)
    assert up(stage) == [A]
    assert stage.talking(talks_a, stage.people["ana"])
    stage.pass_(1.5)
    assert [item.contact for item in stage.joined.distributor.waiting("sales")] == ["c2", "c4"]
    assert {event.contact: event.ended_by for event in stage.daemon.of("contact.ended")} == {"c3": "system"}
    stage.pass_(8)
    assert stage.state("bo") in ("wrap_up", "ready", "ringing", "talking")
    assert {event.contact for event in stage.daemon.of("contact.ended")} == {"c1", "c3"}
    [ended] = [event for event in stage.daemon.of("contact.ended") if event.contact == "c1"]
    assert (ended.outcome, ended.ended_by) == ("answered", "system")
    assert not [event for event in since(stage, told) if event.contact == "c1" and event.kind == "queue.entered"]
    assert stage.talking(talks_a, stage.people["ana"])
    mine = [event for event in since(stage, told) if event.contact in ("c0", "c2", "c4")]
    assert all(event.kind in ("offer.made", "offer.ended", "screen.pop", "screen.revoked", "talk.started", "agent.changed")
               for event in mine)  # fmt: skip
    assert waits_b.line.over
    assert talks_b.line.over

    returns(stage, B)
    stage.pass_(8)
    assert up(stage) == [A, B]
    talks_a.line.hang_up()
    waits_a.line.hang_up()
    later_a.line.hang_up()
    stage.pass_(40)
    again = calls(stage, B)
    stage.pass_(2)
    assert any(stage.talking(again, person) for person in stage.people.values() if hasattr(person, "line"))
    stage.check()


def test_a_talk_is_not_given_up_while_the_other_end_may_live(stage: Stage) -> None:
    """The AMI of an Asterisk is away for long, but a caller who waits there proves by FastAGI that it lives."""
    stage.ready("bo")
    talks = calls(stage, B)
    stage.pass_(2)
    waits = calls(stage, B)
    pbx = stage.joined.pbxs[1]
    stage.daemon.now(pbx.manager.stop())
    stage.pass_(UNHEARD_SECONDS + 5)
    assert stage.talking(talks, stage.people["bo"])
    assert (stage.state("bo"), waits.hears) == ("talking", MUSIC)
    waits.line.hang_up()
    stage.pass_(3)
    assert stage.state("bo") in ("wrap_up", "ready")  # nothing is heard of it any more


def test_a_cut_link_is_no_death(stage: Stage) -> None:
    stage.ready("bo")
    talks = calls(stage, B)
    stage.pass_(2)
    for _ in range(5):
        stage.daemon.asterisks[B].cut_ami()
        stage.pass_(REFUSED_SECONDS)
        assert stage.talking(talks, stage.people["bo"])
        assert stage.state("bo") == "talking"


def test_a_phone_in_a_private_call_at_one_is_not_rung_from_the_other(stage: Stage) -> None:
    stage.ready("ana")
    friend = Person(stage, "9")
    stage.daemon.asterisks[A].call_in("s", "1", "", friend, trunk="2001")
    stage.pass_(0.2)
    waits = calls(stage, B)
    stage.pass_(3)
    assert stage.people["ana"].rings == 0
    friend.line.hang_up()
    stage.pass_(2)
    assert stage.talking(waits, stage.people["ana"])


def test_a_phone_that_one_cannot_reach_is_rung_from_the_other(stage: Stage) -> None:
    stage.ready("ana")
    stage.daemon.asterisks[A].core.devices.set_reachable("2001", False)
    stage.pass_(0.2)
    on_b = calls(stage, B)
    stage.pass_(2)
    assert stage.talking(on_b, stage.people["ana"])
    on_b.line.hang_up()
    stage.pass_(6)
    on_a = calls(stage, A)
    stage.pass_(3)
    assert on_a.hears == MUSIC
    stage.daemon.asterisks[A].core.devices.set_reachable("2001", True)
    stage.pass_(2)
    assert stage.talking(on_a, stage.people["ana"])
