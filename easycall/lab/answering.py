"""The least of a SIP phone: it says that it is there when it is asked (OPTIONS), and no more."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import DatagramProtocol

__all__ = ["Attendance"]

KEPT = ("via:", "from:", "call-id:", "cseq:")
"""The headers a response repeats."""


class Attendance(DatagramProtocol):
    """Answers every OPTIONS with 200."""

    noisy = False

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """A request."""
        request, *headers = datagram.decode(errors="replace").split("\r\n")
        if not request.startswith("OPTIONS ") or self.transport is None:
            return
        kept = [header for header in headers if header.lower().startswith(KEPT)]
        kept += [f"{header};tag=there" for header in headers if header.lower().startswith("to:")]
        answer = ["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""]
        self.transport.write("\r\n".join(answer).encode(), addr)
