"""The story of one call, from the dial to its record: every step is seen, or the story ends there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from easycall.client import Client, Live
from easycall.lab.demo.narrator import Narrator
from easycall.lab.legs import Caller, PhoneCall
from easycall.lab.site import PHONES
from easycall.lab.world import World

__all__ = ["AGENT", "NUMBER", "Story"]

AGENT = "ana"
NUMBER = "95588"
"""What the caller dials."""
MENU = "main"
"""The menu's node in the flow ``welcome``."""
CALLER = "+4930123456"
CALLER_READABLE = "+49 30 123456"
CALLER_VOICE, AGENT_VOICE, MUSIC = 700, 1000, 440
"""The tones in Hz by which the people of the lab and the PBX's music are known on the line."""

SOON = 5.0
"""Seconds within which anything must happen that nothing delays."""
ANNOUNCEMENT_SECONDS = 12.0
"""The longest an announcement may last before the music."""
FORGOTTEN_SECONDS = 0.6
"""After this, speech that is heard is not the speech of before."""


class Story:
    """One call.  ``caller`` and ``easycall`` and the agent act; each method is a scene."""

    def __init__(self, world: World, client: Client, feed: Live, narrator: Narrator) -> None:
        self._world = world
        self._client = client
        self._feed = feed
        self._narrator = narrator
        self._act = narrator.act
        self._step = narrator.step
        self._phone = world.phone(PHONES[AGENT])
        self.contact = ""
        """The id of the contact, once the call has come in."""

    async def tell(self) -> None:
        """The whole story.  Raises what the missed step raised: NotSeen, NotHeard, Refused …, once it was told."""
        caller = await self._arrives()
        await self._waits(caller)
        call = await self._is_offered()
        await self._talk(caller, call)
        await self._part(caller, call)
        await self._record()

    async def _arrives(self) -> Caller:
        """A caller dials, is greeted and chooses."""
        self._narrator.restart()
        with self._act("caller", f"dials {NUMBER} from {CALLER_READABLE}"):
            caller = await self._world.dial(NUMBER, CALLER, name="Carl", tone=CALLER_VOICE)
        with self._step("easycall", "takes the call") as facts:
            arrived = await self._feed.wait("contact.arrived", SOON, caller=CALLER, dialled=NUMBER)
            self.contact = arrived["contact"]
            facts.text = f": contact {self.contact}"
        with self._step("caller", "hears the greeting: speech on the line"):
            await caller.hears_speech(SOON)
        with self._step("caller", 'hears the menu: "For sales, press 1 …"'):
            await self._hears("ivr.step", node=MENU)
            await self._hears_new_speech(caller)
        with self._act("caller", "presses 1, without hearing the menu out"):
            await caller.press("1")
        with self._step("easycall", "understands") as facts:
            answered = await self._hears("ivr.answered")
            facts.text = f": {answered['choice']}"
        return caller

    async def _waits(self, caller: Caller) -> None:
        """Nobody is ready."""
        with self._step("caller", "waits in the queue") as facts:
            queued = await self._hears("queue.entered")
            facts.text = f" {queued['queue']}, at place {queued['position']}: no agent is ready"
        with self._step("caller", 'hears "All our agents are busy …"'):
            await self._hears_new_speech(caller)
        with self._step("caller", f"hears the music: {MUSIC} Hz"):
            await caller.hears(MUSIC, ANNOUNCEMENT_SECONDS)

    async def _is_offered(self) -> PhoneCall:
        """An agent becomes ready; her phone rings, and her screen knows why."""
        with self._act(AGENT, "becomes ready"):
            await self._client.put(f"/api/v1/agents/{AGENT}/state", state="ready")
        with self._step("easycall", f"offers the caller to {AGENT}"):
            await self._hears("offer.made", agent=AGENT)
        with self._step(AGENT, f"is rung at phone {self._phone.number}") as facts:
            call = await self._phone.rings(SOON)
            facts.text = f", which shows {call.caller}"
        with self._step(AGENT, "sees the screen pop with it"):
            pop = await self._hears("screen.pop", agent=AGENT)
        self._narrator.note("\n".join(f"{name:<8} {value}" for name, value in _shown(pop).items()))
        return call

    async def _talk(self, caller: Caller, call: PhoneCall) -> None:
        """They talk: voices and keys cross, both ways."""
        with self._act(AGENT, "answers"):
            await call.answer(AGENT_VOICE)
        with self._step("easycall", "joins the two") as facts:
            talk = await self._hears("talk.started", agent=AGENT)
            facts.text = f", after {talk['waited']:.1f} s of waiting"
        with self._step("caller", f"hears {AGENT}'s voice: {AGENT_VOICE} Hz"):
            await caller.hears(AGENT_VOICE, SOON)
        with self._step(AGENT, f"hears the caller's voice: {CALLER_VOICE} Hz"):
            await call.hears(CALLER_VOICE, SOON)
        with self._act("caller", "presses 4"):
            await caller.press("4")
        with self._step(AGENT, "hears the 4"):
            await call.hears_key("4", SOON)
        with self._act(AGENT, "presses 7"):
            await call.press("7")
        with self._step("caller", "hears the 7"):
            await caller.hears_key("7", SOON)

    async def _part(self, caller: Caller, call: PhoneCall) -> None:
        """The caller has heard enough."""
        with self._act("caller", "hangs up"):
            caller.hang_up()
        with self._step(AGENT, "is released: her line is free"):
            await call.ended(SOON)
        with self._step(AGENT, "wraps up") as facts:
            wrap_up = await self._feed.wait("agent.changed", SOON, agent=AGENT, state="wrap_up")
            facts.text = f", {wrap_up['until'] - wrap_up['at']:.0f} s"
        with self._step(AGENT, "is ready for the next caller"):
            await self._feed.wait("agent.changed", SOON, since=wrap_up["seq"], agent=AGENT, state="ready")

    async def _record(self) -> None:
        """What is left of the call."""
        with self._step("easycall", "has written the record") as facts:
            await self._hears("contact.ended")
            record = await self._client.get(f"/api/v1/contacts/{self.contact}")
            facts.text = f": {record['outcome']}, ended by the {record['ended_by']}"
        self._narrator.show(_table(record))
        with self._step("easycall", "has accounted for every moment of it"):
            _check_sum(record)

    async def _hears(self, kind: str, **expected: Any) -> Mapping[str, Any]:
        """An event of this contact on the live feed."""
        return await self._feed.wait(kind, SOON, contact=self.contact, **expected)

    async def _hears_new_speech(self, caller: Caller) -> None:
        await self._world.pause(FORGOTTEN_SECONDS)
        await caller.hears_speech(SOON)


