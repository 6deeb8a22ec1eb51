"""What a part and its supervisor tell each other: exit codes, and how often the part was started again."""

from typing import Final

EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 78
"""sysexits.h EX_CONFIG: a supervisor need not try again."""
RESTARTS: Final = "PART_RESTARTS"
"""In the environment of a supervised part: how often it was started again."""
