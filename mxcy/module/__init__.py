"""Modules: a symbol with its parameters, trained and used batch by batch."""
from mxcy.module.base_module import *
from mxcy.module.bucketing_module import *
from mxcy.module.module import *
from mxcy.module.python_module import *
from mxcy.module.sequential_module import *
