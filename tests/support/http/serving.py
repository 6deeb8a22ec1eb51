"""An HTTP server of a test, on a loopback port."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from deploy.process.ports import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, *paths: str, port: int = 0) -> AsyncIterator[str]:
    """Yields the address of a server that answers all methods at these paths, or everywhere; port 0 is a free one."""
    app = web.Application()
    for path in paths or ("/{path:.*}",):
        app.router.add_route("*", path, handler)
    async with serving_app(app, port=port) as url:
        yield url


@contextlib.asynccontextmanager
async def serving_app(app: web.Application, *, port: int = 0) -> AsyncIterator[str]:
    """Yields the address of a server of this application; port 0 is a free one."""
    runner = web.AppRunner(app)
    await runner.setup()
    port = port or free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
