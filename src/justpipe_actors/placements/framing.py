"""Frames between an owner and its worker processes: kind, length, content.

Both sides use one socket pair.  The worker's side blocks, as a worker runs one call at
a time; the owner's side never blocks the event loop.
"""

from __future__ import annotations

import socket
import struct
from enum import IntEnum
from typing import Any

import anyio


_HEADER = struct.Struct("!BQ")

CHUNK = 1 << 16
"""Bytes to read at once while the length of the frame is not known."""


class FrameKind(IntEnum):
    """What a frame carries."""

    CALL = 1
    """A pickled ``Call``; to the worker."""
    OUTCOME = 2
    """A pickled ``Outcome``; to the owner, once per call."""
    LOG = 3
    """A pickled log record; to the owner."""
    REFUSED = 4
    """Text: why the worker cannot run calls; the worker exits after it."""


class ConnectionLost(Exception):
    """The other side has closed the connection or died."""


def pack(kind: FrameKind, content: bytes) -> bytes:
    """Return a frame."""
    return _HEADER.pack(kind, len(content)) + content


# -- the worker's side


def send_blocking(connection: socket.socket, kind: FrameKind, content: bytes) -> None:
    """Send one frame."""
    connection.sendall(pack(kind, content))


def receive_blocking(connection: socket.socket) -> tuple[FrameKind, bytearray]:
    """Wait for one frame.

    Raises:
        ConnectionLost: the other side is gone.
    """
    kind, length = _HEADER.unpack(_read_blocking(connection, _HEADER.size))
    return FrameKind(kind), _read_blocking(connection, length)


def _read_blocking(connection: socket.socket, size: int) -> bytearray:
    content = bytearray(size)
    view = memoryview(content)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise ConnectionLost
        view = view[count:]
    return content


# -- the owner's side


class FrameStream:
    """The owner's side of one connection; used by one task at a time."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(0)  # non-blocking
        self._connection = connection
        self._received = bytearray()

    async def send(self, kind: FrameKind, content: bytes) -> None:
        """Send one frame; after a cancellation the connection must not be used again.

        Raises:
            ConnectionLost: the other side is gone.
        """
        view = memoryview(pack(kind, content))
        while view:
            try:
                count = self._connection.send(view)
            except BlockingIOError:
                await anyio.wait_writable(self._connection)
            except OSError as error:
                raise ConnectionLost from error
            else:
                view = view[count:]

    async def receive(self) -> tuple[FrameKind, bytes]:
        """Wait for one frame.

        Raises:
            ConnectionLost: the other side is gone.
        """
        received = self._received
        while len(received) < _HEADER.size:
            received += await self._read(CHUNK)
        kind, length = _HEADER.unpack_from(received)
        end = _HEADER.size + length
        while len(received) < end:
            received += await self._read(max(CHUNK, end - len(received)))
        content = bytes(memoryview(received)[_HEADER.size : end])
        del received[:end]
        return FrameKind(kind), content

    async def _read(self, size: int) -> bytes:
        while True:  # noqa: ASYNC913 - it waits for the connection
            try:
                await anyio.wait_readable(self._connection)
                content = self._connection.recv(size)
            except BlockingIOError:
                continue
            except (OSError, anyio.ClosedResourceError) as error:
                raise ConnectionLost from error
            if not content:
                raise ConnectionLost
            return content

    async def wait_lost(self) -> None:
        """Wait until the other side is gone, and discard what it still sends."""
        try:
            while True:
                await self._read(CHUNK)
        except ConnectionLost:
            return

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._connection.close()

    def statistics(self) -> dict[str, Any]:
        """Return the number of received bytes of an incomplete frame."""
        return {"received": len(self._received)}
