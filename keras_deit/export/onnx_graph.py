"""The graph of a DeiT in the operators of ONNX."""

import keras
import numpy as np

from keras_deit.export.serving import used_tokens
from keras_deit.export.signatures import INPUT, OUTPUT
from keras_deit.models.classifier import LATE_FUSIONS


class Graph:
    """Nodes and weights of an ONNX graph, which grows with each call of `add`."""

    def __init__(self):
        self.nodes, self.weights = [], {}

    def add(self, operator, inputs, *outputs, **attributes):
        """Adds a node.

        Args:
            operator: Name of an operator of ONNX, for example `"MatMul"`.
            inputs: List of the names of its inputs.
            *outputs: Names of its outputs. The first one is the name of the node too.
            **attributes: Attributes of the operator.

        Returns:
            The name of the output; for several outputs, the tuple of their names.
        """
        import onnx

        node = onnx.helper.make_node(operator, inputs, outputs, name=outputs[0], **attributes)
        self.nodes.append(node)
        return outputs[0] if len(outputs) == 1 else outputs

    def weight(self, name, values):
        """Stores float32 values under a name; a second time under the same name has no effect.

        Args:
            name: Name of the tensor.
            values: Keras variable, array or number.

        Returns:
            The name.
        """
        if name not in self.weights:
            self.weights[name] = _to_numpy(values)
        return name

    def reshape(self, tensor, output, shape):
        """Adds a reshape.

        Args:
            tensor: Name of the input.
            output: Name of the output.
            shape: Integers. One of them may be -1: its axis takes the remaining length.

        Returns:
            The name of the output.
        """
        return self.add("Reshape", [tensor, self._integers(f"{output}/shape", shape)], output)

    def pad_front(self, tensor, output, rows):
        """Adds rows of zeros before the first row of axis 1.

        Args:
            tensor: Name of the input, of shape `(batch, rows, features)`.
            output: Name of the output.
            rows: Number of rows.

        Returns:
            The name of the output.
        """
        return self.add("Pad", [tensor, self._integers(f"{output}/pads", [0, rows, 0, 0, 0, 0])], output)

    def row(self, tensor, output, index):
        """Takes one row of axis 1.

        Args:
            tensor: Name of the input, of shape `(batch, rows, features)`.
            output: Name of the output, of shape `(batch, features)`.
            index: Number of the row.

        Returns:
            The name of the output.
        """
        return self.add("Gather", [tensor, self._integers(f"{output}/index", index)], output, axis=1)

    def proto(self, image_shape, num_classes):
        """Returns the graph from the images to the output of the last node, which is renamed.

        Args:
            image_shape: `(height, width, channels)`.
            num_classes: Number of classes.

        Returns:
            An `onnx.GraphProto`.
        """
        import onnx

        self.nodes[-1].output[:] = [OUTPUT]
        float32 = onnx.TensorProto.FLOAT
        images = onnx.helper.make_tensor_value_info(INPUT, float32, ["batch", *image_shape])
        logits = onnx.helper.make_tensor_value_info(OUTPUT, float32, ["batch", num_classes])
        weights = [onnx.numpy_helper.from_array(values, name) for name, values in self.weights.items()]
        return onnx.helper.make_graph(self.nodes, "keras_deit", [images], [logits], weights)

    def _integers(self, name, values):
        self.weights[name] = np.asarray(values, "int64")
        return name