def _shown(pop: Mapping[str, Any]) -> dict[str, str]:
    """What the agent's screen shows of a pop."""
    answers = ", ".join(f"{node}: {choice}" for node, choice in pop["answers"].items())
    return {
        "caller": f"{pop['caller']} {pop['caller_name']}",
        "dialled": pop["dialled"],
        "queue": pop["queue"],
        "waited": f"{pop['waited']:.1f} s",
        "answers": answers,
    }


def _table(record: Mapping[str, Any]) -> Table:
    """The segments of a record."""
    table = Table("what", "with", "how it ended", box=None, pad_edge=False, header_style="dim")
    table.add_column("from", justify="right")
    table.add_column("seconds", justify="right")
    for part in record["segments"]:
        who = " ".join(filter(None, (part["queue"], part["agent"])))
        began = part["started"] - record["arrived"]
        table.add_row(part["kind"], who, part["outcome"] or "", f"{began:.3f}", f"{part['seconds']:.3f}")
    table.add_section()
    table.add_row("together", "", "", "", f"{record['ended'] - record['arrived']:.3f}", style="bold")
    return table


def _check_sum(record: Mapping[str, Any]) -> None:
    """The segments must touch each other and fill the contact's time.  Raises ValueError."""
    at = record["arrived"]
    for part in record["segments"]:
        if part["started"] != at:
            raise ValueError(f"segment {part['kind']} begins at {part['started']}, the one before ended at {at}")
        at = part["ended"]
    if at != record["ended"]:
        raise ValueError(f"the last segment ends at {at}, the contact at {record['ended']}")
