"""One statement over HTTP, for the disk guard: an answer, a refusal without its text, or no server."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploy.clickhouse.statement import Refused, StatementClient
from deploy.process.ports import free_port


class Engine(BaseHTTPRequestHandler):
    """A server whose answer depends on the statement."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"fail":
            self.send_response(500)
            self.send_header("X-ClickHouse-Exception-Code", "241")
            answer = b"Code: 241. +8613800001111"
        elif body == b"fail without a number":
            self.send_response(502)
            answer = b"+8613800001111"
        elif body == b"no HTTP":
            self.wfile.write(b"nonsense\r\n\r\n")
            return
        elif body == b"a head that ends":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\n")
            return
        else:
            self.send_response(200)
            answer = body + b"|" + self.headers["Authorization"].encode()
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Engine)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_comes_whole_and_the_login_goes_along(port: int) -> None:
    message, _, login = StatementClient(port, "guard", "a:b ü").execute("SELECT 'ü'").partition(b"|")

    assert message.decode() == "SELECT 'ü'"
    assert login == b"Basic " + base64.b64encode("guard:a:b ü".encode())


@pytest.mark.parametrize(("sql", "message"), [("fail", "241"), ("fail without a number", "502")])
def test_a_refusal_says_its_number_and_not_its_text(port: int, sql: str, message: str) -> None:
    with pytest.raises(Refused) as caught:
        StatementClient(port, "guard", "x").execute(sql)

    assert str(caught.value) == message


@pytest.mark.parametrize("sql", ["no HTTP", "a head that ends"])
def test_what_is_no_whole_answer_is_a_fault_of_the_connection(port: int, sql: str) -> None:
    with pytest.raises(ConnectionError):
        StatementClient(port, "guard", "x").execute(sql)


def test_nobody_there_is_a_fault_of_the_system() -> None:
    with pytest.raises(OSError, match="refused"):
        StatementClient(free_port(), "guard", "x").execute("SELECT 1")
