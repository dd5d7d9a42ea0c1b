"""Every flow of call control × every step × whoever leaves or whatever fails then, generated; in virtual time.

What must hold in every cell: the customer is there until the customer hangs up (or the agent who has the customer does),
each verb is answered, nobody is in two talks, and in the end nothing is left and the record adds up.
``pytest tests/test_talk_matrix.py -s`` prints the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from easycall.lab.evidence import Evidence, held
from easycall.lab.invariants import lasting, violations
from easycall.model import Party, RecordRule
from easycall.model import Stage as At
from easycall.simulator.fax import Machine
from easycall.store.memory import MemoryDatabase
from easycall.verbs import (
    Alternate,
    Cancel,
    Complete,
    Consult,
    Drop,
    Fax,
    Hold,
    Lend,
    Merge,
    NotNow,
    Park,
    Pick,
    RecordPause,
    RecordResume,
    RecordStart,
    RecordStop,
    Retrieve,
    ToAgent,
    ToFlow,
    ToQueue,
    ToVoicemail,
    Verb,
)

from .test_parking import Mail
from .test_talk import Stage
from .virtual import opened

FLOWS: dict[str, tuple[Verb, ...]] = {
    "hold": (Hold(), Retrieve()),
    "F2 to a flow": (ToFlow("notice"),),
    "F3 lent": (Lend("notice"),),
    "F3 lent and taken back": (Lend("notice"), Cancel()),
    "F3 a function": (Lend("card", {"amount": "5"}),),
    "F3 a function, taken back": (Lend("card", {"amount": "5"}), Cancel()),
    "F4 consult, complete": (Consult("bo"), Complete()),
    "F4 consult, cancel": (Consult("bo"), Cancel()),
    "F4 alternate": (Consult("bo"), Alternate(), Alternate(), Complete()),
    "F4 alternate, cancel": (Consult("bo"), Alternate(), Cancel()),
    "F4 to an agent": (ToAgent("bo"),),
    "P2 conference, drop": (Consult("bo"), Merge(), Drop(Party.CONSULTED)),
    "P2 conference, leave": (Consult("bo"), Merge(), Drop(Party.AGENT)),
    "P2 alternate, conference": (Consult("bo"), Alternate(), Merge()),
    "P2 park, pick": (Park(), Pick("bo")),
    "P2 to voice mail": (ToVoicemail("sales"),),
    "F5 to a queue": (ToQueue("support"),),
    "F5 from hold": (Hold(), ToQueue("support")),
    "F6 fax": (Fax("d1"),),
    "F6 fax, cancel": (Fax("d1"), Cancel()),
    "F6 fax from hold": (Hold(), Fax("d1")),
    "recorded": (RecordStart(), RecordPause(), RecordResume(), RecordStop()),
    "recorded, F4": (RecordStart(), RecordPause(), Consult("bo"), Complete()),
}

Fault = Callable[[Stage], None]


def hangs_up(name: str) -> Fault:
    def fault(stage: Stage) -> None:
        person = stage.customers[0] if name == "customer" else stage.people[name]
        if hasattr(person, "line"):
            person.line.hang_up()

    return fault


def both(one: str, other: str) -> Fault:
    def fault(stage: Stage) -> None:
        hangs_up(one)(stage)
        hangs_up(other)(stage)

    return fault


FAULTS: dict[str, Fault] = {
    "nothing": lambda stage: None,
    "customer": hangs_up("customer"),
    "ana": hangs_up("ana"),
    "bo": hangs_up("bo"),
    "ana and bo": both("ana", "bo"),
    "customer and bo": both("customer", "bo"),
    "link cut": lambda stage: stage.asterisk.cut_ami(),
}
MOMENTS = {"before": -0.002, "with": 0.0, "a moment after": 0.001, "in between": 0.3, "later": 1.6}
"""When, in seconds from the verb: the second agent answers after one second."""


@pytest.fixture(scope="module")
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


def cell(database: MemoryDatabase, verbs: tuple[Verb, ...], step: int, fault: Fault, moment: float) -> str:
    """One cell; what became of the customer.  AssertionError when something does not hold."""
    stage = Stage(database, rules={"record": RecordRule.ON_DEMAND}, messages=Mail(), mailboxes={"sales": ""})
    customer, _ = stage.talk("bo", "chen")
    if any(isinstance(verb, Fax) for verb in verbs):
        customer.machine = Machine(stage.folder / "received.tiff", sends=False)
    answers: list[Any] = []
    for number, verb in enumerate(verbs):
        if number == step and moment < 0:
            fault(stage)
            stage.pass_(-moment)
        if not stage.joined.contacts.live:
            break
        asked = stage.joined.contacts.ask("c0", verb)
        asked.addCallbacks(answers.append, lambda failure: answers.append(failure.trap(NotNow)))
        if number == step and moment >= 0:
            stage.pass_(moment)
            fault(stage)
        stage.pass_(2.0)
        assert len(answers) == number + 1, f"{verb} was not answered"
    found = violations(seen(stage))
    stage.pass_(1.5)
    assert not lasting(found, violations(seen(stage)))
    if customer.line.over:
        [event] = stage.daemon.of("contact.ended")
        ended = event.ended_by
        assert ended in ("caller", "agent", "flow"), ended
        became = f"ended by the {ended}"
    else:
        rung = {name: one for name, one in stage.people.items() if hasattr(one, "line")}
        partner = next((name for name, one in rung.items() if stage.talking(customer, one)), "")
        became = f"talks with {partner}" if partner else f"{stage.contact.stage}, hears {customer.hears}"
        asked = stage.contact.stage in (At.LENT, At.VOICEMAIL)  # for keys, for a message: it is silent then
        assert partner or customer.hears in ("440", "speech") or asked, became
    stage.close()
    stage.daemon.now(database.clear())
    return became


def seen(stage: Stage) -> Evidence:
    callers = frozenset(customer.line.id for customer in stage.customers if not customer.line.over)
    return Evidence(channels=stage.daemon.channels(), held=held(stage.joined), callers=callers)


@pytest.mark.requirement("F2")
@pytest.mark.requirement("F3")
@pytest.mark.requirement("F4")
@pytest.mark.requirement("F5")
@pytest.mark.requirement("F6")
@pytest.mark.parametrize("name", FLOWS)
def test_whatever_happens_when(name: str, database: MemoryDatabase) -> None:
    verbs = FLOWS[name]
    for step, (who, fault), (when, moment) in product(range(len(verbs)), FAULTS.items(), MOMENTS.items()):
        try:
            became = cell(database, verbs, step, fault, moment)
        except Exception as failure:
            raise AssertionError(f"{name}, step {step + 1} ({verbs[step]}), {who}, {when}: {failure}") from failure
        print(f"{name:24} {step + 1} {type(verbs[step]).__name__:10} {who:16} {when:15} {became}")  # noqa: T201
        if who in ("customer", "customer and bo"):
            assert became.startswith("ended"), (name, step, who, when, became)
        elif who in ("nothing", "link cut"):
            assert not became.startswith("ended") or name == "F2 to a flow", (name, step, who, when, became)
