"""ClickHouse's native protocol in front of chDB: a ClickHouse for one machine, which no client tells from a server."""

from sql.embedded.server import serve

__all__ = ["serve"]
