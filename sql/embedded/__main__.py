"""`python -m sql.embedded --data DIR --port N`: the endpoint by itself."""

import argparse
import os
import sys
from pathlib import Path

from journey.errors import TurnpathError
from sql.embedded import serve


def main() -> int:
    """Serve until a signal; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sql.embedded", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the engine's files")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
    parser.add_argument("--port", type=int, default=9000, help="the port; 0 for any free one")
    given = parser.parse_args()
    try:
        serve(given.data, given.host, given.port, on_ready=lambda port: print(f"ready {port}", flush=True))
    except TurnpathError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # chDB's own threads do not all end with it
