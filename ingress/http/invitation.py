"""The `100 Continue` for which a caller may wait before it sends a body."""

from aiohttp import HttpVersion11, web


class Invitation:
    """The `100 Continue` for which a caller waits before it sends a body; sent when the body is wanted, not before."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.is_due = (
            request.version >= HttpVersion11 and request.headers.get("Expect", "").strip().lower() == "100-continue"
        )
        """True while the caller waits for it."""

    async def send(self) -> None:
        """Sends it, where a caller waits for it."""
        if not self.is_due:
            return
        self.is_due = False
        await self._request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._request.writer.output_size = 0  # of the answer itself nothing has been sent
