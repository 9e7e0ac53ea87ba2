"""How the seal by the clock fares, for Prometheus."""

from prometheus_client import Counter, Gauge

#: `outcome`: sealed, or failed (it will be tried again).
SEALS = Counter("turnpath_seal_days_total", "Seals by the scheduler, by how they ended", ["outcome"])
LAST_SEALED = Gauge("turnpath_seal_last_success_timestamp_seconds", "When the scheduler last sealed a day")
ROOMS = Gauge("turnpath_seal_rooms", "Rooms of the day that was sealed last")
