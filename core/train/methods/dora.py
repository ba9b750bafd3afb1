"""DoRA: the direction of each row of a weight is learnt by a LoRA, its length by a number of its own (Liu et al. 2024).

W becomes m (W + s B A) / ||W + s B A||, row by row, and m starts at the rows' lengths. Each pass computes these lengths anew,
which makes DoRA slower than LoRA.
"""

from functools import partial

from core.train.methods.adapter import fresh_adapter, restore_adapter, save_adapter
from core.train.methods.method import Method

METHOD = Method(partial(fresh_adapter, use_dora=True), save_adapter, restore_adapter)
