"""Where NVIDIA's libraries are looked for."""
import importlib.util
import os
from pathlib import Path

__all__ = ["candidates"]


def candidates(variable, name, versions=(13, 12)):
    """Names to open a library by, in the order in which to try them.

    Parameters
    ----------
    variable : str
        Environment variable that, where it is set, gives the only one; empty: none at all.
    name : str
        Such as ``"libcublas"``.
    versions : tuple of int
        Of its interface, as its file's name ends; better ones first.

    Returns
    -------
    list of str
        What the wheels of NVIDIA hold, then what the system's loader finds.
    """
    wanted = os.environ.get(variable)
    if wanted is not None:
        return [wanted] if wanted else []
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in (spec.submodule_search_locations if spec else [])]
    wheels = [str(path) for version in versions for folder in folders
              for path in sorted(folder.glob(f"*/lib/{name}.so.{version}"), reverse=True)]
    return [*wheels, *(f"{name}.so.{version}" for version in versions)]
