"""Block: the base of layers and networks."""
import re
import threading
import warnings
from collections import OrderedDict

from mxcy import nd
from mxcy.base import MXNetTypeError, MXNetValueError, nearest
from mxcy.gluon.parameter import Parameter, ParameterError
from mxcy.gluon.parameter_dict import ParameterDict, _named
from mxcy.gluon.utils import HookHandle, _brief, _Hooks, _indent
from mxcy.name import NameManager, Prefix

__all__ = ["Block"]


class _NameScope:
    """Inside ``with block.name_scope()`` new blocks are named and find shared parameters as children of it."""

    _active = threading.local()

    def __init__(self, block):
        self._block = block
        self._counter = {}
        self._outer = []

    @classmethod
    def place(cls, prefix, params, hint):
        """(full prefix, ParameterDict) of a new block; ``prefix`` and ``params`` are as given to it, or None."""
        scope = getattr(cls._active, "scope", None)
        if scope is None:
            full = NameManager.current.get(None, hint) + "_" if prefix is None else prefix
            parent, shared = full, None
        else:
            if prefix is None:
                number = scope._counter.get(hint, 0)
                scope._counter[hint] = number + 1
                prefix = f"{hint}{number}_"
            full = scope._block.prefix + prefix
            parent, shared = scope._block.params.prefix + prefix, scope._block.params._shared
        if params is not None:
            return full, ParameterDict(params.prefix, params)
        return full, ParameterDict(parent, shared)

    def __enter__(self):
        if self._block._prefix_is_empty:          # its children are named as if it were not there
            self._outer.append(None)
            return self
        names = Prefix(self._block.prefix)
        self._outer.append((getattr(self._active, "scope", None), names))
        self._active.scope = self
        names.__enter__()
        return self

    def __exit__(self, *exc):
        outer = self._outer.pop()
        if outer is not None:
            self._active.scope, names = outer
            names.__exit__(*exc)


