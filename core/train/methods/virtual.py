"""The common ground of prefix and prompt tuning: saved as PEFT writes them, restored into the same."""

from pathlib import Path

from core.models.virtual_tokens import VirtualTokens, read_virtual_tokens


def save_virtual(model: VirtualTokens, folder: Path) -> None:
    model.save_pretrained(folder, safe_serialization=True)


def restore_virtual(model: VirtualTokens, folder: Path) -> None:
    read_virtual_tokens(model, folder)
