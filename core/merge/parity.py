"""Is the merged model the same model? Logits of both on the same prompts, compared number by number.

Three comparisons, because they answer three questions. In float32, right after the merge: was the adapter added correctly?
Only the order of additions differs, so the logits agree to a hundred-thousandth of their size. The folder as it lies on disk,
loaded by plain transformers, against what was in memory when it was written: was everything saved? Then the logits are
equal. And the folder against the adapter in float32: what does rounding to the dtype of the result cost?
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from core.errors import RunError, problem

LAST = 32  # positions compared at the end of each prompt; 8 prompts of a 150k vocabulary then take 150 MB
# The largest logit difference that rounding explains, as a share of the largest logit. Measured: 0.02 (bfloat16) and 0.002
# (float16) on a trained model of 5M weights; on untrained ones with strong adapters, where rounding does most harm, 0.38 and
# 0.08, and 1.1e-5 in float32. What is beyond is no rounding: infinity, a wrong tensor.
BOUNDS = {"float32": 1e-5, "bfloat16": 0.5, "float16": 0.125}
FLOAT32 = 1e-4  # absolute; float32 is held to this while logits are below 10


@dataclass(frozen=True)
class Parity:
    """`same` of `positions` have the same likeliest token; `first_same` of the prompts begin the answer with the same one."""

    max_diff: float  # in logits
    same: int
    positions: int
    first_same: int
    prompts: int
    scale: float  # largest absolute logit of the reference


@torch.inference_mode()
def logits(model: PreTrainedModel, prompts: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Return the logits (T, V), float32, at the last positions of each prompt of token ids."""
    return [
        model(input_ids=torch.tensor([list(prompt)], device=model.device), logits_to_keep=LAST).logits[0].float().cpu()
        for prompt in prompts
    ]


def compare(reference: Sequence[torch.Tensor], merged: Sequence[torch.Tensor]) -> Parity:
    """Return how far the logits of two models are apart."""
    pairs = list(zip(reference, merged, strict=True))
    return Parity(
        max_diff=max(float((a - b).abs().max()) for a, b in pairs),
        same=sum(int((a.argmax(-1) == b.argmax(-1)).sum()) for a, b in pairs),
        positions=sum(len(a) for a, _ in pairs),
        first_same=sum(int(a[-1].argmax() == b[-1].argmax()) for a, b in pairs),
        prompts=len(pairs),
        scale=max(float(a.abs().max()) for a in reference),
    )


def bound(dtype: str, scale: float) -> float:
    """Return the largest difference that rounding explains."""
    return max(FLOAT32, BOUNDS["float32"] * scale) if dtype == "float32" else BOUNDS[dtype] * scale


def require(parity: Parity, dtype: str) -> None:
    """Check that the difference is one that rounding explains.

    Raises:
        RunError: if it is not; a NaN is not either.
    """
    allowed = bound(dtype, parity.scale)
    if not parity.max_diff <= allowed:
        values = {"diff": f"{parity.max_diff:.2g}", "bound": f"{allowed:.2g}", "dtype": dtype}
        raise RunError(problem("merge.parity", **values))
