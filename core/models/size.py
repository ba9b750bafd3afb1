"""How large a model is, told by its config.json alone: before it is loaded, and before it is downloaded. No torch here.

A family is a row of `FAMILIES`: what its layers consist of, and what its config.json may leave out because transformers
fills it in (Gemma 3 names neither heads nor vocabulary). tests/test_size.py holds every row against transformers itself.
A model of another family is read from the headers of its weight files, once they are there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import ModelError, problem
from core.models.files import config, count, headers


@dataclass(frozen=True)
class Linear:
    """A linear layer that `count` places of the model have: `rows` features out, `columns` features in."""

    name: str  # the last part of its name, such as "q_proj"
    rows: int
    columns: int
    bias: bool = False
    count: int = 1

    @property
    def weights(self) -> int:
        """All its weights, biases not counted."""
        return self.rows * self.columns * self.count


@dataclass(frozen=True)
class Size:
    """What memory and time are estimated from.

    `linears` are those inside the layers, which QLoRA quantises and adapters sit on; the output layer is not among them.
    `vocabulary` counts the rows of the embedding, of which a tokenizer may use fewer. `others` are the weights that are
    neither: norms and biases.
    """

    family: str  # config.json's model_type
    layers: int
    hidden: int
    intermediate: int  # inner width of the feed-forward part
    heads: int
    key_value_heads: int
    head_dim: int
    vocabulary: int
    context: int  # tokens; 0 when the model does not say
    tied: bool  # the output layer is the embedding
    linears: tuple[Linear, ...]
    others: int

    @property
    def biased_output(self) -> bool:
        """Whether the output layer adds a bias; of an unknown family nobody knows before it is loaded."""
        return self.family in FAMILIES and FAMILIES[self.family].output_bias

    @property
    def linear_weights(self) -> int:
        """Weights in the layers' linear layers, without biases: what 4-bit loading shrinks."""
        return sum(each.weights for each in self.linears)

    @property
    def embedding_weights(self) -> int:
        """Weights of the embedding, and of the output layer where it is not the same."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All weights; tied ones count once."""
        return self.linear_weights + self.embedding_weights + self.others


@dataclass(frozen=True)
class Family:
    """What the layers of a family consist of, and the numbers that its config.json may leave out."""

    defaults: Mapping[str, Any]
    norms: int = 2  # of the hidden size, in each layer
    plain_norms: bool = True  # x / rms(x) * w: not with w + 1, not with a bias
    head_norms: bool = False  # queries and keys are normalised, each with `head_dim` weights
    norm_bias: bool = False
    fused_qkv: bool = False
    mlp: str = "gated"  # gated: gate, up, down; fused: gate and up in one; plain: fc1, fc2
    output: str = "o_proj"
    always_biased: frozenset[str] = frozenset()
    biased_by: Mapping[str, frozenset[str]] = field(
        default_factory=dict
    )  # switch in config.json -> the linear layers that it gives a bias
    output_bias: bool = False  # of lm_head


_NAMES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
          "num_key_value_heads", "head_dim", "max_position_embeddings", "tie_word_embeddings")  # fmt: skip
_QKV = frozenset({"q_proj", "k_proj", "v_proj"})
_QKVO = _QKV | {"o_proj"}
_GATED = frozenset({"gate_proj", "up_proj", "down_proj"})


def _defaults(*values: int | None, **switches: bool) -> dict[str, Any]:
    return dict(zip(_NAMES, values, strict=True)) | switches


