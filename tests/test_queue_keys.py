"""Keys while waiting: a caller leaves the line for another node of the flow, and comes back to the same place."""

from __future__ import annotations

import pytest
import pytest_twisted

from easycall.events import (
    Answered,
    ContactEnded,
    MenuAnswered,
    Offered,
    OfferEnded,
    Queued,
    QueueLeft,
)
from easycall.ivr.flow import Position, begin, chosen, step
from easycall.ivr.instructions import Key, Silence, ToQueue
from easycall.ivr.lint import lint
from easycall.ivr.nodes import Choice, Flow, FlowError, HangUpNode, MenuNode, QueueNode
from easycall.ivr.prompt import parse_prompt
from easycall.ivr.runner import Finish, Waiting
from easycall.ivr.source import parse
from easycall.model import AgentState, EndedBy, OfferOutcome, Outcome, Stage
from easycall.stats.record import SegmentKind, fold

from .contact_world import FLOWS, World, answers, check, refuses
from .test_runner import Call

LINE = """
start: line
nodes:
  line:
    queue: sales
    keys:
      "1": {name: options, next: options}
      "9": {name: no more, next: end}
  options:
    menu: To wait on, press 2.
    choices:
      "2": {name: wait on, next: line}
      "3": {name: support, next: other}
    retries: 0
    timeout: 4
    otherwise: end
  other: {queue: support}
  end: {hangup: }
"""
BACK = Flow(
    "line",
    "line",
    {
        "line": QueueNode("sales", {"1": Choice("options", "options"), "9": Choice("no more", "end")}),
        "options": MenuNode(
            (parse_prompt("sound:options"),),
            {"2": Choice("wait on", "line"), "3": Choice("support", "other")},
            otherwise="end",
            retries=0,
            timeout=4.0,
        ),
        "other": QueueNode("support"),
        "end": HangUpNode(),
    },
)


@pytest.fixture(autouse=True)
def flows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FLOWS, "line", BACK)


class TestTheFlow:
    def test_it_is_read_and_walked(self) -> None:
        flow = parse(LINE, "line")
        assert flow.nodes["line"] == BACK.nodes["line"]
        assert lint(flow, ("sales", "support"), ()) == []
        position, instruction = begin(flow)
        assert instruction == ToQueue("sales", "19")
        assert chosen(flow, position, Key("1")) == Choice("options", "options")
        assert step(flow, position, Key("1"))[0] == Position("options")
        for said in (Key("2"), Silence()):
            with pytest.raises(ValueError, match="is over at line"):
                step(flow, position, said)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (('"9": {', '"99": {'), "line.yaml:8: line.keys: '99' is no key"),
            (("{name: no more, next: end}", "{next: end}"), "line.yaml:8: line.keys.9: 'name' is missing"),
            (("{name: no more, next: end}", "end"), "line.yaml:8: line.keys.9: must be keys and values"),
        ],
    )
    def test_it_is_refused(self, change: tuple[str, str], expected: str) -> None:
        with pytest.raises(FlowError) as refused:
            parse(LINE.replace(*change), "line")
        assert expected in str(refused.value)

    def test_lint_follows_the_keys(self) -> None:
        nowhere = parse(LINE.replace('"1": {name: options, next: options}', '"1": {name: options, next: nowhere}'), "line")
        faults = [str(fault) for fault in lint(nowhere, ("sales", "support"), ())]
        assert "line.yaml:4: line: key 1: there is no node 'nowhere'" in faults
        assert "line.yaml:9: options: no way leads here from the start" in faults

    def test_lint_knows_that_secrets_are_forgotten_in_the_line(self) -> None:
        text = """
start: ask
nodes:
  ask: {{collect: Your number., name: number, digits: 4, secret: {secret}, next: line, otherwise: end}}
  line:
    queue: sales
    keys: {{"1": {{name: say, next: seal}}}}
  seal: {{seal: number, key: vault, name: sealed, next: end}}
  end: {{hangup: }}
"""
        assert lint(parse(text.format(secret="no"), "a"), ("sales",), (), (), ("vault",)) == []
        [fault] = lint(parse(text.format(secret="yes"), "a"), ("sales",), (), (), ("vault",))
        assert "the value 'number' is not known on every way to here" in str(fault)


@pytest_twisted.ensureDeferred
async def test_the_walk_goes_on_where_the_key_leads() -> None:
    first = Call(flow=BACK)
    waiting = await first.run()
    assert isinstance(waiting, Waiting)
    assert (waiting.queue, waiting.keys) == ("sales", "19")
    assert waiting.known == {"contact": "c1", "caller": "1", "dialled": "95588", "language": ""}
    again = Call("", "2", flow=BACK)
    back = await again.run(Waiting("sales", "19", waiting.position, waiting.known, pressed="1"))
    assert isinstance(back, Waiting)
    assert back.queue == "sales"
    assert [event.choice for event in again.told if isinstance(event, MenuAnswered)] == ["options", "wait on"]
    assert again.contact.answers == {"line": "options", "options": "wait on"}
    assert isinstance(await Call(flow=BACK).run(Waiting("sales", "19", waiting.position, {}, pressed="9")), Finish)


