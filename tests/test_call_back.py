"""Callbacks, in virtual time: who is dialled before an agent is free, and who has the customer then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from attrs import evolve

from easycall.callback.wish import Change, Wish
from easycall.events import CallbackBegun, CallDialled
from easycall.model import AgentState, Callback, CallbackRules, CallbackSource, CallbackState, First, Outcome, Stage

from .test_call_out import CAROL, DORA, OutsideStage
from .test_talk import MUSIC
from .virtual import opened

SOON = dict.fromkeys((Outcome.BUSY, Outcome.NO_ANSWER, Outcome.ABANDONED, Outcome.FAILED), 30.0)


class CallbackStage(OutsideStage):
    """Callbacks of Carol and Dora; the database answers at once."""

    @property
    def callbacks(self) -> Any:
        return self.daemon.conduct.callbacks

    def promise(self, number: str = CAROL, **more: Any) -> str:
        """Somebody is to be called back; the callback's id, once it is in line or it is clear that it is not."""
        wish = Wish("sales", number, CallbackSource.REQUESTED, **more)
        callback: Callback = self.daemon.now(self.callbacks.ask(wish))[0]
        self.pass_(0.2)
        return callback.id

    def callback(self, name: str) -> Callback:
        found: Callback = self.daemon.now(self.callbacks.one(name))
        return found

    def outcomes(self, name: str) -> list[str | None]:
        return [one.outcome and one.outcome.value for one in self.callback(name).attempts]

    def learns(self, seconds: float) -> None:
        """One who is first in line has an agent in so many seconds, one agent working, as far as was seen."""
        served = self.daemon.conduct.waits.lessons.queues["sales"].served
        served.events, served.exposure = 100_000.0, 100_000.0 * seconds

    @property
    def dialled(self) -> list[str]:
        return [event.number for event in self.told if isinstance(event, CallDialled)]

    def close(self) -> None:
        contacts = self.daemon.conduct.contacts
        for contact in list(contacts.live):
            contacts.hang_up(contact)
        self.reactor.advance(1.0)
        for name in list(self.callbacks.live):
            self.daemon.now(self.callbacks.cancel(name, ""))
        super().close()


@pytest.fixture
def staged() -> Iterator[Callable[..., CallbackStage]]:
    """Makes the stage; ``staged(first=…)``: rules of callbacks; ``site``: of the whole site."""
    stages: list[CallbackStage] = []
    with opened() as database:

        def made(site: Mapping[str, Any] | None = None, **rules: Any) -> CallbackStage:
            rules = {"delays": SOON, "ring_seconds": 10.0, **rules}
            kind = type("Stage", (CallbackStage,), {"SITE": {**CallbackStage.SITE, **(site or {})}})
            stages.append(kind(database, rules={"callback": CallbackRules(**rules)}))
            return stages[-1]

        yield made
        for stage in stages:
            stage.close()


@pytest.fixture
def stage(staged: Callable[..., CallbackStage]) -> CallbackStage:
    return staged()


