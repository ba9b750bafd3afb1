"""What lies beside the weights, so that other programs chat as the studio does: tokenizer, chat template, stop tokens."""

import json
from pathlib import Path

from core.models.folder import copy_tokenizer
from core.render.tokenizer import ChatTokenizer


def write_companions(source: Path, target: Path) -> None:
    """Copy a model's tokenizer into `target`, with the template that was used and a generation config that knows its stops.

    A model that cannot chat gets its own files and nothing else.
    """
    copy_tokenizer(source, target)
    tokenizer = ChatTokenizer.load(source)
    if tokenizer.template_source == "none":  # it was trained on running text
        return
    (target / "chat_template.jinja").write_text(tokenizer.template, encoding="utf-8")
    given = source / "generation_config.json"
    defaults = json.loads(given.read_text(encoding="utf-8")) if given.is_file() else {}
    defaults |= {"eos_token_id": list(tokenizer.stop_ids), "pad_token_id": tokenizer.pad_id}
    (target / "generation_config.json").write_text(json.dumps(defaults, indent=1), encoding="utf-8")
