"""What names, numbers and amounts look like."""

from __future__ import annotations

import re

__all__ = ["AMOUNT", "CURRENCY", "NUMBER", "PHONE", "SKILL"]

PHONE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,39}")
"""The name of an agent's phone, as the dial template takes it: nothing in it can change a dial string."""

SKILL = re.compile(r"[A-Za-z][A-Za-z0-9_:-]{0,63}")
"""The name of a skill."""

NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
"""A telephone number as it is dialled outside: E.164, nothing in it but "+" and digits."""

AMOUNT = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")
"""Of money, say, in a transaction."""

CURRENCY = re.compile(r"[A-Z]{3}")
"""As ISO 4217 has them."""
