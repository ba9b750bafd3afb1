"""The fine-tuning methods, one file each. What they can do is told, without torch, by `core.models.methods`."""

from core.settings import RunSettings
from core.train.methods import dora, freeze, full, lora, loraplus, pissa, prefix, prompt, qlora, rslora
from core.train.methods.method import Method

METHODS: dict[str, Method] = {
    "qlora": qlora.METHOD,
    "lora": lora.METHOD,
    "rslora": rslora.METHOD,
    "dora": dora.METHOD,
    "pissa": pissa.METHOD,
    "loraplus": loraplus.METHOD,
    "prefix": prefix.METHOD,
    "prompt": prompt.METHOD,
    "freeze": freeze.METHOD,
    "full": full.METHOD,
}


def method_of(settings: RunSettings) -> Method:
    """Return the method that the settings name."""
    return METHODS[settings.method.name]
