"""Every public docstring is numpydoc, names the parameters there are, and its examples run."""
import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from numpydoc.validate import validate

import mxcy as mx
from mxcy.ops.operator import REGISTRY

#: What counts of numpydoc's reports: no docstring, no summary, sections or parameters that do not fit.
ERRORS = {"GL07", "GL08", "PR02", "PR03", "PR05", "PR10", "SS01", "SS03", "SS04"}
#: Names that the examples of docstrings may use without an import.
NAMES = {"mx": mx, "nd": mx.nd, "np": np, "autograd": mx.autograd, "gluon": mx.gluon, "nn": mx.gluon.nn}


def module_names():
    """All modules, less the compiled kernels of one instruction set and programs."""
    yield "mxcy"
    for module in pkgutil.walk_packages(mx.__path__, "mxcy."):
        if ".examples." not in module.name:
            yield module.name


MODULES = sorted(set(module_names()))


def public_names():
    """Dotted names of functions, classes and their public methods, from every ``__all__``.

    A method that overrides a documented one need not say the same again.
    """
    for name in MODULES:
        module = importlib.import_module(name)
        for key in getattr(module, "__all__", ()):
            value = getattr(module, key)
            if getattr(value, "__module__", None) != name or not (inspect.isclass(value) or callable(value)):
                continue
            yield f"{name}.{key}"
            if inspect.isclass(value):
                yield from (f"{name}.{key}.{method}" for method, member in vars(value).items()
                            if not method.startswith("_") and inspect.isroutine(member) and not hasattr(member, "operator")
                            and (member.__doc__ or not inspect.getdoc(getattr(value, method))))


def problems(name, errors=ERRORS):
    """What is wrong with the docstring of ``name``, as a list of texts."""
    return [f"{code}: {text}" for code, text in validate(name)["errors"] if code in errors]


@pytest.mark.parametrize("name", sorted(set(public_names())))
def test_docstring(name):
    assert problems(name) == []


@pytest.mark.parametrize("name", sorted({operator.name for operator in REGISTRY.values()}))
def test_docstring_of_operator(name):
    formulas_allowed = ERRORS - {"SS03"}            # a summary may be ``x ** 2``
    assert problems(f"mxcy.nd._internal.{name}", formulas_allowed) == []


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name):
    failed, _ = doctest.testmod(importlib.import_module(name), extraglobs=NAMES,
                                optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_examples_of_operators():
    """Examples in an operator's declaration, which no module holds as a docstring."""
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for name, operator in REGISTRY.items():
        runner.run(parser.get_doctest(operator.doc, dict(NAMES), name, name, 0))
    assert runner.failures == 0
