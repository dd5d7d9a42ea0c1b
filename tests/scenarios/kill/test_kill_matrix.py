"""SIGKILL while something of everything goes on: afterwards all is as it would have been without it.

``-k everybody -s`` prints the table: what was there, what was looked at, and how it was.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest

from easycall.client import Refused
from easycall.lab.ear import Ear

from ..callcentre import after
from ..people import SOON, Agent, Caller, hears, offers, segments, talking
from .centre import KillableCentre
from .full_house import DIAL, FULL, SMALL, House, Sizes, Talk, all_of, differences, full_house
from .test_sound import AGENT, BEHIND, CALLER, GAP_SECONDS, ear_of

READY_SECONDS = 3.0
PICTURE_SECONDS = 1.0
LISTENED = 3
"""Of so many talks the sound is listened to without a break."""
ON_TIME_SECONDS = 0.5
"""A wrap-up ends so exactly."""
SERVED = 2
"""So many who waited are served in the end, one after another."""

SHOWN = {
    "contact": "contacts, all that is shown",
    "agent": "agents, all that is shown",
    "queue": "queues, who waits in which order since when",
}


class Table:
    """What was looked at, and what was wrong with it.  One that is wrong does not hide another."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, int, str]] = []

    async def row(self, what: str, number: int, check: Awaitable[Any]) -> None:
        """Look at it."""
        wrong = ""
        try:
            await check
        except (AssertionError, Refused) as why:
            wrong = f"{type(why).__name__}: {why}"
        self._rows.append((what, number, wrong))

    @property
    def wrong(self) -> list[str]:
        """Everything that was."""
        return [f"{what}: {why}" for what, _, why in self._rows if why]

    def __str__(self) -> str:
        return "\n".join(f"{number:4}  {what:68} {'WRONG' if why else 'ok'}" for what, number, why in self._rows)


# Alone: how long the sound of a talk pauses is measured, too.
FEW = (pytest.mark.site(house=SMALL), pytest.mark.seconds(120), pytest.mark.alone)
EVERYBODY = (pytest.mark.site(house=FULL), pytest.mark.seconds(240), pytest.mark.alone)


@pytest.mark.fault("F32")
@pytest.mark.requirement("A3")
@pytest.mark.parametrize(
    ("how", "sizes"),
    [
        pytest.param("left alone", SMALL, id="left alone, a few", marks=FEW),
        pytest.param("stopped", SMALL, id="stopped, a few", marks=FEW),
        pytest.param("killed", SMALL, id="killed, a few", marks=FEW),
        pytest.param("killed", FULL, id="killed, everybody", marks=EVERYBODY),
    ],
)
async def test_nothing_is_lost(centre: KillableCentre, how: str, sizes: Sizes) -> None:
    """What is left alone proves the stage: there, too, everything is looked at."""
    house = await full_house(centre, sizes)
    watch = Watch(centre, house)
    await watch.begins()
    if how == "left alone":
        await all_of(house.asks(talk.caller, "cancel") for talk in house.captured)
    else:
        await (centre.kill() if how == "killed" else centre.terminate())
        await centre.start_daemon()
    settled = await all_is_as_before(house, watch)
    if sizes is FULL:
        assert centre.ready_after <= READY_SECONDS
        assert settled <= PICTURE_SECONDS


async def all_is_as_before(house: House, watch: Watch) -> float:
    """Look at everything, and print the table; after how long the daemon's picture was that of the PBX."""
    centre, table = house.centre, Table()
    settled = await _settles(centre, table)
    await watch.ends(table)
    await _goes_on(house, watch, table)
    print(f"\nready after {centre.ready_after:.2f} s, like the PBX {settled:.2f} s later\n{table}")  # noqa: T201
    assert not table.wrong, "\n".join(table.wrong)
    return settled


async def _settles(centre: KillableCentre, table: Table) -> float:
    began = centre.reactor.seconds()
    await table.row("the daemon's picture is that of the PBX", len(centre.on_the_line()), centre.settles())
    return float(centre.reactor.seconds() - began)


