"""What users of custom operators write: `CustomOp`, `CustomOpProp`, `register`."""
from mxcy.base import MXNetTypeError, MXNetValueError

__all__ = ["PROPS", "CustomOp", "CustomOpProp", "register"]

#: Registered classes by name.
PROPS = {}


class CustomOp:
    """What a custom operator computes. One instance serves one call: its forward and its backward."""

    def forward(self, is_train, req, in_data, out_data, aux):
        """Compute the outputs.

        Parameters
        ----------
        is_train : bool
            Whether the call runs in training mode.
        req : list of str
            For each output what to do with the result: see `assign`.
        in_data, out_data, aux : list of NDArray
            The inputs, where to put the outputs, and the auxiliary states, which may be changed.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward()")

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        """Compute the gradients of the inputs; by default there are none.

        Parameters
        ----------
        req : list of str
            For each input what to do with its gradient; ``"null"``: nobody wants it.
        out_grad, in_data, out_data, in_grad, aux : list of NDArray
            Gradients of the outputs, inputs, outputs, where to put the gradients of the inputs, auxiliary states.
        """

    def assign(self, dst, req, src):
        """Put a result where it belongs.

        Parameters
        ----------
        dst : NDArray
            The array to write.
        req : str
            ``"write"`` or ``"inplace"``: overwrite ``dst``; ``"add"``: add to it; ``"null"``: do nothing.
        src : NDArray or number
            The result.
        """
        if req in ("write", "inplace"):
            dst[:] = src
        elif req == "add":
            dst[:] += src
        elif req != "null":
            raise MXNetValueError(f"assign: req is {req!r}; expected 'null', 'write', 'inplace' or 'add'")


class CustomOpProp:
    """What a custom operator looks like from outside: its inputs, outputs, shapes and dtypes.

    Subclasses take their parameters as keyword arguments, always strings, as in symbol files.

    Parameters
    ----------
    need_top_grad : bool
        Whether `CustomOp.backward` uses the gradients of the outputs. A loss does not.
    """

    def __init__(self, need_top_grad=True):
        self.need_top_grad_ = need_top_grad

    def list_arguments(self):
        """Names of the inputs."""
        return ["data"]

    def list_outputs(self):
        """Names of the outputs."""
        return ["output"]

    def list_auxiliary_states(self):
        """Names of the auxiliary states, which follow the inputs in a call."""
        return []

    def infer_shape(self, in_shape):
        """Shapes of (inputs, outputs, auxiliary states), from those of the inputs; ``[]`` is one not known yet."""
        return in_shape, [in_shape[0]] * len(self.list_outputs()), []

    def infer_type(self, in_type):
        """Dtypes of (inputs, outputs, auxiliary states) from those of the inputs."""
        return (in_type, [in_type[0]] * len(self.list_outputs()),
                [in_type[0]] * len(self.list_auxiliary_states()))

    def infer_storage_type(self, in_stype):
        """Storage types of (inputs, outputs, auxiliary states): all dense."""
        return (in_stype, ["default"] * len(self.list_outputs()),
                ["default"] * len(self.list_auxiliary_states()))

    def infer_storage_type_backward(self, ograd_stype, in_stype, out_stype, igrad_stype, aux_stype):
        """Storage types in backward: all dense."""
        return tuple(["default"] * len(stypes) for stypes in (ograd_stype, in_stype, out_stype, igrad_stype, aux_stype))

    def declare_backward_dependency(self, out_grad, in_data, out_data):
        """Of the numbers given, those of the arrays that backward uses; of ``out_grad`` it must name all or none."""
        return [*(out_grad if self.need_top_grad_ else []), *in_data, *out_data]

    def create_operator(self, ctx, in_shapes, in_dtypes):
        """A `CustomOp` for one call.

        Parameters
        ----------
        ctx : str
            The device, such as ``"cpu(0)"``.
        in_shapes, in_dtypes : list
            Shapes and dtypes of inputs and auxiliary states.

        Returns
        -------
        CustomOp
        """
        return CustomOp()


def register(reg_name):
    """Decorator of a `CustomOpProp` that makes the operator known as ``op_type=reg_name``.

    Parameters
    ----------
    reg_name : str

    Examples
    --------
    >>> import mxcy as mx
    >>> class Square(mx.operator.CustomOp):
    ...     def forward(self, is_train, req, in_data, out_data, aux):
    ...         self.assign(out_data[0], req[0], in_data[0] ** 2)
    ...     def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
    ...         self.assign(in_grad[0], req[0], 2 * in_data[0] * out_grad[0])
    >>> @mx.operator.register("my_square")
    ... class SquareProp(mx.operator.CustomOpProp):
    ...     def create_operator(self, ctx, in_shapes, in_dtypes):
    ...         return Square()
    >>> mx.nd.Custom(mx.nd.array([2., 3.]), op_type="my_square").asnumpy().tolist()
    [4.0, 9.0]
    """
    def note(prop):
        if not (isinstance(prop, type) and issubclass(prop, CustomOpProp)):
            raise MXNetTypeError(f"register({reg_name!r}): {prop!r} given; expected a subclass of CustomOpProp")
        PROPS[reg_name] = prop
        return prop
    return note
