"""Full fine-tuning: every weight is trained."""

from transformers import PreTrainedModel

from core.settings import RunSettings
from core.train.methods.method import Method
from core.train.methods.whole import restore_whole, save_whole, train_only


def attach(base: PreTrainedModel, settings: RunSettings) -> PreTrainedModel:
    return train_only(base, [base])


METHOD = Method(attach, save_whole, restore_whole)
