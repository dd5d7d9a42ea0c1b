"""Who gets whom by a queue's own rules: as configured, and at work in the distributor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.task import Clock

from easycall.acd.distributor import Distributor
from easycall.acd.staff import Staff
from easycall.acd.wrapup import WrapUpRules
from easycall.config import ConfigError, load
from easycall.model import Agent, AgentState, OfferOutcome, Queue
from easycall.policy import AgentOrder, QueuePolicy, Ring
from easycall.skills import parse
from tests.acd import Notes, item, ready

MINIMAL = """
[asterisk.main]
secret = "s3cret"
[queues.sales]
name = "Sales"
"""
AGENTS = """
[queues.support]
name = "Support"
[agents.ana]
name = "Ana"
[agents.bo]
name = "Bo"
"""


def read(tmp_path: Path, sales: str) -> QueuePolicy:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/welcome.yaml").write_text("start: line\nnodes:\n  line:\n    queue: sales\n")
    file = tmp_path / "easycall.toml"
    file.write_text(MINIMAL + sales + AGENTS)
    file.chmod(0o600)
    return load(file, {}).queues["sales"].routing


def test_a_queue_says_who_gets_its_contacts(tmp_path: Path) -> None:
    sales = """
skills = "billing >= 2 and lang:de"
order = "fixed"
first_agents = ["bo", "ana"]
priority_seconds = 60
max_talks = 5
[[queues.sales.rings]]
after = 30
drop = ["lang:de"]
[[queues.sales.rings]]
after = 60
lower = { billing = 1 }
queues = ["support"]
"""
    assert read(tmp_path, sales) == QueuePolicy(
        "sales",
        requires=parse("billing >= 2 and lang:de"),
        agent_order=AgentOrder.FIXED,
        fixed_order=("bo", "ana"),
        offset=60.0,
        cap=5,
        rings=(Ring(30.0, drop=("lang:de",)), Ring(60.0, lower={"billing": 1}, groups=("support",))),
    )


def test_without_a_word_all_agents_get_them_longest_idle_first(tmp_path: Path) -> None:
    assert read(tmp_path, "") == QueuePolicy("sales")


@pytest.mark.parametrize(
    ("sales", "told"),
    [
        ('skills = "billing >="', "queues.sales.skills: column 11"),
        ('prefers = "lang:de"', 'queues.sales.prefers: goes with order = "highest_level": give both, or none'),
        ('order = "fixed"', 'queues.sales.first_agents: goes with order = "fixed": give both, or none'),
        ('order = "fixed"\nfirst_agents = ["cy"]', "queues.sales.first_agents: there is no agent 'cy'"),
        ('order = "best"', "queues.sales.order"),
        (
            "[[queues.sales.rings]]\nafter = 30\n[[queues.sales.rings]]\nafter = 20",
            "each must come later than the one before",
        ),
        ('[[queues.sales.rings]]\nafter = 30\nqueues = ["x"]', "queues.sales.rings[1].queues: there is no queue 'x'"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(tmp_path: Path, sales: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, sales)
    assert told in str(refused.value)


class Room:
    """A distributor with agents who are ready."""

    def __init__(self, policy: QueuePolicy, *agents: Agent, support: QueuePolicy | None = None) -> None:
        queues = {
            "sales": Queue("sales", "Sales", routing=policy),
            "support": Queue("support", "Support", routing=support or QueuePolicy("support")),
        }
        self.clock, notes = Clock(), Notes()
        self.staff = Staff(agents, queues, self.clock, notes)
        self.distributor = Distributor(queues, self.staff, self.clock, notes)
        self.offers: dict[str, Any] = {}

    def enters(self, contact: str, queue: str = "sales") -> None:
        place = self.distributor.enter(item(contact, self.clock.seconds(), queue))
        place.offer().addCallback(lambda offer: self.offers.update({contact: offer}))

    @property
    def given(self) -> dict[str, str]:
        return {contact: offer.agent for contact, offer in self.offers.items()}


def skilled(name: str, since: float = 0.0, queues: tuple[str, ...] = ("sales",), **skills: int) -> Agent:
    return evolve(ready(name, since, *queues), skills=skills)


@pytest.mark.requirement("D1")
def test_only_who_has_the_skills_is_offered_a_contact_until_a_ring_asks_for_less() -> None:
    policy = QueuePolicy("sales", requires=parse("billing >= 2"), rings=(Ring(20.0, lower={"billing": 1}),))
    room = Room(policy, skilled("ana", billing=1), skilled("bo"))
    room.enters("c1")
    room.clock.advance(19.9)
    assert room.given == {}
    room.clock.advance(0.2)
    assert room.given == {"c1": "ana"}


@pytest.mark.requirement("D1")
def test_a_skill_that_an_agent_is_given_counts_for_who_waits_already() -> None:
    room = Room(QueuePolicy("sales", requires=parse("billing")), skilled("ana"))
    room.enters("c1")
    assert room.given == {}
    room.staff.assign("ana", ("sales",), ("sales",), {"billing": 1})
    assert room.given == {"c1": "ana"}


@pytest.mark.requirement("D1")
def test_a_ring_asks_agents_of_another_queue() -> None:
    room = Room(QueuePolicy("sales", rings=(Ring(10.0, groups=("support",)),)), skilled("ana", queues=("support",)))
    room.enters("c1")
    assert room.given == {}
    room.clock.advance(10)
    assert room.given == {"c1": "ana"}


@pytest.mark.requirement("D1")
def test_seconds_of_priority_are_ahead_and_no_more() -> None:
    agent = evolve(skilled("ana", queues=("sales", "support")), state=AgentState.NOT_READY)
    for ahead, first in ((9.0, "plain"), (11.0, "urgent")):
        room = Room(QueuePolicy("sales"), evolve(agent), support=QueuePolicy("support", offset=ahead))
        room.enters("plain")
        room.clock.advance(10)
        room.enters("urgent", "support")
        room.staff.set_state("ana", AgentState.READY)
        assert room.given == {first: "ana"}


@pytest.mark.requirement("D1")
def test_no_more_talks_at_once_than_the_queue_may_have() -> None:
    room = Room(QueuePolicy("sales", cap=1), skilled("ana"), skilled("bo"))
    room.enters("c1")
    room.enters("c2")
    assert room.given == {"c1": "ana"}
    room.offers["c1"].talks("sales")
    room.clock.advance(60)
    assert room.given == {"c1": "ana"}
    room.offers["c1"].parted(WrapUpRules())
    assert set(room.given) == {"c1", "c2"}


@pytest.mark.requirement("D1")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (QueuePolicy("sales"), "cy"),
        (QueuePolicy("sales", agent_order=AgentOrder.FIXED, fixed_order=("bo", "ana")), "bo"),
        (QueuePolicy("sales", agent_order=AgentOrder.HIGHEST_LEVEL, prefers=parse("billing")), "ana"),
    ],
)
def test_who_of_the_idle_ones_is_chosen(policy: QueuePolicy, expected: str) -> None:
    room = Room(policy, skilled("ana", 3.0, billing=5), skilled("bo", 2.0, billing=2), skilled("cy", 1.0))
    room.clock.advance(10)
    room.enters("c1")
    assert room.given == {"c1": expected}


@pytest.mark.requirement("D1")
def test_who_declines_keeps_the_time_of_being_idle_and_goes_first_for_the_next() -> None:
    room = Room(QueuePolicy("sales"), skilled("ana", 1.0), skilled("bo", 2.0))
    room.clock.advance(10)
    room.enters("c1")
    room.offers["c1"].ended(OfferOutcome.DECLINED)
    room.clock.advance(1)
    room.staff.set_state("bo", AgentState.NOT_READY, "lunch")
    room.enters("c2")
    assert room.given["c2"] == "ana"


def test_what_is_due_in_the_moment_of_asking_for_anybody_is_not_lost() -> None:
    policy = QueuePolicy("sales", requires=parse("billing"), rings=(Ring(10.0, drop=("billing",)),))
    room = Room(policy, skilled("ana"), skilled("bo", queues=("support",)))
    room.enters("c1")
    room.clock.rightNow = 10.0  # and the timer has not fired yet
    assert room.distributor.reserve_one_of("support", "c9", 1).agent == "bo"
    assert room.given == {"c1": "ana"}
    room.clock.advance(0)
    assert {agent.id: agent.contact for agent in room.staff.agents.values()} == {"ana": "c1", "bo": "c9"}
