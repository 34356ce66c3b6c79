"""``mx.contrib.amp``: automatic mixed precision, see docs/mixed-precision.md."""
from mxcy.contrib.amp.convert import convert_bucketing_module, convert_hybrid_block, convert_model, convert_symbol
from mxcy.contrib.amp.lists import (list_conditional_fp32_ops, list_fp16_fp32_ops, list_fp16_ops, list_fp32_ops,
                                    list_loss_output_functions, list_lp16_fp32_ops, list_lp16_ops,
                                    list_lp16_use_fp32_params, list_widest_type_cast)
from mxcy.contrib.amp.loss_scaler import LossScaler
from mxcy.contrib.amp.training import init, init_trainer, scale_loss, unscale

__all__ = ["LossScaler", "convert_bucketing_module", "convert_hybrid_block", "convert_model", "convert_symbol", "init",
           "init_trainer", "list_conditional_fp32_ops", "list_fp16_fp32_ops", "list_fp16_ops", "list_fp32_ops",
           "list_loss_output_functions", "list_lp16_fp32_ops", "list_lp16_ops", "list_lp16_use_fp32_params",
           "list_widest_type_cast", "scale_loss", "unscale"]
