"""The dialplan applications the simulated Asterisk knows: what a channel does at a priority.

Each function gets the whole, the channel and its arguments as one text.  Interrupted is raised when the channel is hung up,
redirected or bridged meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from easycall.simulator import causes, fastagi, fax
from easycall.simulator.bridge import Bridge
from easycall.simulator.channel import Channel, Failed, Interrupted
from easycall.simulator.expression import true
from easycall.simulator.variables import set_variable

if TYPE_CHECKING:
    from easycall.simulator.asterisk import SimulatedAsterisk

__all__ = ["APPLICATIONS", "NAMES", "jump"]

FOREVER = 10 * 365 * 86_400.0

Application = Callable[["SimulatedAsterisk", Channel, str], Awaitable[None]]

_CALL = re.compile(r"\s*(\w+)\s*\((.*)\)\s*", re.DOTALL)


async def _answer(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    channel.pick_up()


async def _noop(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    pass


async def _set(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    name, _, value = data.partition("=")
    set_variable(asterisk.core, channel, name.strip(), value)


async def _goto(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    jump(channel, data)


async def _goto_if(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    condition, _, targets = data.partition("?")
    yes, _, no = targets.partition(":")
    target = yes if true(condition) else no
    if target:
        jump(channel, target)


async def _exec_if(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    condition, _, calls = data.partition("?")
    yes, _, no = calls.partition(":") if "):" in calls else (calls, "", "")
    found = _CALL.fullmatch(yes if true(condition) else no)
    if found is not None:
        await asterisk.run_application(channel, found[1].lower(), found[2])


def jump(channel: Channel, target: str) -> None:
    """Go to ``[[context,]extension,]priority``; a place that is not there ends the channel, as in Asterisk."""
    parts = [part.strip() for part in target.split(",")]
    context, extension, name = [*(channel.context, channel.extension)[: 3 - len(parts)], *parts]
    priority = channel.core.dialplan.priority(context, extension, name)
    if priority is None:
        channel.hang_up_soft(causes.NORMAL)
        return
    channel.go((context, extension, priority))


async def _wait(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    await channel.sleep(float(data or 0))


async def _music_on_hold(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    music, _, seconds = data.partition(",")
    channel.set_music(music or "default")
    try:
        await channel.sleep(float(seconds) if seconds else FOREVER)
    finally:
        channel.set_music("")


async def _playback(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    channel.pick_up()
    for sound in data.partition(",")[0].split("&"):
        channel.play(sound)
        try:
            await channel.sleep(asterisk.core.sound_seconds(sound) or 0.0)
        finally:
            channel.play("")


async def _hangup(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    channel.hang_up_soft(int(data) if data.isdecimal() else channel.cause or causes.NORMAL)


async def _ringing(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    pass


async def _busy(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    channel.hang_up_soft(causes.BUSY)


async def _conf_bridge(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    name = data.partition(",")[0]
    channel.pick_up()
    conferences = asterisk.core.conferences
    if name not in conferences:
        conferences[name] = Bridge(asterisk.core, conference=name)
    conference = conferences[name]
    conference.add(channel)
    try:
        with suppress(Interrupted):  # it answers 0 to who started it over FastAGI, even when its channel was hung up
            await channel.wait(conference.thrown_out(channel))
    finally:
        conference.remove(channel)
        if not conference.channels:
            conferences.pop(name, None)


async def _chan_spy(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    name, _, options = data.partition(",")
    channel.pick_up()
    target = asterisk.core.find(name)
    if target is None:
        raise Failed
    target.spies.append((channel, options))
    channel.spying_on, channel.spied = target, Deferred()
    target.spied_sounds_changed()
    try:
        await channel.wait(channel.spied)
        raise Failed
    finally:
        target.spies = [spy for spy in target.spies if spy[0] is not channel]
        channel.spying_on = None
        target.spied_sounds_changed()
        channel.sound_changed()


async def _mix_monitor(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    asterisk.record(channel, data.partition(",")[0])


async def _stop_mix_monitor(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    asterisk.stop_recording(channel, data)


async def _amd(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    """Whoever makes a sound all the time is a machine; who is silent may be anybody."""
    initial_silence, greeting = (float(part) / 1000 for part in data.split(",")[:2])
    talks = bool(channel.far_sound)
    await channel.sleep(greeting if talks else initial_silence)
    set_variable(asterisk.core, channel, "AMDSTATUS", "MACHINE")
    set_variable(asterisk.core, channel, "AMDCAUSE", f"{'LONGGREETING' if talks else 'INITIALSILENCE'}-{data}")


async def _echo(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    channel.pick_up()
    await channel.sleep(FOREVER)


_KNOWN: Mapping[str, Application] = {
    "AGI": fastagi.run,
    "AMD": _amd,
    "Answer": _answer,
    "Busy": _busy,
    "ChanSpy": _chan_spy,
    "ConfBridge": _conf_bridge,
    "Congestion": _busy,
    "Echo": _echo,
    "ExecIf": _exec_if,
    "Goto": _goto,
    "GotoIf": _goto_if,
    "Hangup": _hangup,
    "MixMonitor": _mix_monitor,
    "MusicOnHold": _music_on_hold,
    "NoOp": _noop,
    "Playback": _playback,
    "Progress": _ringing,
    "ReceiveFAX": fax.receive_fax,
    "Ringing": _ringing,
    "SendFAX": fax.send_fax,
    "Set": _set,
    "StopMixMonitor": _stop_mix_monitor,
    "Verbose": _noop,
    "Wait": _wait,
}

APPLICATIONS: Mapping[str, Application] = {name.lower(): application for name, application in _KNOWN.items()}
"""Name in lower case -> what it does."""

NAMES: Mapping[str, str] = {name.lower(): name for name in _KNOWN}
"""Name in lower case -> as Asterisk shows it."""
