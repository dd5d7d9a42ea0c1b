"""Every way out × every step × whoever leaves or whatever fails then, generated; in virtual time.

What must hold in every cell: a customer who is there is with somebody or hears something, nobody is in two talks, no line
and no agent is held in the end, and the record adds up.  ``pytest tests/test_call_out_matrix.py -s`` prints the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from easycall.lab.evidence import Evidence, held
from easycall.lab.invariants import lasting, violations
from easycall.model import EndedBy, First, Party, Stage
from easycall.store.memory import MemoryDatabase
from easycall.verbs import Alternate, Complete, Consult, Drop, Merge, NotNow, ToNumber, Verb

from .test_call_out import DORA, OutsideStage
from .test_talk import Person
from .virtual import opened

MOMENTS = (0.0, 0.001, 0.003, 0.3, 0.999, 1.0, 1.001, 1.004, 1.01, 1.3, 2.0, 2.003, 2.01, 2.5)
"""When, in seconds from the beginning: each telephone answers one second after it rings."""

Fault = Callable[[OutsideStage], None]


def hangs_up(name: str) -> Fault:
    def fault(stage: OutsideStage) -> None:
        person = stage.people.get(name) or getattr(stage, name, None) or next(iter(stage.customers), None)
        if hasattr(person, "line"):
            person.line.hang_up()

    return fault


def called_off(stage: OutsideStage) -> None:
    if "c0" in stage.joined.contacts.live:
        stage.joined.contacts.hang_up("c0", EndedBy.API)


def both(one: str, other: str) -> Fault:
    def fault(stage: OutsideStage) -> None:
        hangs_up(one)(stage)
        hangs_up(other)(stage)

    return fault


FAULTS: dict[str, Fault] = {
    "nothing": lambda stage: None,
    "customer": hangs_up("carol"),
    "ana": hangs_up("ana"),
    "dora": hangs_up("dora"),
    "ana and dora": both("ana", "dora"),
    "customer and ana": both("carol", "ana"),
    "called off": called_off,
    "link cut": lambda stage: stage.asterisk.cut_ami(),
}


def asks(stage: OutsideStage, verb: Verb) -> None:
    if "c0" in stage.joined.contacts.live:
        stage.joined.contacts.ask("c0", verb).addErrback(lambda failure: failure.trap(NotNow))


def begins_with(*verbs: Verb, pause: float = 1.9) -> Fault:
    """A customer who called us talks with Ana, who asks for the verbs, one after each pause."""

    def begin(stage: OutsideStage) -> None:
        stage.carol = stage.talk()[0]
        for number, verb in enumerate(verbs):
            stage.reactor.callLater(number * pause, asks, stage, verb)

    return begin


FLOWS: dict[str, Fault] = {
    "customer first": lambda stage: stage.call(First.CUSTOMER) and None,
    "agent first": lambda stage: stage.call(First.AGENT) and None,
    "consult outside, complete": begins_with(Consult(number=DORA), Complete()),
    "consult outside, left to the customer while it rings": begins_with(Consult(number=DORA), Complete(), pause=0.4),
    "transfer outside": begins_with(ToNumber(DORA)),
    "consult outside, conference": begins_with(Consult(number=DORA), Merge()),
    "alternate outside, conference": begins_with(Consult(number=DORA), Alternate(), Merge(), pause=1.1),
    "conference outside, drop": begins_with(Consult(number=DORA), Merge(), Drop(Party.CONSULTED), pause=1.1),
    "conference outside, leave": begins_with(Consult(number=DORA), Merge(), Complete(), pause=1.1),
}


@pytest.fixture(scope="module")
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


def seen(stage: OutsideStage) -> Evidence:
    callers = frozenset(customer.line.id for customer in stage.customers if not customer.line.over)
    return Evidence(channels=stage.daemon.channels(), held=held(stage.joined), callers=callers)


def cell(database: MemoryDatabase, flow: Fault, fault: Fault, moment: float) -> str:
    """One cell; what became of the customer.  AssertionError when something does not hold."""
    stage = OutsideStage(database)
    stage.ready("ana")
    flow(stage)
    stage.pass_(moment)
    fault(stage)
    stage.pass_(4.0)
    found = violations(seen(stage))
    stage.pass_(1.5)
    assert not lasting(found, violations(seen(stage)))
    customer = stage.carol
    if not hasattr(customer, "line") or customer.line.over:
        became = f"{stage.ended()[0]}, by the {stage.ended()[1]}"
        assert not stage.joined.contacts.live
        assert stage.lines == 0
    else:
        rung: dict[str, Any] = {name: one for name, one in stage.people.items() if hasattr(one, "line")}
        rung |= {"dora": stage.dora} if hasattr(stage.dora, "line") else {}
        partner = next((name for name, one in rung.items() if stage.talking(customer, one)), "")
        became = f"talks with {partner}" if partner else f"{stage.contact.stage}, hears {customer.hears}"
        of_two = "speech" if stage.contact.stage is Stage.CONFERENCE else "440"
        assert partner or customer.hears == of_two, became
    assert all(one.rings <= 1 for one in (stage.carol, stage.dora) if isinstance(one, Person))
    stage.close()
    stage.daemon.now(database.clear())
    return became


@pytest.mark.requirement("F7")
@pytest.mark.parametrize("name", FLOWS)
def test_whatever_happens_when(name: str, database: MemoryDatabase) -> None:
    for (who, fault), moment in product(FAULTS.items(), MOMENTS):
        try:
            became = cell(database, FLOWS[name], fault, moment)
        except Exception as failure:
            raise AssertionError(f"{name}, {who}, after {moment} s: {failure}") from failure
        print(f"{name:53} {who:17} {moment:6.3f} {became}")  # noqa: T201
        if who == "nothing":
            assert became.startswith(("talks with", "conference")), (name, moment, became)
        if who == "link cut" and "customer" not in name and "agent" not in name:
            assert became.startswith(("talks with", "conference")), (name, moment, became)
