"""Which variables Keras's layers have, in the order of their files, and what initialises each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a layer.

    Attributes:
        key: under which the layer's config has its initializer; or, if `fixed`, the initializer.
        given: a key of the config that must be true, or the variable doesn't exist.
        fixed: whether the layer takes the same initializer, whatever its config.
    """

    key: str
    given: str | None = None
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """A class of layers.

    Attributes:
        variables: its own under "", those of layers that it makes itself by their attributes.
        children: layers that its config describes: by their attributes the keys of the config, of
            which the first that is there counts.
    """

    variables: Mapping[str, tuple[Variable, ...]] = field(default_factory=dict)
    children: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_KERNEL = Variable("kernel_initializer")
_BIAS = Variable("bias_initializer", "use_bias")
_BETA = Variable("beta_initializer", "center")
_GAMMA = Variable("gamma_initializer", "scale")
_DEPTHWISE = Variable("depthwise_initializer")
_POINTWISE = Variable("pointwise_initializer")
_MOVING = (Variable("moving_mean_initializer"), Variable("moving_variance_initializer"))
_ZEROS, _ONES = Variable("zeros", fixed=True), Variable("ones", fixed=True)

_DENSE = (_KERNEL, _BIAS)
_CELL = (_KERNEL, Variable("recurrent_initializer"), _BIAS)
_QUERIES = ("key_dense", "output_dense", "query_dense", "value_dense")


def _each(names: str, layer: Layer) -> dict[str, Layer]:
    return dict.fromkeys(names.split(), layer)


def _own(*variables: Variable) -> Layer:
    return Layer({"": variables})


# With options that add variables, a layer has more in its file than here: then Keras is asked.
LAYERS: dict[str, Layer] = {
    **_each("Functional Model Sequential", Layer(children={"layers": ("layers",)})),
    **_each("Dense Conv1D Conv2D Conv3D", _own(*_DENSE)),
    **_each("Conv1DTranspose Conv2DTranspose Conv3DTranspose", _own(*_DENSE)),
    "EinsumDense": _own(_KERNEL, Variable("bias_initializer", "bias_axes")),
    **_each("DepthwiseConv1D DepthwiseConv2D", _own(_DEPTHWISE, _BIAS)),
    **_each("SeparableConv1D SeparableConv2D", _own(_DEPTHWISE, _POINTWISE, _BIAS)),
    **_each("Embedding ReversibleEmbedding", _own(Variable("embeddings_initializer"))),
    "PReLU": _own(Variable("alpha_initializer")),
    "BatchNormalization": _own(_GAMMA, _BETA, *_MOVING),
    **_each("LayerNormalization GroupNormalization", _own(_GAMMA, _BETA)),
    "RMSNormalization": _own(_ONES),
    "Normalization": _own(_ZEROS, _ONES, _ZEROS),
    "MultiHeadAttention": Layer(dict.fromkeys([*_QUERIES, "gate_dense"], _DENSE)),
    "GroupQueryAttention": Layer(dict.fromkeys(["gate_dense", *_QUERIES], _DENSE)),
    "Attention": _own(Variable("ones", "use_scale", fixed=True)),
    "AdditiveAttention": _own(Variable("glorot_uniform", "use_scale", fixed=True)),
    **_each("SimpleRNNCell GRUCell LSTMCell", _own(*_CELL)),
    **_each("SimpleRNN GRU LSTM ConvLSTM1D ConvLSTM2D ConvLSTM3D", Layer({"cell": _CELL})),
    "RNN": Layer(children={"cell": ("cell",)}),
    "StackedRNNCells": Layer(children={"cells": ("cells",)}),
    "TimeDistributed": Layer(children={"layer": ("layer",)}),
    "Bidirectional": Layer(
        children={"backward_layer": ("backward_layer", "layer"), "forward_layer": ("layer",)}
    ),
}
# Those whose bias begins at one where it is the forget gate's, if their config says so.
FORGETTING = {"LSTMCell", "LSTM", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"}
# What files name after another class than configs.
RENAMED = {"GroupQueryAttention": "GroupedQueryAttention"}