def outcome(world: World) -> tuple[Outcome, EndedBy]:
    [end] = world.notes.of(ContactEnded)
    return end.outcome, end.ended_by


class TestTheLine:
    def test_the_place_is_kept_from_a_menu_and_not_offered_meanwhile(self) -> None:
        world = World({"ana": ("sales",)})
        world.distributor.staff.set_state("ana", AgentState.NOT_READY)
        first = world.caller("line", leg="first", keys=["1"])
        second = world.caller("line", leg="second")
        world.until(world.has(QueueLeft))
        [left] = world.notes.of(QueueLeft)
        [contact] = [one for one in world.contacts.live.values() if one.id == left.contact]
        assert contact.stage is Stage.IVR
        assert [item.contact for item in world.distributor.waiting("sales")] == ["k001"]
        assert ("music", None) in first.heard
        first.keys = ["2"]
        world.until(lambda: len(world.notes.of(Queued)) == 3)
        begun, _, back = world.notes.of(Queued)
        assert (back.contact, back.position, back.since) == (begun.contact, 1, begun.since)
        world.clock.advance(1.0)
        world.distributor.staff.set_state("ana", AgentState.READY)
        world.until(world.has(Answered))
        assert world.notes.of(Answered)[0].contact == begun.contact
        for leg in (first, second):
            leg.dies()
        world.run()
        check(world)
        record = fold("k000", [one for one in world.notes.events if one.contact == "k000"])
        assert record is not None
        kinds = [part.kind for part in record.segments if part.kind is not SegmentKind.IVR or part.seconds > 0.1]
        assert kinds[:3] == [SegmentKind.WAITING, SegmentKind.IVR, SegmentKind.WAITING]

    def test_an_agent_who_is_free_meanwhile_takes_the_next(self) -> None:
        world = World({"ana": ("sales",)})
        world.distributor.staff.set_state("ana", AgentState.NOT_READY)
        first = world.caller("line", leg="first", keys=["1"])
        second = world.caller("line", leg="second")
        world.until(world.has(QueueLeft))
        world.distributor.staff.set_state("ana", AgentState.READY)
        world.until(world.has(Answered))
        assert world.notes.of(Answered)[0].contact == "k001"
        for leg in (first, second):
            leg.dies()
        world.run()

    def test_another_queue_has_another_place(self) -> None:
        world = World()
        caller = world.caller("line", keys=["1", "3"])
        world.until(lambda: len(world.notes.of(Queued)) == 2)
        began, moved = world.notes.of(Queued)
        assert (moved.queue, moved.since > began.since) == ("support", True)
        caller.dies()
        world.run()
        assert outcome(world) == (Outcome.ABANDONED, EndedBy.CALLER)

    def test_who_hangs_up_in_the_menu_has_abandoned(self) -> None:
        world = World()
        caller = world.caller("line", keys=["1"])
        world.until(world.has(QueueLeft))
        caller.dies()
        world.run()
        assert outcome(world) == (Outcome.ABANDONED, EndedBy.CALLER)
        assert world.waits.lessons.queues["sales"].left.events == pytest.approx(1), "once"

    def test_who_is_led_to_an_end_has_served_oneself(self) -> None:
        world = World()
        world.caller("line", keys=["9"])
        world.run()
        assert outcome(world) == (Outcome.SELF_SERVED, EndedBy.FLOW)

    def test_other_keys_mean_nothing(self) -> None:
        world = World()
        caller = world.caller("line", keys=["2", "5", "#"])
        world.until(world.has(Queued))
        for _ in range(100):
            world.clock.advance(0.5)
        assert not world.notes.of(QueueLeft)
        caller.dies()
        world.run()

    def test_a_key_while_a_phone_rings_does_not_disturb_the_connection(self) -> None:
        world = World({"ana": ("sales",)})
        world.usual = answers(after=5.0)
        caller = world.caller("line", keys=["1"])
        world.until(world.has(Answered))
        assert not world.notes.of(QueueLeft)
        caller.dies()
        world.run()
        check(world)

    def test_a_key_while_a_phone_rings_counts_when_that_comes_to_nothing(self) -> None:
        world = World({"ana": ("sales",)})
        world.usual = refuses(OfferOutcome.NO_ANSWER, after=10.0)
        caller = world.caller("line", keys=["1"])
        world.until(world.has(QueueLeft))
        assert world.notes.of(QueueLeft)[0].at - world.notes.of(OfferEnded)[0].at <= 1.1
        caller.dies()
        world.run()
        check(world)

    def test_a_key_at_every_moment_of_an_offer(self) -> None:
        """Whatever comes first, agent and place end well."""
        for tenths in range(40):
            world = World({"ana": ("sales",)})
            world.distributor.staff.set_state("ana", AgentState.NOT_READY)
            caller = world.caller("line", keys=["1"])
            world.clock.callLater(tenths / 20, world.distributor.staff.set_state, "ana", AgentState.READY)
            world.until(lambda world=world: world.notes.of(QueueLeft) or world.notes.of(Answered))
            caller.dies()
            world.run()
            assert len(world.notes.of(Offered)) == len(world.notes.of(OfferEnded))
            check(world)
