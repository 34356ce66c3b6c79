"""Helpers: splitting batches over devices, clipping gradients, hooks, downloads."""
import os
import warnings
import weakref
from collections import OrderedDict

import numpy as np

from mxcy import nd
from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError

__all__ = ["split_data", "split_and_load", "clip_global_norm", "check_sha1", "download", "replace_file",
           "shape_is_known", "HookHandle"]


def split_data(data, num_slice, batch_axis=0, even_split=True):
    """Cut ``data`` along ``batch_axis`` into ``num_slice`` parts.

    Parameters
    ----------
    data : NDArray
    num_slice : int
        Number of parts.
    batch_axis : int
    even_split : bool
        Whether parts of unequal size are an error.

    Returns
    -------
    list of NDArray

    Raises
    ------
    ValueError
        If the axis is too short, or the parts are uneven and ``even_split`` is set.
    """
    size = data.shape[batch_axis]
    if even_split and size % num_slice:
        raise MXNetValueError(f"data of shape {data.shape} cannot be split evenly into {num_slice} parts along axis "
                              f"{batch_axis}. Use a batch size that is a multiple of {num_slice}, or "
                              "even_split=False.")
    if size < num_slice:
        raise MXNetValueError(f"data of shape {data.shape} has fewer than {num_slice} items along axis {batch_axis}; "
                              "use a larger batch or fewer devices.")
    # the first size % num_slice parts have one item more
    ends = [(i + 1) * (size // num_slice) + min(i + 1, size % num_slice) for i in range(num_slice)]
    starts = [0, *ends[:-1]]
    if batch_axis == 0:
        return [data[i:j] for i, j in zip(starts, ends)]
    return [nd.slice_axis(data, axis=batch_axis, begin=i, end=j) for i, j in zip(starts, ends)]


def split_and_load(data, ctx_list, batch_axis=0, even_split=True):
    """Cut ``data`` (NDArray or NumPy array) along ``batch_axis`` and put one part on each device of ``ctx_list``."""
    if not isinstance(data, nd.NDArray):
        data = nd.array(data, ctx=ctx_list[0])
    if len(ctx_list) == 1:
        return [data.as_in_context(ctx_list[0])]
    parts = split_data(data, len(ctx_list), batch_axis, even_split)
    return [part.as_in_context(ctx) for part, ctx in zip(parts, ctx_list)]


def clip_global_norm(arrays, max_norm, check_isfinite=True):
    """Scale ``arrays`` in place so that their joint 2-norm is at most ``max_norm`` [1]_.

    Parameters
    ----------
    arrays : list of NDArray
        Any shapes; may live on several devices.
    max_norm : float
        Largest norm allowed, > 0.
    check_isfinite : bool
        Wait for the norm, warn if it is infinite or NaN, and return it as a float. If False, nothing waits.

    Returns
    -------
    float or NDArray
        The norm before scaling; an array of shape (1,) if ``check_isfinite`` is False.

    References
    ----------
    .. [1] Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.
    """
    if not arrays:
        raise MXNetValueError("clip_global_norm: got no arrays")
    ctx = arrays[0].context
    squares = [nd.dot(flat, flat).as_in_context(ctx) for flat in (a.reshape((-1,)).astype("float32") for a in arrays)]
    total = nd.sqrt(nd.add_n(*squares))
    if check_isfinite:
        total = float(total.asscalar())
        if not np.isfinite(total):
            warnings.warn(f"clip_global_norm: the norm of the gradients is {total}; clipping will not help",
                          stacklevel=2)
        scale = max_norm / (total + 1e-8)
        if scale < 1:
            for a in arrays:
                a *= scale
        return total
    scale = nd.minimum(max_norm / (total + 1e-8), 1.)
    for a in arrays:
        a *= scale.astype(a.dtype).as_in_context(a.context)
    return total.reshape((1,))


def check_sha1(filename, sha1_hash):
    """Whether the file's SHA-1 is ``sha1_hash`` (hexadecimal)."""
    import hashlib
    with open(filename, "rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest() == sha1_hash


def replace_file(src, dst):
    """Move ``src`` over ``dst`` in one step, so that no reader sees half a file."""
    os.replace(src, dst)


def download(url, path=None, overwrite=False, sha1_hash=None, retries=5, verify_ssl=True):
    """Fetch ``url`` unless the file is there already with the right hash.

    Parameters
    ----------
    url : str
    path : str, optional
        File or folder to write; by default the last part of ``url``, in the working folder.
    overwrite : bool
        Fetch again even if the file is there.
    sha1_hash : str, optional
        Expected SHA-1, hexadecimal. Without it the content is not checked.
    retries : int
        How often to try again after a failure.
    verify_ssl : bool
        Whether to check the server's certificate.

    Returns
    -------
    str
        The path of the file.
    """
    name = url.rstrip("/").split("/")[-1]
    if path is None:
        path = name
    else:
        path = os.path.expanduser(path)
        if os.path.isdir(path):
            path = os.path.join(path, name)
    if not overwrite and os.path.exists(path) and (sha1_hash is None or check_sha1(path, sha1_hash)):
        return path
    import pooch
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    if os.path.exists(path):
        os.remove(path)
    fetch = pooch.HTTPDownloader(verify=verify_ssl)
    for attempt in range(retries + 1):
        try:
            return pooch.retrieve(url, f"sha1:{sha1_hash}" if sha1_hash else None, name, folder, downloader=fetch)
        except Exception as error:          # requests raises many kinds, pooch ValueError for a wrong hash
            if attempt == retries:
                raise MXNetError(f"could not download {url} to {path} after {retries + 1} tries: {error}") from error


def shape_is_known(shape):
    """Whether a parameter's shape has no unknown axis (0 or -1)."""
    return shape is not None and all(size > 0 for size in shape)


class HookHandle:
    """A hook's registration; `detach` it, or use it as a ``with`` block."""

    def __init__(self):
        self._hooks_ref = None
        self._id = None

    def attach(self, hooks_dict, hook):
        """Put ``hook`` into the dict ``hooks_dict``."""
        if self._hooks_ref is not None:
            raise MXNetTypeError("this HookHandle is attached to a hook already; make another")
        self._id = id(hook)
        hooks_dict[self._id] = hook
        self._hooks_ref = weakref.ref(hooks_dict)

    def detach(self):
        """Remove the hook."""
        hooks = self._hooks_ref()
        if hooks is not None:
            hooks.pop(self._id, None)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.detach()


class _Hooks(OrderedDict):
    """A dict that can be weakly referenced."""


def _brief(names, limit=7):
    """Names for a message, the middle ones left out."""
    names = [repr(name) for name in names]
    if len(names) > limit:
        names = [*names[:limit // 2], "...", *names[-(limit // 2):]]
    return ", ".join(names)


def _indent(text, spaces):
    """``text`` with all lines but the first moved to the right."""
    return text.replace("\n", "\n" + " " * spaces)
