"""Things that listen on a port and are no Redis, or not the Redis that was expected."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CERTIFICATE, KEY = (str(Path(__file__).parent / "tls" / name) for name in ("cert.pem", "key.pem"))


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Every connection is served in a thread of its own; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def served(connection: socket.socket) -> None:
            with suppress(OSError), connection:
                serve(connection)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=served, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def saying(answer: bytes) -> Callable[[socket.socket], None]:
    """Says the same to everything; nothing at all if there is nothing to say."""

    def serve(connection: socket.socket) -> None:
        while connection.recv(65536):
            if answer:
                connection.sendall(answer)

    return serve


def closing(connection: socket.socket) -> None:
    """Hangs up on the first word."""
    connection.recv(1)


def reporting(info: str) -> Callable[[socket.socket], None]:
    """A server of another age: answers PING and INFO, and knows no other command."""
    text = info.encode()
    answers = {b"PING": b"+PONG\r\n", b"INFO": b"$%d\r\n%b\r\n" % (len(text), text)}

    def serve(connection: socket.socket) -> None:
        with connection.makefile("rb") as asked:
            while line := asked.readline():
                words = [asked.read(int(asked.readline()[1:]) + 2).strip() for _ in range(int(line[1:]))]
                unknown = b"-ERR unknown command `%b`, with args beginning with: \r\n" % words[0]
                connection.sendall(answers.get(words[0].upper(), unknown))

    return serve


def tls_in_front_of(port: int) -> Callable[[socket.socket], None]:
    """Speaks TLS with the certificate of the tests, and hands on what it hears to a server that does not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    def serve(connection: socket.socket) -> None:
        with (
            context.wrap_socket(connection, server_side=True) as outside,
            socket.create_connection(("127.0.0.1", port)) as inside,
        ):
            threading.Thread(target=pump, args=(inside, outside), daemon=True).start()
            pump(outside, inside)

    return serve
