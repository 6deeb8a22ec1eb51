"""The options of a simulation, and its progress while it runs."""

import msgspec

from deploy.simulator.traffic import Mix
from deploy.simulator.vendor_contract import PullServerOptions
from deploy.simulator.vendors import SIMULATED_VENDORS


class SimulateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run; with 0 calls and 0 seconds it lasts until it is stopped."""

    url: str = "http://127.0.0.1:8080"
    """The ingress's base address, to which the pushes go."""
    vendors: tuple[str, ...] = tuple(SIMULATED_VENDORS)
    rate: float = 50.0
    """Requests (and pulled calls) a second; 0 means as fast as they are answered."""
    calls: int = 0
    duration_s: float = 0.0
    seed: int = 1
    mix: Mix = Mix()
    timeout_s: float = 10.0
    retry_scale: float = 1.0
    """A factor of the vendors' waiting times between attempts: 0.01 makes a minute 0.6 s."""
    ledger: str = ""
    """The file to which the ledger is appended as JSON lines."""
    keep_ledger: bool = True
    """Keeps the ledger in memory as well; not for runs without an end."""
    pull: PullServerOptions = PullServerOptions()
    pull_port: int = 0
    """The port of the pull API; 0 picks a free one."""
    linger_s: float = 900.0
    """The longest time that the pull API waits at the end for its last records to be pulled."""


class SimulationProgress(msgspec.Struct, kw_only=True):
    """The progress of a run; it changes while the run goes on."""

    calls: int = 0
    sent: int = 0
    """The number of requests, each counted at its first attempt."""
    acked: int = 0
    retries: int = 0
    lost: int = 0
    """Requests that were given up, as their vendor gives up."""
    statuses: dict[str, int] = {}
    """Attempts by HTTP status, or by the kind of failure."""
    offered: int = 0
    """Calls that the pull API has or had."""
    pulled: int = 0
    """Records served, repetitions included."""
    pull_url: str = ""
    elapsed_s: float = 0.0
    scenarios: dict[str, int] = {}
