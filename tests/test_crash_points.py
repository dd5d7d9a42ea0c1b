"""The daemon dies at any write to the journal's file, before it or after it, and another one begins: nothing is lost, and
nothing done twice.

``--virtual-crash-points 300``: so many of the writes of a short night are tried, evenly spread.
"""

from __future__ import annotations

import pytest

from easycall.lab.day.machine import HeldDisk
from easycall.lab.day.plan import Habits, Plan

from .test_virtual_days import lived

NIGHT = Plan(
    days=0.008,
    calls=12_000,
    agents=80,
    check_every=1,
    kept_days=4,
    habits=Habits(patience=40.0, talk=20.0, leaves_in_menu=0.1, declines=0.1, misses=0.1),
)
"""Eleven minutes with some ten calls for four agents, who decline and miss some."""


def writes(monkeypatch: pytest.MonkeyPatch) -> int:
    """How often the file is written in that night."""
    counted = [0]
    append = HeldDisk.append

    def count(disk: HeldDisk, name: str, data: bytes) -> int:
        counted[0] += 1
        return append(disk, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(HeldDisk, "append", count)
        auditor, result = lived(NIGHT)
    assert (auditor.differences, result.violations) == ([], ())
    assert result.answered > 3
    return counted[0]


@pytest.mark.requirement("S1")
@pytest.mark.seconds(3600)
def test_at_every_write_nothing_is_lost_and_nothing_done_twice(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, tried, wrong = writes(monkeypatch), 0, []
    step = max(1, many // pytestconfig.getoption("--virtual-crash-points"))
    for write in range(1, many + 1, step):
        crash = f"{write}{'-+'[write // step % 2]}" if step > 1 else ""
        for point in [crash] if crash else [f"{write}-", f"{write}+"]:
            tried += 1
            wrong += [f"{point}: {found}" for found in what_is_wrong(point)]
    print(f"\n{many} writes, {tried} crash points, {len(wrong)} times something wrong")  # noqa: T201 - it was asked for
    assert not wrong, "\n".join(wrong[:20])
    assert tried >= min(many, pytestconfig.getoption("--virtual-crash-points"))


def what_is_wrong(point: str) -> list[str]:
    """In words."""
    auditor, result = lived(NIGHT, point)
    if not auditor.centre.restarts:  # at a write of its orderly end
        return [] if not auditor.centre.process.alive else ["it did not die"]
    lost = [contact for contact, number in auditor.arrived.items() if number and auditor.ended[contact] != 1]
    found = [f"contact {contact} ended {auditor.ended[contact]} times" for contact in lost]
    found += [f"contact {contact} arrived {number} times" for contact, number in auditor.arrived.items() if number > 1]
    return [*found, *auditor.differences, *result.violations]
