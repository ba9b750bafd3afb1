"""rsLoRA: LoRA scaled by alpha/sqrt(r) instead of alpha/r (Kalajdzievski 2023).

The paper shows that with alpha/r the gradients of a high rank vanish; with the root every rank learns at the same rate.
"""

from functools import partial

from core.train.methods.adapter import fresh_adapter, restore_adapter, save_adapter
from core.train.methods.method import Method

METHOD = Method(partial(fresh_adapter, use_rslora=True), save_adapter, restore_adapter)
