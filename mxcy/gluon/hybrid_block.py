"""HybridBlock: a block whose computation is the same for arrays and for symbols."""
from mxcy import nd
from mxcy.base import MXNetTypeError
from mxcy.gluon.block import Block
from mxcy.gluon.parameter import DeferredInitializationError
from mxcy.gluon.shapes import find_shapes
from mxcy.gluon.utils import shape_is_known

__all__ = ["HybridBlock"]


class HybridBlock(Block):
    """A block that computes with a namespace ``F``, so that it can be run or turned into a graph.

    A subclass defines ``hybrid_forward(F, x, **params)``; its parameters arrive by their attribute names. Or it
    defines `forward` like any Block.

    Examples
    --------
    >>> class Scale(HybridBlock):
    ...     def __init__(self, **kwargs):
    ...         super().__init__(**kwargs)
    ...         with self.name_scope():
    ...             self.factor = self.params.get("factor", shape=(1,), init="ones")
    ...
    ...     def hybrid_forward(self, F, x, factor):
    ...         return F.broadcast_mul(x, factor)
    """

    def __init__(self, prefix=None, params=None):
        super().__init__(prefix, params)
        self._active = False
        self._flags = {}

    def register_child(self, block, name=None):
        if not isinstance(block, HybridBlock):
            raise MXNetTypeError(f"children of a HybridBlock must be HybridBlocks, got {type(block).__name__}. "
                                 "Derive it from HybridBlock, or use a plain Block (such as Sequential) around it.")
        super().register_child(block, name)

    def hybridize(self, active=True, backend=None, clear=True, static_alloc=False, static_shape=False, inline_limit=2,
                  forward_bulk_size=None, backward_bulk_size=None, **kwargs):
        """Ask that this block be run as one graph. The wish is kept; calls run operator by operator all the same.

        Parameters
        ----------
        active : bool
        backend : str, optional
        clear : bool
        static_alloc, static_shape : bool
        inline_limit : int
        forward_bulk_size, backward_bulk_size : int, optional
        **kwargs
            Further flags.
        """
        self._active = active
        self._flags = {"static_alloc": static_alloc, "static_shape": static_shape, "inline_limit": inline_limit,
                       "forward_bulk_size": forward_bulk_size, "backward_bulk_size": backward_bulk_size, **kwargs}
        super().hybridize(active, backend=backend, clear=clear, **self._flags)

    def infer_shape(self, *args):
        """Complete the unknown shapes of this layer's own parameters from the inputs ``args``.

        They follow from the operators that use the parameters. A layer where they do not defines this itself.
        """
        find_shapes(self, *args)

    def forward(self, x, *args):
        """Run `hybrid_forward` with the parameters that live on the device of ``x``."""
        params = self._reg_params
        if not params:
            return self.hybrid_forward(nd, x, *args)
        if not isinstance(x, nd.NDArray):
            raise MXNetTypeError(f"{type(self).__name__} expects an NDArray, got {type(x).__name__}")
        try:
            ctx = x.context
            arrays = {name: param._on(param._data, ctx) for name, param in params.items()}
        except DeferredInitializationError:
            self._complete(x, *args)
            arrays = {name: param.data(ctx) for name, param in params.items()}
        return self.hybrid_forward(nd, x, *args, **arrays)

    def _complete(self, *args):
        """Initialize the parameters that waited for the first batch."""
        if not all(shape_is_known(param.shape) for param in self._reg_params.values()):
            self.infer_shape(*args)
        for param in self._reg_params.values():
            param._finish_deferred_init()

    def hybrid_forward(self, F, x, *args, **kwargs):
        """The computation, in operators of ``F``; each hybrid block defines its own, or `forward`."""
        raise NotImplementedError(f"{type(self).__name__} must define hybrid_forward or forward")
