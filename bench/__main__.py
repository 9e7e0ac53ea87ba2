"""`make bench`: every measurement, one after the other; each also runs alone (python -m bench.NAME --help)."""

import subprocess
import sys

MEASUREMENTS = ("bench.ingest", "bench.latency", "bench.today", "bench.rooms_now", "bench.export", "bench.seal")

if __name__ == "__main__":
    for name in MEASUREMENTS:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", name], check=True)
