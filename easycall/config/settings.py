"""What an operator decides, as frozen objects."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from attrs import field, frozen

from easycall.hours import Hours, Span
from easycall.model import AutoAnswer, Lifetime, OverflowTo, Queue, RecordRule, Trunk
from easycall.policy import ONE_AT_A_TIME, Capacity, Channel
from easycall.ports import Strategy

__all__ = [
    "USUAL_RIGHTS",
    "AgentSettings",
    "AsteriskBox",
    "Config",
    "DialingSettings",
    "FaxSettings",
    "PromptSettings",
    "RecordingSettings",
    "RetentionSettings",
    "Right",
    "ServiceSettings",
    "StaffSettings",
    "StrategySettings",
    "Token",
    "VoicemailSettings",
]


class Right(StrEnum):
    """Something a token of the API may be allowed."""

    READ = "read"
    """See agents, queues, contacts, records and the live feed."""
    CONTROL = "control"
    """Log agents in and out, set their states, and ask the verbs of call control."""
    DIAL = "dial"
    """Have numbers dialled."""
    SUPERVISE = "supervise"
    """Listen, whisper, barge in and take over."""
    RECORDINGS = "recordings"
    """List and hear what was recorded: conversations, messages, faxes."""
    ADMIN = "admin"
    """Change what outlives calls: lists of numbers, documents of others."""


USUAL_RIGHTS = frozenset({Right.READ, Right.CONTROL, Right.DIAL})
"""What a token may whose configuration does not say."""


@frozen
class Token:
    """Who may use the API.  The token itself is not kept."""

    name: str
    sha256: str = field(repr=False)
    """The SHA-256 of the token, in hexadecimal."""
    rights: frozenset[Right] = USUAL_RIGHTS
    agent: str = ""
    """The agent it speaks for and is confined to; empty: everybody."""


@frozen
class AsteriskBox:
    """One Asterisk and how to reach it."""

    name: str
    secret: str = field(repr=False)
    username: str = "easycall"
    login: Literal["md5", "plain"] = "md5"
    """How we log in: by the answer to a challenge, or by sending the secret."""
    ami: str = "tcp:127.0.0.1:5038"
    """Twisted client endpoint of its AMI."""
    fastagi: str = "tcp:4573:interface=127.0.0.1"
    """Twisted server endpoint where its calls come in."""
    peers: tuple[str, ...] = ("127.0.0.1",)
    """The addresses calls may come in from."""
    dial: str = "PJSIP/{phone}"
    """How an agent's phone is dialled."""
    context: str = "easycall"
    """The dialplan context of ours where a leg is at home."""


@frozen
class PromptSettings:
    """How texts become sound files."""

    directory: Path
    """Where we write them."""
    asterisk_directory: str
    """The same folder as Asterisk sees it."""
    speak: tuple[str, ...] = ("espeak-ng", "-v", "{voice}", "-s", "150", "--stdin", "--stdout")
    """The command that takes a text and gives a wav; ``{voice}`` is put in."""
    convert: tuple[str, ...] = (
        *("sox", "--ignore-length", "-t", "wav", "-"),
        *("-t", "raw", "-r", "8000", "-c", "1", "-b", "16", "-e", "signed-integer", "-"),
    )
    """The command that takes that wav and gives 8 kHz mono 16 bit samples without a header."""
    language: str = "en"
    """The site's own: of texts without a language, and of callers who have not chosen one."""
    voices: Mapping[str, str] = field(factory=lambda: {"en": "en-us", "zh": "cmn"})
    """Language -> voice."""


@frozen
class DialingSettings:
    """Which numbers may be dialled: none, unless this says so."""

    country: str = ""
    """The country code numbers are completed with when they are given as dialled within the country; empty: they are not."""
    national_prefix: str = "0"
    """What stands before such a number."""
    international_prefix: str = "00"
    """What stands before a number with a country code, where that is not ``+``."""
    allow: tuple[str, ...] = ()
    """The beginnings of numbers that may be dialled; of all that match the longest counts."""
    deny: tuple[str, ...] = ()
    """Those that may not."""
    own: tuple[str, ...] = ()
    """Numbers that lead back to us, beside those of ``numbers`` and of the trunks."""
    ring_seconds: float = 30.0
    """How long a number outside is rung."""
    call_seconds: float = 7200.0
    """How long a call out may last, from the answer."""
    calls_per_customer: int = 3
    """How often one customer is called in 24 hours."""
    calls_per_number: int = 50
    """How often one number is dialled in 24 hours, as a customer's or another's."""
    calls_per_agent: int = 200
    """How many numbers are dialled for one agent in 24 hours."""
    calls_per_queue: int = 200
    """How many numbers are dialled for one queue in an hour."""
    calls_per_day: int = 2000
    """How many numbers are dialled in 24 hours."""


