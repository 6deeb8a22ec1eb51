"""The section of the settings on the age of rows: the days for which ClickHouse keeps those of each table. Pure."""

import msgspec

from schemas.config.privacy import Days


class KeepSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Days for which ClickHouse keeps the rows of each table (`callweave migrate`); then a day goes as a whole."""

    cdr_days: Days = 0
    """Days after its call for which a call record is kept. 0: for ever."""
    call_events_days: Days = 0
    """Days after its call for which a state event is kept. 0: for ever."""
    timelines_days: Days = 0
    """Days for which a call is kept. 0: for ever."""
    bindings_days: Days = 0
    """Days for which a snapshot of a number binding is kept. 0: for ever."""
    dead_letters_days: Days = 0
    """Days for which a dead letter is kept, resolved or not. 0: for ever."""
    ledger_days: Days = 0
    """Days for which the ledger of elements (`v_ledger`) is kept. 0: for ever."""
    kpi_days: Days = 0
    """Days for which figures (`v_kpi_*`) are kept; they outlive their calls. 0: for ever."""
    kpi_5m_days: Days = 0
    """Days for which figures of five minutes are kept, if fewer than those of hours and days. 0: as those."""
