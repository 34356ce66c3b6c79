"""Metrics: how good predictions are, added up over batches."""
from mxcy.metric.base import *
from mxcy.metric.classification import *
from mxcy.metric.contingency import *
from mxcy.metric.custom import *
from mxcy.metric.regression import *
