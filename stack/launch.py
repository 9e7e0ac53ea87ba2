"""`python launch.py PARENT NICE COMMAND…`: become COMMAND, and be killed by the kernel when PARENT is gone.

A program of its own, because code between fork and exec must not run in a process that has threads.
"""

import ctypes
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for the signal, then become the command (same process id)."""
    parent, nice, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before the kernel was asked
        sys.exit(1)
    give_way(nice)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error.strerror}")


def give_way(nice: int) -> None:
    """Leave the processor to others, the more the higher (0 to 19), where they want it too.

    Linux may share it between sessions first (autogroup), and this one is a session of its own: hence both.
    """
    os.nice(nice)
    if nice and sys.platform == "linux":
        for _ in range(10):
            try:
                with open("/proc/self/autogroup", "w") as autogroup:
                    autogroup.write(str(nice))
                break
            except BlockingIOError:  # Linux takes one such wish in 100 ms
                time.sleep(0.11)
            except OSError:  # it has none, or may not be asked
                break


if __name__ == "__main__":
    main()
