"""What the invariants look at, as plain data: what a PBX says of its channels, what the daemon holds, what was told.

The same evidence is taken of a real Asterisk (by AMI ``Status``) and of a simulated one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from attrs import field, frozen

from easycall.asterisk.ami import Message
from easycall.model import AgentState, Stage
from easycall.stats.record import Record

if TYPE_CHECKING:
    from easycall.tap import Joined

__all__ = ["STATUS_VARIABLES", "Evidence", "Held", "HeldAgent", "HeldContact", "HeldLeg", "PbxChannel", "channels", "held"]

STATUS_VARIABLES = ("EC_CONTACT", "EC_ROLE", "EC_AG")
"""What ``Status`` is to be asked for beside what it tells of itself."""

UNSET = "(null)"
"""How ``Status`` tells that a variable is not set."""


@frozen
class PbxChannel:
    """A channel, as its PBX tells of it."""

    pbx: str
    """The name of the Asterisk in the configuration."""
    id: str
    """Its Uniqueid."""
    up: bool = True
    """Answered."""
    bridge: str = ""
    application: str = ""
    """The dialplan application it is in, ``AGI`` when it is at home."""
    contact: str = ""
    role: str = ""
    agent: str = ""


@frozen
class HeldLeg:
    """A leg that a switch of the daemon holds."""

    pbx: str
    id: str
    place: str
    """:class:`easycall.asterisk.channel.Place`, in small letters."""
    bridge: str = ""


@frozen
class HeldContact:
    """A live contact."""

    id: str
    pbx: str
    leg: str
    stage: Stage
    queue: str = ""
    agent: str = ""
    consulted: str = ""
    """A second agent, who is asked by the first."""
    conference: tuple[str, ...] = ()
    """Who else is in a conference with the customer."""
    rung: tuple[str, ...] = ()
    """Who else is rung for it."""

    @property
    def others(self) -> frozenset[str]:
        """Everybody beside the agent who has it."""
        return frozenset({self.consulted, *self.conference, *self.rung}) - {""}


@frozen
class HeldAgent:
    """An agent, as the distributor has it."""

    id: str
    state: AgentState
    contact: str = ""


@frozen
class Held:
    """What the daemon holds at one moment."""

    contacts: tuple[HeldContact, ...] = ()
    legs: tuple[HeldLeg, ...] = ()
    agents: tuple[HeldAgent, ...] = ()
    waiting: Mapping[str, tuple[tuple[float, str], ...]] = field(factory=dict)
    """Queue -> its line, the first in line first: since when, and which contact."""


@frozen
class Evidence:
    """Everything the invariants are judged by; what is not given is not judged."""

    channels: tuple[PbxChannel, ...] = ()
    held: Held = Held()
    callers: frozenset[str] = frozenset()
    """The channels of callers who have not hung up and were not hung up by the dialplan's end."""
    ended: tuple[str, ...] = ()
    """The contacts whose end was told, each as often as it was told."""
    records: tuple[Record, ...] = ()
    """The records there are of these contacts."""
    overtaken: tuple[str, ...] = ()
    """What :class:`easycall.lab.fairness.Fairness` found, in words."""
    failures: tuple[str, ...] = ()
    """Errors that nobody took, and failures that were logged."""
    lags: tuple[float, ...] = ()
    """How late the reactor was, in seconds, at regular moments.  In real time only: virtual time waits for everybody."""
    left: Mapping[str, int] = field(factory=dict)
    """At rest only: what there is (channels, legs, sessions, timers …) -> how many more than there were before."""


def channels(pbx: str, answer: Iterable[Message]) -> tuple[PbxChannel, ...]:
    """The channels of an answer to ``Status`` with :data:`STATUS_VARIABLES`."""
    return tuple(_channel(pbx, item) for item in answer if item.name == "Status")


def _channel(pbx: str, status: Message) -> PbxChannel:
    variables = dict(line.split("=", 1) for line in status.all("Variable") if "=" in line)
    contact, role, agent = (variables.get(name, "").replace(UNSET, "") for name in STATUS_VARIABLES)
    return PbxChannel(
        pbx=pbx,
        id=status.get("Uniqueid"),
        up=status.get("ChannelStateDesc") == "Up",
        bridge=status.get("BridgeID"),
        application=status.get("Application").replace(UNSET, ""),
        contact=contact,
        role=role,
        agent=agent,
    )


def held(joined: Joined) -> Held:
    """What a daemon holds now."""
    distributor = joined.distributor
    return Held(
        contacts=tuple(
            HeldContact(one.id, one.pbx, one.leg, one.stage, one.queue, one.agent, one.consulted, one.conference, one.rung)
            for one in joined.contacts.live.values()
        ),
        legs=tuple(
            HeldLeg(pbx.box.name, leg.id, leg.place.name.lower(), leg.bridge)
            for pbx in joined.pbxs
            for leg in pbx.switch.legs
        ),
        agents=tuple(HeldAgent(one.id, one.state, one.contact) for one in distributor.staff.agents.values()),
        waiting={
            queue: tuple((item.enqueued - item.offset, item.contact) for item in distributor.waiting(queue))
            for queue in distributor.queues
        },
    )
