"""The fine-tuning methods and what each can do, without torch: plan, page, merge and workers read it.

How each trains stands in `core.train.methods`, one file a method.
"""

from dataclasses import dataclass

from core.settings import RunSettings


@dataclass(frozen=True)
class Traits:
    """What a method leaves behind and what it goes together with.

    adapter: it writes an adapter; otherwise a whole model.
    mergeable: what it writes can be added to the base's weights.
    packs: several examples may share a row. Of a row, only the first example would see what is learnt to stand before it.
    checkpoints: activations may be computed again in the backward pass.
    bits: the precisions that the base can have; the first is the default.
    """

    adapter: bool
    mergeable: bool
    packs: bool
    bits: tuple[int, ...]
    checkpoints: bool = True


TRAITS: dict[str, Traits] = {
    "qlora": Traits(adapter=True, mergeable=True, packs=True, bits=(4, 8)),
    "lora": Traits(adapter=True, mergeable=True, packs=True, bits=(16,)),
    "rslora": Traits(adapter=True, mergeable=True, packs=True, bits=(16, 8, 4)),
    "dora": Traits(adapter=True, mergeable=True, packs=True, bits=(16, 8, 4)),
    "pissa": Traits(adapter=True, mergeable=True, packs=True, bits=(16,)),
    "loraplus": Traits(adapter=True, mergeable=True, packs=True, bits=(16, 8, 4)),
    "prefix": Traits(adapter=True, mergeable=False, packs=False, bits=(16, 8, 4), checkpoints=False),
    "prompt": Traits(adapter=True, mergeable=False, packs=False, bits=(16, 8, 4)),
    "freeze": Traits(adapter=False, mergeable=False, packs=True, bits=(16,)),
    "full": Traits(adapter=False, mergeable=False, packs=True, bits=(16,)),
}


def virtual_tokens(settings: RunSettings) -> int:
    """Return how many learnt tokens stand before every text; they take memory and context as others do."""
    return settings.method.virtual_tokens if settings.method.name in ("prefix", "prompt") else 0


def bits_of(settings: RunSettings) -> int:
    """Return the bits of a base weight while it is trained on: 4, 8, or 16 for not quantised."""
    return settings.method.bits or TRAITS[settings.method.name].bits[0]
