"""The worker's end of the connection to an isolate: lines that are sent, and lines that are heard.

Invariant: what an isolate has sent is heard, also after its death, and also if what was sent to it was never read. A
stream of asyncio drops what is not read yet when a write fails or the connection is reset. Here that could be the word
that a call has begun, and the call would run twice.
"""

from __future__ import annotations

import asyncio
import socket

LONGEST_LINE = 64 * 1024 * 1024
MOST_AT_ONCE = 1 << 16


class IsolateLine:
    """Lines over one socket, on the running loop."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket, self._loop = connection, asyncio.get_running_loop()
        self._heard, self._searched = bytearray(), 0
        self._unsent = bytearray()
        self._news = asyncio.Event()
        self.ended = False
        """Whether nothing more will be heard than what is here."""
        self._loop.add_reader(connection.fileno(), self._read)

    async def line(self) -> bytes | None:
        """The next line, without its end; None if the other end is closed or gone and all lines were heard. Raises
        `ValueError` for a line without an end."""
        while (line := self._cut()) is None and not self.ended:
            self._news.clear()
            await self._news.wait()
        return line

    def _cut(self) -> bytes | None:
        end = self._heard.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._heard)
            if self._searched > LONGEST_LINE:
                raise ValueError(f"it sent a line of more than {LONGEST_LINE} bytes")
            return None
        line = bytes(self._heard[:end])
        del self._heard[: end + 1]
        self._searched = 0
        return line

    def _read(self) -> bool:
        """Reads what is there. Returns whether something was."""
        try:
            more = self._socket.recv(MOST_AT_ONCE)
        except BlockingIOError:
            return False
        except OSError:
            more = b""  # it ended without reading all that was sent to it; what it sent came before this error
        self._heard += more
        self._news.set()
        if not more or len(self._heard) > LONGEST_LINE:  # more than anything waits for: it is of no use any more
            self._end()
        return bool(more)

    def finish(self) -> None:
        """The isolate is gone, so all that it sent is here. A fork of it may keep the other end open: nothing that
        comes later is heard."""
        while not self.ended and self._read():
            pass
        self._end()

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            self._loop.remove_reader(self._socket.fileno())
        self._news.set()

    def send(self, line: bytes) -> None:
        """Sends one line, now or as soon as there is room. If the other end is gone, the next `line` finds that."""
        if self._socket.fileno() >= 0:
            self._unsent += line + b"\n"
            self._write()

    def _write(self) -> None:
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()
        if self._unsent:
            self._loop.add_writer(self._socket.fileno(), self._write)
        else:
            self._loop.remove_writer(self._socket.fileno())

    def close(self) -> None:
        """Closes this end."""
        self._end()
        if self._socket.fileno() >= 0:
            self._unsent.clear()
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
