"""What a simulation is asked for, and what it reports while it runs."""

from typing import Final

import msgspec

from deploy.simulator.calls.world import VENDORS
from deploy.simulator.sending.getcdr_server import GetCdrOptions
from deploy.simulator.traffic import Mix

SHARES: Final = {"nxcloud": 3.0, "ytx": 4.0, "huawei": 2.0, "tencent": 2.0}
"""How many calls of each vendor, relatively."""


class SimulateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A run; 0 calls and 0 seconds: until it is stopped."""

    url: str = "http://127.0.0.1:8080"
    """Where the pushes go: the ingress's base address."""
    vendors: tuple[str, ...] = VENDORS
    rate: float = 50.0
    """Requests (and pulled calls) a second; 0: as fast as they are answered."""
    calls: int = 0
    duration_s: float = 0.0
    seed: int = 1
    mix: Mix = Mix()
    concurrency: int = 32
    timeout_s: float = 10.0
    retry_scale: float = 1.0
    """Of the vendors' waiting times between sends: 0.01 makes a minute 0.6 s."""
    ledger: str = ""
    """File that the ledger is appended to, as JSON lines."""
    keep_ledger: bool = True
    """Keep it in memory as well; not for runs without an end."""
    getcdr: GetCdrOptions = GetCdrOptions()
    getcdr_host: str = "127.0.0.1"
    getcdr_port: int = 0
    """Port of the pull API; 0 picks a free one."""
    linger_s: float = 900.0
    """How long the pull API waits at the end for its last records to be pulled."""


class SimulationProgress(msgspec.Struct, kw_only=True):
    """Where a run is; it changes while the run goes on."""

    calls: int = 0
    sent: int = 0
    """Requests, each counted at its first attempt."""
    acked: int = 0
    retries: int = 0
    lost: int = 0
    """Requests that were given up, as their vendor gives up."""
    waiting: int = 0
    """Requests that wait for their next attempt."""
    statuses: dict[str, int] = {}
    """Attempts by HTTP status, or by the kind of failure."""
    labels: dict[str, int] = {}
    """Requests by what they are."""
    elements: dict[str, int] = {}
    """Acknowledged elements by vendor."""
    offered: int = 0
    """Calls that the pull API has or had."""
    pulled: int = 0
    """Records served, repetitions included."""
    pull_errors: int = 0
    unpulled: int = 0
    getcdr_url: str = ""
    elapsed_s: float = 0.0
    scenarios: dict[str, int] = {}
    done: bool = False
