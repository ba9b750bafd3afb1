"""Makes what all contenders train: a random model of a given shape, its tokenizer, and the rows.

The rows are read the way the studio reads any file. Those longer than the cutoff are left out for everybody, because the
contenders would treat them differently. The tokenizer is trained on the rows themselves.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.contest.stopwatch import learnt_tokens, real_tokens
from benchmarks.contest.task import Task
from core.data.formats import conversations
from core.data.registry import Registry
from core.records import Conversation
from core.render.tokenizer import CHATML, ChatTokenizer
from core.workspace import Workspace

VOCABULARY = 8_000  # of the tokenizer; a model may have room for more
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SHAPES: dict[str, dict[str, Any]] = {
    "small": {  # 5.6 million weights
        "vocab_size": VOCABULARY,
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "initializer_range": 0.05,  # wide enough for an adapter on random weights to learn something in few steps
        "dtype": "float32",
    },
    "8b": {  # Llama 3 8B, table 3 of Grattafiori et al. 2024
        "vocab_size": 128_256,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8192,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
    },
}
_WORDS = (
    "the a model learns from rows that people write and every answer has its question in the same order while some texts "
    "name numbers dates places or reasons why bread rises when yeast eats sugar and makes gas which the dough then holds"
)


def prepare(task: Task) -> dict[str, Any]:
    """Write model, tokenizer, training and held-out rows into the task's folder, where they are not there yet.

    Returns:
        `rows`, `too_long` (rows left out), `tokens`, `learnt_tokens` and the `lengths` of the training rows.
    """
    workspace = Workspace.at(task.workspace)
    source = Path(task.source) if task.source else _invented(task)
    rows = conversations(Registry(workspace).add(source, "source"))
    model = Path(task.model)
    if not (model / "config.json").exists():
        _write_tokenizer(model, [message.content for row in rows for message in row.messages])
        _write_model(task)
    tokenizer = ChatTokenizer.load(model)
    pairs = [(row, tokenizer.example(row)) for row in rows]
    short = [pair for pair in pairs if len(pair[1].input_ids) <= task.cutoff_len]
    random.Random(task.seed).shuffle(short)
    if len(short) < task.rows + task.heldout:
        raise SystemExit(f"{len(short)} rows are short enough; {task.rows} and {task.heldout} held out are wanted")
    train, heldout = short[: task.rows], short[task.rows : task.rows + task.heldout]
    for file, chosen in ((task.train_file, train), (task.heldout_file, heldout)):
        file.write_text("".join(_line(row) for row, _ in chosen), encoding="utf-8")
    Registry(workspace).add(task.train_file, "train")
    return {
        "rows": len(train),
        "too_long": len(pairs) - len(short),
        "tokens": real_tokens([example.input_ids for _, example in train]),
        "learnt_tokens": learnt_tokens([example.labels for _, example in train]),
        "lengths": [len(example.input_ids) for _, example in train],
    }


def _line(row: Conversation) -> str:
    return json.dumps({"messages": [message.to_dict() for message in row.messages]}, ensure_ascii=False) + "\n"


def _write_tokenizer(folder: Path, texts: list[str]) -> None:
    """Train a byte-level BPE tokenizer with ChatML's control tokens and the studio's ChatML template."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "additional_special_tokens": ["<|im_start|>"],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 8192,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHATML.read_text(encoding="utf-8"), encoding="utf-8")


def _write_model(task: Task) -> None:
    """Write random weights, the same for the same seed, drawn on the GPU where there is one."""
    torch.manual_seed(task.seed)
    config = LlamaConfig(**SHAPES[task.shape], bos_token_id=None, eos_token_id=2, pad_token_id=0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM._from_config(config, dtype=getattr(torch, SHAPES[task.shape]["dtype"]))
    model.save_pretrained(task.model)


def _invented(task: Task) -> Path:
    """Write instruction rows of very different lengths, as real ones have, up to about the cutoff."""
    chance = random.Random(task.seed)
    file = Path(task.folder) / "invented.jsonl"
    with file.open("w", encoding="utf-8") as stream:
        for number in range(task.rows + task.heldout):
            stream.write(json.dumps(_invented_row(number, chance, task.cutoff_len)) + "\n")
    return file


def _invented_row(number: int, chance: random.Random, cutoff_len: int) -> dict[str, str]:
    """Return one row. The words of an answer follow from the question, so that there is something to learn."""
    words = _WORDS.split()
    start = chance.randrange(len(words))
    length = min(int(chance.lognormvariate(5.0, 0.7)), cutoff_len // 3)
    answer = " ".join(_sentence(words, start, length, chance))
    return {"instruction": f"Question {number}: say what comes after {words[start]}.", "output": answer}


def _sentence(words: list[str], start: int, length: int, chance: random.Random) -> Iterator[str]:
    for place in range(max(8, length)):
        yield words[(start + place) % len(words)] if chance.random() < 0.9 else f"{chance.randrange(10_000)}"
