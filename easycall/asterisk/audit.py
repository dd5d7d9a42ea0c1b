"""The audit: every nine seconds Asterisk is asked for what no event may have told."""

from __future__ import annotations

from contextlib import suppress

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.asterisk.control import Control
from easycall.asterisk.fax_progress import FaxProgress
from easycall.asterisk.home import Home
from easycall.asterisk.link import AmiError
from easycall.asterisk.phones import Phones
from easycall.asterisk.reconciliation import Reconciliation
from easycall.defer import unattended

__all__ = ["Audit"]

AUDIT_SECONDS = 9.0
"""How often our picture is compared with Asterisk's: what it takes two lists to believe is believed within ten seconds."""

FIRST_SECONDS = 1.0
"""The same for the first time: what was asked of Asterisk before the link was lost, or by a process before us, may have come
about only then."""


class Audit:
    """Compares the legs, the phones, the pages of faxes and the dialplan, while the link is up."""

    def __init__(
        self,
        clock: IReactorTime,
        control: Control,
        reconciliation: Reconciliation,
        phones: Phones,
        fax_progress: FaxProgress,
        home: Home,
    ) -> None:
        self._clock = clock
        self._control = control
        self._reconciliation = reconciliation
        self._phones = phones
        self._fax_progress = fax_progress
        self._home = home
        self._timer: IDelayedCall | None = None

    def begin(self) -> None:
        """The link is up: the first audit comes soon."""
        self._again(FIRST_SECONDS)

    def _again(self, seconds: float) -> None:
        self.end()
        if not self._control.released:
            self._timer = self._clock.callLater(seconds, self._now)

    def end(self) -> None:
        """It is lost, or nobody wants to know any more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _now(self) -> None:
        if self._control.up:
            unattended(self._legs_and_phones())
            unattended(self._fax_progress.look(self._control.link.collect, self._control.link.send))
            unattended(self._home.look())
            self._again(AUDIT_SECONDS)

    async def _legs_and_phones(self) -> None:
        await self._reconciliation.reconcile()
        with suppress(AmiError):  # the next one will
            await self._phones.learn(self._control.link.collect)
