"""Helpers for tests of operators, ours and users': comparison by dtype, and derivatives by finite differences."""
from mxcy.testing.compare import assert_close, tolerance
from mxcy.testing.derivative import check_vjp

__all__ = ["assert_close", "check_vjp", "tolerance"]