_ATTENTION = {"attention_bias": _QKVO}
FAMILIES = {
    "llama": Family(_defaults(32000, 4096, 11008, 32, 32, None, None, 2048, False),
                    biased_by=_ATTENTION | {"mlp_bias": _GATED}),
    "mistral": Family(_defaults(32000, 4096, 14336, 32, 32, 8, None, 131072, False)),
    "qwen2": Family(_defaults(151936, 4096, 22016, 32, 32, 32, None, 32768, False), always_biased=_QKV),
    "qwen3": Family(_defaults(151936, 4096, 22016, 32, 32, 32, 128, 32768, False), head_norms=True, biased_by=_ATTENTION),
    "gemma": Family(_defaults(256000, 3072, 24576, 28, 16, 16, 256, 8192, True), plain_norms=False, biased_by=_ATTENTION),
    "gemma2": Family(_defaults(256000, 2304, 9216, 26, 8, 4, 256, 8192, True), norms=4, plain_norms=False,
                     biased_by=_ATTENTION),
    "gemma3_text": Family(_defaults(262208, 2304, 9216, 26, 8, 4, 256, 131072, True), norms=4, plain_norms=False,
                          head_norms=True, biased_by=_ATTENTION),
    "phi": Family(_defaults(51200, 2048, 8192, 24, 32, None, None, 2048, False, qk_layernorm=False), norms=1,
                  plain_norms=False, norm_bias=True, mlp="plain", output="dense",
                  always_biased=_QKV | {"dense", "fc1", "fc2"}, output_bias=True),
    "phi3": Family(_defaults(32064, 3072, 8192, 32, 32, None, None, 4096, False), fused_qkv=True, mlp="fused"),
    "glm": Family(_defaults(151552, 4096, 13696, 40, 32, 2, 128, 131072, False, attention_bias=True), mlp="fused",
                  biased_by={"attention_bias": _QKV}),
    "glm4": Family(_defaults(151552, 4096, 13696, 40, 32, 2, 128, 131072, False, attention_bias=True), norms=4,
                   mlp="fused", biased_by={"attention_bias": _QKV}),
}  # fmt: skip
_INSIDE = {"gemma3": "gemma3_text"}  # a model that also sees pictures -> the part of it that writes


def size(folder: Path) -> Size:
    """Return the size of a model folder: from config.json, or from the weights' headers where the family is unknown.

    Raises:
        ModelError: if config.json holds no numbers, or the family is unknown and there are no weights yet.
    """
    values = config(folder)
    return size_of(values, folder.name) or _from_headers(folder, text_config(values))


def size_of(values: Mapping[str, Any], name: str = "config.json") -> Size | None:
    """Return the size that the values of a config.json tell, None where the family is not one of `FAMILIES`.

    Raises:
        ModelError: if a number is none; `name` is told as the place.
    """
    values = text_config(values)
    family = FAMILIES.get(str(values.get("model_type")))
    return None if family is None else _counted(family, {**family.defaults, **_stated(values)}, name)


def context_of(values: Mapping[str, Any]) -> int:
    """Return the longest text, in tokens, that a config.json says its model was made for; 0 when it does not say."""
    values = text_config(values)
    family = FAMILIES.get(str(values.get("model_type")))
    known = {} if family is None else family.defaults
    return _said({**known, **_stated(values)}, *_CONTEXT)


