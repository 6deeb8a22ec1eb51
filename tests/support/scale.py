"""The size of what is tried at random: `CALLWEAVE_TEST_SCALE` times as much as in `make test`."""

import os
from typing import Final

SCALE: Final = max(1, int(os.environ.get("CALLWEAVE_TEST_SCALE", "1")))
