"""The subject of a client's certificate as text."""

from typing import Any

import pytest

from ingress.http.client_subject import subject


@pytest.mark.parametrize(
    ("certificate", "text"),
    [
        pytest.param(None, "", id="no TLS"),
        pytest.param({}, "", id="no certificate"),
        pytest.param({"subject": ()}, "", id="no name"),
        pytest.param(
            {"subject": ((("countryName", "XX"),), (("organizationName", "Example"),), (("commonName", "push"),))},
            "CN=push,O=Example,C=XX",
            id="the last name first",
        ),
        pytest.param({"subject": ((("commonName", "a,b+c"),),)}, "CN=a\\,b\\+c", id="what would be another name"),
        pytest.param({"subject": ((("commonName", " #a "),),)}, "CN=\\ #a\\ ", id="spaces at the ends"),
        pytest.param({"subject": ((("commonName", "#a"),),)}, "CN=\\#a", id="a hash at the beginning"),
        pytest.param({"subject": ((("commonName", "a\r\nb\0"),),)}, "CN=a\\0D\\0Ab\\00", id="control characters"),
        pytest.param({"subject": ((("commonName", "é"),),)}, "CN=\\C3\\A9", id="beyond ASCII"),
        pytest.param({"subject": ((("commonName", "a"), ("userId", "b")),)}, "CN=a+UID=b", id="two names in one place"),
    ],
)
def test_a_subject_is_written_as_proxies_write_it(certificate: dict[str, Any] | None, text: str) -> None:
    assert subject(certificate) == text
