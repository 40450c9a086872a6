"""What this process takes of the machine."""

import resource
import sys


def peak_process_bytes() -> int:
    """The most memory that this process has had resident at one time."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts KiB, macOS bytes (getrusage(2)).
    return peak if sys.platform == "darwin" else peak * 1024
