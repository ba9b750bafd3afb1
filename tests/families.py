"""Five families of chat models in small: control tokens, a tokenizer trained here, a chat template in their style.

The tokenizers have the kind of pre-tokenisation that the family has: byte-level, or SentencePiece with and without a space
before the text. The templates stand in tests/templates.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "hello world, what is the weather in Paris today? It is sunny. user assistant system model\n\n",
    '{"name": "weather", "arguments": {"city": "Paris", "days": 3}} {"type": "function"} <tool_call> </tool_call>',
    "你好，世界！今天巴黎天气怎么样？晴天。",
] * 4


@dataclass(frozen=True)
class Family:
    """How a family chats: control tokens, the one that ends an answer, and whether its tokenizer reads bytes.

    `puts_bos` says that the tokenizer puts the begin-of-text token before a plain text.
    """

    control: tuple[str, ...]
    stop: str
    bos: str = ""
    eos: str = ""  # where it is not the stop token
    bytes: bool = True
    space_first: str = ""  # Metaspace's scheme
    rstrip: bool = False
    tools: bool = True
    system: bool = True
    calls_at_once: int = 2
    puts_bos: bool = False


FAMILIES = {
    "llama3": Family(("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
                      "<|eom_id|>"), "<|eot_id|>", "<|begin_of_text|>", "<|end_of_text|>", calls_at_once=1,
                     puts_bos=True),
    "qwen2_5": Family(("<|endoftext|>", "<|im_start|>", "<|im_end|>"), "<|im_end|>"),
    "mistral": Family(("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
                       "[TOOL_RESULTS]", "[/TOOL_RESULTS]"), "</s>", "<s>", bytes=False, space_first="first",
                      system=False, puts_bos=True),
    "gemma": Family(("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"), "<end_of_turn>", "<bos>", "<eos>", bytes=False,
                    space_first="never", tools=False, puts_bos=True),
    "phi": Family(("<s>", "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"), "<|end|>", "<s>",
                  "<|endoftext|>", bytes=False, space_first="always", rstrip=True, tools=False),
}  # fmt: skip


def write(folder: Path, name: str) -> Path:
    family = FAMILIES[name]
    tokenizer = byte_level() if family.bytes else sentence_pieces(family.space_first)
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False, rstrip=family.rstrip) for token in family.control]
    )
    if family.puts_bos:
        first = (family.bos, tokenizer.token_to_id(family.bos))
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{family.bos} $A", special_tokens=[first])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": family.eos or family.stop}
    if family.bos:
        config["bos_token"] = family.bos
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    stops = [tokenizer.token_to_id(family.eos or family.stop), tokenizer.token_to_id(family.stop)]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": stops}))
    template = Path(__file__).parent / "templates" / f"{name}.jinja"
    (folder / "chat_template.jinja").write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    words = Regex(
        r"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def sentence_pieces(scheme: str) -> Tokenizer:
    """A BPE of characters with bytes for those it does not know, and ▁ for spaces, as SentencePiece has it."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    spaces = {"never": normalizers.Replace(" ", "▁"),
              "always": normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])}  # fmt: skip
    if scheme in spaces:
        tokenizer.normalizer = spaces[scheme]
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme, split=False)
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    values = json.loads(tokenizer.to_str())
    vocabulary = {"<unk>": 0} | {f"<0x{byte:02X}>": byte + 1 for byte in range(256)}
    values["model"]["vocab"] = vocabulary | {token: id + 257 for token, id in values["model"]["vocab"].items()}
    tokenizer = Tokenizer.from_str(json.dumps(values))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken("<unk>", special=True, normalized=False)])
    return tokenizer
