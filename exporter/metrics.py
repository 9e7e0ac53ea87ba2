"""How the export jobs fare, for Prometheus; docs/monitoring.md says what each is good for.

The label is `export_job`, since `job` is Prometheus' own name for what it scrapes.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

#: `outcome`: done, failed (it will be tried again) or gave_up.
RUNS = Counter("turnpath_export_runs_total", "Attempts of export jobs, by how they ended", ["export_job", "outcome"])
LAST_DONE = Gauge("turnpath_export_last_success_timestamp_seconds", "When an export job was last done", ["export_job"])
SECONDS = Histogram(
    "turnpath_export_seconds",
    "How long an attempt of an export job took",
    ["export_job"],
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800),
)
ROWS = Counter("turnpath_export_rows_total", "Rows of workbooks delivered", ["export_job"])
BYTES = Counter("turnpath_export_bytes_total", "Bytes of workbooks delivered", ["export_job"])
#: `kind`: folder, url, mail; `outcome`: delivered or failed.
DELIVERIES = Counter("turnpath_export_deliveries", "Workbooks brought to where they go", ["kind", "outcome"])
JOBS = Gauge("turnpath_export_jobs", "Jobs in the file of export jobs")
FILE_OK = Gauge("turnpath_export_jobs_file_ok", "1: the file of export jobs is read; 0: it has errors")

OUTCOMES = ("done", "failed", "gave_up")

for _kind in ("folder", "url", "mail"):
    for _outcome in ("delivered", "failed"):
        DELIVERIES.labels(_kind, _outcome)


def expect(jobs: Iterable[str]) -> None:
    """These jobs will run. A counter that appears with its first failure shows no increase by it."""
    for job in jobs:
        for outcome in OUTCOMES:
            RUNS.labels(job, outcome)


@contextmanager
def delivering(kind: str) -> Iterator[None]:
    """A delivery: it is done when the body is, and failed where that raises."""
    try:
        yield
    except Exception:
        DELIVERIES.labels(kind, "failed").inc()
        raise
    DELIVERIES.labels(kind, "delivered").inc()