def deit_graph(classifier):
    """Writes a classifier in the operators of ONNX. No tensor of the graph has more than four dimensions.

    Args:
        classifier: A built `keras_deit.DeiTClassifier` that computes in float32, without LoRA and not quantized.

    Returns:
        An `onnx.GraphProto`. Its input `images` is float32 of shape `(batch, height, width, 3)`, its output `logits` float32
        of shape `(batch, classes)`. The names of its nodes and weights are those of the layers and variables, for example
        `block_1/attention/qkv/kernel`.

    Example:

    ```python
    graph = deit_graph(kd.DeiTClassifier.from_variant("deit_ti", num_classes=10))
    print(sorted({node.op_type for node in graph.node}))
    ```

    Reference:
        ONNX, "Operator Schemas", opset 20 (https://onnx.ai/onnx/operators/): Gather, Gelu, LayerNormalization, MatMul, Pad,
        Reshape, Softmax, Split, Transpose, and for `fusion="mean_probabilities"` LogSoftmax, Max, Min, Softplus, Sub.
    """
    graph, backbone = Graph(), classifier.backbone
    tokens = _patch_embedding(graph, backbone.get_layer("patch_embedding"))
    tokens = _prefix_tokens(graph, backbone.get_layer("prefix_tokens"), tokens)
    for block in backbone.blocks:
        tokens = _encoder_block(graph, block, tokens)
    _logits(graph, classifier, tokens)
    return graph.proto((*backbone.image_size, 3), classifier.num_classes)


def _patch_embedding(graph, layer):
    name, size = "patch_embedding", layer.patch_size
    height, width, channels = layer.image_shape
    rows, columns, length = height // size, width // size, size * size * channels
    strips = graph.reshape(INPUT, f"{name}/strips", [-1, size, columns, size * channels])  # (batch * rows, ...)
    patches = graph.add("Transpose", [strips], f"{name}/patches", perm=[0, 2, 1, 3])
    pixels = graph.reshape(patches, f"{name}/pixels", [-1, rows * columns, length])
    kernel = graph.weight(f"{name}/kernel", _to_numpy(layer.kernel).reshape(length, -1))
    return _affine(graph, name, pixels, kernel, layer.bias)


def _prefix_tokens(graph, layer, patch_tokens):
    """Adds one constant that holds the prefix tokens and all positions, to patch tokens after rows of zeros."""
    tokens = [layer.class_token, layer.distillation_token] if layer.distilled else [layer.class_token]
    prefix, positions = np.concatenate([_to_numpy(token) for token in tokens], axis=1), _to_numpy(layer.positions)
    if layer.prefix_positions:
        prefix, positions = prefix + positions[:, : len(tokens)], positions[:, len(tokens) :]
    padded = graph.pad_front(patch_tokens, "prefix_tokens/padded", len(tokens))
    constant = graph.weight("prefix_tokens/tokens_and_positions", np.concatenate([prefix, positions], axis=1))
    return graph.add("Add", [padded, constant], "prefix_tokens")


def _encoder_block(graph, block, tokens):
    branch = _layer_norm(graph, f"{block.name}/attention_norm", block.attention_norm, tokens)
    branch = _attention(graph, f"{block.name}/attention", block.attention, branch)
    tokens = _residual(graph, block, "attention", tokens, branch)
    branch = _layer_norm(graph, f"{block.name}/mlp_norm", block.mlp_norm, tokens)
    branch = _dense(graph, f"{block.name}/mlp/expansion", block.mlp.expansion, branch)
    branch = graph.add("Gelu", [branch], f"{block.name}/mlp/gelu", approximate="none")
    branch = _dense(graph, f"{block.name}/mlp/reduction", block.mlp.reduction, branch)
    return _residual(graph, block, "mlp", tokens, branch)


def _residual(graph, block, branch_name, tokens, branch):
    name = f"{block.name}/{branch_name}"
    if block.layer_scale_init is not None:
        gamma = graph.weight(f"{name}_scale/gamma", getattr(block, f"{branch_name}_scale").gamma)
        branch = graph.add("Mul", [branch, gamma], f"{name}_scale")
    return graph.add("Add", [tokens, branch], f"{name}_residual")


