"""The account with which a poller asks the simulator's pull API, thirty times as often as it asks a vendor."""

from deploy.simulator.vendor_contract import PullServerOptions
from schemas.config.settings import PollAccount


def pull_account(port: int, pull: PullServerOptions, *, overlap_s: int = 1800, window_s: int = 20) -> PollAccount:
    """Returns the account for the pull API on this port.

    Windows are short too: with those of ten minutes every poll would bring all calls of ten minutes again, and a long
    run would measure how fast duplicates are recognised.
    """
    return PollAccount(
        vendor="tencent",
        account="simulator",
        url=f"http://127.0.0.1:{port}",
        app_id=pull.app_id,
        key_id=pull.key_id,
        interval_s=1.0,
        lag_s=2,
        overlap_s=overlap_s,
        window_s=window_s,
        sweep_hour_utc=-1,
        min_gap_s=0.05,
    )
