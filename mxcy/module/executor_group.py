"""The executors of a symbol on one or several devices, each with its part of the batch."""
from mxcy import nd
from mxcy.base import MXNetValueError
from mxcy.dtype import dtype_name
from mxcy.executor import Executor
from mxcy.graph.place import contexts as devices_of
from mxcy.io import DataDesc
from mxcy.module.base_module import as_list

__all__ = ["ExecutorGroup"]

BINDINGS = 16                           # shapes whose executors are kept


class ExecutorGroup:
    """One executor for each device. Batches are cut along the axis ``N`` of their layouts, outputs are joined again.

    Executors for other shapes (`bind`), and those of a group that is given as ``shared``, use the same parameters.

    Parameters
    ----------
    symbol : Symbol
    contexts : list of Context
    work_load_list : list of number
        How much of a batch each device gets, in proportion.
    param_names, state_names : list of str
    grad_req : dict of str to str
        For each argument.
    data, labels : list of DataDesc
    shared : ExecutorGroup, optional
    group2ctxs : list of dict, optional
        For each device the devices of groups of nodes.

    Attributes
    ----------
    executors : list of Executor
    calls : list of tuple
        For each device (names, gradients, weights) of the parameters that have gradients.
    """

    def __init__(self, symbol, contexts, work_load_list, param_names, state_names, grad_req, data, labels, shared=None,
                 group2ctxs=None):
        self.symbol, self.contexts, self.work_load_list = symbol, contexts, work_load_list
        self.param_names, self.state_names, self.grad_req = param_names, state_names, grad_req
        self.group2ctxs = group2ctxs or [None] * len(contexts)
        self.devices = [{node.name: device for node, device in devices_of(symbol.graph, groups, ctx).items()}
                        if groups else {} for groups, ctx in zip(self.group2ctxs, contexts)]
        self.arg_names, self.aux_names = symbol.list_arguments(), symbol.list_auxiliary_states()
        self.output_names = symbol.list_outputs()
        attributes = symbol.attr_dict()
        self.output_axes = [DataDesc.get_batch_axis(_layout(attributes, name)) for name in self.output_names]
        # parameters, gradients and auxiliary states by name, for each device
        self.shared = shared.shared if shared is not None else [({}, {}, {}) for _ in contexts]
        self.monitors = []
        self.bound = {}
        self.bind(data, labels)
        weights = [name for name in param_names if grad_req[name] != "null"]
        self.calls = [(weights, [grads[name] for name in weights], [args[name] for name in weights])
                      for args, grads, _ in self.shared]

    # -- binding -----------------------------------------------------------------------------------------------------

    def bind(self, data, labels):
        """Use executors for these shapes.

        Parameters
        ----------
        data, labels : list of DataDesc
        """
        key = tuple((d.name, d.shape, dtype_name(d.dtype), d.layout) for d in (*data, *labels))
        self.data, self.labels = data, labels
        self.batch_size = _batch_size(data)
        self.slices = split(self.batch_size, self.work_load_list)
        self.used_labels = [(i, d) for i, d in enumerate(labels) if d.name in self.arg_names]
        if key not in self.bound:
            while len(self.bound) >= BINDINGS:
                del self.bound[next(iter(self.bound))]
            self.bound[key] = [self._executor(k) for k in range(len(self.contexts))]
            for executor in self.bound[key]:
                for monitor in self.monitors:
                    monitor.install(executor)
        self.executors = self.bound[key]

    def _executor(self, k):
        """An executor for device ``k``."""
        ctx, (args, grads, aux) = self.contexts[k], self.shared[k]
        inputs = [*self.data, *(desc for _, desc in self.used_labels)]
        shapes = {d.name: self._part_shape(d, k) for d in inputs}
        arg_shapes, _, aux_shapes = self.symbol.infer_shape(**shapes)
        if arg_shapes is None:
            partial = zip(self.arg_names, self.symbol.infer_shape_partial(**shapes)[0])
            left = ", ".join(f"{name} {shape}" for name, shape in partial if not shape or min(shape) <= 0)
            raise MXNetValueError(f"bind: the shapes of {left} do not follow from {shapes}")
        arg_types, _, aux_types = self.symbol.infer_type(**{d.name: dtype_name(d.dtype) for d in inputs})
        devices, own_grads, arrays = self.devices[k], {}, []
        for name, shape, dtype in zip(self.arg_names, arg_shapes, map(dtype_name, arg_types)):
            parameter, where = name in self.param_names, devices.get(name, ctx)
            arrays.append(_kept(args if parameter else {}, name, shape, dtype, where, shapes))
            if self.grad_req[name] != "null":
                own_grads[name] = _kept(grads if parameter else {}, name, shape, dtype, where, shapes)
        states = [_kept(aux, name, shape, dtype_name(dtype), devices.get(name, ctx), shapes)
                  for name, shape, dtype in zip(self.aux_names, aux_shapes, aux_types)]
        return Executor(self.symbol, ctx, arrays, [own_grads.get(name) for name in self.arg_names],
                        [self.grad_req[name] for name in self.arg_names], states, self.group2ctxs[k])

    def _part_shape(self, desc, k):
        axis = DataDesc.get_batch_axis(desc.layout)
        shape = tuple(desc.shape)
        if axis < 0 or len(self.contexts) == 1:
            return shape
        return (*shape[:axis], self.slices[k].stop - self.slices[k].start, *shape[axis + 1:])

    def install_monitor(self, monitor):
        """Have a monitor see all executors, those to come too."""
        self.monitors.append(monitor)
        for executors in self.bound.values():
            for executor in executors:
                monitor.install(executor)

    # -- running -----------------------------------------------------------------------------------------------------

    def forward(self, batch, is_train, borrow):
        """Compute the outputs of a batch.

        Parameters
        ----------
        batch : DataBatch, or list of DataBatch
            A list has the part of each device.
        is_train : bool
        borrow : bool
            Whether the arrays of the batch stay as they are until the outputs and gradients have been asked for; else
            those that a later backward needs are copied.
        """
        for k, executor in enumerate(self.executors):
            part = batch[k] if isinstance(batch, list) else batch
            whole = isinstance(batch, list) or len(self.executors) == 1
            pairs = list(zip(self.data, part.data))
            if part.label:
                pairs += [(desc, part.label[i]) for i, desc in self.used_labels if i < len(part.label)]
            for desc, array in pairs:
                if not whole:
                    array = self._part(array, DataDesc.get_batch_axis(desc.layout), k)
                executor.use(desc.name, array, copy=not borrow)
            executor.forward(is_train)

    def backward(self, out_grads=None):
        """Compute the gradients, from those of the outputs."""
        out_grads = as_list(out_grads)
        for k, executor in enumerate(self.executors):
            parts = [grad if grad is None else self._part(grad, axis, k).as_in_context(self.contexts[k])
                     for grad, axis in zip(out_grads, self.output_axes)]
            executor.backward(parts or None)

    def _part(self, array, axis, k):
        """The part of an array for device ``k``."""
        if axis < 0 or len(self.contexts) == 1:
            return array
        part = self.slices[k]
        return array[part] if axis == 0 else nd.slice_axis(array, axis=axis, begin=part.start, end=part.stop)

    def merged(self, lists, axes):
        """One array for each name, from the lists of the devices."""
        if len(lists) == 1:
            return list(lists[0])
        first = self.contexts[0]
        return [parts[0] if axis < 0 else nd.concat(*[part.as_in_context(first) for part in parts], dim=axis)
                for parts, axis in zip(zip(*lists), axes)]

    def outputs(self):
        """The outputs of each device."""
        return [executor.outputs for executor in self.executors]

    def input_grads(self):
        """The gradients with respect to the data, of each device."""
        return [[executor.grad_dict[desc.name] for desc in self.data] for executor in self.executors]

    def states(self):
        """The state arrays of each device."""
        return [[executor.arg_dict[name] for name in self.state_names] for executor in self.executors]

    @property
    def data_axes(self):
        """The axis of samples in each of the data."""
        return [DataDesc.get_batch_axis(desc.layout) for desc in self.data]

    def output_shapes(self):
        """(name, shape) of the merged outputs."""
        shapes = []
        for i, (name, axis) in enumerate(zip(self.output_names, self.output_axes)):
            shape = list(self.executors[0].outputs[i].shape)
            if axis >= 0:
                shape[axis] = sum(executor.outputs[i].shape[axis] for executor in self.executors)
            shapes.append((name, tuple(shape)))
        return shapes

    def update_metric(self, eval_metric, labels, pre_sliced):
        """Let a metric see labels and outputs, by name.

        Parameters
        ----------
        eval_metric : EvalMetric
        labels : list of NDArray, or list of such lists
        pre_sliced : bool
            Whether ``labels`` has a list for each device.
        """
        for k, executor in enumerate(self.executors):
            part = labels[k] if pre_sliced else labels
            if not pre_sliced and len(self.executors) > 1:
                part = [self._part(label, DataDesc.get_batch_axis(desc.layout), k)
                        for desc, label in zip(self.labels, part)]
            names = [desc.name for desc in self.labels] or [f"label{i}" for i in range(len(part))]
            eval_metric.update_dict(dict(zip(names, part)), dict(zip(self.output_names, executor.outputs)))

    # -- parameters --------------------------------------------------------------------------------------------------

    def set_params(self, arg_params, aux_params, allow_extra=False):
        """Copy values to all devices.

        Parameters
        ----------
        arg_params, aux_params : dict of str to NDArray
        allow_extra : bool
            Skip names that the symbol does not have.
        """
        for executor in self.executors:
            executor.copy_params_from(arg_params, aux_params, allow_extra_params=allow_extra)

    def get_params(self, arg_params, aux_params):
        """Copy the mean over the devices to the arrays of two dicts."""
        for place, targets in ((0, arg_params), (2, aux_params)):
            for name, target in targets.items():
                arrays = [kept[place][name] for kept in self.shared if name in kept[place]]
                if len(arrays) == 1:
                    arrays[0].copyto(target)
                elif arrays:
                    parts = [array.as_in_context(target.context) for array in arrays]
                    target[:] = nd.add_n(*parts) / len(parts)


