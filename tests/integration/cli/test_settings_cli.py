"""Settings as the command shows them and refuses them; without a running system, which would take its share of CPU."""

import json
from pathlib import Path

import pytest

from tests.support.command import callweave


async def test_check_config_shows_what_is_in_effect_and_hides_secrets(tmp_path: Path) -> None:
    (tmp_path / "callweave.toml").write_text('[clickhouse]\nuser = "writer"\npassword = "not-for-eyes"\n')

    done = await callweave("--check-config", cwd=tmp_path, settings={"kafka__partitions": 12})

    shown = json.loads(done.text)
    assert (done.code, done.err) == (0, "")
    assert (shown["clickhouse"]["user"], shown["kafka"]["partitions"]) == ("writer", 12)
    assert "not-for-eyes" not in done.text


WRONG: dict[str, tuple[str, dict[str, object], str]] = {
    "a number that is none": ("", {"kafka__partitions": "many"}, "$.kafka.partitions"),
    "a setting that there is not": ("[ingress]\nprot = 80\n", {}, "prot"),
    "an unknown vendor": ('[[accounts]]\nvendor = "acme"\nname = "x"\n', {}, "$.accounts[0].vendor"),
    "not TOML": ("[kafka\n", {}, "callweave.toml"),
}


@pytest.mark.parametrize(("toml", "settings", "place"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("arguments", [("--check-config",), ("up", "--plain")], ids=["--check-config", "up"])
async def test_wrong_settings_end_with_78_and_their_place(
    tmp_path: Path, toml: str, settings: dict[str, object], place: str, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "callweave.toml").write_text(toml)

    done = await callweave(*arguments, cwd=tmp_path, settings=settings)

    assert (done.code, done.out) == (78, b"")
    assert done.err.startswith("callweave: settings: ")
    assert place in done.err
