"""Cases of mxcy/ops/fused.py; what it computes bit by bit is in tests/ops/test_fused.py."""
import json

import numpy as np

from tests.ops.case import Case, normal


def program(inputs, steps, *outputs):
    return {"program": json.dumps({"inputs": inputs, "steps": steps, "outputs": outputs})}


CASES = [
    Case("_fused_pointwise", [normal(7, 5), normal(5), normal(7, 1)],
         program(3, [["broadcast_add", [0, 1], {}], ["square", [3], {}], ["_mul_scalar", [4], {"scalar": .5}],
                     ["broadcast_mul", [5, 2], {}]], 6, 4),
         lambda x, row, column, program: ((x + row) ** 2 * .5 * column, (x + row) ** 2), grad=False, slack=4, id="two"),
    Case("_fused_pointwise", [normal(3, 700)],
         program(1, [["clip", [0], {"a_min": -1, "a_max": .5}], ["negative", [1], {}]], 2),
         lambda x, program: -np.clip(x, -1, .5), grad=False, id="parameters"),
    Case("_fused_pointwise", [normal(0, 4), normal(4)], program(2, [["broadcast_sub", [0, 1], {}]], 2),
         lambda x, row, program: x - row, grad=False, id="empty"),
]
