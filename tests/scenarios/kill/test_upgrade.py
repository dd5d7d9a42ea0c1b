"""An older easycall serves calls; ours takes its place, and takes over what it left: its database, its journal, its calls.

With ``--upgrade-from=FOLDER`` only, a checkout of the older one::

    git worktree add /tmp/before v1.0
    pytest tests/scenarios/kill/test_upgrade.py --upgrade-from=/tmp/before
"""

from __future__ import annotations

import pytest

from .centre import KillableCentre
from .full_house import SMALL, full_house
from .test_kill_matrix import Watch, all_is_as_before


@pytest.mark.fault("F37")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(120)
@pytest.mark.site(house=SMALL, upgrade=True)
@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_ours_goes_on_where_the_older_one_stopped(centre: KillableCentre, how: str) -> None:
    house = await full_house(centre, SMALL)
    watch = Watch(centre, house)
    await watch.begins()
    await (centre.terminate() if how == "stopped" else centre.kill())
    await centre.start_daemon()
    await all_is_as_before(house, watch)
