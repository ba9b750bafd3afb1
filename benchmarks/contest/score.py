"""The loss that decides whether all contenders learnt the same: one function, one base, the same held-out rows."""

import json
from pathlib import Path

import torch
from peft import PeftModel
from torch.nn import functional
from transformers import AutoModelForCausalLM, PreTrainedModel

from benchmarks.contest.peers import four_bits
from benchmarks.contest.stopwatch import IGNORE_INDEX
from benchmarks.contest.task import Task
from core.records import Conversation, Message
from core.render.tokenizer import ChatTokenizer, Example


def scores(task: Task) -> dict[str, float]:
    """Return the held-out loss of the base, and of each adapter that was trained on it by its contender's name."""
    examples = heldout_examples(task)
    found = {"base": heldout_loss(_base(task), examples)}
    for adapter in sorted(Path(task.folder, "adapters").iterdir()):
        model = PeftModel.from_pretrained(_base(task), str(adapter), use_safetensors=True)
        found[adapter.name] = heldout_loss(model, examples)
    return found


def heldout_examples(task: Task) -> list[Example]:
    tokenizer = ChatTokenizer.load(Path(task.model))
    lines = task.heldout_file.read_text(encoding="utf-8").splitlines()
    return [tokenizer.example(_conversation(line)) for line in lines]


@torch.no_grad()
def heldout_loss(model: PreTrainedModel | PeftModel, examples: list[Example]) -> float:
    """Return the mean loss in nats per learnt token, one example at a time: no padding, no packing, no batches."""
    model.eval()
    device = next(model.parameters()).device
    summed, tokens = 0.0, 0
    for example in examples:
        logits = model(input_ids=torch.tensor([example.input_ids], device=device), use_cache=False).logits[0, :-1]
        labels = torch.tensor(example.labels[1:], device=device)
        summed += float(functional.cross_entropy(logits.float(), labels, ignore_index=IGNORE_INDEX, reduction="sum"))
        tokens += int((labels != IGNORE_INDEX).sum())
    return summed / tokens


def _conversation(line: str) -> Conversation:
    messages = json.loads(line)["messages"]
    return Conversation(tuple(Message(each["role"], each["content"]) for each in messages))


def _base(task: Task) -> PreTrainedModel:
    """Load the base as it was trained on: in four bits for QLoRA, in float32 on a CPU."""
    cuda = torch.cuda.is_available()
    dtype = torch.bfloat16 if cuda else torch.float32
    model = AutoModelForCausalLM.from_pretrained(
        task.model,
        dtype=dtype,
        quantization_config=four_bits(dtype) if task.method == "qlora" else None,
        device_map={"": 0} if cuda else None,
    )
    for module in model.modules():  # bitsandbytes 0.50.2: its fast CPU kernel rounds, and would score another model
        if type(module).__name__ == "Linear4bit":
            module.support_avx512bf16_for_cpu = False
    return model
