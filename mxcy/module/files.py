"""Checkpoints: a symbol's file and a file of parameters for each epoch."""
import logging

from mxcy import nd, sym
from mxcy.context import cpu
from mxcy.module.base_module import split_params

__all__ = ["save_checkpoint", "load_checkpoint", "load_params"]


def save_checkpoint(prefix, epoch, symbol, arg_params, aux_params, remove_amp_cast=True):
    """Write a symbol to ``prefix-symbol.json`` and its parameters to ``prefix-0001.params``.

    Parameters
    ----------
    prefix : str
    epoch : int
        The number in the name.
    symbol : Symbol or None
    arg_params, aux_params : dict of str to NDArray
    remove_amp_cast : bool
        Leave casts for mixed precision out of the symbol.
    """
    if symbol is not None:
        symbol.save(f"{prefix}-symbol.json", remove_amp_cast=remove_amp_cast)
    name = f"{prefix}-{epoch:04d}.params"
    nd.save(name, {f"{kind}:{key}": array.as_in_context(cpu())
                   for kind, params in (("arg", arg_params), ("aux", aux_params)) for key, array in params.items()})
    logging.info('Saved checkpoint to "%s"', name)


def load_params(prefix, epoch):
    """The parameters of a checkpoint.

    Parameters
    ----------
    prefix : str
    epoch : int

    Returns
    -------
    tuple of dict
        ``arg_params, aux_params``.
    """
    name = f"{prefix}-{epoch:04d}.params"
    return split_params(nd.load(name), name)


def load_checkpoint(prefix, epoch):
    """The symbol and the parameters of a checkpoint.

    Parameters
    ----------
    prefix : str
    epoch : int

    Returns
    -------
    tuple
        ``symbol, arg_params, aux_params``.
    """
    return (sym.load(f"{prefix}-symbol.json"), *load_params(prefix, epoch))
