"""What ``import mxcy`` costs beyond NumPy, in a fresh interpreter."""
import subprocess
import sys
from statistics import median

RUN = """
import time
import numpy
start = time.perf_counter()
import mxcy
print(time.perf_counter() - start)
"""

MEMORY = """
import resource
import numpy
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import mxcy
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def in_new_interpreter(program):
    """The number that ``program`` prints."""
    return float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)


def track_seconds_beyond_numpy():
    """The aim is 0.15 s."""
    in_new_interpreter(RUN)                             # fills the file cache
    return median(in_new_interpreter(RUN) for _ in range(7))


def track_mebibytes_beyond_numpy():
    return in_new_interpreter(MEMORY) / 1024


track_seconds_beyond_numpy.unit, track_mebibytes_beyond_numpy.unit = "s", "MiB"

if __name__ == "__main__":
    print(f"beyond NumPy: {track_seconds_beyond_numpy():.3f} s and {track_mebibytes_beyond_numpy():.1f} MiB")
