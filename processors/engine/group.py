"""The consumer group of the workers that normalise and join."""

from typing import Final

GROUP: Final = "callweave-process"
