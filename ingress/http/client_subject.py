"""Writes the subject of a client's certificate as text (RFC 4514), as nginx and HAProxy write it. Pure."""

from collections.abc import Mapping
from typing import Any, Final

_SHORT: Final[Mapping[str, str]] = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "stateOrProvinceName": "ST",
    "localityName": "L",
    "streetAddress": "street",
    "domainComponent": "DC",
    "userId": "UID",
}
_ESCAPED: Final = frozenset(',+"\\<>;')


def subject(certificate: Mapping[str, Any] | None) -> str:
    """Returns the subject of a certificate as `SSLSocket.getpeercert` gives it; "" where there is none."""
    names = (certificate or {}).get("subject", ())
    return ",".join(
        "+".join(f"{_SHORT.get(kind, kind)}={_escaped(value)}" for kind, value in parts) for parts in reversed(names)
    )


def _escaped(value: str) -> str:
    """Returns a value in which nothing can be taken for another name, in ASCII as OpenSSL's RFC 2253 form is."""
    last = len(value) - 1
    return "".join(
        f"\\{char}"
        if char in _ESCAPED or (char == " " and at in (0, last)) or (char == "#" and at == 0)
        else char
        if " " <= char <= "~"
        else "".join(f"\\{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
        for at, char in enumerate(value)
    )