@pytest.mark.requirement("B2")
@pytest.mark.requirement("F8")
class TestDialledAhead:
    def test_who_answers_before_an_agent_is_free_waits_with_music_and_is_next(self, stage: CallbackStage) -> None:
        customer, ana = stage.talk()
        stage.learns(5)
        name = stage.promise()
        assert stage.dialled == [CAROL]
        contact = stage.joined.contacts.live[stage.callback(name).contact]
        assert (contact.stage, contact.agent) == (Stage.DIALLING, "")
        stage.pass_(1)
        assert (contact.stage, stage.carol.hears) == (Stage.WAITING, MUSIC)
        assert stage.line_of("sales") == [contact.id]
        late = stage.calls()
        stage.pass_(1)
        customer.line.hang_up()
        stage.pass_(8)  # wrap-up, and the phone
        assert stage.talking(stage.carol, ana)
        assert (stage.callback(name).state, stage.outcomes(name)) == (CallbackState.REACHED, ["answered"])
        stage.check()
        late.line.hang_up()

    def test_who_hangs_up_meanwhile_is_tried_again(self, stage: CallbackStage) -> None:
        customer, _ = stage.talk()
        stage.learns(5)
        name = stage.promise()
        stage.pass_(3)
        assert stage.carol.hears == MUSIC
        stage.carol.line.hang_up()
        stage.pass_(1)
        assert (stage.callback(name).state, stage.outcomes(name)) == (CallbackState.SCHEDULED, ["abandoned"])
        stage.pass_(40)
        assert stage.dialled == [CAROL, CAROL]
        customer.line.hang_up()

    def test_an_agent_who_is_free_while_it_rings_is_held_for_the_customer(self, stage: CallbackStage) -> None:
        customer, ana = stage.talk()
        stage.learns(5)
        stage.carol.when_rung = ""
        name = stage.promise()
        stage.pass_(1)
        assert stage.dialled == [CAROL]
        customer.line.hang_up()
        stage.pass_(6)
        assert (stage.state("ana"), ana.rings) == ("reserved", 1)
        stage.carol.line.answer()
        stage.pass_(2)
        assert stage.talking(stage.carol, ana)
        assert stage.callback(name).attempts[0].agent == "ana"
        stage.check()

    def test_the_agent_who_was_held_is_free_when_nobody_answers(self, stage: CallbackStage) -> None:
        customer, ana = stage.talk()
        stage.learns(5)
        stage.carol.when_rung = ""
        name = stage.promise()
        stage.pass_(1)
        customer.line.hang_up()
        stage.pass_(6)
        assert stage.state("ana") == "reserved"
        stage.pass_(5)
        assert (stage.state("ana"), ana.rings, stage.outcomes(name)) == ("ready", 1, ["no_answer"])

    def test_no_more_are_dialled_than_agents_will_be_free(self, stage: CallbackStage) -> None:
        customer, _ = stage.talk()
        stage.learns(6)
        stage.promise()
        stage.promise(DORA)
        stage.pass_(5)
        assert stage.dialled == [CAROL]
        customer.line.hang_up()
        stage.pass_(8)
        assert stage.dialled[:2] == [CAROL, DORA][: len(stage.dialled)]

    def test_nobody_is_dialled_while_nobody_can_tell(self, stage: CallbackStage) -> None:
        customer, _ = stage.talk()
        stage.promise()
        stage.pass_(10)
        assert stage.dialled == []
        stage.learns(60)
        stage.pass_(10)
        assert stage.dialled == []
        stage.learns(5)
        stage.pass_(2)
        assert stage.dialled == [CAROL]
        customer.line.hang_up()

    @pytest.mark.parametrize("rules", [{"first": First.AGENT}, {"dial_ahead": False}], ids=["agent first", "not ahead"])
    def test_where_the_queue_does_not_do_that(self, staged: Callable[..., CallbackStage], rules: dict[str, Any]) -> None:
        stage = staged(**rules)
        customer, ana = stage.talk()
        stage.learns(1)
        name = stage.promise()
        stage.pass_(10)
        assert stage.dialled == []
        customer.line.hang_up()
        stage.pass_(10)
        assert stage.talking(stage.carol, ana)
        assert stage.outcomes(name) == ["answered"]

    def test_who_is_changed_or_called_in_for_is_not_dialled_any_more(self, stage: CallbackStage) -> None:
        customer, _ = stage.talk()
        name = stage.promise()
        stage.learns(5)
        stage.daemon.now(stage.callbacks.edit(name, Change(due=stage.reactor.seconds() + 60), "lab"))
        stage.pass_(10)
        assert stage.dialled == []
        stage.daemon.now(stage.callbacks.cancel(name, "lab"))
        stage.pass_(60)
        assert (stage.dialled, stage.callback(name).state) == ([], CallbackState.CANCELLED)
        customer.line.hang_up()


ONE_LINE = {"trunks": (evolve(OutsideStage.SITE["trunks"][0], lines=1),)}


