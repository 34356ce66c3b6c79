"""Optimizer states in files.

States alone are written as MXNet writes them: a pickle of a dict of arrays. States with the optimizer's settings have
our own form, an NDArray file (`mxcy.nd.save`): the arrays by position, and one array of bytes, ``json``, that tells
their structure and holds the settings. Nothing in it is executed. Pickles are read by an unpickler that admits arrays,
numbers, texts, lists, tuples and dicts, and takes an optimizer as a dict of its settings.
"""
import io
import json
import pickle
import struct

import numpy as np

from mxcy import lr_scheduler, nd
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.ndarray.serialization import LIST_MAGIC, array_from_record, record_of, write_list
from mxcy.optimizer.optimizer import Optimizer

#: Attributes of an optimizer that belong to the run that it is in, not to its settings.
_NOT_SETTINGS = {"param_dict", "sym_info", "_index_update_count", "allow_np_array"}


# -- our form ----------------------------------------------------------------------------------------------------------

def dumps(states, optimizer):
    """``states`` (dict of index to None, array, or tuples of these) and the optimizer's settings as bytes."""
    arrays = []

    def outline(state):
        if isinstance(state, nd.NDArray):
            arrays.append(state)
            return len(arrays) - 1
        return None if state is None else [outline(part) for part in state]

    head = {"states": [[index, outline(state)] for index, state in states.items()],
            "optimizer": settings_of(optimizer)}
    text = np.frombuffer(json.dumps(head).encode(), "uint8")
    file = io.BytesIO()
    write_list(file, [nd.array(text, dtype="uint8"), *arrays], ["json", *map(str, range(len(arrays)))])
    return file.getvalue()


def loads(content):
    """(states, settings of the optimizer or None) from bytes of `dumps` or of MXNet."""
    if content[:8] != LIST_MAGIC.to_bytes(8, "little"):
        return _from_pickle(content)
    arrays = nd.load_frombuffer(content)
    if not isinstance(arrays, dict) or "json" not in arrays:
        raise MXNetValueError("these are arrays, but not states of an optimizer: there is no entry 'json'")

    def fill(outline):
        if isinstance(outline, list):
            return tuple(fill(part) for part in outline)
        return None if outline is None else arrays[str(outline)]

    try:
        head = json.loads(arrays["json"].asnumpy().tobytes())
        states = {index if isinstance(index, int) else str(index): fill(outline) for index, outline in head["states"]}
        return states, head["optimizer"]
    except (KeyError, TypeError, ValueError) as error:
        raise MXNetValueError(f"the states of the optimizer are damaged: {error!r}") from error


def settings_of(optimizer):
    """An optimizer as its registered name, its attributes and its schedule, for JSON."""
    attributes = {key: value for key, value in vars(optimizer).items() if key not in _NOT_SETTINGS}
    schedule = attributes.pop("lr_scheduler")
    return {"name": type(optimizer).__name__.lower(), "attributes": _plain(attributes, type(optimizer).__name__),
            "lr_scheduler": schedule and {"name": type(schedule).__name__,
                                          "attributes": _plain(vars(schedule), type(schedule).__name__)}}


