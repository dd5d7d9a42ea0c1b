"""The facts: what happened, as immutable values.

The journal numbers and keeps them; records, figures and the live feed are folds over them.  Every event carries ``at``, the
moment it happened, in seconds since the epoch.  ``kind`` is its public name in the journal, the API and the live feed.

==================  ================================================================================================
module              facts of
==================  ================================================================================================
``base``            none: what every fact has
``contact``         a contact as a whole: how it came, what is known of it, how it ended
``ivr``             a caller in an IVR flow
``queue``           a contact that waits in a queue, and the queue's rules
``offer``           a contact on its way to an agent
``talk``            a customer who has an agent, until they part, and where the agent sends the customer
``conference``      more than two in a talk: consultations, and the conferences they become
``callback``        callbacks
``outbound``        calls out, those who were called, and those whom nobody may call
``fax``             faxes
``recording``       sound that is kept: recordings of talks, and voice mail
``supervision``     supervisors who listen
``agent``           agents, whichever contact they have
``privacy``         what was removed: on a customer's request, or as it was too old
``pbx``             our link to an Asterisk
==================  ================================================================================================

All are imported below: the journal reads back what it finds in :data:`KINDS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from easycall.events.agent import AgentAssigned, AgentChanged, WrapUpEnded
from easycall.events.base import Event
from easycall.events.callback import (
    CallbackAsked,
    CallbackBegun,
    CallbackChanged,
    CallbackEnded,
    CallbackLate,
    CallbackSettled,
)
from easycall.events.conference import (
    ConferenceEnded,
    ConferenceJoined,
    ConferenceLeft,
    ConferenceStarted,
    ConsultAnswered,
    ConsultEnded,
    ConsultStarted,
    PartyMuted,
)
from easycall.events.contact import (
    CallEnding,
    ContactArrived,
    ContactEnded,
    DataAttached,
    DispositionSet,
    SessionJoined,
    TransactionReported,
)
from easycall.events.fax import FaxEnded, FaxProgress, FaxReceived, FaxStarted
from easycall.events.ivr import Collected, FlowStep, MenuAnswered, ServiceAsked
from easycall.events.offer import Offered, OfferEnded, Picked, ScreenPop, ScreenPopRevoked
from easycall.events.outbound import (
    CallAnswered,
    CallCut,
    CallDialled,
    CallFailed,
    CallRinging,
    NumberListed,
    NumberUnlisted,
    OutsideEnded,
    OutsideStarted,
)
from easycall.events.pbx import Corrected, PbxDown, PbxUp
from easycall.events.privacy import CustomerErased, DataExpired
from easycall.events.queue import (
    AskIgnored,
    QueueAmended,
    Queued,
    QueueEdited,
    QueueLeft,
    QueueOverflowed,
    QueueResumed,
    StrategyAsked,
    WaitExpected,
)
from easycall.events.recording import (
    RecordingFailed,
    RecordingHeard,
    RecordingPaused,
    RecordingResumed,
    RecordingStarted,
    RecordingStopped,
    VoicemailLeft,
    VoicemailStarted,
)
from easycall.events.supervision import (
    OF_SUPERVISION,
    SupervisionChanged,
    SupervisionEnded,
    SupervisionMoved,
    SupervisionStarted,
)
from easycall.events.talk import (
    Answered,
    DigitsSent,
    Held,
    Lent,
    LoanEnded,
    Parked,
    ParkEnded,
    PhoneLost,
    Retrieved,
    TalkEnded,
    Transferred,
)

__all__ = [
    "KINDS",
    "OF_SUPERVISION",
    "AgentAssigned",
    "AgentChanged",
    "Answered",
    "AskIgnored",
    "CallAnswered",
    "CallCut",
    "CallDialled",
    "CallEnding",
    "CallFailed",
    "CallRinging",
    "CallbackAsked",
    "CallbackBegun",
    "CallbackChanged",
    "CallbackEnded",
    "CallbackLate",
    "CallbackSettled",
    "Collected",
    "ConferenceEnded",
    "ConferenceJoined",
    "ConferenceLeft",
    "ConferenceStarted",
    "ConsultAnswered",
    "ConsultEnded",
    "ConsultStarted",
    "ContactArrived",
    "ContactEnded",
    "Corrected",
    "CustomerErased",
    "DataAttached",
    "DataExpired",
    "DigitsSent",
    "DispositionSet",
    "Event",
    "FaxEnded",
    "FaxProgress",
    "FaxReceived",
    "FaxStarted",
    "FlowStep",
    "Held",
    "Lent",
    "LoanEnded",
    "MenuAnswered",
    "NumberListed",
    "NumberUnlisted",
    "OfferEnded",
    "Offered",
    "OutsideEnded",
    "OutsideStarted",
    "ParkEnded",
    "Parked",
    "PartyMuted",
    "PbxDown",
    "PbxUp",
    "PhoneLost",
    "Picked",
    "QueueAmended",
    "QueueEdited",
    "QueueLeft",
    "QueueOverflowed",
    "QueueResumed",
    "Queued",
    "RecordingFailed",
    "RecordingHeard",
    "RecordingPaused",
    "RecordingResumed",
    "RecordingStarted",
    "RecordingStopped",
    "Retrieved",
    "ScreenPop",
    "ScreenPopRevoked",
    "ServiceAsked",
    "SessionJoined",
    "StrategyAsked",
    "SupervisionChanged",
    "SupervisionEnded",
    "SupervisionMoved",
    "SupervisionStarted",
    "TalkEnded",
    "TransactionReported",
    "Transferred",
    "VoicemailLeft",
    "VoicemailStarted",
    "WaitExpected",
    "WrapUpEnded",
]

KINDS: Mapping[str, type[Event]] = {cls.kind: cls for cls in Event.__subclasses__()}
"""Public name -> class, for reading the journal back."""
