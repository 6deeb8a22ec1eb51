"""The list of quality flags for people, made from the enum: each flag with the sentence that stands under it.

`python -m deploy.admin.flag_list` writes `schemas/FLAGS.md` anew; a test holds the two together.
"""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from schemas import facts
from schemas.facts import Flag

FILE: Final = Path(facts.__file__).with_name("FLAGS.md")
_HEAD: Final = """# Quality flags

Each call record, state event, binding and call has `quality_flags`: what was odd about its source. No flag means that
everything was as the vendor documents it. This list is made from `schemas.facts.Flag` by `python -m deploy.admin.flag_list`.

| flag | what it says |
|---|---|
"""


def sentences() -> dict[Flag, str]:
    """Every flag with its sentence, in the order of the enum; raises ValueError for one that has none."""
    found = dict(_documented())
    if missing := [flag.name for flag in Flag if flag not in found]:
        raise ValueError(f"no sentence stands under {', '.join(missing)}")
    return {flag: found[flag] for flag in Flag}


def _documented() -> Iterator[tuple[Flag, str]]:
    (definition,) = ast.parse(inspect.getsource(Flag)).body
    assert isinstance(definition, ast.ClassDef)
    for member, text in zip(definition.body, definition.body[1:], strict=False):
        match member, text:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(sentence))):
                yield Flag[name], sentence


def document() -> str:
    """The whole file."""
    return _HEAD + "".join(f"| `{flag}` | {sentence} |\n" for flag, sentence in sentences().items())


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
