"""The listener's certificate: what is refused at the start, and what a change of the files does."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from ingress.front.certificate import Certificate
from schemas.config.secret import Secret
from schemas.config.settings import IngressSettings
from schemas.errors import SettingsError
from schemas.metrics import Registry
from tests.support.front_site import Pki


def encrypted(key: Path, password: str) -> None:
    made = load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())))


def settings(certificate: Path, key: Path, **more: object) -> IngressSettings:
    return IngressSettings(tls_certificate_file=str(certificate), tls_key_file=str(key), **more)  # type: ignore[arg-type]  # of a test's own


@pytest.mark.parametrize(
    ("broken", "place", "why"),
    [
        pytest.param({"tls.crt": None}, "tls_certificate_file", "No such file", id="no certificate"),
        pytest.param({"tls.key": None}, "tls_key_file", "No such file", id="no key"),
        pytest.param({"tls.crt": b"no PEM"}, "tls_certificate_file", "in PEM are wanted", id="no PEM"),
        pytest.param({"tls.key": b""}, "tls_certificate_file", "in PEM are wanted", id="an empty key"),
        pytest.param({"ca.crt": b"no PEM"}, "tls_client_ca_file", "no certificate in PEM", id="no authorities"),
        pytest.param({"ca.crt": None}, "tls_client_ca_file", "No such file", id="no file of authorities"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, broken: dict[str, bytes | None], place: str, why: str
) -> None:
    pki = Pki(tmp_path)
    certificate, key = pki.server()
    for name, content in broken.items():
        if content is None:
            (tmp_path / name).unlink()
        else:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError, match=rf"{why}.* at `\$\.ingress\.{place}`"):
        Certificate(settings(certificate, key, tls_client_ca_file=str(pki.ca_file)), Registry())


def test_a_key_of_another_certificate_is_named(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    with pytest.raises(SettingsError, match="the key is not that of the certificate"):
        Certificate(settings(pki.server("one")[0], pki.server("two")[1]), Registry())


@pytest.mark.parametrize("password", ["", "wrong", "x" * 5000])
def test_an_encrypted_key_needs_its_password_and_nobody_is_asked_for_it(tmp_path: Path, password: str) -> None:
    certificate, key = Pki(tmp_path).server()
    encrypted(key, "correct horse")
    with pytest.raises(SettingsError, match=r"at `\$\.ingress\.tls_key_password`") as caught:
        Certificate(settings(certificate, key, tls_key_password=Secret(password)), Registry())
    assert "horse" not in str(caught.value)
    Certificate(settings(certificate, key, tls_key_password=Secret("correct horse")), Registry())


def test_certificate_and_key_may_stand_in_one_file(tmp_path: Path) -> None:
    certificate, key = Pki(tmp_path).server()
    certificate.write_bytes(certificate.read_bytes() + key.read_bytes())
    Certificate(IngressSettings(tls_certificate_file=str(certificate)), Registry())


def test_a_pair_is_taken_up_when_both_files_fit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While only one of them is written, the old certificate stays, and the log says so once."""
    pki, metrics = Pki(tmp_path), Registry()
    held = Certificate(settings(*pki.server()), metrics)
    first = held.context
    held.look()
    assert held.context is first
    new = pki.server("new")
    os.replace(new[0], tmp_path / "tls.crt")  # noqa: PTH105  # as a tool that renews does
    for _ in range(3):
        held.look()
    assert held.context is first
    assert metrics.get("callweave_ingress_certificate_stale") == 1
    assert caplog.text.count("the old one stays") == 1
    os.replace(new[1], tmp_path / "tls.key")  # noqa: PTH105  # likewise
    held.look()
    assert held.context is not first
    assert metrics.get("callweave_ingress_certificate_stale") == 0


def test_files_that_are_gone_leave_the_certificate(tmp_path: Path) -> None:
    certificate, key = Pki(tmp_path).server()
    held = Certificate(settings(certificate, key), Registry())
    first = held.context
    certificate.unlink()
    held.look()
    assert held.context is first


def test_a_link_that_points_elsewhere_is_a_change(tmp_path: Path) -> None:
    """Kubernetes renews a mounted secret so: the file's name stays, and the folder behind it is another."""
    pki = Pki(tmp_path)
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        for made, wanted in zip(pki.server(), ("tls.crt", "tls.key"), strict=True):
            made.rename(folder / wanted)
    link = tmp_path / "data"
    link.symlink_to("one")
    held = Certificate(settings(link / "tls.crt", link / "tls.key"), Registry())
    first = held.context
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(link)
    held.look()
    assert held.context is not first
