"""Events as JSON and back: the one place that knows their written form.  Pure.

The journal stores :func:`encode`; the API and the live feed show :func:`message`, the same fields with the sequence and the
kind in front.
"""

from __future__ import annotations

from typing import Any

import msgspec

from easycall.events import KINDS, Event

__all__ = ["decode", "encode", "fields", "message"]

_ENCODER = msgspec.json.Encoder()
_DECODERS = {kind: msgspec.json.Decoder(cls) for kind, cls in KINDS.items()}


def encode(event: Event) -> str:
    """The event's fields as a JSON object, without its kind.  Raises UnicodeEncodeError for text that is no Unicode."""
    return _ENCODER.encode(event).decode()


def decode(kind: str, body: str) -> Event:
    """The event that :func:`encode` wrote.  Raises ValueError for an unknown kind or a body that does not fit it."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise ValueError(f"unknown kind of event {kind!r}; known: {', '.join(sorted(KINDS))}")
    return decoder.decode(body)


def fields(sequence: int, event: Event) -> dict[str, Any]:
    """The event as the API shows it, as plain values."""
    return {"seq": sequence, "kind": event.kind, **msgspec.to_builtins(event)}


def message(sequence: int, event: Event) -> str:
    """The event as the live feed sends it: ``{"seq": …, "kind": …, …}``."""
    return f'{{"seq":{sequence},"kind":"{event.kind}",{encode(event)[1:]}'
