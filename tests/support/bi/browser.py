"""A headless Chromium, driven over the WebDriver protocol: opens pages, runs scripts in them, takes pictures."""

import asyncio
import base64
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp

from deploy.process.ports import free_port

NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
CHROMIUM: Final = os.environ.get("CALLWEAVE_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
DRIVER: Final = os.environ.get("CALLWEAVE_TEST_CHROMEDRIVER") or shutil.which("chromedriver")
MISSING: Final = (
    "NO BROWSER: install chromium and chromium-driver, or name them in CALLWEAVE_TEST_CHROMIUM and _CHROMEDRIVER"
)
_ARGUMENTS: Final = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)
_STARTS_WITHIN_S: Final = 60
_ANSWERS_WITHIN_MS: Final = 150_000


class Browser:
    """One window."""

    def __init__(self, http: aiohttp.ClientSession, session: str) -> None:
        self._http = http
        self._session = session

    async def _ask(self, what: str, **body: Any) -> Any:
        async with self._http.post(f"{self._session}/{what}", json=body) as answer:
            value = (await answer.json())["value"]
            assert answer.status == 200, value
            return value

    async def open(self, address: str) -> None:
        """Opens a page and waits until it is loaded."""
        await self._ask("url", url=address)

    async def run(self, script: str, *arguments: Any) -> Any:
        """Returns what a script in the page returns."""
        return await self._ask("execute/sync", script=script, args=list(arguments))

    async def until(self, script: str, limit_s: float, *arguments: Any) -> Any:
        """Returns the first answer of a script that is true; fails after the limit."""
        deadline = asyncio.get_running_loop().time() + limit_s
        while not (answer := await self.run(script, *arguments)):
            assert asyncio.get_running_loop().time() < deadline, f"in vain after {limit_s} s: {script}"
            await asyncio.sleep(0.3)
        return answer

    async def size(self, width: int, height: int) -> None:
        """Gives the window's page this size in pixels."""
        await self._command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def picture(self, form: str = "webp", *, quality: int = 70) -> bytes:
        """Returns the page as it is seen now, as WebP, JPEG or PNG."""
        how = {} if form == "png" else {"quality": quality}
        taken = await self._command("Page.captureScreenshot", format=form, **how)
        return base64.b64decode(taken["data"])

    async def type(self, text: str) -> None:
        """Types into what has the focus."""
        await self._command("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """Presses a key that has a name, as Enter."""
        for kind in ("rawKeyDown", "keyUp"):
            code = {"Enter": 13, "Escape": 27}[key]
            await self._command(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                nativeVirtualKeyCode=code,
            )

    async def _command(self, name: str, **parameters: Any) -> Any:
        return await self._ask("goog/cdp/execute", cmd=name, params=parameters)


@contextlib.asynccontextmanager
async def browser(*, width: int = 1400, height: int = 1000) -> AsyncIterator[Browser]:
    """Yields a browser with a profile of its own."""
    assert CHROMIUM is not None
    assert DRIVER is not None
    port = free_port()
    driver = await asyncio.create_subprocess_exec(
        *(DRIVER, f"--port={port}"), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    timeout = aiohttp.ClientTimeout(total=180)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as http:
            with tempfile.TemporaryDirectory(prefix="callweave-browser-", ignore_cleanup_errors=True) as profile:
                session = await _session(http, f"http://127.0.0.1:{port}", Path(profile))
                window = Browser(http, session)
                try:
                    await window.size(width, height)
                    yield window
                finally:
                    async with http.delete(session):
                        pass
    finally:
        driver.terminate()
        await driver.wait()


async def _session(http: aiohttp.ClientSession, driver: str, profile: Path) -> str:
    options = {"binary": CHROMIUM, "args": [*_ARGUMENTS, f"--user-data-dir={profile}"]}
    # On a busy machine the page itself takes long to run a script of ours.
    limits = {"script": _ANSWERS_WITHIN_MS, "pageLoad": _ANSWERS_WITHIN_MS}
    asked = {"browserName": "chrome", "goog:chromeOptions": options, "timeouts": limits}
    wanted = {"capabilities": {"alwaysMatch": asked}}
    deadline = asyncio.get_running_loop().time() + _STARTS_WITHIN_S
    while True:
        try:
            async with http.post(f"{driver}/session", json=wanted) as answer:
                value = (await answer.json())["value"]
                assert answer.status == 200, value
                return f"{driver}/session/{value['sessionId']}"
        except aiohttp.ClientConnectorError:
            assert asyncio.get_running_loop().time() < deadline, "chromedriver does not answer"
            await asyncio.sleep(0.1)
