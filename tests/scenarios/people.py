"""The people of a scenario, callers and agents, and the words for what they do and hear.

::

    ana = await centre.agent("ana").works()
    carl = await centre.caller("carl").dials("95588")
    await hears(carl, "speech")
    await carl.presses("1")
    await ana.answers()
    await talking(carl, ana)
    carl.hangs_up()
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from easycall.lab import legs

if TYPE_CHECKING:
    from .callcentre import CallCentre

SOON = 10.0
"""Seconds within which anything must happen that nothing delays."""

TONES = {"music": 440}
"""What is known on the line by a pure tone, in Hz."""
LONGER = {"music": 15.0}
"""What may take longer than SOON to be heard: before the music there is the busy prompt."""

KEY_SECONDS = 2.0
"""How long a key may be on its way, before it is pressed again."""


class Person:
    """Somebody with a telephone."""

    voice = 0
    """The tone they speak with, in Hz."""

    def __init__(self, centre: CallCentre, name: str) -> None:
        self.centre = centre
        self.name = name

    @property
    def leg(self) -> legs.Leg:
        """Their end of the call."""
        raise NotImplementedError

    @property
    def had_a_call(self) -> bool:
        """True once there was a call."""
        raise NotImplementedError

    def tell(self, what: str) -> None:
        """Let the story say what they do."""
        self.centre.story.tell(self.name, what)

    def hangs_up(self) -> None:
        self.tell("hangs up")
        self.leg.hang_up()

    async def is_released(self, seconds: float = SOON) -> None:
        """Wait until their call is over."""
        await self.leg.ended(seconds)


class Customer(Person):
    """Somebody for whom there is a contact."""

    async def contact(self, seconds: float = SOON) -> str:
        """The id of the contact."""
        raise NotImplementedError

    async def record(self, seconds: float = SOON) -> Mapping[str, Any]:
        """The record, once the contact has ended."""
        contact = await self.contact()
        await self.centre.feed.wait("contact.ended", seconds, contact=contact)
        return await self.centre.client.get(f"/api/v1/contacts/{contact}")


class Caller(Customer):
    """A caller, with a calling number nobody else has, and the contact easycall makes of the call."""

    def __init__(self, centre: CallCentre, name: str, number: str) -> None:
        super().__init__(centre, name)
        self.number = number
        self._leg: legs.Caller | None = None

    @property
    def leg(self) -> legs.Caller:
        assert self._leg is not None, f"{self.name} has not dialled"
        return self._leg

    @property
    def had_a_call(self) -> bool:
        """True once there is a call."""
        return self._leg is not None

    async def dials(self, dialled: str = "95588", *, speaks: bool = False) -> Caller:
        """``speaks``: all the time, by a tone of 700 Hz; else the caller is silent, or has a voice already."""
        self.tell(f"dials {dialled}")
        self.voice = 700 if speaks else self.voice
        self._leg = await self.centre.world.dial(dialled, self.number, tone=self.voice or None)
        return self

    async def contact(self, seconds: float = SOON) -> str:
        """The id of the contact."""
        arrived = await self.centre.feed.wait("contact.arrived", seconds, caller=self.number)
        return str(arrived["contact"])

    async def presses(self, key: str) -> None:
        await self.leg.answered(SOON)
        self.tell(f"presses {key}")
        await self.leg.press(key)

    async def reaches(self, node: str, seconds: float = SOON) -> None:
        """Wait until the caller is at a node of the flow."""
        await self.centre.feed.wait("ivr.step", seconds, contact=await self.contact(), node=node)

    async def waits_in(self, queue: str, seconds: float = SOON) -> None:
        """Wait until the caller stands in a queue."""
        await self.centre.feed.wait("queue.entered", seconds, contact=await self.contact(), queue=queue)

    async def chooses(self, key: str, queue: str) -> None:
        """Press a key of the menu as soon as it works, and wait in the queue behind it."""
        await self.reaches("menu")
        await self.presses(key)
        await self.waits_in(queue)


class Agent(Person):
    """An agent at work: logs in over the API, takes calls at a phone of the world."""

    voice = 1000

    def __init__(self, centre: CallCentre, name: str, number: str) -> None:
        super().__init__(centre, name)
        self.number = number
        self.phone = centre.world.phone(number)
        self._call: legs.PhoneCall | None = None
        self._rings = False

    @property
    def leg(self) -> legs.PhoneCall:
        assert self._call is not None, f"{self.name}'s phone has not rung"
        return self._call

    @property
    def had_a_call(self) -> bool:
        """True once there was a call."""
        return self._call is not None

    # At the desk

    async def works(self, *queues: str) -> Agent:
        """Log in and become ready."""
        await self.logs_in(*queues)
        await self.becomes("ready")
        return self

    async def logs_in(self, *queues: str) -> None:
        self.tell(f"logs in with phone {self.number}")
        wish: dict[str, Any] = {"phone": self.number}
        if queues:
            wish["queues"] = list(queues)
        await self.centre.client.post(f"/api/v1/agents/{self.name}/login", **wish)

    async def becomes(self, state: str, reason: str = "") -> None:
        self.tell(f"becomes {state} {reason}".rstrip())
        await self.centre.client.put(f"/api/v1/agents/{self.name}/state", state=state, reason=reason)

    async def is_(self, state: str, seconds: float = SOON, reason: str = "") -> None:
        """Wait until the agent is in that state."""

        async def there() -> bool:
            agent = await self.centre.client.get(f"/api/v1/agents/{self.name}")
            return bool(agent["state"] == state and agent["reason"] == reason)

        await self.centre.until(there, seconds, f"{self.name} is {state} ({reason})")

    async def sees_pop(self, caller: Caller, seconds: float = SOON) -> Mapping[str, Any]:
        """Wait for the screen pop of a caller's contact."""
        return await self.centre.feed.wait("screen.pop", seconds, agent=self.name, contact=await caller.contact())

    # At the phone

    async def rings(self, seconds: float = SOON) -> legs.PhoneCall:
        """Wait until the phone rings; the call it rings for is the agent's from now on."""
        self._call = await self.phone.rings(seconds)
        self._rings = True
        return self._call

    async def _picked(self, seconds: float) -> legs.PhoneCall:
        """The call that rings, or the next that will."""
        if not self._rings or self.leg.over:
            await self.rings(seconds)
        self._rings = False
        return self.leg

    async def answers(self, seconds: float = SOON) -> legs.PhoneCall:
        """Answer, as soon as the phone rings.  Raises NotSeen when it does not, or when the call is over by then."""
        call = await self._picked(seconds)
        self.tell("answers")
        await call.answer(self.voice or None)
        return call

    async def declines(self, seconds: float = SOON) -> None:
        """Decline, as soon as the phone rings."""
        call = await self._picked(seconds)
        self.tell("declines")
        call.decline()


