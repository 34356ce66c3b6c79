"""Every public docstring is numpydoc, names the parameters there are, and its examples run."""
import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from numpydoc.validate import Validator

import mxcy as mx

#: What numpydoc may report that counts: no docstring at all, no summary, sections and parameters that do not fit.
ERRORS = {"GL07", "GL08", "PR02", "PR03", "PR05", "PR10", "SS01", "SS03", "SS04", "YD01"}
#: Names that the examples of docstrings may use without an import.
NAMES = {"mx": mx, "nd": mx.nd, "np": np, "autograd": mx.autograd, "gluon": mx.gluon}


def module_names():
    """All modules, less the compiled kernels of one instruction set and programs."""
    yield "mxcy"
    for module in pkgutil.walk_packages(mx.__path__, "mxcy."):
        if ".examples." not in module.name:
            yield module.name


MODULES = sorted(set(module_names()))


def public_names():
    """Dotted names of functions, classes and their public methods, from every ``__all__``."""
    for name in MODULES:
        module = importlib.import_module(name)
        for key in getattr(module, "__all__", ()):
            value = getattr(module, key)
            if getattr(value, "__module__", None) != name or not (inspect.isclass(value) or callable(value)):
                continue
            yield f"{name}.{key}"
            if inspect.isclass(value):
                yield from (f"{name}.{key}.{method}" for method, member in vars(value).items()
                            if not method.startswith("_") and inspect.isroutine(member))


def problems(name):
    """What is wrong with the docstring of ``name``, as a list of texts."""
    validator = Validator(Validator._load_obj(name))
    from numpydoc.validate import validate
    return [f"{code}: {text}" for code, text in validate(validator.name)["errors"] if code in ERRORS]


@pytest.mark.parametrize("name", sorted(set(public_names())))
def test_docstring(name):
    assert problems(name) == []


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name):
    failed, _ = doctest.testmod(importlib.import_module(name), extraglobs=NAMES,
                                optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_examples_of_operators():
    """Examples in an operator's declaration, which no module holds as a docstring."""
    finder, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for name, operator in mx.ops.operator.REGISTRY.items():
        runner.run(finder.get_doctest(operator.doc, dict(NAMES), name, name, 0))
    assert runner.failures == 0
