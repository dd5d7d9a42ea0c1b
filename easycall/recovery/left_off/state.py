"""What a contact was doing, as its events tell it one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field

from easycall import events as facts
from easycall.model import Contact, OfferOutcome, Outcome, Role, Stage

__all__ = ["Dialled", "LeftOff", "Rung", "Second", "Side", "Taker"]


@define
class Dialled:
    """A number outside that was dialled for the contact."""

    told: facts.CallDialled
    answered: float | None = None
    """When; None: it was not, as far as it was told."""
    over: bool = False


@define
class Second:
    """Somebody who was asked: an agent or, as an :attr:`outside` one, a number."""

    name: str
    attempt: int
    answered: bool = False
    dialled: Dialled | None = None
    """None: it is an agent."""


@define
class Rung:
    """An agent who was rung."""

    told: facts.Offered
    by: str = ""
    """The agent who asked for this one."""


@define
class Side:
    """The agent who had the contact."""

    agent: str
    attempt: int
    leg: str
    began: float
    waited: float


@define
class LeftOff:
    """What is known of it so far.  :attr:`contact` is as it was: its data, answers, place, number of attempts."""

    contact: Contact
    last: float
    """When the last event was."""
    stage: Stage = Stage.IVR
    answered_at: float = 0.0
    """Of a customer we called: when the customer was there."""
    outcome: Outcome = Outcome.ABANDONED_IN_IVR
    """What has become of it if nothing more does."""

    flow: str = ""
    node: str = ""
    values: dict[str, str] = field(factory=dict)
    """What the flow knew, without what was secret."""
    secret_at: str = ""
    """The node at which the flow asked first for something secret, which nobody knows any more; empty: it did not."""
    choices: dict[str, str] = field(factory=dict)
    """Node of a menu -> name of the choice, in this flow."""

    waits: facts.Queued | None = None
    """As what it waits, or waited before it was offered."""
    refused: dict[str, tuple[OfferOutcome, float]] = field(factory=dict)
    """Agents who did not take it -> how, and when."""
    kept: dict[str, float] = field(factory=dict)
    """Queue -> when it joined, of those left by a key."""
    overflowed: int = 0
    sent_to: str = ""
    """Where a rule of the queue, or an agent, sent it, and it is not there yet: ``queue:ID`` and so on."""

    wanted: str = ""
    """The agent for whom the customer is called."""
    met: facts.OfferEnded | None = None
    """Of an agent who answered first and waits for the customer, who is dialled."""
    rung: dict[int, Rung] = field(factory=dict)
    """Attempt -> who is rung."""
    side: Side | None = None
    with_customer: bool = True
    """The agent who has it has the customer, too; False: on hold, or while another one is asked."""
    asked: Second | None = None
    guests: list[Second] = field(factory=list)
    """Of a conference."""
    room: str = ""
    loan: str = ""
    """The flow it is lent to; empty: it is not."""
    fax: facts.FaxStarted | None = None
    parked: facts.Parked | None = None
    outside: list[str] = field(factory=list)
    """With whom outside the customer talks."""
    box: str = ""
    dialled: dict[str, Dialled] = field(factory=dict)
    """Leg -> the number dialled on it."""

    recording: str = ""
    file: str = ""
    pauses: dict[str, None] = field(factory=dict)
    """Why silence is recorded."""
    declined: bool = False
    """An agent stopped the recording."""

    @property
    def leg_of_customer(self) -> Dialled | None:
        """How the customer was dialled; None: a caller reached us."""
        return self.dialled.get(self.contact.leg)

    @property
    def pbx(self) -> str:
        """The Asterisk it is on; empty: on none."""
        return self.contact.pbx

    @property
    def joined(self) -> float | None:
        """Since when it counts as waiting; None: it was not in line since an agent had it last."""
        return self.waits.since if self.waits is not None else None

    def leg_of(self, attempt: int) -> str:
        """The leg of an agent who was rung as this attempt."""
        return f"ec-{self.contact.id}-{Role.AGENT.value}-{attempt}"


Taker = Callable[[LeftOff, Any], None]
"""What one kind of event changes."""
