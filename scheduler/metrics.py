"""How the scheduler's loops fare, for Prometheus; docs/monitoring.md says what each is good for."""

from prometheus_client import Counter, Gauge

#: `loop`: seal, exports; `outcome`: done (what was due, or nothing was), busy (somebody else does it), failed.
TURNS = Counter("turnpath_scheduler_turns", "Looks for what is due, by how they ended", ["loop", "outcome"])
LAST_LOOP = Gauge("turnpath_scheduler_last_loop_timestamp_seconds", "When a loop last came round", ["loop"])
#: Looked at every ten minutes at most: `edge_totals` against `moves`, of today and yesterday.
DIFFERENCES = Gauge("turnpath_counts_differences", "Edges whose incremental count is not that of their moves")
