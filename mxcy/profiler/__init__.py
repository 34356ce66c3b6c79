"""The profiler, with MXNet's face: what ran when, as a trace for https://ui.perfetto.dev and as a table."""
import atexit
import os
import threading

from mxcy.base import MXNetTypeError, MXNetValueError, nearest
from mxcy.engine import _profile
from mxcy.profiler import report
from mxcy.profiler.marks import MARKS, Counter, Domain, Event, Frame, Marker, Task

__all__ = ["Counter", "Domain", "Event", "Frame", "Marker", "Task", "dump", "dump_profile", "dumps", "pause",
           "profiler_set_config", "profiler_set_state", "resume", "set_config", "set_kvstore_handle", "set_state",
           "start", "stop"]

#: What the ``profile_*`` options ask the engine to record.
_BITS = {"profile_imperative": 1, "profile_symbolic": 2, "profile_memory": 4, "profile_api": 8}
_ALL = sum(_BITS.values())
_USUAL = _BITS["profile_imperative"] | _BITS["profile_symbolic"]

_config = {"filename": "profile.json", "profile_all": False, "aggregate_stats": False, "continuous_dump": False,
           "dump_period": 1., **dict.fromkeys(_BITS, False)}
_IGNORED = {"profile_process", "gpu_memory_profile_filename_prefix", "use_nvml"}
_running = _dumped = False
_timer = None


def set_config(**kwargs):
    """Say what to record and where it goes.

    Parameters
    ----------
    **kwargs
        ``filename``: where `dump` writes the trace, ``"profile.json"`` by default.
        ``profile_imperative``: record operators that are called one by one.
        ``profile_symbolic``: record plans (of symbols, of hybridized blocks) and each of their steps.
        ``profile_memory``: record how much memory arrays take.
        ``profile_api``: record where Python waits for results.
        ``profile_all``: all of these. Without any, operators and plans are recorded.
        ``continuous_dump``, ``dump_period``: write the file every so many seconds (1 by default) while it runs.
        ``aggregate_stats``: taken for MXNet's sake; `dumps` always works.

    Examples
    --------
    >>> import mxcy as mx
    >>> mx.profiler.set_config(profile_all=True, filename="trace.json")
    """
    if "contiguous_dump" in kwargs:                     # how MXNet once spelled it
        kwargs["continuous_dump"] = kwargs.pop("contiguous_dump")
    for name in kwargs:
        if name not in _config and name not in _IGNORED:
            raise MXNetTypeError(f"set_config: unknown option {name!r}.{nearest(name, _config)} It takes "
                                 f"{', '.join(_config)}.")
    _config.update({name: value for name, value in kwargs.items() if name in _config})
    if _running:
        _profile.switch(_bits())


def _bits():
    if _config["profile_all"]:
        return _ALL
    return sum(bit for name, bit in _BITS.items() if _config[name]) or _USUAL


def set_state(state="stop", profile_process="worker"):
    """Start or stop recording.

    Parameters
    ----------
    state : str
        ``"run"`` or ``"stop"``. A run that follows a finished `dump` begins a new trace.
    profile_process : str
        Only ``"worker"``, this process, is possible.
    """
    global _running, _dumped
    if state not in ("run", "stop"):
        raise MXNetValueError(f"set_state: state is {state!r}; expected 'run' or 'stop'")
    _running = state == "run"
    if _running and _dumped:
        _forget()
        _dumped = False
    _switch(_running)


def _switch(on):
    global _timer
    MARKS.on = on
    _profile.switch(_bits() if on else 0)
    if _timer is not None:
        _timer.set()
        _timer = None
    if on and _config["continuous_dump"]:
        _timer = threading.Event()
        threading.Thread(target=_write_often, args=(_timer,), daemon=True, name="mxcy profiler").start()


def _write_often(over):
    while not over.wait(float(_config["dump_period"])):
        dump(finished=False)


def start(profile_process="worker"):
    """Start recording: ``set_state("run")``."""
    set_state("run", profile_process)


def stop(profile_process="worker"):
    """Stop recording: ``set_state("stop")``."""
    set_state("stop", profile_process)


def pause(profile_process="worker"):
    """Record nothing until `resume`."""
    _switch(False)


def resume(profile_process="worker"):
    """Go on after `pause`; nothing happens if the profiler was not running."""
    if _running:
        _switch(True)


def dump(finished=True, profile_process="worker"):
    """Write the trace, JSON in Chrome's format, to the file that `set_config` names.

    Parameters
    ----------
    finished : bool
        Whether the trace is complete: the next ``set_state("run")`` begins a new one.
    profile_process : str
        Only ``"worker"``, this process, is possible.
    """
    global _dumped
    report.write(report.trace(_profile.events(), MARKS.taken(), _profile.dropped()), _config["filename"])
    _dumped = finished


def dumps(reset=False, format="table", sort_by="total", ascending=False):
    """Totals by name of what was recorded.

    Parameters
    ----------
    reset : bool
        Forget what was recorded.
    format : str
        ``"table"`` or ``"json"``.
    sort_by : str
        ``"total"``, ``"avg"``, ``"min"``, ``"max"`` or ``"count"``.
    ascending : bool
        Smallest first.

    Returns
    -------
    str
    """
    if format not in report.FORMATS:
        raise MXNetValueError(f"dumps: format is {format!r}; expected one of {', '.join(report.FORMATS)}")
    if sort_by not in report.COLUMNS:
        raise MXNetValueError(f"dumps: sort_by is {sort_by!r}; expected one of {', '.join(report.COLUMNS)}")
    text = report.FORMATS[format](report.totals(_profile.events(), MARKS.taken(), sort_by, ascending))
    if reset:
        _forget()
    return text


def _forget():
    _profile.clear()
    MARKS.clear()


# -- older names -------------------------------------------------------------------------------------------------------

def profiler_set_config(mode="symbolic", filename="profile.json"):
    """Old spelling of `set_config`; ``mode`` is ``"symbolic"`` or ``"all"``."""
    set_config(profile_symbolic=True, profile_all=mode == "all", filename=filename)


def profiler_set_state(state="stop"):
    """Old spelling of `set_state`."""
    set_state(state)


def dump_profile():
    """Old spelling of `dump`."""
    dump(True)


def set_kvstore_handle(handle):
    """Of use in distributed MXNet only."""


if os.environ.get("MXNET_PROFILER_AUTOSTART", "0") not in ("", "0"):
    set_config(profile_all=os.environ.get("MXNET_PROFILER_MODE", "0") != "0")
    set_state("run")
    atexit.register(dump)
