"""The embeddings of a model whose tokenizer has learnt new tokens: a row more for each, and only these rows are trained."""

from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from core.errors import ModelError, problem
from core.models.new_tokens import added_ids


def grow(base: PreTrainedModel, tokenizer: Path) -> None:
    """Give a freshly loaded base rows for the tokens that the tokenizer in a folder has and its own has not.

    A new row is the mean of the rows of all tokens that it knew, in the output layer as well: the token then stands for
    nothing in particular (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models"). A vocabulary
    that is padded beyond its tokens has rows to spare and keeps its size. The result is the same each time, so that an
    adapter finds the base that it was trained on.

    Raises:
        ModelError: if the output layer has a bias, which PEFT drops when it trains some of its rows.
    """
    new = added_ids(Path(base.name_or_path), tokenizer)
    if not new:
        return
    if getattr(base.get_output_embeddings(), "bias", None) is not None:
        raise ModelError(problem("model.biased_output", Path(base.name_or_path).name))
    known = min(new)
    if max(new) >= base.get_input_embeddings().num_embeddings:
        base.resize_token_embeddings(max(new) + 1, mean_resizing=False)
    weights = {id(layer.weight): layer.weight for layer in _embeddings(base)}
    with torch.no_grad():
        for weight in weights.values():
            weight[new] = weight[:known].float().mean(0).to(weight.dtype)


def trainable_rows(base: PreTrainedModel, ids: list[int]) -> dict[str, list[int]] | None:
    """Return what PEFT's `trainable_token_indices` takes so that only the rows of these tokens are trained, None for none.

    Where the output layer is not the embedding it has its own rows.
    """
    if not ids:
        return None
    named = {id(module): name for name, module in base.named_modules()}
    layers = {id(layer.weight): layer for layer in reversed(_embeddings(base))}  # of a tied pair the embedding stays
    return {named[id(layer)]: list(ids) for layer in reversed(layers.values())}


def _embeddings(base: PreTrainedModel) -> list[nn.Module]:
    return [base.get_input_embeddings(), base.get_output_embeddings()]