@frozen
class FaxSettings:
    """Fax to and from callers' machines."""

    directory: Path
    """Where documents and received faxes are kept."""
    asterisk_directory: str
    """The same folder as Asterisk sees it."""
    lines: int = 0
    """Faxes at the same time on one Asterisk; 0: there is no fax."""
    station: str = ""
    """What we call ourselves to other machines."""
    header: str = ""
    """A line above each page we send."""
    pages: int = 100
    """The most pages of a document."""
    document_days: float = 7.0
    """How long a document is kept."""
    received_days: float = 365.0
    """How long a received fax is kept."""
    render: tuple[str, ...] = (
        *("gs", "-q", "-dSAFER", "-dBATCH", "-dNOPAUSE", "-dFIXEDMEDIA", "-dPDFFitPage"),
        *("-sDEVICE=tiffg4", "-r204x196", "-g1728x2200", "-dLastPage={last}", "-sOutputFile={output}", "{input}"),
    )
    """The command that makes a fax TIFF of a PDF."""
    to_pdf: tuple[str, ...] = ("tiff2pdf", "-o", "{output}", "{input}")
    """The command that makes a PDF of a TIFF."""
    start: Mapping[str, str] = field(
        factory=lambda: {
            "en": "Please press the start button of your fax machine now.",
            "zh": "请现在按下传真机的启动键。",
        }
    )
    """Language -> what a customer hears before the machine must be started."""
    detect: Mapping[str, str] = field(factory=dict)
    """Dialled number -> box for machines that call it and are known by their tone."""
    queues: Mapping[str, str] = field(factory=dict)
    """Box -> the queue its faxes wait in for an agent; of other boxes nobody is told."""

    @property
    def commands(self) -> tuple[str, ...]:
        """The programs fax needs on this machine."""
        return self.render[0], self.to_pdf[0]


@frozen
class RecordingSettings:
    """Where recordings lie."""

    directory: Path
    """Where we read them."""
    asterisk_directory: str
    """The same folder as Asterisk sees it, which writes them."""


@frozen
class RetentionSettings:
    """How long what happened is kept; 0 days: for ever."""

    contact_days: float = 0.0
    """Events, and the records of contacts with all that belongs to them."""
    recording_days: float = 0.0
    """The sound of recordings."""
    voicemail_days: float = 0.0
    night: Hours = field(factory=lambda: Hours("night", ZoneInfo("UTC"), dict.fromkeys(range(7), (Span(60, 300),))))
    """When what is too old is removed."""

    @property
    def any(self) -> bool:
        """Whether anything is ever removed."""
        return bool(self.contact_days or self.recording_days or self.voicemail_days)


@frozen
class VoicemailSettings:
    """Where callers' messages are kept."""

    directory: Path
    """Where we read them."""
    asterisk_directory: str
    """The same folder as Asterisk sees it, which writes them."""
    max_seconds: float = 180.0
    silence_seconds: float = 6.0
    """So much silence ends a message."""
    boxes: Mapping[str, str] = field(factory=dict)
    """Box -> greeting, a text or ``sound:NAME``; empty: the tone alone."""
    queues: Mapping[str, str] = field(factory=dict)
    """Box -> the queue its messages wait in for an agent; of other boxes nobody is told."""


@frozen
class AgentSettings:
    """A person who takes contacts, as configured."""

    id: str
    name: str
    queues: tuple[str, ...] = ()
    phone: str = ""
    """The phone taken when the agent logs in without naming one."""
    supervises: tuple[str, ...] = ()
    """The queues whose contacts and agents this person may supervise; ``*``: all."""
    auto_answer: AutoAnswer = AutoAnswer.NEVER
    skills: Mapping[str, int] = field(factory=dict)
    """What the agent can do -> how well, from 1."""
    takes: Mapping[Channel, int] = field(factory=dict)
    """How much of each kind of work at once, where it is not as for all agents; 0: none."""
    beside: Mapping[Channel, frozenset[Channel]] = field(factory=dict)
    """What a kind may be offered beside, where it is not as for all agents."""
    auto_accept: tuple[Channel, ...] | None = None
    """What the agent need not accept; None: as for all agents."""


@frozen
class StaffSettings:
    """What holds for all agents."""

    reasons: tuple[str, ...] = ()
    """Why an agent may be not ready; empty: agents say it in their own words."""
    desktop_seconds: float = 30.0
    """How long an agent's desktop may be gone before nothing is offered to the agent."""
    takes: Mapping[Channel, int] = field(factory=dict)
    """How much of each kind of work an agent has at once; what is not named: one; 0: none."""
    beside: Mapping[Channel, frozenset[Channel]] = field(factory=dict)
    """What an agent may be busy with when such a kind is offered, where it is not as usual."""
    auto_accept: tuple[Channel, ...] = ()
    """What is no call and an agent need not accept: it is the agent's as soon as it is offered."""