def _kept(arrays, name, shape, dtype, ctx, shapes):
    """The array of a name that all executors of a device share, made by the first of them."""
    array = arrays.get(name)
    if array is None:
        array = arrays[name] = nd.zeros(shape, ctx, dtype)
    if array.shape != tuple(shape):
        raise MXNetValueError(f"{name!r} has shape {array.shape}, but with inputs {shapes} its shape must be "
                              f"{tuple(shape)}")
    return array


def _layout(attributes, output):
    """The layout that the symbol's author gave for an output."""
    return attributes.get(output.removesuffix("_output"), {}).get("__layout__")


def _batch_size(data):
    """The number of samples, which all data agree on."""
    sizes = {}
    for desc in data:
        axis = DataDesc.get_batch_axis(desc.layout)
        if axis >= 0 and len(desc.shape) > axis:
            sizes[desc.name] = desc.shape[axis]
    if len(set(sizes.values())) > 1:
        raise MXNetValueError(f"bind: the data disagree about the batch size: {sizes}. If an input has no axis of "
                              "samples, or not the first, say so by the layout of its DataDesc")
    return next(iter(sizes.values()), 0)


def split(batch_size, work_load_list):
    """Slices of a batch, in proportion to ``work_load_list``.

    >>> split(10, [1, 1, 2])
    [slice(0, 2, None), slice(2, 4, None), slice(4, 10, None)]
    """
    if len(work_load_list) == 1:
        return [slice(0, batch_size)]
    total = sum(work_load_list)
    sizes = [round(batch_size * load / total) for load in work_load_list]
    sizes[-1] += batch_size - sum(sizes)
    ends = [sum(sizes[:k + 1]) for k in range(len(sizes))]
    if min(sizes) <= 0:
        raise MXNetValueError(f"a batch of {batch_size} is too small for {len(sizes)} devices with work loads "
                              f"{work_load_list}")
    return [slice(end - size, end) for end, size in zip(ends, sizes)]
