"""How the export jobs fare, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

#: `outcome`: done, failed (it will be tried again) or gave_up.
RUNS = Counter("turnpath_export_runs_total", "Attempts of export jobs, by how they ended", ["job", "outcome"])
LAST_DONE = Gauge("turnpath_export_last_success_timestamp_seconds", "When an export job was last done", ["job"])
SECONDS = Histogram(
    "turnpath_export_seconds",
    "How long an attempt of an export job took",
    ["job"],
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800),
)
BYTES = Counter("turnpath_export_bytes_total", "Bytes of workbooks delivered", ["job"])
JOBS = Gauge("turnpath_export_jobs", "Jobs in the file of export jobs")
FILE_OK = Gauge("turnpath_export_jobs_file_ok", "1: the file of export jobs is read; 0: it has errors")
