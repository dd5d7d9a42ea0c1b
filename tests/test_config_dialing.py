"""The sections about calls out: what is read, and what contradicts itself."""

from __future__ import annotations

from pathlib import Path

from easycall.config import load
from easycall.model import Trunk

from .test_config import ENVIRON, SHIPPED, SMALL, faults, folder, read

__all__ = ["folder"]  # the fixture

RIGHT = """
[dialing]
allow = ["+49", "+1"]
deny = ["+49900"]
country = "49"
ring_seconds = 25
call_seconds = 600
calls_per_customer = 5
[trunks.carrier]
dial = "PJSIP/{number}@carrier"
lines = 10
caller_ids = ["+493055501"]
[trunks.backup]
dial = "PJSIP/00{digits}@backup"
lines = 2
prefixes = ["+49"]
"""


def test_what_is_shipped_dials_nothing() -> None:
    config = load(SHIPPED, ENVIRON)
    assert (config.dialing.allow, config.trunks) == ((), ())


def test_what_is_given_is_taken(folder: Path) -> None:
    config = read(folder, SMALL + RIGHT)
    assert config.trunks == (
        Trunk("carrier", "main", "PJSIP/{number}@carrier", 10, ("+",), ("+493055501",)),
        Trunk("backup", "main", "PJSIP/00{digits}@backup", 2, ("+49",)),
    )
    assert (config.dialing.calls_per_customer, config.dialing.calls_per_day, config.dialing.call_seconds) == (5, 2000, 600.0)
    assert (config.dialing.country, config.dialing.ring_seconds, config.dialing.national_prefix) == ("49", 25.0, "0")


def test_every_fault_is_told(folder: Path) -> None:
    told = faults(
        folder,
        SMALL.replace('name = "Sales"', 'name = "Sales"\ncaller_id = "+493055509"')
        + """
        [dialing]
        allow = ["+49", "0049"]
        deny = ["+49"]
        country = "+49"
        calls_per_agent = 0
        call_seconds = 5
        [trunks.carrier]
        dial = "PJSIP/{number}@a&Local/{number}@b"
        lines = 0
        [trunks.other]
        asterisk = "nowhere"
        dial = "PJSIP/${EXTEN}@a"
        lines = 1.5
        caller_ids = ["030"]
        """,
    )
    for wrong in (
        "dialing.allow = ['+49', '0049']: must be a list, each of the beginning of a number",
        "dialing.country = '+49': must be a country code: 1 to 3 digits",
        "dialing.calls_per_agent = 0: must be a whole number of calls from 1 to 1000000",
        "dialing.call_seconds = 5: must be a number of seconds from 60 to 86400",
        "trunks.carrier.dial = 'PJSIP/{number}@a&Local/{number}@b': must be a technology, / and {number} or {digits} once",
        "trunks.carrier.lines = 0: must be a whole number of lines from 1 to 10000",
        "trunks.other.lines = 1.5: must be a whole number",
        "trunks.other.dial",
        "trunks.other.asterisk: there is no Asterisk 'nowhere'; there are main",
        "trunks.other.caller_ids",
        "queues.sales.caller_id: +493055509 is in no caller_ids of a trunk",
    ):
        assert wrong in told, (wrong, told)


def test_what_contradicts_itself(folder: Path) -> None:
    told = faults(folder, SMALL + '[dialing]\nallow = ["+49"]\ndeny = ["+49"]\n')
    assert "dialing.allow: nothing can be dialled: there is no [trunks.NAME]" in told
    assert "dialing.deny: '+49' stands in dialing.allow too" in told
