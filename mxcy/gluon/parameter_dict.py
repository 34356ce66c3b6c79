"""ParameterDict: the parameters of a block, by name."""
from collections import OrderedDict

from mxcy import nd
from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.dtype import dtype_name
from mxcy.gluon.parameter import Constant, Parameter, ParameterError
from mxcy.gluon.utils import _brief, _indent

__all__ = ["ParameterDict"]


class ParameterDict:
    """Parameters by name, in the order of their creation.

    Parameters
    ----------
    prefix : str
        Put before the names of parameters made by `get`.
    shared : ParameterDict, optional
        Where `get` looks for a parameter before it makes one.
    """

    def __init__(self, prefix="", shared=None):
        self._prefix = prefix
        self._shared = shared
        self._params = OrderedDict()

    def __repr__(self):
        lines = "\n".join(_indent(f"  {param}", 2) for param in self.values())
        return f"{self._prefix + ' ' if self._prefix else ''}(\n{lines}\n)"

    def __getitem__(self, key):
        return self._params[key]

    def __iter__(self):
        return iter(self._params)

    def __len__(self):
        return len(self._params)

    def __contains__(self, key):
        return key in self._params

    def items(self):
        """Pairs of name and parameter."""
        return self._params.items()

    def keys(self):
        """Names."""
        return self._params.keys()

    def values(self):
        """Parameters."""
        return self._params.values()

    @property
    def prefix(self):
        """What stands before the name of each parameter that `get` makes."""
        return self._prefix

    # -- building --------------------------------------------------------------------------------------------------

    def _find(self, name):
        if name in self._params:
            return self._params[name]
        if self._shared is not None and name in self._shared:
            self._params[name] = self._shared[name]
            return self._params[name]
        return None

    def get(self, name, **kwargs):
        """The parameter ``prefix + name``; made with ``kwargs`` (see `Parameter`) if it does not exist.

        Raises
        ------
        ValueError
            If it exists and differs from what ``kwargs`` says.
        """
        name = self._prefix + name
        param = self._find(name)
        if param is None:
            param = self._params[name] = Parameter(name, **kwargs)
            return param
        for key, wanted in kwargs.items():
            _reconcile(param, key, wanted)
        return param

    def get_constant(self, name, value=None):
        """The constant ``prefix + name``; made from ``value`` if it does not exist."""
        name = self._prefix + name
        param = self._find(name)
        if param is None:
            if value is None:
                raise KeyError(f"there is no constant {name!r}; pass its value to make it")
            param = self._params[name] = Constant(name, value)
        elif value is not None:
            if not isinstance(param, Constant):
                raise ParameterError(f"{name!r} is a Parameter already, not a Constant")
            value = value if isinstance(value, nd.NDArray) else nd.array(value)
            if value.shape != param.value.shape or (value.asnumpy() != param.value.asnumpy()).any():
                raise ParameterError(f"Constant {name!r} exists already with another value")
        return param

    def update(self, other):
        """Add the parameters of ``other``, a ParameterDict."""
        for name, param in other.items():
            if self._params.setdefault(name, param) is not param:
                raise ParameterError(f"cannot join these ParameterDicts: both have a parameter {name!r}, and they are "
                                     "not the same")

    # -- for all parameters ------------------------------------------------------------------------------------------

    def initialize(self, init=None, ctx=None, verbose=False, force_reinit=False):
        """Initialize all parameters: see `Parameter.initialize`; ``init`` is for those without one of their own.

        ``verbose`` prints what happens to each.
        """
        from mxcy import initializer
        init = initializer.Uniform() if init is None else initializer.create(init)
        if verbose:
            init.set_verbosity(verbose=verbose)
        for param in self.values():
            param.initialize(None, ctx, init, force_reinit=force_reinit)

    def zero_grad(self):
        """Set all gradients to 0."""
        for param in self.values():
            param.zero_grad()

    def reset_ctx(self, ctx):
        """Move all parameters to other devices."""
        for param in self.values():
            param.reset_ctx(ctx)

    def list_ctx(self):
        """All devices that the parameters live on."""
        if not self._params:
            raise MXNetError("list_ctx: there are no parameters")
        return list(dict.fromkeys(ctx for param in self.values() for ctx in param.list_ctx()))

    def setattr(self, name, value):
        """Set an attribute, such as ``grad_req``, of all parameters."""
        for param in self.values():
            setattr(param, name, value)

    # -- files -------------------------------------------------------------------------------------------------------

    def save(self, filename, strip_prefix=""):
        """Write all parameters to a file; ``strip_prefix`` is removed from their names."""
        arrays = {}
        for param in self.values():
            if not param.name.startswith(strip_prefix):
                raise MXNetValueError(f"cannot strip {strip_prefix!r}: the name of Parameter {param.name!r} does not "
                                      "start with it. Block.save_parameters writes structure names instead.")
            arrays[param.name[len(strip_prefix):]] = param._reduce()
        nd.save(filename, arrays)

    def load(self, filename, ctx=None, allow_missing=False, ignore_extra=False, restore_prefix="", cast_dtype=False,
             dtype_source="current"):
        """Read parameters from a file.

        Parameters
        ----------
        filename : str
        ctx : Context or list of Context, optional
            Devices for parameters that have none yet.
        allow_missing : bool
            Whether parameters that the file lacks are left as they are, rather than an error.
        ignore_extra : bool
            Whether arrays that are not parameters here are skipped, rather than an error.
        restore_prefix : str
            Put before the names in the file.
        cast_dtype : bool
            Whether another dtype is converted, rather than an error.
        dtype_source : {'current', 'saved'}
            Which dtype wins in that case.
        """
        for name in self.keys() if restore_prefix else ():
            if not name.startswith(restore_prefix):
                raise ParameterError(f"restore_prefix {restore_prefix!r} is not a prefix of Parameter {name!r}")
        self.load_dict(_named(nd.load(filename), filename), ctx, allow_missing, ignore_extra, restore_prefix, filename,
                       cast_dtype, dtype_source)

    def load_dict(self, param_dict, ctx=None, allow_missing=False, ignore_extra=False, restore_prefix="",
                  filename=None, cast_dtype=False, dtype_source="current"):
        """Take parameters from a dict of arrays; see `load`."""
        where = f"file {filename!r}" if filename else "param_dict"
        loaded = {restore_prefix + _plain(name): array for name, array in param_dict.items()}
        for name in () if allow_missing else self.keys():
            if name not in loaded:
                raise ParameterError(f"Parameter {name!r} is missing in {where}, which has {_brief(loaded)}. "
                                     "Pass allow_missing=True to leave such parameters alone.")
        for name, array in loaded.items():
            if name in self._params:
                self._params[name]._load_init(array, ctx, cast_dtype, dtype_source)
            elif not ignore_extra:
                raise ParameterError(f"{where} has {name!r}, which is not a parameter here; these are "
                                     f"{_brief(self.keys())}. Pass ignore_extra=True to skip it.")


