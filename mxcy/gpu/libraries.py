"""Where NVIDIA's libraries are looked for."""
import importlib.util
import os
from pathlib import Path

__all__ = ["candidates"]


def candidates(variable, name):
    """Names to open a library by, in the order in which to try them.

    Parameters
    ----------
    variable : str
        Environment variable that, where it is set, gives the only one; empty: none at all.
    name : str
        Such as ``"libcublas"``.

    Returns
    -------
    list of str
        What the wheels of NVIDIA hold, then what the system's loader finds; of CUDA 13, then of CUDA 12.
    """
    wanted = os.environ.get(variable)
    if wanted is not None:
        return [wanted] if wanted else []
    spec = importlib.util.find_spec("nvidia")
    wheels = [path for folder in (spec.submodule_search_locations if spec else [])
              for path in Path(folder).glob(f"*/lib/{name}.so.1[23]")]
    return [*map(str, sorted(wheels, key=lambda path: path.name, reverse=True)), f"{name}.so.13", f"{name}.so.12"]
