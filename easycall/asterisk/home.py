"""Whether legs have a home: the context of the dialplan to which calls come and every leg of ours returns.

Whoever edits the dialplan can lose it.  Then no call reaches us, no phone can be rung, and who leaves a bridge is hung up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from twisted.logger import Logger

from easycall.asterisk.ami import Action, Message
from easycall.asterisk.control import Control
from easycall.asterisk.dialplan import INCLUDE, MISSING, Step, place, question, says_missing, steps
from easycall.asterisk.link import ActionRefused, AmiError
from easycall.defer import unattended

__all__ = ["Home", "written"]

log = Logger()

READERS = ("All", "pbx_")
"""How the names of the modules begin that read a dialplan, as their loading is told; ``All``: of a ``core reload``."""


async def written(context: str, collect: Callable[[Action], Awaitable[Sequence[Message]]]) -> list[Step] | None:
    """The steps of a context's ``s``; none: it is not there.  Raises AmiError.

    None: that is not known, as the account may not ask, or the context takes extensions from elsewhere.
    """
    try:
        return steps(await collect(question(context)))
    except ActionRefused as refusal:
        return [] if says_missing(refusal.message) else None


class Home:
    """Asked for at each audit, and when Asterisk tells that it has read a dialplan.

    It does not tell that of ``dialplan reload``, so the audit is what counts.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._said = False
        self.trouble = ""
        """That it is missing, and what mends that; empty: it is there, or that cannot be known."""

    def listeners(self) -> dict[str, Callable[[Message], None]]:
        """The AMI events wanted, by name."""
        return dict.fromkeys(("Reload", "Load", "Unload"), self._on_module)

    async def look(self) -> None:
        """Ask, if Asterisk can be asked."""
        try:
            found = await written(self._control.context, self._control.link.collect)
        except AmiError:  # the next look will tell
            return
        if found is None and not self._said:
            self._said = True
            log.warn("{pbx}: whether its dialplan is there cannot be seen: see easycall doctor", pbx=self._control.name)
        self._judge(f"{place(self._control.context)}: {MISSING}; {INCLUDE}" if found == [] else "")

    def lost(self) -> None:
        """The link is lost: nothing is known."""
        self.trouble = ""

    def _judge(self, trouble: str) -> None:
        if trouble and not self.trouble:
            log.error("{pbx}: {trouble}", pbx=self._control.name, trouble=trouble)
        elif self.trouble and not trouble:
            log.info("{pbx}: its dialplan is there again", pbx=self._control.name)
        self.trouble = trouble

    def _on_module(self, event: Message) -> None:
        if event.get("Module").startswith(READERS) and self._control.up:
            unattended(self.look())
