"""What an agent asks of the recording of a talk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from easycall.model import RecordRule, Stage
from easycall.ports import CannotRecord
from easycall.recording import AGENT, CannotPause
from easycall.verbs import NotNow, Record, RecordPause, RecordResume, RecordStart

if TYPE_CHECKING:
    from easycall.talk.talk import Talk

__all__ = ["carry_out"]


async def carry_out(talk: Talk, verb: Record) -> None:
    """Pause, resume or stop, at any stage; start, where the customer can be led home for a moment.  Raises NotNow."""
    recorder = talk.live.recorder
    if isinstance(verb, RecordStart):
        await _start(talk)
        return
    if not recorder.on:
        raise NotNow("nothing is recorded")
    if isinstance(verb, RecordPause):
        try:
            await recorder.pause(AGENT)
        except CannotPause as why:
            raise NotNow(str(why)) from None
    elif isinstance(verb, RecordResume):
        _refuse_to_resume(talk)
        await recorder.resume(AGENT)
    elif not await recorder.stop(AGENT):
        raise NotNow("Asterisk does not answer; the recording ends as soon as it does")


def _refuse_to_resume(talk: Talk) -> None:
    recorder = talk.live.recorder
    if other := recorder.held_by_others():
        raise NotNow(f"the recording is paused for {other} and goes on after it")
    if AGENT not in recorder.reasons:
        raise NotNow("the recording is not paused by an agent")


async def _start(talk: Talk) -> None:
    live, stage = talk.live, talk.live.contact.stage
    if live.recorder.on:
        raise NotNow("it is recorded already")
    if talk.queue.record is RecordRule.NEVER:
        raise NotNow(f"talks of {talk.queue.id} are not recorded (record = {RecordRule.NEVER.value!r})")
    if stage not in (Stage.TALKING, Stage.HELD) or talk.consultation is not None:
        raise NotNow(f"a recording cannot begin while the contact is {stage.value}: take the customer back first")
    refusal = ""
    if stage is Stage.TALKING:
        await live.switch.fetch(live.customer, talk.side.leg)
    try:
        await live.recorder.begin(AGENT)
    except CannotRecord as why:
        refusal = str(why)
    if stage is Stage.TALKING:
        talk.conversation = await live.switch.bridge(live.customer, talk.side.leg)
    if refusal:
        raise NotNow(f"it cannot be recorded: {refusal}")
