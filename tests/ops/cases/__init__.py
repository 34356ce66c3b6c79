"""The table of operator tests: `CASES` of every topic file in this folder, joined."""
import importlib
import pkgutil

CASES = [case for module in sorted(m.name for m in pkgutil.iter_modules(__path__))
         for case in importlib.import_module(f"{__name__}.{module}").CASES]

#: Operators that hold graphs or Python code, which a row cannot: test_control_flow.py and test_operator.py have them.
HOLDERS = {"Custom", "_cond", "_custom_backward", "_custom_forward", "_foreach", "_while_loop"}
#: Operators that only plans for the host use.
HOST_ONLY = {"_fused_convolution", "_prepare_convolution_weight"}
