"""The two contenders that stand on transformers' Trainer: TRL's SFTTrainer and the plain Trainer with PEFT.

Each has its defaults for all that is not part of the task. What is part of it: the rows and what of them is learnt, the
cutoff, the batch of so many examples, AdamW at one constant rate for one pass, the adapter, four bits or not.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, load_dataset
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from benchmarks.contest.stopwatch import IGNORE_INDEX, Stopwatch, learnt_tokens, real_tokens
from benchmarks.contest.task import Task

CUDA = torch.cuda.is_available()


def trl(task: Task, watch: Stopwatch, adapter: Path) -> None:
    """Train through TRL's SFTTrainer, which loads the model, tokenises and adapts by itself."""
    from trl import SFTConfig, SFTTrainer

    settings = _trl_at_its_best(task) if task.best else {}
    config = SFTConfig(**{**_shared(task), "max_length": task.cutoff_len, "assistant_only_loss": True, **settings})
    trainer = SFTTrainer(
        task.model,
        args=config,
        train_dataset=_rows(task, "trl"),
        quantization_config=four_bits(torch.bfloat16) if task.method == "qlora" else None,
        peft_config=_lora(task),
    )
    _train(trainer, watch, adapter)


def trainer(task: Task, watch: Stopwatch, adapter: Path) -> None:
    """Train through transformers' Trainer: rows tokenised with labels, padded by `DataCollatorForSeq2Seq`."""
    set_seed(task.seed)
    model = AutoModelForCausalLM.from_pretrained(
        task.model,
        quantization_config=four_bits(torch.bfloat16) if task.method == "qlora" else None,
        device_map={"": 0} if CUDA else None,
    )
    if task.method == "qlora":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=task.recompute)
    tokenizer = AutoTokenizer.from_pretrained(task.model)
    rows = _rows(task, "trainer").map(tokenised(tokenizer), remove_columns=["messages"])
    settings = {"bf16": True, "train_sampling_strategy": "group_by_length"} if task.best else {}
    found = Trainer(
        get_peft_model(model, _lora(task)),
        TrainingArguments(**_shared(task), **settings),
        train_dataset=rows,
        data_collator=DataCollatorForSeq2Seq(tokenizer),
        processing_class=tokenizer,
    )
    _train(found, watch, adapter)


def four_bits(compute: torch.dtype) -> BitsAndBytesConfig:
    """Return QLoRA's: NF4 with double quantisation."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def _shared(task: Task) -> dict[str, Any]:
    return {
        "output_dir": str(Path(task.folder, "out")),
        "per_device_train_batch_size": task.micro_batch_size,
        "gradient_accumulation_steps": task.global_batch_size // task.micro_batch_size,
        "learning_rate": task.learning_rate,
        "lr_scheduler_type": "constant",
        "num_train_epochs": 1,
        "max_steps": 1 if task.only_first_step else -1,
        "seed": task.seed,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not CUDA,  # without it TRL refuses its own default, bfloat16, on a CPU
    }


def _trl_at_its_best(task: Task) -> dict[str, Any]:
    """Return the settings that are fastest for TRL: on a CPU as measured, on a GPU as its documentation says.

    Without FlashAttention rows of similar length are padded, which on a CPU is faster than its packing. With it rows are
    packed to the cutoff; an optimizer step has as many packs as hold the task's batch.
    """
    best: dict[str, Any] = {"gradient_checkpointing": CUDA and task.recompute}
    attention = _flash_attention()
    if attention is None:
        best |= {"train_sampling_strategy": "group_by_length"}
    else:
        packs = task.global_batch_size * _mean_length(task) / task.cutoff_len
        best |= {"packing": True, "gradient_accumulation_steps": max(1, round(packs / task.micro_batch_size))}
    if CUDA:
        best |= {
            "use_liger_kernel": find_spec("liger_kernel") is not None,
            "model_init_kwargs": {"dtype": "bfloat16", "attn_implementation": attention or "sdpa"},
        }
    return best


def _flash_attention() -> str | None:
    """Return the name under which transformers finds FlashAttention on this machine."""
    if not CUDA:
        return None
    if find_spec("flash_attn"):
        return "flash_attention_2"
    return "kernels-community/flash-attn2" if find_spec("kernels") else None


def _mean_length(task: Task) -> float:
    tokenizer = AutoTokenizer.from_pretrained(task.model)
    rows = _rows(task, "trl").select(range(min(200, task.rows)))
    return sum(len(tokenizer.apply_chat_template(row["messages"])["input_ids"]) for row in rows) / len(rows)


def _rows(task: Task, contender: str) -> Dataset:
    cache = Path(task.folder, "cache", contender)
    return load_dataset("json", data_files=str(task.train_file), split="train", cache_dir=str(cache))


def _lora(task: Task) -> LoraConfig:
    return LoraConfig(r=task.rank, lora_alpha=task.alpha, target_modules="all-linear", task_type="CAUSAL_LM")


def tokenised(tokenizer: Any) -> Callable[[dict[str, Any]], dict[str, list[int]]]:
    """Return what makes ids and labels of a row of messages: the answers are learnt, as the chat template marks them."""

    def row(each: dict[str, Any]) -> dict[str, list[int]]:
        found = tokenizer.apply_chat_template(each["messages"], return_dict=True, return_assistant_tokens_mask=True)
        pairs = zip(found["input_ids"], found["assistant_masks"], strict=True)
        return {"input_ids": found["input_ids"], "labels": [id if learn else IGNORE_INDEX for id, learn in pairs]}

    return row


class _Counting:
    """A collator that notes how many tokens each batch has before it is padded."""

    def __init__(self, collator: Callable[[list[dict[str, Any]]], Any]) -> None:
        self._collator = collator
        self.counted: list[tuple[int, int]] = []  # real and learnt tokens of each batch

    def __call__(self, rows: list[dict[str, Any]]) -> Any:
        tokens = real_tokens([row["input_ids"] for row in rows])
        self.counted.append((tokens, learnt_tokens([row["labels"] for row in rows])))
        return self._collator(rows)


class _EachStep(TrainerCallback):
    """Tells the stopwatch of each step. Batches are read ahead, so those of the step are counted off from the front."""

    def __init__(self, watch: Stopwatch, counting: _Counting) -> None:
        self._watch, self._counting, self._batches = watch, counting, 0

    def on_substep_end(self, *_: Any, **__: Any) -> None:
        self._batches += 1

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._batches += 1
        mine = self._counting.counted[: self._batches]
        del self._counting.counted[: self._batches]
        self._batches = 0
        self._watch.step(sum(tokens for tokens, _ in mine), sum(learnt for _, learnt in mine))


def _train(trainer: Trainer, watch: Stopwatch, adapter: Path) -> None:
    counting = _Counting(trainer.data_collator)
    trainer.data_collator = counting
    trainer.add_callback(_EachStep(watch, counting))
    trainer.train()
    watch.finish()
    trainer.model.save_pretrained(adapter)