def _plain(value, where):
    """``value`` as JSON can hold it: dicts as lists of pairs, as their keys may be numbers."""
    if isinstance(value, dict):
        return {"pairs": [[key, _plain(item, f"{where}.{key}")] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_plain(item, where) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    raise MXNetTypeError(f"{where} is a {type(value).__name__}: only numbers, texts, lists and dicts of an optimizer "
                         "can be saved. Save the states without the optimizer (dump_optimizer=False).")


def _unplain(value):
    if isinstance(value, dict):
        return {key: _unplain(item) for key, item in value["pairs"]}
    return [_unplain(item) for item in value] if isinstance(value, list) else value


def restore(settings, current):
    """The optimizer that ``settings`` describe; parameters and names are those of the optimizer ``current``.

    A schedule that mxcy does not know is an error, unless ``current`` has one of that name, which is then kept.
    """
    try:
        optimizer = _revive(Optimizer.opt_registry.get(settings["name"]), settings)
        optimizer.__dict__.update(param_dict=current.param_dict, sym_info=current.sym_info,
                                  lr_scheduler=_schedule(settings["lr_scheduler"], current.lr_scheduler))
        optimizer._set_current_context(0)
    except (AttributeError, KeyError, TypeError) as error:
        raise MXNetValueError(f"the settings of the optimizer are damaged: {error!r}") from error
    return optimizer


def _schedule(settings, current):
    if settings is None:
        return None
    if current is not None and type(current).__name__ == settings["name"]:
        return _revive(type(current), settings)
    known = settings["name"] in lr_scheduler.__all__
    return _revive(getattr(lr_scheduler, settings["name"]) if known else None, settings)


def _revive(kind, settings):
    """An object of the class ``kind`` with the attributes of ``settings``, none of which may hide a method."""
    if kind is None:
        raise MXNetValueError(f"the states were saved with {settings['name']!r}, which is not known here: register "
                              "such an optimizer, or give the optimizer such a schedule, before loading")
    attributes = _unplain(settings["attributes"])
    for name in attributes:
        if callable(getattr(kind, name, None)):
            raise MXNetValueError(f"the states set {kind.__name__}.{name}, which is a method")
    revived = object.__new__(kind)
    revived.__dict__.update(attributes)
    return revived


# -- MXNet's form ------------------------------------------------------------------------------------------------------

def pickled(states):
    """``states`` as the pickle that MXNet reads. It names MXNet's classes, so it is put together by hand."""
    items = b"".join(_pickled(index) + _pickled(state) for index, state in states.items())
    return pickle.PROTO + b"\x04" + pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS + pickle.STOP


def _pickled(value):
    """The instructions that put ``value`` on the stack: an array, None, an index or a tuple of these."""
    if value is None:
        return pickle.NONE
    if isinstance(value, int):
        return pickle.BININT + struct.pack("<i", value)
    if isinstance(value, str):
        text = value.encode()
        return pickle.BINUNICODE + struct.pack("<I", len(text)) + text
    if isinstance(value, (tuple, list)):
        return pickle.MARK + b"".join(map(_pickled, value)) + pickle.TUPLE
    record = record_of(value)
    size = pickle.BINBYTES + struct.pack("<I", len(record)) if len(record) < 1 << 32 else \
        pickle.BINBYTES8 + struct.pack("<Q", len(record))
    array = pickle.GLOBAL + b"mxnet.ndarray.ndarray\nNDArray\n" + pickle.NONE + pickle.TUPLE1 + pickle.REDUCE
    content = pickle.GLOBAL + b"builtins\nbytearray\n" + size + record + pickle.TUPLE1 + pickle.REDUCE
    return array + pickle.EMPTY_DICT + _pickled("handle") + content + pickle.SETITEM + pickle.BUILD


class _SavedArray:
    """What the pickle of an NDArray becomes while it is read."""

    def __init__(self, handle=None):
        pass

    def __setstate__(self, state):
        self.array = array_from_record(bytes(state["handle"]))


class _SavedObject:
    """What the pickle of an optimizer or a schedule becomes while it is read: its class's name and its attributes."""

    name = None

    def __setstate__(self, state):
        self.attributes = state


class _Unpickler(pickle.Unpickler):
    """Makes nothing but arrays and plain values: no name in the file is imported."""

    def find_class(self, module, name):
        if (module, name) in (("mxnet.ndarray.ndarray", "NDArray"), ("mxnet.ndarray", "NDArray")):
            return _SavedArray
        if (module, name) in (("builtins", "bytearray"), ("__builtin__", "bytearray")):
            return bytearray
        if module in ("mxnet.optimizer.optimizer", "mxnet.optimizer", "mxnet.lr_scheduler"):
            return type(name, (_SavedObject,), {"name": name})
        if (module, name) == ("_codecs", "encode"):             # bytes in pickles of Python 2's protocol
            return _latin1
        raise MXNetValueError(f"the states hold a {module}.{name}; only arrays, numbers, texts, tuples, dicts and "
                              "MXNet's own optimizers are read")

    def persistent_load(self, pid):
        raise MXNetValueError("the states refer to something outside the file")


def _latin1(text, encoding):
    return text.encode("latin1")


def _from_pickle(content):
    try:
        loaded = _Unpickler(io.BytesIO(content)).load()
    except MXNetValueError:
        raise
    except Exception as error:              # a damaged pickle raises nearly anything
        raise MXNetValueError(f"these are not states of an optimizer: {error!r}") from error
    states, optimizer = loaded if isinstance(loaded, tuple) and len(loaded) == 2 else (loaded, None)
    if not isinstance(states, dict):
        raise MXNetValueError(f"expected a dict of states, the file holds a {type(states).__name__}")
    return {index: _arrays(state) for index, state in states.items()}, optimizer and _settings(optimizer)


def _arrays(state):
    if isinstance(state, _SavedArray):
        return state.array
    if isinstance(state, (tuple, list)):
        return tuple(_arrays(part) for part in state)
    if state is None:
        return None
    raise MXNetValueError(f"a state is a {type(state).__name__}; expected an array, a tuple of them or None")


def _settings(saved):
    """The settings, as of `settings_of`, of an optimizer from a pickle."""
    if not isinstance(saved, _SavedObject):
        raise MXNetValueError(f"expected an optimizer beside the states, the file holds a {type(saved).__name__}")
    attributes = {key: value for key, value in saved.attributes.items() if key not in _NOT_SETTINGS}
    schedule = attributes.pop("lr_scheduler", None)
    return {"name": saved.name.lower(), "attributes": _plain(attributes, saved.name),
            "lr_scheduler": schedule and {"name": schedule.name,
                                          "attributes": _plain(schedule.attributes, schedule.name)}}