def _attention(graph, name, layer, tokens):
    heads, head_dim, length = layer.num_heads, layer.head_dim, layer.num_heads * layer.head_dim
    qkv = _dense(graph, f"{name}/qkv", layer.qkv, tokens)
    qkv = graph.reshape(qkv, f"{name}/qkv_by_token", [0, -1, 3 * heads, head_dim])  # 0 keeps the batch size
    qkv = graph.add("Transpose", [qkv], f"{name}/qkv_by_head", perm=[0, 2, 1, 3])
    names = [f"{name}/{part}" for part in ("query", "key", "value")]
    query, key, value = graph.add("Split", [qkv], *names, axis=1, num_outputs=3)  # (batch, heads, tokens, head_dim)
    query = graph.add("Mul", [query, graph.weight(f"{name}/scale", head_dim**-0.5)], f"{name}/scaled_query")
    key = graph.add("Transpose", [key], f"{name}/transposed_key", perm=[0, 1, 3, 2])
    weights = graph.add("Softmax", [graph.add("MatMul", [query, key], f"{name}/scores")], f"{name}/weights", axis=-1)
    mixed = graph.add("MatMul", [weights, value], f"{name}/mixed_by_head")
    mixed = graph.add("Transpose", [mixed], f"{name}/mixed_by_token", perm=[0, 2, 1, 3])
    mixed = graph.reshape(mixed, f"{name}/mixed", [0, -1, length])
    return _dense(graph, f"{name}/projection", layer.projection, mixed)


def _logits(graph, classifier, tokens):
    used = used_tokens(classifier)
    embeddings = [_embedding(graph, classifier.backbone, token, tokens) for token in used]
    if classifier.fusion in LATE_FUSIONS:
        _late_fusion(graph, classifier, embeddings)
    else:
        heads = [f"{token}_head" for token in used]
        layers = [classifier.deit.get_layer(head) for head in heads]
        logits = [_dense(graph, *head, tokens) for *head, tokens in zip(heads, layers, embeddings, strict=True)]
        _early_fusion(graph, classifier.fusion, logits)


def _late_fusion(graph, classifier, embeddings):
    if classifier.fusion == "concat":
        joined = graph.add("Concat", embeddings, "joined_tokens", axis=-1)
    else:
        joined = graph.add("Add", embeddings, "joined_tokens")
    _dense(graph, "fusion_head", classifier.get_layer("fusion_head"), joined)


def _embedding(graph, backbone, token, tokens):
    row = graph.row(tokens, f"{token}_token", ["class", "distillation"].index(token))
    return _layer_norm(graph, f"{token}_norm", backbone.get_layer("norm"), row, weights="norm")


def _early_fusion(graph, fusion, logits):
    """Computes `keras_deit.fusion.fuse`. The logits of a single head stay as they are."""
    if fusion == "mean_probabilities":
        _mean_probabilities(graph, logits)
    elif len(logits) == 2:
        total = graph.add("Add", logits, "fuse/sum")
        graph.add("Mul", [total, graph.weight("fuse/half", 0.5)], "fuse/mean")


def _mean_probabilities(graph, logits):
    """Log of the mean of exp(a) and exp(b): max(a, b) + softplus(min(a, b) - max(a, b)) - log 2, which cannot overflow."""
    logs = [graph.add("LogSoftmax", [head], f"{head}/log_probabilities", axis=-1) for head in logits]
    if len(logs) == 1:
        return
    larger, smaller = graph.add("Max", logs, "fuse/larger"), graph.add("Min", logs, "fuse/smaller")
    difference = graph.add("Sub", [smaller, larger], "fuse/difference")
    excess = graph.add("Softplus", [difference], "fuse/excess")
    total = graph.add("Add", [larger, excess], "fuse/sum")
    graph.add("Sub", [total, graph.weight("fuse/log_2", np.log(2))], "fuse/mean")


def _layer_norm(graph, name, layer, tokens, weights=None):
    """Adds a layer norm whose weights are stored under the name `weights`, by default that of the node."""
    weights = weights or name
    gamma, beta = graph.weight(f"{weights}/gamma", layer.gamma), graph.weight(f"{weights}/beta", layer.beta)
    return graph.add("LayerNormalization", [tokens, gamma, beta], name, axis=-1, epsilon=layer.epsilon)


def _dense(graph, name, layer, tokens):
    return _affine(graph, name, tokens, graph.weight(f"{name}/kernel", layer.kernel), layer.bias)


def _affine(graph, name, tokens, kernel, bias):
    product = graph.add("MatMul", [tokens, kernel], f"{name}/product")
    return graph.add("Add", [product, graph.weight(f"{name}/bias", bias)], name)


def _to_numpy(values):
    return np.asarray(keras.ops.convert_to_numpy(values), "float32")
