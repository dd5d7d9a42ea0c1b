"""What is on the line: the RTP that reaches a leg, read from the loopback interface itself.

Recordings of an Asterisk can be silent though the sound is on the wire (they lose the stream when a native bridge changes
its SSRC), so the packets are what is looked at.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections import deque
from itertools import islice, pairwise

from attrs import frozen
from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from easycall.lab.ear import SILENT_SECONDS, SPEECH_SECONDS, SPEECH_WITHIN, Ear
from easycall.lab.layout import LabError
from easycall.lab.tones import FRAME_SECONDS, OTHER, described, sound_of

__all__ = ["RtpEar", "Wire"]

ETH_P_IP = 0x0800
SO_ATTACH_FILTER = 26
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("ll")
PACKETS_PER_TURN = 200
KEPT_FRAMES = 500
"""Ten seconds."""
G711_MU_LAW = 0
"""RTP's payload type."""


@frozen
class Frame:
    """One packet's sound."""

    at: float
    sound: int


class RtpEar(Ear):
    """What one leg hears, packet by packet."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock)
        self._since = clock.seconds()
        self._frames: deque[Frame] = deque(maxlen=KEPT_FRAMES)

    def take(self, payload: bytes, at: float) -> None:
        """A packet's sound, and when it arrived."""
        self._frames.append(Frame(at, sound_of(payload)))

    def _last(self, seconds: float) -> list[int]:
        """The sounds of the last ``seconds``."""
        begin = self._clock.seconds() - seconds
        return [frame.sound for frame in self._frames if frame.at >= begin]

    def tone(self, frequency: int) -> bool:
        """Five frames in a row up to now."""
        newest = [frame.sound for frame in islice(reversed(self._frames), 5)]
        return newest == [frequency] * 5 and bool(self._last(0.1))

    def silence(self) -> bool:
        """Silent packets, or none."""
        return self._clock.seconds() - self._since >= SILENT_SECONDS and not any(self._last(SILENT_SECONDS))

    def speech(self) -> bool:
        """Packets with something that is no tone."""
        return self._last(SPEECH_WITHIN).count(OTHER) * FRAME_SECONDS >= SPEECH_SECONDS

    def longest_gap(self, frequency: int, since: float) -> float:
        """Between the ends of the sound of two packets."""
        heard = [frame.at for frame in self._frames if frame.sound == frequency and frame.at >= since]
        gaps = [later - earlier for earlier, later in pairwise([since, *heard, self._clock.seconds()])]
        return max(0.0, max(gaps) - FRAME_SECONDS)

    def heard_since(self, at: float) -> str:
        """The packets in words."""
        return described(frame.sound for frame in self._frames if frame.at >= at)


@implementer(IReadDescriptor)
class Wire:
    """Every RTP packet to a range of loopback ports, in the reactor's turn."""

    def __init__(self, reactor: IReactorFDSet, clock: IReactorTime, ports: range) -> None:
        """Begin to listen.  Raises LabError when that is not allowed."""
        self._reactor = reactor
        self._clock = clock
        self._ears: dict[int, RtpEar] = {}
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        except PermissionError:
            raise LabError("hearing what is on the line needs a raw socket: run as root") from None
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # we may come late to what arrived in time
        _attach(self._socket, _filter(ports))
        self._socket.bind(("lo", ETH_P_IP))
        reactor.addReader(self)

    def ear(self, port: int) -> RtpEar:
        """What arrives at a port, from now on."""
        return self._ears.setdefault(port, RtpEar(self._clock))

    def forget(self, port: int) -> None:
        """The port's leg is gone."""
        self._ears.pop(port, None)

    def close(self) -> None:
        """Listen no more."""
        self._reactor.removeReader(self)
        self._socket.close()
        self._ears.clear()

    # twisted.internet.interfaces.IReadDescriptor

    def fileno(self) -> int:
        """The socket, for the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Our name in the log."""
        return "rtp"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor is going."""
        self._socket.close()

    def doRead(self) -> None:
        """Take a bounded number of packets."""
        for _ in range(PACKETS_PER_TURN):
            try:
                packet, notes, _, _ = self._socket.recvmsg(2048, socket.CMSG_SPACE(TIMESPEC.size))
            except BlockingIOError:
                return
            [(_, _, stamp)] = notes
            seconds, nanoseconds = TIMESPEC.unpack(stamp)
            self._take(packet, seconds + nanoseconds * 1e-9)

    def _take(self, packet: bytes, at: float) -> None:
        udp = (packet[0] & 0x0F) * 4
        ear = self._ears.get(int.from_bytes(packet[udp + 2 : udp + 4], "big"))
        rtp = packet[udp + 8 :]
        if ear is None or len(rtp) < 12 or rtp[0] >> 6 != 2 or rtp[1] & 0x7F != G711_MU_LAW:
            return
        ear.take(rtp[12 + 4 * (rtp[0] & 0x0F) :], at)


def _filter(ports: range) -> list[tuple[int, int, int, int]]:
    """A classic BPF program: UDP to one of the ports, each packet once though loopback shows it going out and coming in."""
    load_byte, load_word, load_half_at_x, header_length = 0x30, 0x20, 0x48, 0xB1
    equal, at_least, beyond, end = 0x15, 0x35, 0x25, 0x06
    kind_of_packet, outgoing, udp = 0xFFFFF004, 4, 17
    return [
        (load_word, 0, 0, kind_of_packet),
        (equal, 7, 0, outgoing),
        (load_byte, 0, 0, 9),
        (equal, 0, 5, udp),
        (header_length, 0, 0, 0),
        (load_half_at_x, 0, 0, 2),
        (at_least, 0, 2, ports.start),
        (beyond, 1, 0, ports.stop - 1),
        (end, 0, 0, 0xFFFF),
        (end, 0, 0, 0),
    ]


def _attach(target: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    """Let the kernel drop every packet the program does not want."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    target.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code)))
