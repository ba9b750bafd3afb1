"""LoRA: beside each frozen matrix W two small ones learn, and W x becomes W x + alpha/r B A x (Hu et al. 2021).

A starts at random and B at zero, so that training begins at the base model.
"""

from core.train.methods.adapter import fresh_adapter, restore_adapter, save_adapter
from core.train.methods.method import Method

METHOD = Method(fresh_adapter, save_adapter, restore_adapter)