@frozen
class ServiceSettings:
    """A service outside that flows may hand values to."""

    url: str
    timeout: float = 10.0
    """Seconds from asking to the end of the answer."""
    ca: bytes = field(default=b"", repr=False)
    """The certificates (PEM) of the only CAs trusted; empty: those of the system."""
    token: str = field(default="", repr=False)
    """What we show of ourselves, as a bearer token; empty: nothing."""


@frozen
class StrategySettings:
    """A strategy, and how it is asked."""

    name: str
    strategy: Strategy
    seconds: float = 0.3
    """How long it may take."""
    candidates: int = 10
    """How many agents it is told of, beside the one chosen by the queue."""
    failures: int = 5
    """After so many failures in a row it is left alone,"""
    rest_seconds: float = 30.0
    """for so long."""


@frozen
class Config:
    """Everything an operator decides."""

    node: str
    data: Path
    """The folder of everything that must outlive the daemon."""
    api_listen: str
    """Twisted server endpoint of the API."""
    tokens: tuple[Token, ...]
    store_url: str
    """The database; the path of an SQLite file in it is absolute.  No password stands in it."""
    asterisks: tuple[AsteriskBox, ...]
    prompts: PromptSettings
    fax: FaxSettings
    recordings: RecordingSettings
    flows_directory: Path
    default_flow: str
    """The flow of a dialled number that ``numbers`` does not name."""
    numbers: Mapping[str, str]
    """Dialled number -> flow."""
    queues: Mapping[str, Queue]
    agents: Mapping[str, AgentSettings]
    voicemail: VoicemailSettings
    store_password: str = field(default="", repr=False)
    """PostgreSQL's, if it wants one."""
    staff: StaffSettings = StaffSettings()
    dialing: DialingSettings = DialingSettings()
    trunks: tuple[Trunk, ...] = ()
    """The ways out, in the order in which they are tried."""
    tell_agents: bool = True
    """Whether agents are told over their live feed that they are supervised."""
    lifetime: Lifetime = field(factory=Lifetime)
    watchdog_seconds: float = 10.0
    """For how long the reactor may stand still before the process is ended; 0: for ever."""
    park_seconds: float = 90.0
    """How long a parked contact waits for an agent who picks it."""
    hours: Mapping[str, Hours] = field(factory=dict)
    """Opening hours, by name."""
    services: Mapping[str, ServiceSettings] = field(factory=dict)
    """What flows may hand values to."""
    keys: Mapping[str, bytes] = field(factory=dict)
    """Public keys (PEM) that flows may seal values with."""
    strategies: Mapping[str, StrategySettings] = field(factory=dict)
    """What queues may ask who gets a contact, by name."""
    journal_bytes: int = 1 << 30
    """How long the journal's file may become."""
    retention: RetentionSettings = field(factory=RetentionSettings)
    transaction_hours: float = 24.0
    """For how long after its end transactions of a contact are taken; 0: only while it lives."""

    @property
    def entered(self) -> dict[str, str]:
        """Option -> the flow that callers begin with because of it."""
        numbers = {f"numbers.{number}": flow for number, flow in self.numbers.items()}
        overflow = {
            f"queues.{queue.id}.overflow[{index}].to": rule.target
            for queue in self.queues.values()
            for index, rule in enumerate(queue.overflow, 1)
            if rule.to is OverflowTo.FLOW
        }
        return {"flows.default": self.default_flow, **numbers, **overflow}

    @property
    def store_path(self) -> Path | None:
        """The file of an SQLite database; None when the database is another."""
        file = self.store_url.removeprefix("sqlite:///")
        return None if file == self.store_url else Path(file)

    @property
    def records(self) -> bool:
        """Whether calls of any queue may be recorded."""
        return any(queue.record is not RecordRule.NEVER for queue in self.queues.values())

    def capacity(self, agent: str) -> Capacity:
        """What an agent takes.  Raises KeyError."""
        own = self.agents[agent]
        limits = {**ONE_AT_A_TIME.limits, **self.staff.takes, **own.takes}
        beside = {**ONE_AT_A_TIME.beside, **self.staff.beside, **own.beside}
        return Capacity({channel: most for channel, most in limits.items() if most}, beside)

    def auto_accept(self, agent: str) -> frozenset[Channel]:
        """What an agent need not accept.  Raises KeyError."""
        own = self.agents[agent].auto_accept
        return frozenset(self.staff.auto_accept if own is None else own)

    def flow(self, dialled: str) -> str:
        """The name of the flow of a dialled number."""
        return self.numbers.get(dialled, self.default_flow)
