"""The nouns: what a contact centre talks about.  Pure data, no behaviour.

Times are seconds since the epoch as the daemon's own clock tells them; durations are seconds.

==============  ====================================================================================================
module          nouns
==============  ====================================================================================================
``names``       what names, numbers and amounts look like
``contact``     Contact: one caller's whole visit, where it is and what became of it
``agent``       Agent: a person who takes contacts, and what is known of one
``callback``    Callback: somebody is to be called back, and how a queue does that
``queue``       Queue: a line of waiting contacts, and its rules
``leg``         what a leg is for, and who of those who are joined hears and speaks
``outbound``    calls out
``message``     what waits without a call, or is left by one: requests, voice mail, faxes
==============  ====================================================================================================
"""

from __future__ import annotations

from easycall.model.agent import (
    OWN_REASONS,
    Agent,
    AgentState,
    AutoAnswer,
    LastTalk,
    Missed,
    OfferOutcome,
    PhoneState,
    Profile,
)
from easycall.model.callback import (
    BY_THEMSELVES,
    DELAYS,
    OPEN,
    Attempt,
    Callback,
    CallbackRules,
    CallbackSource,
    CallbackState,
    OwnerAway,
)
from easycall.model.contact import Contact, Direction, EndedBy, Lifetime, Loan, Outcome, Stage
from easycall.model.leg import Party, Role, Speaks, SupervisionMode
from easycall.model.message import HUNG_UP_EARLY, FaxOutcome, FaxResult, Message, Request
from easycall.model.names import AMOUNT, CURRENCY, NUMBER, PHONE, SKILL
from easycall.model.outbound import DialOutcome, First, Trunk
from easycall.model.queue import (
    Closing,
    DispositionRule,
    LostAgent,
    OverflowRule,
    OverflowTo,
    OverflowWhen,
    Queue,
    QueueEdit,
    RecordRule,
    StrategyOutcome,
)

__all__ = [
    "AMOUNT",
    "BY_THEMSELVES",
    "CURRENCY",
    "DELAYS",
    "HUNG_UP_EARLY",
    "NUMBER",
    "OPEN",
    "OWN_REASONS",
    "PHONE",
    "SKILL",
    "Agent",
    "AgentState",
    "Attempt",
    "AutoAnswer",
    "Callback",
    "CallbackRules",
    "CallbackSource",
    "CallbackState",
    "Closing",
    "Contact",
    "DialOutcome",
    "Direction",
    "DispositionRule",
    "EndedBy",
    "FaxOutcome",
    "FaxResult",
    "First",
    "LastTalk",
    "Lifetime",
    "Loan",
    "LostAgent",
    "Message",
    "Missed",
    "OfferOutcome",
    "Outcome",
    "OverflowRule",
    "OverflowTo",
    "OverflowWhen",
    "OwnerAway",
    "Party",
    "PhoneState",
    "Profile",
    "Queue",
    "QueueEdit",
    "RecordRule",
    "Request",
    "Role",
    "Speaks",
    "Stage",
    "StrategyOutcome",
    "SupervisionMode",
    "Trunk",
]
