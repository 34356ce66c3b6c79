"""Operator: one row of the table. Everything else about an operator is derived from its row."""
import inspect
import re

from mxcy.base import MXNetTypeError, MXNetValueError, nearest
from mxcy.ops.param import REQUIRED, Param

__all__ = ["REGISTRY", "ZERO", "Operator", "lookup"]

#: Every operator by each of its names.
REGISTRY = {}

LATER_SECTIONS = re.compile(r"^(Notes|References|Examples)\n-+$", re.MULTILINE)


def ZERO(F, g):
    """Gradient rule of an operator whose derivative is zero wherever it exists."""
    return None


class Operator:
    """A named function of arrays.

    Parameters
    ----------
    name : str
        The registered name, as it stands in symbol files.
    inputs : str
        Names of the input arrays, separated by spaces. ``*data``: any number of arrays, given as positional
        arguments. A name that ends in ``?`` may be absent: see `inputs_given`.
    doc : str
        A sentence or more; the sections on inputs and parameters are made from the declaration.
    outputs : str
        Names of the outputs. An operator whose number of outputs depends on its parameters says so with
        `outputs_given`.
    visible : int, optional
        How many of the outputs users see; the others serve the gradient. All, if not given.
    aliases : sequence of str
        Other registered names.
    aux : sequence of str
        Inputs that are auxiliary states, such as moving averages.
    mutates : sequence of str
        Inputs that the kernel changes, such as an optimizer's momentum. A variadic operator says so with
        `changes_given`.
    scalar : float, optional
        The operator takes the number ``scalar``, this one by default; it reaches the kernel as ``Call.scalar`` and is
        never cached.
    random : bool
        The kernel draws random numbers: it gets its own range of Philox counters.
    **params : Param
        Typed parameters, in the order of the signature.

    Notes
    -----
    Rules are plain functions. A rule receives what it names: inputs (their shapes in `infer_shape`, their dtypes in
    `infer_type`, the arrays in `gradient`), parameters, and in gradients ``F`` (the namespace to compute in), ``g``
    (gradient of the first output), ``gs`` (of all visible outputs, None where there is none), outputs by name.
    """

    def __init__(self, name, inputs, doc, *, outputs="out", visible=None, aliases=(), aux=(), mutates=(),
                 scalar=None, random=False, **params):
        self.name, self.doc, self.aliases = name, inspect.cleandoc(doc), tuple(aliases)
        names = inputs.split()
        self.variadic = bool(names) and names[0].startswith("*")
        self.inputs = tuple(n.strip("*?") for n in names)
        self.optional_inputs = tuple(n[:-1] for n in names if n.endswith("?"))
        self.outputs = tuple(outputs.split())
        self.visible = len(self.outputs) if visible is None else visible
        self.aux, self.mutates = tuple(aux), tuple(mutates)
        self.scalar, self.random = scalar, random
        for key, param in params.items():
            if not isinstance(param, Param):
                raise MXNetTypeError(f"{name}: parameter {key} must be a Param, not {param!r}")
        self.params = params
        self.rules = {}
        self.cpu_kernel = self.cpu_rule = None
        for key in (name, *self.aliases):
            if key in REGISTRY:
                raise MXNetValueError(f"operator {key} is declared twice")
            REGISTRY[key] = self

    def __repr__(self):
        return f"<Operator {self.name}>"

    # -- rules ---------------------------------------------------------------------------------------------------

    def rule(self, kind, function):
        """Attach ``function`` as the rule of that kind; returns it, so that it serves as a decorator."""
        if kind in self.rules:
            raise MXNetValueError(f"{self.name} has a rule for {kind} already")
        self.rules[kind] = function
        return function

    def infer_shape(self, function):
        """Rule: shapes of the outputs from shapes of the inputs.

        Returns the shape of the only output, a list of shapes, or a dict by name that may also hold shapes which
        the inputs must have (``weight=(...)``). In symbolic use an input that is not known yet comes as None.
        """
        return self.rule("infer_shape", function)

    def infer_inputs(self, function):
        """Rule: shapes that inputs must have, of what is known of inputs and of the first output, ``out``.

        Only symbols are inferred backwards. What is unknown comes as None, an unknown size as 0. Returns a list, or a
        dict by name.
        """
        return self.rule("infer_inputs", function)

    def infer_type(self, function):
        """Rule: dtype names of the outputs from those of the inputs; by default all have the dtype of the first."""
        return self.rule("infer_type", function)

    def gradient(self, function):
        """Rule: gradients of the inputs, one or a tuple of arrays and Nones, made of operators of ``F``."""
        return self.rule("gradient", function)

    def inputs_given(self, function):
        """Rule: names of the inputs that are present, as a string, from the parameters."""
        return self.rule("inputs_given", function)

    def outputs_given(self, function):
        """Rule: (number of outputs, number of visible ones) from the parameters."""
        return self.rule("outputs_given", function)

    def changes_given(self, function):
        """Rule: positions of the inputs that the kernel changes, from the parameters and ``num_inputs``."""
        return self.rule("changes_given", function)

    def inplace(self, function):
        """Rule: positions of the inputs that plans may let the first output overwrite, where not all can be.

        Without this rule it is all inputs of its size or none, as the kernel says.
        """
        return self.rule("inplace", function)

    def check(self, function):
        """Rule: raises for parameters that do not go together."""
        return self.rule("check", function)

    def compose(self, function):
        """Rule: the operator as an expression of others, instead of a kernel and a gradient: ``(F, *inputs, ...)``."""
        return self.rule("compose", function)

    def pairwise(self, function):
        """Rule: name of the operator of two inputs that, applied from the first input to the last, does the same."""
        return self.rule("pairwise", function)

    @property
    def cpu(self):
        """The compiled Kernel; or a function that chooses one, of the parameters it names."""
        return self.cpu_kernel or self.cpu_rule

    @cpu.setter
    def cpu(self, kernel):
        if callable(kernel):
            self.cpu_rule = kernel
        else:
            self.cpu_kernel = kernel

    def kernel(self, params):
        """The CPU Kernel for these parsed parameters."""
        if self.cpu_kernel is not None:
            return self.cpu_kernel
        if self.cpu_rule is None:
            raise MXNetTypeError(f"{self.name} has no cpu rule")
        return call_rule(self.cpu_rule, params)

    # -- parameters and inputs -------------------------------------------------------------------------------------

    def parse(self, given):
        """A full dict of parsed parameters from a dict of given ones; unknown or missing ones raise."""
        parsed = {}
        for key, param in self.params.items():
            if key in given:
                parsed[key] = param.parse(given[key], f"{self.name}: {key}")
            elif param.default is REQUIRED:
                raise MXNetTypeError(f"{self.name}: parameter {key} is missing; expected {param.describe()}")
            else:
                parsed[key] = param.default
        for key in given:
            if key not in self.params and not (key.startswith("__") and key.endswith("__")):     # attributes of symbols
                known = [*self.inputs, *self.params]
                raise MXNetTypeError(f"{self.name}: unknown parameter {key!r}.{nearest(key, known)} "
                                     f"It takes {', '.join(known) or 'none'}.")
        if "check" in self.rules:
            call_rule(self.rules["check"], parsed)
        return parsed

    def input_names(self, params, count=None):
        """Names of the inputs for parsed parameters; ``count`` is the number of arrays of a variadic operator."""
        if self.variadic:
            return tuple(f"{self.inputs[0]}{i}" for i in range(count))
        if "inputs_given" in self.rules:
            return tuple(call_rule(self.rules["inputs_given"], params).split())
        return self.inputs

    def output_counts(self, params, count=None):
        """(number of outputs, number of visible ones)."""
        if "outputs_given" in self.rules:
            return call_rule(self.rules["outputs_given"], {**params, "num_inputs": count})
        return len(self.outputs), self.visible

    def changed_inputs(self, params, names):
        """Positions of the inputs that the kernel changes."""
        if "changes_given" in self.rules:
            return list(call_rule(self.rules["changes_given"], {**params, "num_inputs": len(names)}))
        return [i for i, name in enumerate(names) if name in self.mutates or name in self.aux]

    # -- documentation ---------------------------------------------------------------------------------------------

    def signature(self):
        """The Python signature of the function that users call."""
        kind = inspect.Parameter
        if self.variadic:
            arguments = [kind(self.inputs[0], kind.VAR_POSITIONAL)]
        else:
            arguments = [kind(n, kind.POSITIONAL_OR_KEYWORD, default=None) for n in self.inputs]
        after = kind.KEYWORD_ONLY if self.variadic else kind.POSITIONAL_OR_KEYWORD
        extra = {} if self.scalar is None else {"scalar": self.scalar}
        for key, default in {**extra, **{k: p.default for k, p in self.params.items()}}.items():
            arguments.append(kind(key, after, default=None if default is REQUIRED and not self.variadic else default))
        taken = {argument.name for argument in arguments}
        arguments += [kind(key, kind.KEYWORD_ONLY, default=None) for key in ("out", "name") if key not in taken]
        return inspect.Signature(arguments)

    def document(self):
        """The docstring of the function that users call, numpydoc."""
        later = LATER_SECTIONS.search(self.doc)                 # numpydoc wants these after Parameters and Returns
        text, rest = (self.doc[:later.start()].rstrip(), self.doc[later.start():]) if later else (self.doc, "")
        lines = [text, "", "Parameters", "----------"]
        for name in self.inputs:
            lines.append(f"{'*' if self.variadic else ''}{name} : NDArray" +
                         (", optional" if name in self.optional_inputs else ""))
            if name in self.aux:
                lines.append("    Auxiliary state, updated in training.")
        if self.scalar is not None:
            lines.append(f"scalar : float, default {self.scalar}")
        for key, param in self.params.items():
            tail = "" if param.default is REQUIRED else f", default {param.default!r}"
            lines += [f"{key} : {param.describe()}{tail}", *(["    " + param.doc] if param.doc else [])]
        lines += ["out : NDArray, optional", "    Where to write the result.", "name : str, optional",
                  "    Of use in symbols only.", "", "Returns", "-------"]
        for name in self.outputs[:self.visible]:
            lines.append(f"{name} : NDArray")
        return "\n".join([*lines, "", rest] if rest else lines)


def lookup(name):
    """The operator registered under ``name``; an unknown one raises and names the nearest."""
    try:
        return REGISTRY[name]
    except KeyError:
        raise MXNetValueError(f"there is no operator {name!r}.{nearest(name, REGISTRY)}") from None


_NAMED = {}


def rule_names(function):
    """The argument names of a rule (cached): what it wants to receive."""
    names = _NAMED.get(function)
    if names is None:
        names = _NAMED[function] = tuple(inspect.signature(function).parameters)
    return names


def call_rule(function, values):
    """Call a rule with the values that it names."""
    return function(**{name: values[name] for name in rule_names(function)})
