"""The configuration of a daemon for days in virtual time, and how long its prompts are."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

from easycall.config import (
    AgentSettings,
    AsteriskBox,
    Config,
    FaxSettings,
    PromptSettings,
    RecordingSettings,
    ServiceSettings,
    VoicemailSettings,
)
from easycall.ivr import library
from easycall.ivr.flow import Flow, Prompt
from easycall.lab.layout import shipped
from easycall.model import Queue

__all__ = ["AGI_PORT", "AMI_PORT", "NUMBER", "PBX", "SECRET", "Spoken", "configuration", "flows"]

PBX = "sim"
NUMBER = "95588"
"""What callers dial."""
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
