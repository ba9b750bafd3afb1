"""QLoRA: LoRA on a base that lies in memory in 4 bits (NF4 with double quantisation, Dettmers et al. 2023), or in 8.

What is special about it happens when the base is loaded (`core.models.load`): the layers are quantised, and their gradient is
that of the dequantised weights. In 8 bits these are LLM.int8()'s (Dettmers et al. 2022): rows of int8 with a scale each.
"""

from core.train.methods.adapter import fresh_adapter, restore_adapter, save_adapter
from core.train.methods.method import Method

METHOD = Method(fresh_adapter, save_adapter, restore_adapter)