@pytest.mark.requirement("B2")
class TestNoLineIsFree:
    """Who waits for a line of the trunk has the place of before, and the next line."""

    def test_who_waits_longest_has_the_next_line(self, staged: Callable[..., CallbackStage]) -> None:
        stage = staged(ONE_LINE)
        taken = stage.daemon.dialling.lines.take("out")
        assert taken is not None
        stage.ready("ana")
        stage.carol.when_rung = stage.dora.when_rung = "decline"
        stage.promise(CAROL)
        stage.pass_(3)
        stage.promise(DORA)
        stage.pass_(5)
        assert (stage.dialled, stage.state("ana")) == ([], "ready")
        taken.release()
        stage.pass_(0.2)
        assert stage.dialled == [CAROL]
        stage.pass_(3)
        assert stage.dialled == [CAROL, DORA]
        stage.check()

    def test_who_cannot_be_dialled_ahead_stays_in_line(self, staged: Callable[..., CallbackStage]) -> None:
        stage = staged(ONE_LINE)
        taken = stage.daemon.dialling.lines.take("out")
        assert taken is not None
        customer, ana = stage.talk()
        stage.learns(5)
        name = stage.promise()
        late = stage.calls()
        stage.pass_(2)
        assert stage.line_of("sales") == [stage.callback(name).contact, "c3"]
        taken.release()
        customer.line.hang_up()
        stage.pass_(8)
        assert stage.talking(stage.carol, ana)
        late.line.hang_up()
        stage.check()

    def test_an_agent_for_whom_no_line_was_free_is_no_agent_who_refused(self, staged: Callable[..., CallbackStage]) -> None:
        stage = staged(ONE_LINE)
        taken = stage.daemon.dialling.lines.take("out")
        assert taken is not None
        stage.ready("ana")
        stage.promise()
        stage.pass_(2)
        taken.release()
        stage.pass_(3)
        assert stage.talking(stage.carol, stage.people["ana"])


@pytest.mark.requirement("B3")
def test_who_was_called_as_often_as_may_be_is_not_tried_before_that_is_over(
    staged: Callable[..., CallbackStage],
) -> None:
    stage = staged({"dialing": evolve(OutsideStage.SITE["dialing"], calls_per_customer=1)}, expires_seconds=3 * 86_400.0)
    stage.ready("ana")
    stage.carol.when_rung = "decline"
    began = stage.reactor.seconds()
    name = stage.promise()
    stage.pass_(3 * 3600)
    begun = [event for event in stage.told if isinstance(event, CallbackBegun)]
    assert (stage.dialled, len(begun)) == ([CAROL], 2)
    assert stage.callback(name).due == pytest.approx(began + 86_400.0, abs=5.0)
    assert stage.callback(name).why.startswith(f"{CAROL} was called 1 times in 24 hours")
    stage.pass_(21.5 * 3600)
    assert stage.dialled == [CAROL, CAROL]


@pytest.mark.requirement("B2")
@pytest.mark.fault("F71")
class TestTheAgentIsGone:
    """When the customer answers, the agent who was held is not there any more."""

    @pytest.mark.parametrize("how", ["declines", "is not ready"])
    def test_the_customer_hears_music_and_is_next(self, stage: CallbackStage, how: str) -> None:
        stage.ready("ana")
        ana, staff = stage.people["ana"], stage.joined.distributor.staff
        stage.carol.when_rung = ""
        name = stage.promise()
        assert (stage.state("ana"), stage.dialled) == ("reserved", [CAROL])
        if how == "is not ready":
            staff.set_state("ana", AgentState.NOT_READY, "lunch")
        ana.when_rung = "decline"
        stage.pass_(1)
        stage.carol.line.answer()
        stage.pass_(0.6)
        assert stage.carol.hears == MUSIC
        stage.pass_(2)
        late = stage.calls()
        assert stage.carol.hears == MUSIC
        [first, *_] = stage.line_of("sales")
        assert first == stage.callback(name).contact
        stage.ready("bo")
        stage.pass_(3)
        assert stage.talking(stage.carol, stage.people["bo"])
        assert (stage.outcomes(name), stage.callback(name).attempts[0].agent) == (["answered"], "bo")
        stage.check()
        late.line.hang_up()

    def test_how_long_may_be_waited_counts_from_the_answer(self, stage: CallbackStage) -> None:
        """The place is that of a call of yesterday: who has answered just now has not waited too long."""
        stage.ready("ana")
        stage.people["ana"].when_rung = "decline"
        name = stage.promise(since=stage.reactor.seconds() - 86_400.0)
        stage.pass_(5)
        [first] = stage.line_of("sales")
        assert (stage.carol.hears, first) == (MUSIC, stage.callback(name).contact)
        stage.ready("bo")
        stage.pass_(3)
        assert stage.talking(stage.carol, stage.people["bo"])
