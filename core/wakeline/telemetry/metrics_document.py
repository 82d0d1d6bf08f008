"""Writes docs/metrics.md from the table of metrics: ``python -m wakeline.telemetry.metrics_document``."""

from __future__ import annotations

from wakeline.telemetry.counting import NAMES
from wakeline.telemetry.metrics import BOUNDS, METRICS

INTRODUCTION = f"""# Metrics

Written by `python -m wakeline.telemetry.metrics_document > docs/metrics.md`; a test compares the two.

Workers have no port of their own: on a platform of dynos they cannot have one. So each worker counts what it does, and
adds it to totals in Redis: once a beat, and when it leaves. Any program reads the totals of the whole fleet:

- `wakeline metrics` prints them: for a look, a textfile collector, or a scheduled job that pushes. With `--json` it
  prints an object of samples.
- `WAKELINE_METRICS_PORT=9100`, or `host:port`: the supervisor (`wakeline worker`) answers at `/metrics`, on all
  addresses or on that of the host. Let Prometheus scrape one of them: each tells of the whole fleet.
- `app.metrics()`, awaited on `app.aio`, is a `MetricsView` with `.samples`, `.text()` and its `.content_type`,
  such as for a page of your own.

The text is OpenMetrics. [grafana.json](grafana.json) is a dashboard of it, and [alerts.yml](alerts.yml) has rules for
alerts, each with the command to type first.

## How exact they are

- **Each count comes once.** A write that is sent again adds nothing. A worker that leaves in order leaves nothing out.
  One that is killed loses what it counted since its last beat, at most `WAKELINE_BEAT`.
- **`wakeline_started_total` and `wakeline_ended_total` are exact**, also of processes that no worker ended: they are
  counted where processes are kept. Retention counts what it removes.
- **Gauges are of the moment of the scrape.** They cost two round trips.
- **Totals stay with the namespace.** They begin again where its store is emptied, as a counter does at a restart.
- **Names are bounded.** A worker tells {NAMES} names of bodies and steps apart, and counts others as `other`. Ids,
  sessions and labels of processes are no labels of metrics. The store has room for 20,000 series.
- **A replay counts nothing**: neither its effects nor its waits.

`WAKELINE_METRICS=0` turns the counting off. Then workers write nothing of it, and their totals stand still. Counting
takes about 5 % of the processor time that a worker needs for a process of one call, and 8 % for an engine of ten steps
that do nothing.

## The table

Histograms have the bounds {", ".join(f"{bound:g}" for bound in BOUNDS)} seconds. `kind` of a run is `engine`, `tool` or
`turn`; of an effect it is that of the [journal](log.md#what-a-body-has-done).

| metric | type | labels | meaning |
|---|---|---|---|
"""


def markdown() -> str:
    """docs/metrics.md."""
    rows = (
        f"| `{one.name}{'_total' if one.type == 'counter' else ''}` | {one.type} |"
        f" {', '.join(f'`{label}`' for label in one.labels)} | {one.meaning} |"
        for one in METRICS
    )
    return INTRODUCTION + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
