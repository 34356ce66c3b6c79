"""Networks that are ready to use."""
from mxcy.gluon.model_zoo import model_store, vision
