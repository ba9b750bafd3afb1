"""Base and tuned model answer the same questions: the studio's way, and `generate` on PEFT in batches of 8 as they come.

    python benchmarks/evaluation.py [--prompts 64] [--new-tokens 64] [--rounds 5] [--threads 2] [--json]

The model is a random Llama of the starter's shape (5.5 million weights) with a random LoRA adapter, both in float32; the
questions are rows of the sample sets, of unequal lengths. No token ends an answer, so that both ways write equally much. They
take turns in one process, and the median of the rounds counts: other load on the machine slows both. What the studio does
once (folding the adapter in, changing who speaks) is in its time. It fails where the answers differ. The last line (--json)
is `{"studio": {"prompts_per_second": ...}, "generate": {...}}`; a question that base and tuned answer counts twice.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig  # noqa: E402

from core.evaluate.asking import Asked  # noqa: E402
from core.evaluate.generate import Decoding, batch_limits, batches  # noqa: E402
from core.models.folder import copy_tokenizer  # noqa: E402
from core.models.load import forget_defaults, load_base, load_many  # noqa: E402
from core.records import Message  # noqa: E402
from core.render.tokenizer import ChatTokenizer  # noqa: E402
from core.workspace import SAMPLES  # noqa: E402

SETS = ("desk_test", "general_test", "identity_test")
RANK, STRENGTH = 16, 0.02
THEIR_ROWS = 8  # what a form of a fine-tuning page has as its batch size
Answers = dict[str, list[str]]  # who -> the answer to each prompt


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        base, adapter = build(Path(folder))
        tokenizer = ChatTokenizer.load(base)
        tokenizer.stop_ids = ()
        prompts = questions(tokenizer, options.prompts)
        lengths = sorted(map(len, prompts))
        print(
            f"{len(prompts)} prompts of {lengths[0]} to {lengths[-1]} tokens, {lengths[len(lengths) // 2]} in the middle"
        )
        ways = {
            "studio": studio(base, adapter, tokenizer, prompts, options.new_tokens),
            "generate": plain(base, adapter, tokenizer, prompts, options.new_tokens),
        }
        found = contest(ways, options.rounds, 2 * len(prompts))
    if options.json:
        print(json.dumps(found))


def contest(ways: dict[str, Callable[[], Answers]], rounds: int, answered: int) -> dict[str, dict[str, float]]:
    """Return the speed of each way, in answers a second; exit where they do not answer alike."""
    first = {name: way() for name, way in ways.items()}  # which also warms both up
    ours, theirs = first.values()
    different = sum(a != b for who in ours for a, b in zip(ours[who], theirs[who], strict=True))
    print(f"answers that differ: {different} of {answered}; base and tuned differ in "
          f"{sum(a != b for a, b in zip(ours['base'], ours['tuned'], strict=True))}")  # fmt: skip
    if different > answered // 50:  # a tie that rounding decides is none of anybody's doing
        sys.exit("the answers differ")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    found = {}
    for name, took in seconds.items():
        found[name] = {"prompts_per_second": round(answered / statistics.median(took), 2)}
        print(
            f"{name:10}{found[name]['prompts_per_second']:8.1f} prompts/s   rounds: {[round(each, 2) for each in took]}"
        )
    times = [theirs / ours for ours, theirs in zip(seconds["studio"], seconds["generate"], strict=True)]
    print(f"the studio is {statistics.median(times):.2f} times as fast (load of the machine {os.getloadavg()[0]:.1f})")
    return found


def studio(
    base: Path, adapter: Path, tokenizer: ChatTokenizer, prompts: list[list[int]], new_tokens: int
) -> Callable[[], Answers]:
    """Return what an evaluation does: sorted batches, each asked of the base and of the tuned model."""
    loaded = load_many(base, {"tuned": adapter})
    asked = Asked(
        loaded, dict.fromkeys(loaded.names, tokenizer), 0, Decoding(new_tokens), lambda found: sys.exit(found.code)
    )
    lengths = [len(prompt) for prompt in prompts]
    limits = batch_limits(loaded.model)

    def answer() -> Answers:
        found = {who: [""] * len(prompts) for who in loaded.names}
        for batch in batches(lengths, new_tokens, max(lengths) + new_tokens, *limits):
            for who in loaded.names:
                for place, said in zip(batch, asked.ask(who, [prompts[place] for place in batch]), strict=True):
                    found[who][place] = said.text if said else ""
        return found

    return answer


def plain(
    base: Path, adapter: Path, tokenizer: ChatTokenizer, prompts: list[list[int]], new_tokens: int
) -> Callable[[], Answers]:
    """Return what a script does with transformers and PEFT: batches of 8 in the order of the file, through the adapter."""
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter).eval()
    forget_defaults(tuned.get_base_model())
    config = GenerationConfig(do_sample=False, max_new_tokens=new_tokens, pad_token_id=tokenizer.pad_id)

    @torch.inference_mode()
    def answers() -> list[str]:
        found = []
        for start in range(0, len(prompts), THEIR_ROWS):
            some = prompts[start : start + THEIR_ROWS]
            width = max(map(len, some))
            ids = torch.tensor([[tokenizer.pad_id] * (width - len(each)) + each for each in some])
            mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in some])
            output = tuned.generate(inputs=ids, attention_mask=mask, generation_config=config)[:, width:]
            found += [tokenizer.decode(row) for row in output.tolist()]
        return found

    def answer() -> Answers:
        with tuned.disable_adapter():
            before = answers()
        return {"base": before, "tuned": answers()}

    return answer


def build(folder: Path) -> tuple[Path, Path]:
    """Write a random model of the starter's shape and a random adapter for it; return their folders."""
    base, adapter = folder / "model", folder / "adapter"
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(SAMPLES / "starter"), dtype=torch.float32)
    model.save_pretrained(base)
    copy_tokenizer(SAMPLES / "starter", base)
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    tuned = get_peft_model(load_base(base), config)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=STRENGTH)
    tuned.save_pretrained(adapter)
    copy_tokenizer(base, adapter)
    return base, adapter


def questions(tokenizer: ChatTokenizer, count: int) -> list[list[int]]:
    """Return the first rows of the sample sets in turn, as token ids."""
    rows = [json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8")) for name in SETS]
    found = []
    for number in range(max(map(len, rows))):
        for row in (each[number] for each in rows if number < len(each)):
            system = [Message("system", row["system"])] if row.get("system") else []
            asked = "\n".join(part for part in (row["instruction"], row["input"]) if part)
            found.append(tokenizer.prompt_ids([*system, Message("user", asked)]))
    return found[:count]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--new-tokens", type=int, default=64, help="that each answer has")
    parser.add_argument("--rounds", type=int, default=5, help="of both ways in turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="the last line is the result as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
