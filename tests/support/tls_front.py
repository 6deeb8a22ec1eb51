"""A front with TLS before a plain server, as a proxy or the server's own https port is: it passes bytes on.

It has threads and OpenSSL's own sockets: asyncio's TLS does not send the alert with which a server refuses a client.
"""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Final

_LOOK_S: Final = 0.1


class Front:
    """A running front on 127.0.0.1; while it is away, it listens and closes every connection at once."""

    def __init__(self, to_port: int, tls: ssl.SSLContext | None) -> None:
        self._to_port = to_port
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.is_away = False
        self.swallows_answers = False
        """True: what the server answers is lost, and the connection ends."""
        self.cuts_at: int | None = None
        """The bytes of each answer after which the connection ends."""
        self.says = b""
        """The answer to every request, in the place of the server's."""
        self.heard = b""
        """The last answer, as far as it was passed on."""
        self.connections = 0
        """Connections that came through to the server."""

    def serve(self) -> None:
        """Takes connections until it is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Ends the listener; open connections end at their next byte or look."""
        self.is_away = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _pass_on(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as open_:
            open_.callback(plain.close)
            if self.is_away:
                return
            client = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            open_.callback(client.close)
            server = open_.enter_context(socket.create_connection(("127.0.0.1", self._to_port)))
            self.connections += 1
            while not self.is_away:
                for one in select.select([client, server], [], [], _LOOK_S)[0]:
                    data = one.recv(1 << 16)
                    while isinstance(one, ssl.SSLSocket) and one.pending():
                        data += one.recv(one.pending())
                    if not data or (self.swallows_answers and one is server):
                        return
                    if one is server:
                        if not self._answer(client, data):
                            return
                    elif self.says:
                        client.sendall(self.says)
                        return
                    else:
                        self.heard = b""
                        server.sendall(data)

    def _answer(self, client: socket.socket, data: bytes) -> bool:
        """Passes on what it may of an answer; returns False where the connection ends behind it."""
        left = len(data) if self.cuts_at is None else self.cuts_at - len(self.heard)
        self.heard += data[:left]
        client.sendall(data[:left])
        return len(data) < left or self.cuts_at is None


@contextlib.contextmanager
def front(to_port: int, tls: ssl.SSLContext | None = None) -> Iterator[Front]:
    """Yields a front before a port of this machine; without `tls` it is plain."""
    running = Front(to_port, tls)
    threading.Thread(target=running.serve, daemon=True).start()
    try:
        yield running
    finally:
        running.close()
