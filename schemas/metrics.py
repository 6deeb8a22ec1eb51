"""Every metric with its unit, its labels and advice for when it moves; and the registry that holds their values.

A third-party client is not needed: values are in a dictionary, and the text format is Prometheus's. Labels come from
closed sets (vendor, callback, stage, code ...), never from a payload.
"""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

Name = Literal[
    "callweave_ingress_requests_total",
    "callweave_ingress_body_bytes_total",
    "callweave_ingress_accept_seconds",
    "callweave_ingress_waiting_bytes",
    "callweave_ingress_queued_requests",
    "callweave_ingress_held_bytes",
    "callweave_ingress_connections",
    "callweave_ingress_connections_cut_total",
    "callweave_ingress_certificate_stale",
    "callweave_spool_bodies",
    "callweave_spool_bytes",
    "callweave_spool_oldest_seconds",
    "callweave_spool_set_aside",
    "callweave_spool_too_large",
    "callweave_spool_written_total",
    "callweave_spool_drained_total",
    "callweave_spool_refused_total",
    "callweave_poll_pages_total",
    "callweave_poll_errors_total",
    "callweave_poll_lag_seconds",
    "callweave_poll_stopped",
    "callweave_normalise_elements_total",
    "callweave_normalise_dead_total",
    "callweave_join_outcomes_total",
    "callweave_join_items",
    "callweave_join_calls",
    "callweave_lag_records",
    "callweave_process_partitions",
    "callweave_process_stalled_partitions",
    "callweave_process_quarantined_total",
    "callweave_process_suspects",
    "callweave_process_deaths",
    "callweave_loop_blocked_seconds",
    "callweave_part_restarts_total",
    "callweave_sink_rows_total",
    "callweave_sink_inserts_total",
    "callweave_sink_insert_seconds",
    "callweave_sink_freshness_seconds",
    "callweave_sink_waiting",
    "callweave_kpi_behind_seconds",
    "callweave_kpi_slots_total",
    "callweave_kpi_compute_seconds",
]


class Metric(msgspec.Struct, frozen=True):
    """One metric: its kind, its labels, and what an operator should do about it."""

    name: Name
    kind: Literal["counter", "gauge", "summary"]
    labels: tuple[str, ...]
    help: str
    act: str