class Watch:
    """What was before the kill, what is after it, and what was heard meanwhile."""

    def __init__(self, centre: KillableCentre, house: House) -> None:
        self._centre = centre
        self._house = house
        self._ears: list[tuple[str, Ear, int]] = []
        self.before: dict[str, dict[str, Any]] = {}
        self._channels: set[str] = set()
        self._callers: list[Caller] = []

    async def begins(self) -> None:
        """Everything is as it shall be; listen from now on."""
        for talk in self._house.talking[:LISTENED]:
            self._ears.append((talk.agent.name, await ear_of(talk.agent, talk.caller), CALLER))
            self._ears.append((talk.caller.name, await ear_of(talk.caller, talk.agent), AGENT))
        self._callers = self._centre.on_the_line()
        self.before = await self._house.picture()
        self._channels = {one.id for one in await self._centre.on_the_pbx()}
        self._began = self._centre.reactor.seconds()

    async def ends(self, table: Table) -> None:
        """Compare."""
        await table.row("callers: nobody was hung up", len(self._callers), self._nobody_is_lost())
        await table.row("talks: no gap in the sound", len(self._ears) // 2, self._sounds())
        now = await self._house.picture()
        captured = [f"contact {await talk.caller.contact()}" for talk in self._house.captured]
        captured += [f"agent {talk.agent.name}" for talk in self._house.captured]  # they are together again
        for kind, what in SHOWN.items():
            then = {name: one for name, one in self.before.items() if name.startswith(kind)}
            shown = {name: one for name, one in now.items() if name.startswith(kind)}
            await table.row(f"{what}: as before", len(then), _none(differences(then, shown, captured)))
        await table.row("channels: none has gone, none is new", len(self._channels), self._same_channels())

    async def _nobody_is_lost(self) -> None:
        gone = [caller.name for caller in self._callers if caller.leg.over]
        assert not gone, gone

    async def _sounds(self) -> None:
        await after(self._centre.reactor, BEHIND)
        gaps = {name: ear.longest_gap(tone, self._began) for name, ear, tone in self._ears}
        print("longest gaps:", ", ".join(f"{name} {gap * 1000:.0f} ms" for name, gap in gaps.items()))  # noqa: T201
        assert max(gaps.values(), default=0.0) <= GAP_SECONDS, gaps

    async def _same_channels(self) -> None:
        there = {one.id for one in await self._centre.on_the_pbx()}
        assert there == self._channels, f"gone: {self._channels - there}; new: {there - self._channels}"


async def _none(wrong: list[str]) -> None:
    assert not wrong, "\n".join(["", *wrong])


# Everything goes on


async def _goes_on(house: House, watch: Watch, table: Table) -> None:
    """Whatever could have been done next is done."""
    for what, there, check in (
        ("talks: they talk", house.talking, _talk),
        ("held: music; retrieved, they talk", house.held, _is_retrieved),
        ("consultations: they talk; completed, the other has the call", house.consulting, _is_completed),
        ("captured: back with the agent", house.captured, _talks),
        ("ringing: the phone rings on; answered, they talk", house.ringing[1:], _answers),
        ("ringing: declined, the caller has the place of before", house.ringing[:1], _declines),
        ("in a menu: the key works", house.menu, _chooses),
    ):
        await table.row(what, len(there), all_of(check(house, one) for one in there))  # type: ignore[operator]
    await table.row("wrap-ups: they end at their time", len(house.wrapping_up), _wrap_up_ends(house, watch))
    await table.row("ready: they are rung", len(house.ready), _are_rung(house))
    await table.row("waiting: served in their order", min(SERVED, len(house.waiting)), _are_served(house))
    await table.row("records: one each, with one talk each", len(house.talking), _records(house))
    await table.row("all invariants", len(house.centre.on_the_line()), house.centre.invariants_hold())


async def _talks(house: House, talk: Talk) -> None:
    await talking(talk.caller, talk.agent)


_talk = _talks


async def _is_retrieved(house: House, talk: Talk) -> None:
    await hears(talk.caller, "music")
    await house.asks(talk.caller, "retrieve")
    await talking(talk.caller, talk.agent)
    await talk.agent.is_("talking")


async def _is_completed(house: House, consultation: tuple[Talk, Agent]) -> None:
    talk, other = consultation
    await talking(talk.agent, other)
    await hears(talk.caller, "music")
    await house.asks(talk.caller, "complete")
    await talking(talk.caller, other)
    await talk.agent.is_("wrap_up")
    await other.is_("talking")


async def _answers(house: House, agent: Agent) -> None:
    assert not agent.leg.over, f"{agent.name}'s phone rings no more: {agent.leg.story}"
    call = await agent.answers()
    [caller] = [one for one in house.centre.callers if one.number == call.caller]
    await talking(caller, agent)
    await agent.is_("talking")


async def _declines(house: House, agent: Agent) -> None:
    assert not agent.leg.over, f"{agent.name}'s phone rings no more: {agent.leg.story}"
    [caller] = [one for one in house.centre.callers if one.number == agent.leg.caller]
    contact = await caller.contact()
    joined = await house.centre.feed.wait("queue.entered", SOON, contact=contact, queue="bell")
    agent.leg.decline()
    await house.centre.feed.wait("offer.ended", SOON, contact=contact, agent=agent.name, outcome="declined")
    shown = (await house.picture())["queue bell"]["line"]
    assert [(one, round(since - joined["at"], 1)) for one, since in shown if one == contact] == [(contact, 0.0)], shown
    await hears(caller, "music")


async def _chooses(house: House, caller: Caller) -> None:
    await caller.presses("1")
    await caller.waits_in("line")


async def _wrap_up_ends(house: House, watch: Watch) -> None:
    for agent in house.wrapping_up:
        until = watch.before[f"agent {agent.name}"]["until"]
        await agent.is_("ready", max(0.0, until - house.centre.reactor.seconds()) + SOON)
        since = (await house.centre.client.get(f"/api/v1/agents/{agent.name}"))["since"]
        assert abs(since - until) <= ON_TIME_SECONDS, f"{agent.name} was to be ready at {until}, and was so at {since}"


async def _are_rung(house: House) -> None:
    for number, _ in enumerate(house.ready):
        await house.centre.caller(f"late {number}").dials(DIAL["spare"])
    await all_of(agent.answers() for agent in house.ready)
    await all_of(agent.is_("talking") for agent in house.ready)


async def _are_served(house: House) -> None:
    """By one who was away."""
    agent = house.away[0]
    for caller in house.waiting[:SERVED]:
        await agent.becomes("ready")
        call = await agent.answers()
        assert call.caller == caller.number, f"{call.caller} came before {caller.name}"
        await talking(caller, agent)
        await agent.becomes("not_ready", "lunch")  # after the call
        caller.hangs_up()
        await agent.is_("wrap_up")
        await house.centre.client.post(f"/api/v1/agents/{agent.name}/wrap-up/end")


async def _records(house: House) -> None:
    """Of those who talked all the time: the kill is nowhere in them."""
    for talk in house.talking:
        talk.caller.hangs_up()
        record = await talk.caller.record()
        assert offers(record) == [f"offer({talk.agent.name}, answered)"], segments(record)
        assert segments(record).count("talk") == 1, segments(record)
        assert (record["outcome"], record["ended_by"], record["agent"]) == ("answered", "caller", talk.agent.name)
        assert not record["end_estimated"]
