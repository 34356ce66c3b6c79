"""NDArray: the class, its creation, indexing, files and protocols. To users ``mx.ndarray`` is also `mx.nd`."""
from mxcy.ndarray._ndarray import NDArray

__all__ = ["NDArray"]


def __getattr__(name):
    # mx.ndarray is mx.nd to users of MXNet; the namespace stands above this package, so it is found on first use.
    if name.startswith("__"):
        raise AttributeError(name)
    from mxcy import nd
    return getattr(nd, name)
