"""By which number a caller is known again.  Pure."""

from __future__ import annotations

import re

from easycall.config import DialingSettings
from easycall.outbound.rules import NotDialled, normalised

__all__ = ["known_number"]

_BARE = re.compile(r"\+?[0-9]{3,20}")


def known_number(shown: str, settings: DialingSettings) -> str:
    """The number a customer is known by: in full, or as the PBX shows it if it cannot be completed (an extension, say).

    Empty for one that is withheld, in whatever way: no number, a word, nothing but zeros.
    """
    bare = re.sub(r"[ ()./-]", "", shown)
    if not _BARE.fullmatch(bare) or not bare.strip("+0"):
        return ""
    try:
        return normalised(shown, settings)
    except NotDialled:
        return bare