METRICS: Final[tuple[Metric, ...]] = (
    Metric("callweave_ingress_requests_total", "counter", ("vendor", "callback", "outcome"), "Requests by outcome.", "Anything but accepted, repeated (stored before) and console (somebody looked at the address): see the outcome; a once-only vendor's refused push is lost."),
    Metric("callweave_ingress_body_bytes_total", "counter", ("vendor",), "Bytes of accepted bodies.", "Capacity."),
    Metric("callweave_ingress_accept_seconds", "summary", ("vendor",), "From the body's last byte until it is durable.", "Above 0.3 s some vendors give up: look at Kafka."),
    Metric("callweave_ingress_waiting_bytes", "gauge", (), "Bodies waiting for Kafka.", "Grows: Kafka is slow or away."),
    Metric("callweave_ingress_queued_requests", "gauge", (), "Requests that came whole and wait for their turn.", "Near ingress.max_queued: more processes (ingress.workers) or machines."),
    Metric("callweave_ingress_held_bytes", "gauge", (), "What requests hold in memory.", "Near ingress.max_buffer_bytes: Kafka and the disk are slow, or bodies are large."),
    Metric("callweave_ingress_connections", "gauge", (), "Open connections.", "Near ingress.max_connections: somebody opens more than they use."),
    Metric("callweave_ingress_connections_cut_total", "counter", ("reason",), "Connections that we closed: too_many, no_request, unread, large_head, no_room, broken (no HTTP behind a head), no_proxy (not from ingress.trusted_proxies), proxy_header, tls.", "Grows: a broken caller, or an attack; no_proxy and proxy_header: a proxy is not set up as the ingress is."),
    Metric("callweave_ingress_certificate_stale", "gauge", (), "1 while the files of the listener's certificate changed and cannot be used: the old one stays.", "Above 0: the log names the file; mend it before the old certificate ends."),
    Metric("callweave_spool_bodies", "gauge", ("worker",), "Bodies that wait on our disk for Kafka.", "Above 0: Kafka is slow or away; nothing is lost."),
    Metric("callweave_spool_bytes", "gauge", ("worker",), "Their bytes.", "Near ingress.spool_max_bytes: bring Kafka back, or vendors are turned away."),
    Metric("callweave_spool_oldest_seconds", "gauge", ("worker",), "Age of the oldest of them.", "Above ingress.spool_max_age_s: callweave spool status."),
    Metric("callweave_spool_set_aside", "gauge", ("worker",), "Spool files that could not be read and wait for a person.", "See the log; remove them when they are of no use."),
    Metric("callweave_spool_too_large", "gauge", ("worker",), "Bodies that the broker finds too large, kept apart on our disk.", "Above 0: raise the topic's max.message.bytes, then callweave spool drain with the ingress stopped."),
    Metric("callweave_spool_written_total", "counter", (), "Bodies that went to the spool.", "Grows while Kafka answers and the spool is empty: it is slower than ingress.spool_after_ms."),
    Metric("callweave_spool_drained_total", "counter", (), "Bodies that went from the spool to Kafka.", "Stands still with bodies in the spool: look at Kafka."),
    Metric("callweave_spool_refused_total", "counter", ("code",), "Bodies that the spool could not take.", "spool_full: more room; spool: look at the disk."),
    Metric("callweave_poll_pages_total", "counter", ("vendor", "account"), "Pages published.", "Stands still: see errors and stopped."),
    Metric("callweave_poll_errors_total", "counter", ("vendor", "account", "code"), "Answers that were not a page.", "See the vendor's page for the code."),
    Metric("callweave_poll_lag_seconds", "gauge", ("vendor", "account"), "How far the settled window is behind now.", "Above 15 min: the vendor does not answer, or we are stopped."),
    Metric("callweave_poll_stopped", "gauge", ("vendor", "account"), "1 while a poller waits for a person.", "Read its log line, mend, then callweave poll --resume ACCOUNT."),
    Metric("callweave_normalise_elements_total", "counter", ("vendor", "outcome"), "Elements by outcome: fact, dead, filtered.", "The share of dead: a vendor changed something."),
    Metric("callweave_normalise_dead_total", "counter", ("vendor", "code"), "Dead letters by code.", "callweave dead list --code CODE."),
    Metric("callweave_join_outcomes_total", "counter", ("vendor", "outcome"), "What the joiner did, repetitions included.", "replayed grows: a worker restarts often."),
    Metric("callweave_join_items", "gauge", ("vendor", "outcome"), "Facts and duplicates in the joiner's memory; exact over crashes.", "The accounting identity is checked on it."),
    Metric("callweave_join_calls", "gauge", ("phase",), "Calls held, by phase.", "Memory."),
    Metric("callweave_lag_records", "gauge", ("stage",), "Records not yet read.", "Grows: add workers."),
    Metric("callweave_process_partitions", "gauge", ("stage",), "Partitions that are this worker's.", "0 for long: more workers than partitions, or it cannot join its group."),
    Metric("callweave_process_stalled_partitions", "gauge", ("stage",), "Partitions of this worker with records and without a commit for 20 s.", "Above 0: callweave doctor says which; at process.stall_s the worker ends itself."),
    Metric("callweave_process_quarantined_total", "counter", ("stage",), "Records at which workers died twice, put aside.", "callweave dead list --code poison: mend, then replay them."),
    Metric("callweave_process_suspects", "gauge", (), "Places at which a worker died, not yet passed.", "Above 0 for minutes: the worker does not get there; see its log."),
    Metric("callweave_process_deaths", "gauge", (), "Ends of this machine's workers in the last 10 minutes that were no stops.", "3 or more: callweave doctor; memory, or a record."),
    Metric("callweave_loop_blocked_seconds", "gauge", ("part",), "Longest time in the last minute in which the part's event loop did nothing else.", "Above 1 s: a body that is too dear, or a machine too small."),
    Metric("callweave_part_restarts_total", "counter", ("part",), "How often `callweave up` started the part again.", "Grows: callweave doctor, and the part's log before (logs/PART.1.log)."),
    Metric("callweave_sink_rows_total", "counter", ("table",), "Rows inserted, repetitions included.", "Stands still with lag: see waiting."),
    Metric("callweave_sink_inserts_total", "counter", ("table", "outcome"), "Inserts by outcome.", "retry grows: ClickHouse is away or slow."),
    Metric("callweave_sink_insert_seconds", "summary", ("table",), "Time of one insert.", "Near the timeout: smaller batches, or a bigger server."),
    Metric("callweave_sink_freshness_seconds", "gauge", ("table",), "From the record's time in Kafka to its row, of the last batch.", "Above 3 s: lag upstream or slow inserts."),
    Metric("callweave_sink_waiting", "gauge", (), "1 while the sink waits for ClickHouse.", "Bring ClickHouse back: nothing is lost."),
    Metric("callweave_kpi_behind_seconds", "gauge", (), "Age of the oldest slot whose figures (v_kpi_*) do not count all its calls, when it was last looked for.", "Above 30 s: see compute_seconds and the sink's log."),
    Metric("callweave_kpi_slots_total", "counter", (), "Slots (hours) whose figures were computed anew.", "Stands still while calls are written: see the sink's log."),
    Metric("callweave_kpi_compute_seconds", "summary", (), "Time for the changed slots of a day.", "Above 10 s: figures are late by ten times as much; a bigger server."),
)  # fmt: skip


