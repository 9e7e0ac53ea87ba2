"""Waiting for what comes sooner or later, without a test that depends on how fast a machine is."""

import time
from collections.abc import Callable
from pathlib import Path


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Return once `holds` says so; fail after a time that no working machine needs."""
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, f"not so after {seconds:.0f} s"
        time.sleep(0.02)


def running(pid: int) -> bool:
    """Is there a process of that id, dead ones not yet collected left out?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
