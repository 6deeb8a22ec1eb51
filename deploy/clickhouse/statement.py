"""A statement over HTTP to the engine in this process, for the disk guard and the stop."""

import base64
import http.client
from typing import Final

_TIMEOUT_S: Final = 60.0


class Refused(Exception):
    """The engine answered with an error; its text stays out of logs, because it may quote values."""


class StatementClient:
    """Executes statements as one account, each on a connection of its own."""

    def __init__(self, port: int, name: str, password: str) -> None:
        self._port = port
        self._authorization = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()

    def execute(self, sql: str) -> bytes:
        """Returns the answer to `sql`; raises `Refused`, or OSError when nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", "/", body=sql.encode(), headers={"Authorization": self._authorization})
            response = connection.getresponse()
            if response.length is None and not response.chunked:
                # http.client takes the end of a connection for the end of a head.
                raise ConnectionError("the head of an answer is not whole")
            body = response.read()
        except http.client.HTTPException as exc:
            raise ConnectionError(type(exc).__name__) from exc
        finally:
            connection.close()
        if response.status != 200:
            raise Refused(response.getheader("X-ClickHouse-Exception-Code", str(response.status)))
        return body
