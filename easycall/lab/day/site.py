"""The configuration of a daemon for days in virtual time, and how long its prompts are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zlib import crc32
from zoneinfo import ZoneInfo

from attrs import evolve

from easycall.config import (
    AgentSettings,
    AsteriskBox,
    Config,
    DialingSettings,
    FaxSettings,
    PromptSettings,
    RecordingSettings,
    ServiceSettings,
    VoicemailSettings,
)
from easycall.hours import Hours, spans_of
from easycall.ivr import library
from easycall.ivr.nodes import Flow
from easycall.ivr.prompt import Prompt
from easycall.lab.layout import shipped
from easycall.model import (
    CallbackRules,
    CallbackSource,
    First,
    Outcome,
    OverflowRule,
    OverflowTo,
    OverflowWhen,
    Queue,
    Trunk,
)

__all__ = ["AGI_PORT", "AMI_PORT", "ASKING", "NUMBER", "PBX", "SECRET", "Spoken", "calling_back", "configuration", "flows"]

PBX = "sim"
NUMBER = "95588"
"""What callers dial."""
ASKING = "95599"
"""What callers dial who may ask to be called back: the line of sales."""
AMI_PORT = 5038
AGI_PORT = 4573
SECRET = "in-memory"  # noqa: S105 - nobody else can reach it

FIRST_PHONE = 20_000
LANGUAGE = "en"
LETTERS_PER_SECOND = 15.0
"""How fast prompts are read."""


def configuration(agents: int) -> Config:
    """A site with two queues and so many agents, of whom most serve sales, some support, some both."""
    nowhere = Path("/nowhere")  # nothing is written
    queues = {
        "sales": Queue("sales", "Sales", busy_prompt="All our agents are busy.  Please stay on the line."),
        "support": Queue("support", "Support", wrap_up_seconds=20.0, busy_prompt="All our technicians are busy."),
    }
    return Config(
        node="day",
        data=nowhere,
        api_listen="",
        tokens=(),
        store_url="",
        asterisks=(
            AsteriskBox(
                PBX,
                secret=SECRET,
                ami=f"tcp:127.0.0.1:{AMI_PORT}",
                fastagi=f"tcp:{AGI_PORT}:interface=127.0.0.1",
            ),
        ),
        prompts=PromptSettings(nowhere, str(nowhere), language=LANGUAGE),
        fax=FaxSettings(nowhere, str(nowhere)),
        recordings=RecordingSettings(nowhere, str(nowhere)),
        flows_directory=shipped() / "flows",
        default_flow="welcome",
        numbers={},
        queues=queues,
        voicemail=VoicemailSettings(nowhere, str(nowhere)),
        agents={one.id: one for one in (_agent(number) for number in range(agents))},
        services={"payments": ServiceSettings("http://127.0.0.1:9/")},  # the shipped flows name it; nobody is there
    )


def calling_back(config: Config) -> Config:
    """The same site with a trunk, opening hours, and queues that call back.

    Customers are called in the hours of [hours], by the clock on their wall; sales gives up later and calls more often.
    """
    open_hours = _hours("office", {range(5): "06:30-21:00", range(5, 7): "08:00-18:00"})
    usual = _hours("customers", {range(5): "09:00-20:00", range(5, 7): "10:00-18:00"})
    late = _hours("evenings", {range(5): "17:00-21:00", range(5, 6): "22:00-04:00", range(6, 7): "17:00-21:00"})
    every = frozenset({CallbackSource.ABANDONED, CallbackSource.CLOSED, CallbackSource.UNANSWERED, CallbackSource.OUTAGE})
    sales = CallbackRules(every, hours=usual, other_numbers=True, delays={Outcome.NO_ANSWER: 1800.0}, ring_seconds=20.0)
    support = CallbackRules(
        every,
        first=First.AGENT,
        hours=late,
        attempts=3,
        attempts_per_day=2,
        most={Outcome.DECLINED: 1},
        expires_seconds=4 * 86_400.0,
        greeting="This is Easy Call.",
    )
    closed = (OverflowRule(OverflowWhen.CLOSED, OverflowTo.HANG_UP, say="We are closed, and call you back."),)
    return evolve(
        config,
        numbers={ASKING: "callback"},
        hours={"office": open_hours},
        trunks=(Trunk("world", PBX, "PJSIP/{number}@world", lines=20, caller_ids=("+4930955880",)),),
        dialing=DialingSettings(country="49", allow=("+",), deny=("+4930666",)),
        queues={
            "sales": evolve(config.queues["sales"], hours=open_hours, overflow=closed, callback=sales),
            "support": evolve(config.queues["support"], callback=support),
        },
    )


def _hours(name: str, week: Mapping[range, str]) -> Hours:
    """Opening hours in Berlin: days of the week, Monday is 0 -> one span."""
    return Hours(name, ZoneInfo("Europe/Berlin"), {day: spans_of([span]) for days, span in week.items() for day in days})


def _agent(number: int) -> AgentSettings:
    served = (("sales",), ("sales", "support"), ("support",), ("sales", "support"))[number % 4]
    return AgentSettings(f"agent-{number:04}", f"Agent {number}", served, str(FIRST_PHONE + number))


def flows(config: Config) -> dict[str, Flow]:
    """The flows we ship."""
    return library.flows_of(config)


class Spoken:
    """Prompts that nobody speaks: each has a name, and a length that fits its text."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def sounds(self, prompt: Prompt, language: str) -> list[str]:
        """See :data:`easycall.ivr.runner.Sounds`."""
        if prompt.sound:
            return [prompt.sound]
        language, text = prompt.spoken(language, LANGUAGE)
        name = f"spoken-{language}-{crc32(text.encode()):08x}"
        self._seconds[name] = len(text) / LETTERS_PER_SECOND
        return [name]

    def seconds(self, sound: str) -> float | None:
        """How long a sound is; None: there is none of that name."""
        return self._seconds.get(sound)
