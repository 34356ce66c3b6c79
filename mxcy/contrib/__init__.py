"""``mx.contrib``: what stands beside the library proper."""
from mxcy.contrib import amp

__all__ = ["amp"]
