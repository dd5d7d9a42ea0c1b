"""A fax on a leg at home: ``EXEC SendFAX`` or ``ReceiveFAX``, and what Asterisk says of it afterwards.

A machine hangs up when it is done, often before we could ask how it went.  So the session outlives the hang-up for that
long: Asterisk keeps the leg, and its variables, until we close.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import unquote

from easycall.asterisk.fastagi import CommandFailed, Session
from easycall.model import HUNG_UP_EARLY, FaxOutcome, FaxResult

__all__ = ["detect", "forget_detection", "run"]

FAX_SECONDS = 4 * 3600.0
"""The longest fax; Asterisk itself gives up a machine that says nothing after a minute."""

SETTLE_MS = 500
"""How long the sound of a leg must have passed without detection before a fax: without it the modem hears nothing."""

ASKED = ("FAXSTATUS", "FAXERROR", "FAXPAGES", "FAXBITRATE")
STATION = "${URIENCODE(${REMOTESTATIONID})}"
"""A stranger's text: escaped, for an answer of AGI is not."""
STATION_LENGTH = 40

ERRORS: Mapping[str, str] = {
    "HANGUP": HUNG_UP_EARLY,
    "The call dropped prematurely": HUNG_UP_EARLY,
    "Timed out waiting for initial communication": "no fax machine answered within a minute",
}
"""What Asterisk says -> plain words."""


async def run(session: Session, application: str, file: str, station: str, header: str) -> FaxResult:
    """Run ``SendFAX`` or ``ReceiveFAX`` and give the result, also of a leg that hung up or was taken meanwhile.

    ``station``: what we call ourselves; ``header``: the line above each page sent.  Raises SessionOver when the session
    ends without an answer.
    """
    options = {"ecm": "yes", "localstationid": station, "headerinfo": header}
    with session.outliving_hang_up():
        for name, value in options.items():
            if value:
                await session.set_variable(f"FAXOPT({name})", value)
        # f: over the sound of the call where the line knows T.38 and the other end does not.
        reply = await session.command("EXEC", application, f"{file},f", seconds=FAX_SECONDS)
        if reply.result == "-2":
            return FaxResult(FaxOutcome.FAILED, error=f"Asterisk has no {application}: load res_fax and res_fax_spandsp")
        return await _result(session)


async def _result(session: Session) -> FaxResult:
    said = {name: await session.get_variable(name) or "" for name in ASKED}
    with suppress(CommandFailed):
        said["station"] = unquote(await session.get_full_variable(STATION) or "", errors="replace")
    error = said["FAXERROR"]
    return FaxResult(
        outcome=FaxOutcome.DONE if said["FAXSTATUS"] == "SUCCESS" else FaxOutcome.FAILED,
        pages=_number(said["FAXPAGES"]),
        error=ERRORS.get(error, error),
        station="".join(char for char in said.get("station", "") if char.isprintable()).strip()[:STATION_LENGTH],
        rate=_number(said["FAXBITRATE"]),
    )


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0


async def detect(session: Session, on: bool) -> None:
    """Let Asterisk listen for the tone of a machine that calls, or not; on hearing it the leg leaves home.

    It comes home again by the extension ``fax`` (etc/asterisk/extensions.conf).
    """
    await session.set_variable("FAXOPT(faxdetect)", "cng" if on else "no")


async def forget_detection(session: Session) -> None:
    """Listen for no tone any more, and let that come true: Asterisk changes the way of the sound only when there is some."""
    await detect(session, False)
    await session.wait_for_digit(SETTLE_MS)
