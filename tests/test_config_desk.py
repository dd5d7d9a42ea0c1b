"""What agents take, as it is configured, and boxes whose messages and faxes become work."""

from __future__ import annotations

from pathlib import Path

import pytest

from easycall.policy import ONE_AT_A_TIME, Capacity, Channel

from .test_config import SMALL, faults, folder, read

__all__ = ["folder"]

CALL, CHAT, MESSAGE, FAX = Channel.CALL, Channel.CHAT, Channel.MESSAGE, Channel.FAX


def test_what_is_not_said_is_one_at_a_time(folder: Path) -> None:
    config = read(folder, SMALL)
    assert (config.capacity("ana"), config.auto_accept("ana")) == (ONE_AT_A_TIME, frozenset())


def test_an_agents_own_goes_before_that_of_all(folder: Path) -> None:
    text = """
[staff]
takes = {chat = 3, message = 5, fax = 0}
beside = {call = ["message"]}
auto_accept = ["chat"]
[agents.zoe]
name = "Zoe"
takes = {chat = 1, call = 0}
beside = {chat = []}
auto_accept = []
[agents.yan]
name = "Yan"
"""
    config = read(folder, SMALL + text)
    zoe, yan = config.capacity("zoe"), config.capacity("yan")
    assert {kind: yan.limits.get(kind, 0) for kind in (CALL, CHAT, MESSAGE, FAX)} == {CALL: 1, CHAT: 3, MESSAGE: 5, FAX: 0}
    assert {kind: zoe.limits.get(kind, 0) for kind in (CALL, CHAT, MESSAGE, FAX)} == {CALL: 0, CHAT: 1, MESSAGE: 5, FAX: 0}
    assert CALL in yan.free((MESSAGE, MESSAGE))
    assert CALL not in yan.free((CHAT, MESSAGE))
    assert {CHAT, MESSAGE} <= yan.free((CHAT, MESSAGE))
    assert CHAT not in zoe.free((MESSAGE,))
    assert isinstance(zoe, Capacity)
    assert (config.auto_accept("zoe"), config.auto_accept("yan")) == (frozenset(), {CHAT})


@pytest.mark.parametrize(
    "option",
    [
        "takes = {call = 2}",
        "takes = {chat = 51}",
        "takes = {chat = -1}",
        "takes = {letter = 1}",
        'takes = ["chat"]',
        "takes = 3",
        'beside = {chat = ["call"]}',
        'beside = {chat = "message"}',
        'beside = ["chat"]',
        'auto_accept = ["call"]',
        'auto_accept = ["letter"]',
    ],
)
def test_what_nobody_can_take(folder: Path, option: str) -> None:
    name = option.partition(" ")[0]
    assert f"staff.{name} = " in faults(folder, f"{SMALL}[staff]\n{option}\n")


def test_boxes_lead_to_queues_that_are_there(folder: Path) -> None:
    boxes = '[voicemail.boxes]\nbox = ""\n[voicemail.queues]\nbox = "nowhere"\nother = "nowhere"\n'
    text = boxes + '[fax.queues]\nx = "nowhere"\n'
    told = faults(folder, SMALL + text)
    assert "voicemail.queues.box: there is no queue 'nowhere'" in told
    assert "voicemail.queues.other: there is no such box in [voicemail.boxes]" in told
    assert "fax.queues.x: there is no queue 'nowhere'" in told
