"""Runs a command and ends all of its processes, also those that it has left behind.

    keeper.py COMMAND...

On SIGTERM, or when whoever started this has died, the command gets SIGTERM and some seconds; then
whatever is left is killed. Daemons are found, too: this process adopts the orphans among its
descendants.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time

import psutil

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GRACE_S = 10.0
POLL_S = 0.05


def stop(*_: object) -> None:
    """Leave the wait in main."""
    raise SystemExit(0)


def kill_descendants() -> None:
    """Until there are none: those that are killed may have children."""
    while children := psutil.Process().children(recursive=True):
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        reap()


def reap() -> None:
    """Take what has ended from the table of processes."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
    time.sleep(POLL_S)


def main(command: list[str]) -> None:
    """Run the command to its end, or to SIGTERM."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, stop)
    process = subprocess.Popen(command)
    code = 0
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
        kill_descendants()
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