class Outsider(Person):
    """Somebody with a telephone outside, whom easycall calls."""

    voice = 700

    def __init__(self, centre: CallCentre, name: str, phone: str) -> None:
        super().__init__(centre, name)
        self.phone = centre.world.phone(phone)
        self.number = f"+4930{phone}"
        self._call: legs.PhoneCall | None = None

    @property
    def leg(self) -> legs.PhoneCall:
        assert self._call is not None, f"{self.name}'s telephone has not rung"
        return self._call

    async def rings(self, seconds: float = SOON) -> legs.PhoneCall:
        """Wait until the telephone rings."""
        self._call = await self.phone.rings(seconds)
        return self._call

    @property
    def had_a_call(self) -> bool:
        """True once there was a call."""
        return self._call is not None

    async def answers(self, seconds: float = SOON) -> legs.PhoneCall:
        """Answer, as soon as the telephone rings."""
        call = await self.rings(seconds)
        self.tell("answers")
        await call.answer(self.voice)
        return call


class Called(Customer, Outsider):
    """A customer whom easycall calls."""

    called_as = ""
    """The id of the contact, which is there as soon as the call is asked for."""

    async def contact(self, seconds: float = SOON) -> str:
        assert self.called_as, f"nobody calls {self.name}"
        return self.called_as


async def hears(who: Person, what: str | Person, seconds: float | None = None) -> None:
    """Wait until someone hears "music", "speech", "silence" or somebody's voice; the limit has an answer in it."""
    await who.leg.answered(SOON)
    name = what if isinstance(what, str) else what.name
    limit = LONGER.get(name, SOON) if seconds is None else seconds
    if name == "speech":
        await who.leg.hears_speech(limit)
    elif name == "silence":
        await who.leg.hears_silence(limit)
    else:
        await who.leg.hears(what.voice if isinstance(what, Person) else TONES[name], limit)
    who.tell(f"hears {name}")


async def talking(one: Person, other: Person) -> None:
    """Prove that audio passes both ways: a key pressed on each side arrives at the other."""
    await key_crosses("7", other, one)
    await key_crosses("4", one, other)
    one.tell(f"and {other.name} talk")


async def key_crosses(key: str, presses: Person, *hear: Person) -> None:
    """A key that one presses arrives at the others.

    It is pressed again when it does not: one that meets the very moment in which the two are joined is lost.
    """
    for who in hear:
        who.leg.forgets_keys()
    end = presses.centre.world.clock.seconds() + SOON
    missed = [*hear]
    while missed:
        await presses.leg.press(key)
        for who in missed[:]:
            left = end - presses.centre.world.clock.seconds()
            try:
                await who.leg.hears_key(key, max(0.0, min(KEY_SECONDS, left)))
            except legs.NotSeen:
                if left <= KEY_SECONDS or who.leg.over:
                    raise
            else:
                missed.remove(who)


def segments(record: Mapping[str, Any]) -> list[str]:
    """The kinds of a record's segments, with the agent and outcome of offers: ``offer(ana, no_answer)``."""
    return [
        f"offer({one['agent']}, {one['outcome']})" if one["kind"] == "offer" else one["kind"] for one in record["segments"]
    ]


def offers(record: Mapping[str, Any]) -> list[str]:
    """The offers among the segments."""
    return [one for one in segments(record) if one.startswith("offer")]
