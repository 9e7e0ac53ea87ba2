"""`python -m sql.embedded --data DIR --port N`: the endpoint by itself.

The reader's password comes by the environment, TURNPATH_READER_PASSWORD: a command line is for all to see.
"""

import argparse
import os
import sys
from pathlib import Path

import structlog

from journey.errors import TurnpathError
from sql.embedded import Limits, serve


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def main() -> int:
    """Serve until a signal; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sql.embedded", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the engine's files")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
    parser.add_argument("--port", type=int, default=9000, help="the port; 0 for any free one")
    parser.add_argument("--http", type=_place, help="host:port to listen at for HTTP; port 0 for any free one")
    least = Limits()
    parser.add_argument("--reader-seconds", type=float, default=least.seconds, help="how long a reader's query may run")
    parser.add_argument("--reader-memory", type=int, default=least.memory, help="and how many bytes it may take")
    parser.add_argument("--reader-rows", type=int, default=least.rows, help="and how many rows it may return")
    given = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        serve(
            given.data,
            given.host,
            given.port,
            http=given.http,
            reader_password=os.environ.get("TURNPATH_READER_PASSWORD"),
            limits=Limits(given.reader_seconds, given.reader_memory, given.reader_rows),
            on_ready=lambda *ports: print("ready", *ports, flush=True),
        )
    except TurnpathError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # chDB's own threads do not all end with it
