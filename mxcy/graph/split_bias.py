"""A bias is split off where elementwise operators follow: then it is added in their pass.

That of a dense layer; on GPUs that of a convolution, too, which takes a pass of its own there.
"""
from mxcy.graph.build import Builder, Value
from mxcy.graph.fuse_pointwise import is_pointwise
from mxcy.graph.graph import Entry
from mxcy.ops.convolution import channel_axis

__all__ = ["split_bias"]


def split_bias(graph, gpu=False):
    """Make sums of products and biases, where `fuse_pointwise` will find something to join them with.

    Parameters
    ----------
    graph : Graph
        With types.
    gpu : bool
        Whether the graph is for one.

    Returns
    -------
    Graph
    """
    users, heads = graph.users(), set(graph.heads)

    def visit(node, inputs):
        if node.op is None or node.op.name not in ("FullyConnected", "Convolution") or node.params["no_bias"] \
                or node.after or Entry(node, 0) in heads:
            return None
        dense = node.op.name == "FullyConnected"
        if node.types[0][1] not in ("float32", "float64") if dense else not gpu:
            return None                         # in 16 bits the product would be rounded before the bias is added
        after = [user for user, _ in users.get(Entry(node, 0), ())]
        if not after or not all(is_pointwise(user) and user.types == node.types for user in after):
            return None
        F = Builder(node.name, {key: text for key, text in node.attrs.items() if key.startswith("__")})
        data, weight, bias = (Value(entry, F) for entry in inputs)
        product = getattr(F, node.op.name)(data, weight, **{**node.params, "no_bias": True})
        if not dense:
            axis = channel_axis(node.params["layout"]) % product.ndim
            bias = F.Reshape(bias, shape=(-1,) + (1,) * (product.ndim - 1 - axis))
        return [F.broadcast_add(product, bias).entry]

    return graph.map(visit)