def text_config(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a config.json that describes the language model; most have only that."""
    inner = values.get("text_config")
    if not isinstance(inner, Mapping):
        return values
    outer = {key: values[key] for key in ("tie_word_embeddings",) if key in values}
    kind = str(values.get("model_type", ""))
    return {**outer, **inner, "model_type": inner.get("model_type") or _INSIDE.get(kind, kind)}


def _stated(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _counted(family: Family, values: Mapping[str, Any], name: str) -> Size:
    hidden, layers = _number(values, "hidden_size", name), _number(values, "num_hidden_layers", name)
    heads = _number(values, "num_attention_heads", name)
    pairs = _number(values, "num_key_value_heads", name) if values.get("num_key_value_heads") else heads
    head = _number(values, "head_dim", name) if values.get("head_dim") else hidden // heads
    inner, vocabulary = _number(values, "intermediate_size", name), _number(values, "vocab_size", name)
    shapes = {**_attention(family, hidden, heads * head, pairs * head), **_feed_forward(family, hidden, inner)}
    biased = family.always_biased.union(*(names for key, names in family.biased_by.items() if values.get(key)))
    linears = tuple(Linear(part, *shape, part in biased, layers) for part, shape in shapes.items())
    head_norms = 2 * head if family.head_norms or values.get("qk_layernorm") else 0
    norms = (layers * (family.norms * hidden + head_norms) + hidden) * (2 if family.norm_bias else 1)
    biases = sum(each.rows * each.count for each in linears if each.bias) + (vocabulary if family.output_bias else 0)
    return Size(
        family=str(values["model_type"]),
        layers=layers,
        hidden=hidden,
        intermediate=inner,
        heads=heads,
        key_value_heads=pairs,
        head_dim=head,
        vocabulary=vocabulary,
        context=context_of(values),
        tied=bool(values["tie_word_embeddings"]),
        linears=linears,
        others=norms + biases,
    )


def _attention(family: Family, hidden: int, queries: int, pairs: int) -> dict[str, tuple[int, int]]:
    """Return name -> (out, in); `queries` and `pairs` are the widths of all queries, and of all keys."""
    apart = {"q_proj": (queries, hidden), "k_proj": (pairs, hidden), "v_proj": (pairs, hidden)}
    first = {"qkv_proj": (queries + 2 * pairs, hidden)} if family.fused_qkv else apart
    return {**first, family.output: (hidden, queries)}


def _feed_forward(family: Family, hidden: int, inner: int) -> dict[str, tuple[int, int]]:
    if family.mlp == "plain":
        return {"fc1": (inner, hidden), "fc2": (hidden, inner)}
    apart = {"gate_proj": (inner, hidden), "up_proj": (inner, hidden)}
    return {**({"gate_up_proj": (2 * inner, hidden)} if family.mlp == "fused" else apart), "down_proj": (hidden, inner)}


def _number(values: Mapping[str, Any], key: str, name: str) -> int:
    value = values.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(problem("model.bad_config", name, reason=f"{key}: {value!r}"))
    return value


def _from_headers(folder: Path, values: Mapping[str, Any]) -> Size:
    """Read the size of an unknown family from its weight files: exact in what there is, silent about what is not said."""
    tensors = {name: tensor["shape"] for name, tensor in headers(folder).items()}
    if not tensors:
        raise ModelError(problem("model.unknown_size", folder.name, family=str(values.get("model_type", "?"))))
    embedding = next((shape for name, shape in tensors.items() if _is_embedding(name, shape)), [0, 0])
    tied = not any("lm_head" in name or name.endswith("output.weight") for name in tensors)
    found: dict[tuple[str, int, int], int] = {}
    for name, shape in tensors.items():
        if len(shape) == 2 and not any(part in name for part in _OUTSIDE):
            key = (name.removesuffix(".weight").rpartition(".")[2], shape[0], shape[1])
            found[key] = found.get(key, 0) + 1
    biased = {name.removesuffix(".bias").rpartition(".")[2] for name in tensors if name.endswith(".bias")}
    linears = tuple(Linear(*key, key[0] in biased, places) for key, places in found.items())
    total = sum(count(shape) for shape in tensors.values())
    known = Size(
        family=str(values.get("model_type", "")),
        layers=1 + max((number for name in tensors if (number := _layer(name)) is not None), default=-1),
        hidden=embedding[1],
        intermediate=_said(values, "intermediate_size", "n_inner", "ffn_dim"),
        heads=_said(values, "num_attention_heads", "n_head"),
        key_value_heads=_said(values, "num_key_value_heads", "num_attention_heads", "n_head"),
        head_dim=_said(values, "head_dim"),
        vocabulary=embedding[0],
        context=context_of(values),
        tied=tied,
        linears=linears,
        others=0,
    )
    return Size(**{**vars(known), "others": total - known.parameters})


_CONTEXT = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")
_OUTSIDE = ("embed", "lm_head", "wte", "wpe")  # in the name of what is no linear layer of a layer


def _is_embedding(name: str, shape: list[int]) -> bool:
    return len(shape) == 2 and any(part in name for part in ("embed_tokens", "wte", "embed_in", "word_embeddings"))


def _layer(name: str) -> int | None:
    """Return the number of the layer that a tensor belongs to: the first number in its name, None where it has none."""
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def _said(values: Mapping[str, Any], *keys: str) -> int:
    return next((value for key in keys if isinstance(value := values.get(key), int)), 0)