class Registry:
    """The values of one process."""

    def __init__(self) -> None:
        self._values: dict[tuple[Name, tuple[str, ...]], float] = {}
        self._sums: dict[tuple[Name, tuple[str, ...]], tuple[int, float]] = {}
        self._sources: list[Callable[[], None]] = []

    def add(self, name: Name, *labels: str, by: float = 1) -> None:
        """Adds to a counter."""
        key = (name, labels)
        self._values[key] = self._values.get(key, 0) + by

    def put(self, name: Name, *labels: str, value: float) -> None:
        """Sets a gauge."""
        self._values[(name, labels)] = value

    def observe(self, name: Name, *labels: str, value: float) -> None:
        """Adds one observation to a summary."""
        count, total = self._sums.get((name, labels), (0, 0.0))
        self._sums[(name, labels)] = (count + 1, total + value)

    def before_read(self, source: Callable[[], None]) -> None:
        """Registers `source`, which sets its gauges whenever the metrics are read."""
        self._sources.append(source)

    def get(self, name: Name, *labels: str) -> float:
        """Returns one value, 0 when it was never set."""
        return self._values.get((name, labels), 0)

    def refresh(self) -> None:
        """Calls the sources that set gauges."""
        for source in self._sources:
            source()

    def text(self) -> str:
        """Returns all metrics in Prometheus's text format."""
        self.refresh()
        lines: list[str] = []
        for metric in METRICS:
            lines += [f"# HELP {metric.name} {metric.help} {metric.act}", f"# TYPE {metric.name} {metric.kind}"]
            lines += [
                f"{name}{_labels(metric, labels)} {value:.12g}"
                for (name, labels), value in sorted(self._values.items())
                if name == metric.name
            ]
            for (name, labels), (count, total) in sorted(self._sums.items()):
                if name == metric.name:
                    tags = _labels(metric, labels)
                    lines += [f"{name}_count{tags} {count}", f"{name}_sum{tags} {total:.12g}"]
        return "\n".join(lines) + "\n"


def _labels(metric: Metric, values: tuple[str, ...]) -> str:
    if not metric.labels:
        return ""
    escaped = (value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for value in values)
    return "{" + ",".join(f'{label}="{value}"' for label, value in zip(metric.labels, escaped, strict=True)) + "}"
