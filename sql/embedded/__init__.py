"""ClickHouse's two protocols in front of chDB: a ClickHouse for one machine, which no client tells from a server."""

from sql.embedded.reader import Limits
from sql.embedded.server import serve

__all__ = ["Limits", "serve"]