class Block:
    """Base class of layers and networks: holds parameters and child blocks, and is called with arrays.

    Assigning a `Block` or a `Parameter` to an attribute registers it.

    Parameters
    ----------
    prefix : str, optional
        Put before the names of parameters and children; by default the class's name in lower case, a number and an
        underscore.
    params : ParameterDict, optional
        Parameters to share: ``Dense(3, params=other.params)``.

    Examples
    --------
    >>> class Net(Block):
    ...     def __init__(self, **kwargs):
    ...         super().__init__(**kwargs)
    ...         with self.name_scope():
    ...             self.hidden = nn.Dense(20)
    ...             self.out = nn.Dense(3)
    ...
    ...     def forward(self, x):
    ...         return self.out(nd.relu(self.hidden(x)))
    """

    def __init__(self, prefix=None, params=None):
        self._prefix_is_empty = prefix == ""
        self._prefix, self._params = _NameScope.place(prefix, params, self._alias())
        self._name = self._prefix.removesuffix("_")
        self._scope = _NameScope(self)
        self._children = OrderedDict()
        self._reg_params = {}
        self._forward_hooks = _Hooks()
        self._forward_pre_hooks = _Hooks()

    def _alias(self):
        return type(self).__name__.lower()

    def __setattr__(self, name, value):
        old = self.__dict__.get(name)
        kind = Block if isinstance(old, Block) else Parameter
        if isinstance(old, (Parameter, Block)) and not isinstance(value, kind):
            raise MXNetTypeError(f"{type(self).__name__}.{name} is a {type(old).__name__} and cannot become a "
                                 f"{type(value).__name__}")
        if isinstance(value, Block):
            self.register_child(value, name)
        elif isinstance(value, Parameter):
            if name in self._reg_params and self._reg_params[name] is not value:
                raise ParameterError(f"{type(self).__name__}.{name} is a parameter already. Replace a shared parameter "
                                     "by passing params= when the block is made.")
            self._reg_params[name] = value
        super().__setattr__(name, value)

    def __repr__(self):
        blocks = [(key, value) for key, value in self.__dict__.items() if isinstance(value, Block)]
        return self._tree(blocks)

    def _tree(self, blocks):
        lines = "\n".join(f"  ({key}): {_indent(repr(block), 2)}" for key, block in blocks)
        return f"{type(self).__name__}(\n{lines}\n)"

    # -- names and parameters ----------------------------------------------------------------------------------------

    @property
    def prefix(self):
        """What the names of this block's parameters start with."""
        return self._prefix

    @property
    def name(self):
        """The prefix without its trailing underscore."""
        return self._name

    def name_scope(self):
        """A ``with`` block in which new blocks are named as children of this one."""
        return self._scope

    @property
    def params(self):
        """This block's own parameters, without those of its children."""
        return self._params

    def collect_params(self, select=None):
        """The parameters of this block and all its descendants.

        Parameters
        ----------
        select : str, optional
            Regular expression for the names wanted.

        Returns
        -------
        ParameterDict
        """
        chosen = ParameterDict(self._params.prefix)
        self._collect(chosen, re.compile(select) if select else None)
        return chosen

    def _collect(self, chosen, pattern):
        self._check_containers()
        if pattern is None:
            chosen.update(self._params)
        else:
            chosen.update({name: param for name, param in self._params.items() if pattern.match(name)})
        for child in self._children.values():
            child._collect(chosen, pattern)

    def _check_containers(self):
        """Warn of blocks that hide in lists and dicts, where they are not registered."""
        children = None
        for key, value in self.__dict__.items():
            if key.startswith("_") or not isinstance(value, (list, tuple, dict)):
                continue
            if children is None:
                children = {id(child) for child in self._children.values()}
            for item in value.values() if isinstance(value, dict) else value:
                if isinstance(item, Block) and id(item) not in children:
                    warnings.warn(f"{type(self).__name__}.{key} holds blocks in a {type(value).__name__}, where they "
                                  "are not registered: their parameters are not collected. Use Sequential, or "
                                  "register_child.",
                                  stacklevel=4)
                    break

    def _structure(self, prefix=""):
        """Parameters by structure name: attribute names, joined by dots."""
        found = {prefix + name: param for name, param in self._reg_params.items()}
        for name, child in self._children.items():
            found.update(child._structure(f"{prefix}{name}."))
        return found

    def initialize(self, init=None, ctx=None, verbose=False, force_reinit=False):
        """Initialize all parameters; see `ParameterDict.initialize`."""
        self.collect_params().initialize(init, ctx, verbose, force_reinit)

    def cast(self, dtype):
        """Convert all parameters to ``dtype``."""
        for child in self._children.values():
            child.cast(dtype)
        for param in self._params.values():
            param.cast(dtype)

    # -- files -------------------------------------------------------------------------------------------------------

    def save_parameters(self, filename, deduplicate=False):
        """Write all parameters to a file, by structure name: ``0.weight``, ``features.1.gamma``.

        Parameters
        ----------
        filename : str
        deduplicate : bool
            Write a shared parameter once, under its first name. Such a file can only be read into a network that
            shares in the same way.
        """
        params = self._structure()
        if deduplicate:
            first = {}
            params = {name: param for name, param in params.items() if first.setdefault(id(param), name) == name}
        nd.save(filename, {name: param._reduce() for name, param in params.items()})

    def load_parameters(self, filename, ctx=None, allow_missing=False, ignore_extra=False, cast_dtype=False,
                        dtype_source="current"):
        """Read parameters that `save_parameters`, ``ParameterDict.save``, ``export`` or Module wrote.

        Parameters
        ----------
        filename : str
        ctx : Context or list of Context, optional
            Devices for parameters that have none yet.
        allow_missing : bool
            Whether parameters that the file lacks are left as they are, rather than an error.
        ignore_extra : bool
            Whether arrays that are not parameters here are skipped, rather than an error.
        cast_dtype : bool
            Whether another dtype is converted, rather than an error.
        dtype_source : {'current', 'saved'}
            Which dtype wins in that case.
        """
        loaded = _named(nd.load(filename), filename)
        params = self._structure()
        if not loaded and not params:
            return
        if not any("." in name for name in loaded):         # full names
            self.collect_params().load_dict(loaded, ctx, allow_missing, ignore_extra, "" if not loaded else
                                            self._missing_prefix(loaded), filename, cast_dtype, dtype_source)
            return
        if not allow_missing:
            # a shared parameter is there if one of its names is
            present = {id(params[name]) for name in loaded if name in params}
            for name, param in params.items():
                if id(param) not in present:
                    raise ParameterError(f"Parameter {name!r} is missing in file {filename!r}, which has "
                                         f"{_brief(loaded)}. Pass allow_missing=True to leave such parameters alone.")
        for name, array in loaded.items():
            if name in params:
                params[name]._load_init(array, ctx, cast_dtype, dtype_source)
            elif not ignore_extra:
                raise ParameterError(f"file {filename!r} has {name!r}, which is not a parameter of this block."
                                     f"{nearest(name, params)} Its parameters are {_brief(params)}. "
                                     "Pass ignore_extra=True to skip it.")

    def _missing_prefix(self, loaded):
        """This block's prefix, if the names in a file lack it (they were saved with ``strip_prefix``)."""
        plain = [name[4:] if name.startswith(("arg:", "aux:")) else name for name in loaded]
        own = self.collect_params()
        return "" if any(name in own for name in plain) else self.prefix

    def save(self, prefix):
        """Write the structure to ``<prefix>-model.json`` and the parameters to ``<prefix>-model.params``."""
        from mxcy.gluon.architecture import save_structure
        save_structure(self, f"{prefix}-model.json")
        self.save_parameters(f"{prefix}-model.params")

    def load(self, prefix):
        """Read the parameters that `save` wrote for a network made in the same way.

        The structures are compared, and what was hybridized then is hybridized.
        """
        from mxcy.gluon.architecture import load_structure
        load_structure(self, f"{prefix}-model.json")
        self.load_parameters(f"{prefix}-model.params")

    save_params = save_parameters
    load_params = load_parameters

    # -- structure -----------------------------------------------------------------------------------------------------

    def register_child(self, block, name=None):
        """Add a child; its parameters become part of this block's."""
        self._children[str(len(self._children)) if name is None else name] = block

    def apply(self, fn):
        """Call ``fn(block)`` for every descendant, children first, and for this block."""
        for child in self._children.values():
            child.apply(fn)
        fn(self)
        return self

    def hybridize(self, active=True, **kwargs):
        """Turn hybridization of all hybrid descendants on or off; see `HybridBlock.hybridize`."""
        for child in self._children.values():
            child.hybridize(active, **kwargs)

    def register_op_hook(self, callback, monitor_all=False):
        """Let all hybrid descendants report the values in their graphs; see `HybridBlock.register_op_hook`."""
        for child in self._children.values():
            child.register_op_hook(callback, monitor_all)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def register_forward_pre_hook(self, hook):
        """Call ``hook(block, inputs)`` before each forward; returns a `HookHandle`."""
        return self._register(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook):
        """Call ``hook(block, inputs, output)`` after each forward; returns a `HookHandle`."""
        return self._register(self._forward_hooks, hook)

    @staticmethod
    def _register(hooks, hook):
        handle = HookHandle()
        handle.attach(hooks, hook)
        return handle

    def __call__(self, *args):
        """Compute the output: `forward`, with the hooks around it."""
        if self._forward_pre_hooks:
            for hook in list(self._forward_pre_hooks.values()):
                hook(self, args)
        out = self.forward(*args)
        if self._forward_hooks:
            for hook in list(self._forward_hooks.values()):
                hook(self, args, out)
        return out

    def forward(self, *args):
        """The computation; each block defines its own."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    def summary(self, *inputs):
        """Print a table of layers, output shapes and numbers of parameters, as found with these ``inputs``."""
        from mxcy.gluon.summary import summarize
        if not inputs:
            raise MXNetValueError("summary: pass example inputs, as to a call")
        print(summarize(self, inputs))
