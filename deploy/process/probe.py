"""Asks a part on this machine whether it lives or is ready: the health check of containers and units.

`python -m deploy.process.probe URL...` ends with 0 as soon as one of the addresses answers 200, else with 1. It is
started every few seconds, so it needs the standard library alone. With https the certificate is not checked: its name
is not that of this machine's loopback address.
"""

import http.client
import ssl
import sys
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

TIMEOUT_S: Final = 3.0


def answers(url: str, timeout_s: float = TIMEOUT_S) -> bool:
    """Returns whether `url` answers 200 within the time."""
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        unchecked = ssl._create_unverified_context()  # noqa: S323, SLF001 - see above
        connection = http.client.HTTPSConnection(parts.netloc, timeout=timeout_s, context=unchecked)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout_s)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(urls: Sequence[str]) -> int:
    """Returns the exit code."""
    return 0 if any(answers(url) for url in urls) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
