"""What a flow knows while a caller walks it: values by name, some of them secret; and texts that use them.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from attrs import frozen

from easycall.secure.secret import Secret, luhn, mask

__all__ = ["GIVEN", "NAME", "Text", "Use", "Value", "Values", "parse_text"]

Value: TypeAlias = str | Secret

NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""How values and parameters are called."""
GIVEN = ("contact", "caller", "dialled", "language")
"""The values every flow knows: the contact's id, the caller's number, the dialled number, the language the caller hears."""
HOW = ("masked", "luhn")
TEXT_LIMIT = 1000

_USE = re.compile(r"\{([^{}]*)\}")


@frozen
class Use:
    """A place in a text where a value is put in."""

    name: str
    how: str = ""
    """``masked``: stars and its end; ``luhn``: ``yes`` or ``no``; ``""``: the value itself."""


@frozen
class Text:
    """Words and values in their order."""

    parts: tuple[str | Use, ...]

    @property
    def uses(self) -> tuple[Use, ...]:
        """The values in it."""
        return tuple(part for part in self.parts if isinstance(part, Use))

    @property
    def plain(self) -> str | None:
        """The text as it is, if there is no value in it."""
        return None if self.uses else "".join(map(str, self.parts))

    @property
    def alone(self) -> Use | None:
        """The value that the text is nothing but."""
        return self.uses[0] if len(self.parts) == 1 and self.uses else None


def parse_text(text: str) -> Text:
    """``Paid {amount} by {card.masked}``.  Raises ValueError."""
    if len(text) > TEXT_LIMIT or not text.isprintable():
        raise ValueError(f"{text[:40]!r} must be at most {TEXT_LIMIT} printable characters")
    return Text(tuple(_parts(text)))


def _parts(text: str) -> Iterator[str | Use]:
    for index, part in enumerate(_USE.split(text)):
        if index % 2:
            name, _, how = part.partition(".")
            if not NAME.fullmatch(name) or how not in ("", *HOW) or part.endswith("."):
                raise ValueError(f"{{{part[:40]}}} is no value: write {{name}}, {{name.masked}} or {{name.luhn}}")
            yield Use(name, how)
        elif "{" in part or "}" in part:
            raise ValueError(f"{text[:40]!r} has a brace too many: values are written {{name}}")
        elif part:
            yield part


class Values:
    """The values of one walk through a flow.  They print as their names only."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._values: dict[str, Value] = dict(known)

    def __repr__(self) -> str:
        return f"<values {', '.join(sorted(self._values))}>"

    def put(self, name: str, value: Value) -> None:
        """Know a value; an older one of that name is forgotten."""
        self._drop(self._values.get(name))
        self._values[name] = value

    def plain(self, name: str) -> str:
        """A value that is no secret; ``""`` when it is not known or is one."""
        value = self._values.get(name, "")
        return "" if isinstance(value, Secret) else value

    def reveal(self, name: str) -> str:
        """A value, also when it is secret; ``""`` when it is not known."""
        value = self._values.get(name, "")
        return value.reveal() if isinstance(value, Secret) else value

    def shown(self, text: Text) -> str:
        """The text for people's eyes: a secret only masked."""
        return "".join(part if isinstance(part, str) else self._shown(part) for part in text.parts)

    def revealed(self, text: Text) -> str:
        """The text with secrets in clear, for who must have them."""
        return "".join(
            part if isinstance(part, str) else self._shown(part) if part.how else self.reveal(part.name)
            for part in text.parts
        )

    def _shown(self, use: Use) -> str:
        value = self._values.get(use.name, "")
        match use.how:
            case "luhn":
                return "yes" if luhn(self.reveal(use.name)) else "no"
            case "masked":
                return mask(self.reveal(use.name))
        return str(value)

    def holds_secret(self, text: str) -> bool:
        """Whether a long secret stands in a text, however it is grouped there."""
        digits = re.sub(r"[^0-9*#]", "", text)
        secrets = (value.reveal() for value in self._values.values() if isinstance(value, Secret))
        return any(len(secret) >= LONG and secret in digits for secret in secrets)

    def kept(self) -> dict[str, str]:
        """The values that are no secrets."""
        return {name: value for name, value in self._values.items() if not isinstance(value, Secret)}

    def forget(self) -> None:
        """Drop everything, secrets first of all."""
        for value in self._values.values():
            self._drop(value)
        self._values.clear()

    @staticmethod
    def _drop(value: Value | None) -> None:
        if isinstance(value, Secret):
            value.forget()


LONG = 8
"""A shorter secret may stand in any text by chance."""
