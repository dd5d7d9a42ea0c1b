"""What a supervisor hears now: the decision.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import frozen

from easycall.model import Speaks, Stage, SupervisionMode

__all__ = ["EVERYTHING", "Ear", "Scene", "ear_at_agent", "ear_at_contact", "may_supervise"]

EVERYTHING = "*"
"""In place of a queue: all of them, and contacts that are in none."""

_AT_AGENT: Mapping[SupervisionMode, Speaks] = {
    SupervisionMode.LISTEN: Speaks.NOBODY,
    SupervisionMode.WHISPER: Speaks.ONE,
    SupervisionMode.BARGE: Speaks.BOTH,
}


@frozen
class Ear:
    """The leg that is listened to, and to whom the supervisor speaks."""

    leg: str
    speaks: Speaks


@frozen
class Scene:
    """What is heard, and who talks with whom meanwhile.

    When those who talk change, the supervisor must listen anew even to the same leg: of a leg that moved from one bridge
    straight into another, Asterisk lets who listened before hear only one side (docs/asterisk.rst).
    """

    ear: Ear
    stage: Stage
    agent: str
    consulted: str


def ear_at_contact(mode: SupervisionMode, stage: Stage, customer: str, agent: str, deaf: bool) -> Ear | None:
    """Following a contact: what its customer hears; None: nothing.

    ``customer`` and ``agent`` are legs, ``agent`` is empty when none has the contact.  Only while the two talk the
    supervisor speaks, in a conference to the agent alone, and never whispers to the customer.
    """
    if deaf:
        return None
    if agent and mode is SupervisionMode.WHISPER and stage in (Stage.TALKING, Stage.CONFERENCE):
        return Ear(agent, Speaks.ONE)
    if agent and mode is SupervisionMode.BARGE and stage is Stage.TALKING:
        return Ear(customer, Speaks.BOTH)
    return Ear(customer, Speaks.NOBODY)


def ear_at_agent(mode: SupervisionMode, stage: Stage, agent: str, deaf: bool) -> Ear | None:
    """Following an agent, whose leg is ``agent``, empty when there is none: what the agent hears.

    Nobody barges into a conference, nor speaks to both while one of it is aside: Asterisk would let the agent alone hear it
    (docs/asterisk.rst).
    """
    if not agent or deaf:
        return None
    barred = stage in (Stage.CONFERENCE, Stage.ASIDE) and mode is SupervisionMode.BARGE
    return Ear(agent, Speaks.NOBODY if barred else _AT_AGENT[mode])


def may_supervise(supervises: Collection[str], queues: Collection[str]) -> bool:
    """Whether somebody who supervises those queues may supervise what is in one of these."""
    return EVERYTHING in supervises or any(queue in supervises for queue in queues)
