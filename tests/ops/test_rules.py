"""Rules are written in operators of the table: every name that they ask of ``F`` is one."""
import ast
from pathlib import Path

import pytest

import mxcy
from mxcy.ops.operator import REGISTRY

FILES = sorted((Path(mxcy.__file__).parent / "ops").glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_names_in_rules(path):
    asked = {node.attr for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "F"}
    assert asked <= set(REGISTRY), f"there are no such operators: {sorted(asked - set(REGISTRY))}"
