"""The operator table on a GPU: what to launch for each Kernel.

An elementwise Kernel needs nothing here: its operation is compiled for the GPU from the header that the CPU's tiles are
made from. For every other one a topic file of this package gives a rule (`mxcy.ops.cuda.rules.rule`).
"""
from mxcy.ops.cuda.recipes import make_recipe

__all__ = ["make_recipe"]