def _named(loaded, filename):
    """A dict of arrays that was read from ``filename``; a list is an error unless it is empty."""
    if isinstance(loaded, dict):
        return loaded
    if loaded:
        raise MXNetTypeError(f"{filename!r} has {len(loaded)} arrays without names, so it is not a file of parameters")
    return {}


def _plain(name):
    """A name in a file, without the prefix of Module's files."""
    return name[4:] if name.startswith(("arg:", "aux:")) else name


def _reconcile(param, key, wanted):
    """Make an existing parameter fit what `ParameterDict.get` asks of it, or raise."""
    present = getattr(param, key, None)
    if wanted is None or not hasattr(param, key):       # the others, such as allow_deferred_init, are about its making
        return
    if present is None:
        setattr(param, key, wanted)
        return
    if key == "shape":
        wanted = (wanted,) if isinstance(wanted, int) else tuple(wanted)
        if len(wanted) == len(present) and all(a == b or a <= 0 or b <= 0 for a, b in zip(wanted, present)):
            param._shape = tuple(a if a > 0 else b for a, b in zip(present, wanted))
            return
    elif key == "dtype" and dtype_name(wanted) == dtype_name(present):
        return
    if wanted != present:
        raise ParameterError(f"Parameter {param.name!r} exists already with {key}={present!r}; {wanted!r} was asked "
                             "for")
