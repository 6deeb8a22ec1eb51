"""The head of a request, as everything that decides about it sees it. Pure: no I/O, no clock."""

import msgspec

from schemas.vendor_kit.contract import PushHead


class RequestHead(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a request: all that is known before its body is read."""

    method: str
    path: str
    accounts: tuple[str, ...] = ()
    """All values of the query parameter `account`."""
    peer: str = ""
    """The IP address that the connection comes from."""
    forwarded_for: str = ""
    client_subject: str = ""
    """The subject of the client certificate that the listener has checked, as RFC 4514 writes it; "" for none."""
    content_type: str = ""
    content_encoding: str = ""
    query: str = ""
    """The raw query string, without its question mark."""
    sent_path: str = ""
    """The path as it stands in the request's first line, which is what a vendor signs."""
    headers: tuple[tuple[str, str], ...] = ()
    """All headers in the order in which they came, names in lower case."""

    def only(self, name: str) -> str:
        """Returns the header of that name (in lower case), "" where there is none, or more than one.

        Of two, a proxy before us may have believed one and we the other.
        """
        values = [value for found, value in self.headers if found == name]
        return values[0] if len(values) == 1 else ""

    def pushed(self) -> PushHead:
        """Returns the part of it that a vendor's own signature check gets."""
        return PushHead(method=self.method, path=self.sent_path, query=self.query, headers=self.headers)


def as_sent(text: str) -> bytes:
    """Returns the bytes that a text of a request's head was decoded from; total."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, which no server gives us
        return text.encode("utf-8", "replace")
