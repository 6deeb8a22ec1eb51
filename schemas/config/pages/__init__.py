"""Section `metrics` of the settings: who reaches the pages of workers, sink and poller. Pure."""

from typing import Annotated

import msgspec
from msgspec import Meta


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pages `/metrics`, `/healthz` and `/readyz` of workers, sink and poller, at the `metrics_port` of each."""

    host: Annotated[str, Meta(pattern=r"^\S+$")] = "127.0.0.1"
    """The address that they listen on. Change it for a Prometheus on another machine or in another Pod, to an address
    that only it reaches: the pages ask for no login. 0.0.0.0 is every address. The ingress has `ingress.admin_host`."""
