"""The examples in OPERATIONS.md of who may push are settings that are taken, one of each kind."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from schemas.config.caller_checks import Check
from schemas.config.loader import load
from schemas.config.settings import Settings
from schemas.errors import RejectCode
from schemas.vendors import VENDORS

ROOT: Final = Path(__file__).parents[4]
SECTION: Final = (
    (ROOT / "deploy" / "OPERATIONS.md").read_text("utf-8").partition("## Who may push\n")[2].partition("\n## ")[0]
)
EXAMPLES: Final = re.findall(r"`(\{ kind = .*\})`", SECTION)
ENVIRON: Final = {"KEY": "k3vq9xw2mz7rt5hb", "ENDPOINT": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}


def read(toml: str, tmp_path: Path, vendor: str = "ytx") -> Settings:
    path = tmp_path / "callweave.toml"
    path.write_text(toml if vendor == "huawei" else _account(toml, vendor), "utf-8")
    return load(path, ENVIRON, frozenset(VENDORS))


def _account(check: str, vendor: str) -> str:
    proxies = '[ingress]\ntrusted_proxies = ["192.0.2.0/24"]\n'
    return f'{proxies}[[accounts]]\nvendor = "{vendor}"\nname = "main"\nchecks = [{check}]\n'


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_setting_that_is_taken(example: str, tmp_path: Path) -> None:
    (account,) = read(example, tmp_path).accounts
    assert account.checks[0].__struct_config__.tag == tomllib.loads(f"check = {example}")["check"]["kind"]


def test_every_kind_has_an_example() -> None:
    kinds: set[Any] = {kind.__struct_config__.tag for kind in get_args(Check)}
    assert {tomllib.loads(f"check = {example}")["check"]["kind"] for example in EXAMPLES} == kinds


def test_the_first_block_is_a_whole_account(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", SECTION, re.DOTALL)
    secret = tmp_path / "sk"
    secret.write_text(f"{ENVIRON['KEY']}\n", "utf-8")
    (account,) = read(block.replace("/run/secrets/huawei-sk", str(secret)), tmp_path, "huawei").accounts
    assert (account.vendor, account.checks[0].digest) == ("huawei", "hmac-sha256")  # type: ignore[union-attr]  # it is a wsse


def test_every_code_of_a_refusal_for_who_pushes_is_told() -> None:
    told = set(re.findall(r"^\| `(\w+)` \| 40[13]", SECTION, re.MULTILINE))
    others = {"unknown_route", "method", "too_large", "timeout", "bad_request", "refused_often"}
    assert told == set(get_args(RejectCode)) - others
