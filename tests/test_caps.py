"""How often numbers are dialled, and how long a call lasts: the pure rule, the store, and calls in virtual time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor

from easycall.config import DialingSettings
from easycall.events import CallDialled
from easycall.model import EndedBy
from easycall.outbound.call import First
from easycall.outbound.caps import DAY, Call, Caps, Window
from easycall.outbound.rules import NotDialled, Why
from easycall.ports import Database
from easycall.stats.codec import encode
from easycall.stats.journal import Entry
from easycall.store.calls import DIALLED, CallHistory
from easycall.store.contacts import ContactArchive
from easycall.store.memory import MemoryDatabase
from easycall.store.sqlite import SQLite
from easycall.verbs import Consult, ToNumber

from .test_call_out import CAROL, DORA, OutsideStage
from .virtual import opened

HOUR = 3600.0
FEW = DialingSettings(calls_per_customer=2, calls_per_number=3, calls_per_agent=4, calls_per_queue=4, calls_per_day=5)

happenings = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from("abc"), st.sampled_from(["add", "add", "add", "remove"])), max_size=60
)


class TestWindow:
    @given(happenings, st.integers(1, 5))
    def test_what_happened_in_the_last_seconds_counts(self, told: list[tuple[int, str, str]], most: int) -> None:
        """Held against a plain list, at every moment."""
        window, plain, now = Window(60.0), list[tuple[float, str]](), 0.0
        for after, key, what in told:
            now += after
            if what == "add":
                window.add(key, now)
                plain.append((now, key))
            elif mine := [at for at, other in plain if other == key]:
                window.remove(key, mine[-1])
                plain.remove((mine[-1], key))
            for one in "abc":
                times = [at for at, other in plain if other == one and at > now - 60.0]
                assert window.count(one, now) == len(times)
                room = window.room(one, most, now)
                assert (room > 0) == (len(times) >= most)
                if room:
                    assert sum(at > now + room - 60.0 for at in times) < most
                    assert sum(at > now + room - 61.0 for at in times) >= most

    def test_what_is_over_leaves_nothing_behind(self) -> None:
        window = Window(60.0)
        for number in range(1000):
            window.add(f"n{number}", float(number))
            window.add(f"r{number}", float(number))
            window.remove(f"r{number}", float(number))
        assert window.count("n0", 5000.0) == 0
        assert (len(window._all), window._times) == (0, {})


calls = st.builds(
    Call,
    st.sampled_from([CAROL, DORA]),
    st.sampled_from(["ana", "bo"]),
    st.sampled_from(["sales", "support"]),
    st.booleans(),
)


class TestCaps:
    @pytest.mark.fault("A23")
    @given(st.lists(st.tuples(st.floats(0.0, 4 * HOUR), calls), max_size=40))
    def test_no_more_are_dialled_than_every_cap_allows(self, asked: list[tuple[float, Call]]) -> None:
        caps, made, now = Caps(FEW), list[tuple[float, Call]](), 0.0

        def over(seconds: float, most: int, like: Callable[[Call], bool]) -> bool:
            return sum(like(call) for at, call in made if at > now - seconds) >= most

        for after, call in asked:
            now += after
            capped = (
                (call.customer and over(DAY, 2, lambda one: one.customer and one.number == call.number))  # noqa: B023
                or over(DAY, 3, lambda one: one.number == call.number)  # noqa: B023
                or over(DAY, 4, lambda one: one.agent == call.agent)  # noqa: B023
                or over(HOUR, 4, lambda one: one.queue == call.queue)  # noqa: B023
                or over(DAY, 5, lambda one: True)
            )
            if capped:
                with pytest.raises(NotDialled) as refused:
                    caps.check(call, now)
                assert refused.value.why is Why.CAPPED
            else:
                caps.check(call, now)
                caps.count(call, now).dialled()
                made.append((now, call))

    @pytest.mark.fault("A23")
    @pytest.mark.parametrize(
        ("made", "call", "why"),
        [
            (
                [Call(CAROL, "bo", "support", True)] * 2,
                Call(CAROL, "ana", "sales", True),
                f"{CAROL} was called 2 times in 24 hours: dialing.calls_per_customer allows no more; again in 24 h",
            ),
            (
                [Call(CAROL, "bo", "support", False)] * 3,
                Call(CAROL, "ana", "sales", False),
                f"{CAROL} was dialled 3 times in 24 hours: dialing.calls_per_number allows no more; again in 24 h",
            ),
            (
                [Call(f"+49{number}", "ana", "support", True) for number in range(4)],
                Call(CAROL, "ana", "sales", False),
                "4 numbers were dialled for agent ana in 24 hours: dialing.calls_per_agent allows no more; again in 24 h",
            ),
            (
                [Call(f"+49{number}", "bo", "sales", True) for number in range(4)],
                Call(CAROL, "ana", "sales", False),
                "4 numbers were dialled for queue sales within the hour: "
                "dialing.calls_per_queue allows no more; again in 59 min",
            ),
            (
                [Call(f"+49{number}", f"a{number}", f"q{number}", True) for number in range(5)],
                Call(CAROL, "ana", "sales", False),
                "5 numbers were dialled here in 24 hours: dialing.calls_per_day allows no more; again in 24 h",
            ),
        ],
    )
    def test_which_cap_it_was_and_until_when(self, made: list[Call], call: Call, why: str) -> None:
        caps = Caps(FEW)
        for one in made:
            caps.count(one, 0.0).dialled()
        with pytest.raises(NotDialled) as refused:
            caps.check(call, 90.0)
        assert str(refused.value) == why

    def test_what_was_not_dialled_does_not_count(self) -> None:
        caps, call = Caps(FEW), Call(CAROL, "ana", "sales", True)
        for _ in range(10):
            counted = caps.count(call, 1.0)
            counted.release()
            counted.release()
        caps.count(call, 1.0).dialled()
        last = caps.count(call, 1.0)
        last.dialled()
        last.release()
        with pytest.raises(NotDialled):
            caps.check(call, 2.0)


def dialled(at: float, number: str = CAROL) -> CallDialled:
    facts = {"leg": "l", "number": number, "trunk": "out", "caller_id": "", "purpose": "customer", "queue": "sales"}
    return CallDialled(at=at, contact="c1", agent="ana", **facts)


class TestHistory:
    async def test_the_latest_are_found(self, store: Database) -> None:
        events = [dialled(float(at)) for at in range(1, 7)]
        await ContactArchive(store).append(
            [Entry(number, event, encode(event)) for number, event in enumerate(events, 1)], []
        )
        history = CallHistory(store)
        assert await history.dialled(2.0, 100) == events[2:]
        assert await history.dialled(0.0, 2) == events[4:]

    async def test_they_are_found_by_their_index(self, tmp_path: Path) -> None:
        database = SQLite(str(tmp_path / "easycall.db"), reactor)
        await database.open()
        [(*_, plan)] = await database.query(f"EXPLAIN QUERY PLAN {DIALLED}", 0.0, 10)
        assert plan == "SEARCH events USING INDEX calls_out (at>?)"
        await database.close()


class FewStage(OutsideStage):
    """Two calls to a customer, one an agent more, and a minute for each."""

    SITE: ClassVar[Mapping[str, Any]] = {
        **OutsideStage.SITE,
        "dialing": evolve(OutsideStage.SITE["dialing"], calls_per_customer=2, calls_per_agent=3, call_seconds=60.0),
    }


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


@pytest.fixture
def stage(database: MemoryDatabase) -> Iterator[FewStage]:
    stage = FewStage(database)
    yield stage
    stage.close()


def refused(stage: FewStage, **call: Any) -> str:
    with pytest.raises(NotDialled) as caught:
        stage.call(**call)
    assert caught.value.why is Why.CAPPED
    return str(caught.value)


def called(stage: FewStage, times: int) -> None:
    """Carol is called, and is busy."""
    stage.ready("ana")
    stage.cause = 17
    for _ in range(times):
        stage.call()
        stage.pass_(2)
    stage.cause = 0


@pytest.mark.fault("A23")
class TestCapped:
    def test_a_customer_is_called_so_often_and_no_more(self, stage: FewStage) -> None:
        called(stage, 2)
        assert f"{CAROL} was called 2 times in 24 hours" in refused(stage)
        assert (stage.lines, stage.state("ana")) == (0, "ready")
        stage.call(number=DORA)
        stage.pass_(3)
        assert stage.talking(stage.dora, stage.people["ana"])
        assert "for agent ana" in refused(stage, number="+49301111111", first=First.AGENT)

    def test_a_day_later_it_is_again(self, stage: FewStage) -> None:
        called(stage, 2)
        stage.pass_(DAY - 10)
        refused(stage)
        stage.pass_(20)
        stage.call()
        stage.pass_(3)
        assert stage.talking(stage.carol, stage.people["ana"])

    def test_what_was_not_dialled_does_not_count(self, stage: FewStage) -> None:
        stage.ready("ana")
        stage.people["ana"].when_rung = "decline"
        for _ in range(5):
            stage.joined.distributor.staff.set_state("ana", "ready")  # type: ignore[arg-type]
            stage.call(First.AGENT)
            stage.pass_(12)
        assert stage.carol.rings == 0
        stage.people["ana"].when_rung = "answer"
        called(stage, 2)
        refused(stage)

    def test_who_is_asked_or_is_given_the_customer_counts_for_the_agent(self, stage: FewStage) -> None:
        called(stage, 2)
        stage.calls()
        stage.pass_(2)
        assert stage.ask(Consult(number=DORA)) is not None
        stage.pass_(2)
        stage.dora.line.hang_up()
        stage.pass_(1)
        assert "3 numbers were dialled for agent ana" in stage.ask(ToNumber(DORA))
        assert stage.contact.agent == "ana"

    def test_a_restart_forgets_nothing(self, database: MemoryDatabase) -> None:
        first = FewStage(database)
        called(first, 2)
        first.close()
        second = FewStage(database)
        second.ready("ana")
        assert "was called 2 times" in refused(second)
        second.close()


class TestTheLongestCall:
    def test_a_customer_is_hung_up(self, stage: FewStage) -> None:
        stage.ready("ana")
        stage.call()
        stage.pass_(60)
        assert stage.talking(stage.carol, stage.people["ana"])
        stage.pass_(2)
        assert stage.carol.line.over
        assert stage.people["ana"].line.over
        assert (stage.ended(), stage.state("ana"), stage.lines) == (("answered", "system"), "wrap_up", 0)
        [cut] = stage.daemon.of("call.cut")
        assert (cut.number, cut.seconds, cut.contact) == (CAROL, 60.0, "c0")

    def test_a_customer_who_was_given_away_is_too(self, stage: FewStage) -> None:
        stage.calls()
        stage.ready("ana")
        stage.pass_(2)
        stage.ask(ToNumber(DORA), 3)
        assert stage.dora.hears
        stage.pass_(60)
        assert stage.dora.line.over
        [ended] = stage.daemon.of("outside.ended")
        assert ended.ended_by is EndedBy.SYSTEM
        assert stage.ended() == ("answered", "system")

    def test_who_was_asked_is_and_the_customer_stays(self, stage: FewStage) -> None:
        customer, ana = stage.talk()
        stage.ask(Consult(number=DORA), 3)
        assert stage.talking(ana, stage.dora)
        stage.pass_(62)
        assert stage.dora.line.over
        assert not customer.line.over
        assert stage.contact.agent == "ana"

    def test_who_calls_in_may_stay(self, stage: FewStage) -> None:
        customer, ana = stage.talk()
        stage.pass_(600)
        assert stage.talking(customer, ana)

    def test_a_daemon_that_stops_waits_for_no_end(self, database: MemoryDatabase) -> None:
        stage = FewStage(database)
        stage.ready("ana")
        stage.call()
        stage.pass_(3)
        assert not stage.carol.line.over
        assert stage.daemon.stop() == {"timers": 0}
        shutil.rmtree(stage.folder)
