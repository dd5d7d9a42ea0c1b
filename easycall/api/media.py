"""A sound file as the answer to a request, whole or in parts."""
# mypy: allow-untyped-calls
# (what is inherited from twisted.web has no annotations)

from __future__ import annotations

import os
import re
from http import HTTPStatus
from typing import Any, BinaryIO

from twisted.internet.interfaces import IPullProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

__all__ = ["Sound", "part_of"]

PIECE = 1 << 16
"""Bytes read at once."""

_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")


class Sound(Resource):
    """A wav file as the answer to one request; it is closed when that is over."""

    isLeaf = True

    def __init__(self, file: BinaryIO, name: str) -> None:
        super().__init__()
        self._file = file
        self._name = name

    def render_GET(self, request: Any) -> Any:
        """Send it, or the part that is asked for."""
        size = os.fstat(self._file.fileno()).st_size
        request.setHeader("Accept-Ranges", "bytes")
        request.setHeader("Content-Type", "audio/wav")
        request.setHeader("Content-Disposition", f'inline; filename="{self._name}.wav"')
        part = part_of(request.getHeader("Range"), size)
        if part is None:
            return self._send(request, 0, size)
        offset, length = part
        if not length:
            request.setHeader("Content-Range", f"bytes */{size}")
            request.setResponseCode(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self._file.close()
            return b""
        request.setResponseCode(HTTPStatus.PARTIAL_CONTENT)
        request.setHeader("Content-Range", f"bytes {offset}-{offset + length - 1}/{size}")
        return self._send(request, offset, length)

    def _send(self, request: Any, offset: int, length: int) -> Any:
        request.setHeader("Content-Length", str(length))
        if request.method == b"HEAD" or not length:
            self._file.close()
            return b""
        self._file.seek(offset)
        request.registerProducer(_Reader(request, self._file, length), False)
        return NOT_DONE_YET

    render_HEAD = render_GET


@implementer(IPullProducer)
class _Reader:
    """Reads a file piece by piece, as its reader takes them.

    (Twisted's own are in twisted.web.static, which cannot be imported without a warning that it is out of date.)
    """

    def __init__(self, request: Any, file: BinaryIO, length: int) -> None:
        self._request = request
        self._file = file
        self._left = length

    def resumeProducing(self) -> None:
        """The next piece."""
        if self._file.closed:
            return
        piece = self._file.read(min(PIECE, self._left))
        self._left -= len(piece)
        if piece:
            self._request.write(piece)  # which may ask for the next one before it returns
        if (not piece or not self._left) and not self._file.closed:
            self._file.close()
            self._request.unregisterProducer()
            if self._left:
                self._request.loseConnection()  # the file became shorter: its reader must not take this for all of it
            else:
                self._request.finish()

    def stopProducing(self) -> None:
        """The reader is gone."""
        self._file.close()


def part_of(header: str | None, size: int) -> tuple[int, int] | None:
    """Offset and length of what a Range header asks for of a file; length 0: it has no such part; None: all of it.

    More than one range, and what is no range, is answered with the whole, as RFC 9110 allows.
    """
    asked = _RANGE.fullmatch((header or "").strip())
    if asked is None:
        return None
    if asked[3] is not None:
        length = min(int(asked[3]), size)
        return size - length, length
    first = int(asked[1])
    last = int(asked[2]) if asked[2] else size - 1
    if asked[2] and last < first:
        return None
    return first, max(0, min(last, size - 1) - first + 1)
