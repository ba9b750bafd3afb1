"""Freeze: the last decoder layers are trained, everything before them, the embeddings and the output stay as they are."""

from torch import nn
from transformers import PreTrainedModel

from core.settings import RunSettings
from core.train.methods.method import Method
from core.train.methods.whole import restore_whole, save_whole, train_only


def attach(base: PreTrainedModel, settings: RunSettings) -> PreTrainedModel:
    """Freeze all but the last `method.layers` decoder layers."""
    return train_only(base, list(decoder_layers(base))[-settings.method.layers :])


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """Return the decoder's stack, whatever its family calls it: the list with as many modules as the config says layers."""
    count = model.config.get_text_config().num_hidden_layers
    lists = (module for module in model.get_decoder().modules() if isinstance(module, nn.ModuleList))
    return next(each for each in lists if len(each) == count)


METHOD = Method(attach, save_whole, restore_whole)
