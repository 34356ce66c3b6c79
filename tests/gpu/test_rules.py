"""The cuda column of the operator table: what has no rule is listed here."""
import inspect

import pytest

from mxcy.ops.cuda.recipes import cuda_rule
from mxcy.ops.operator import REGISTRY
from tests.ops.cases import CASES, HOST_ONLY

def kernels():
    """Every Kernel that a case of the operator table ends in, with the operators that it serves."""
    found = {}
    for case in CASES:
        operator = REGISTRY[case.operator]
        if "compose" not in operator.rules:
            params = operator.parse({k: v for k, v in case.params.items() if k in operator.params})
            found.setdefault(operator.kernel(params), set()).add(operator.name)
    return found


def test_every_kernel_has_a_rule():
    missing = {kernel.name: sorted(names) for kernel, names in kernels().items()
               if cuda_rule(kernel) is None and not names <= HOST_ONLY}
    assert not missing, f"no rule for GPUs: {missing}"


@pytest.mark.parametrize("kernel", sorted(kernels(), key=lambda k: k.name), ids=lambda k: k.name)
def test_rules_name_what_there_is(kernel):
    """A rule may ask for what recipes give, and for parameters that all operators of its kernel have."""
    rule = cuda_rule(kernel)
    if rule is None:
        pytest.skip("no rule")
    common = set.intersection(*(set(REGISTRY[name].params) for name in kernels()[kernel]))
    wanted = {p.name for p in inspect.signature(rule).parameters.values() if p.default is p.empty}
    assert wanted <= {"ins", "outs", "kernel", "params", "scratch", "device"} | common
