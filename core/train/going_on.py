"""A new run that begins with what an earlier one has learnt: same base, same adapter, a schedule of its own. No torch.

The adapter is copied into the new run, so that the earlier one may be deleted. A *new* adapter on top of an old one is a run
on the merged model: merged once and proved, what is trained on is what other programs load, too.
"""

import hashlib
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

from core.errors import Problem, RunError, StudioError, problem
from core.models import folder as models
from core.models.methods import TRAITS
from core.runs.directory import COMPLETE, Run, find
from core.runs.intact import is_intact
from core.settings import RunSettings
from core.train.resume import FILES
from core.workspace import Workspace

START = "start"  # the folder in a run with what it begins from
_SAME = ("method.name", "model.add_chatml")
_SAME_LORA = ("lora.rank", "lora.alpha", "lora.targets")
_SAME_OF = {"freeze": ("method.layers",), "prefix": ("method.virtual_tokens",), "prompt": ("method.virtual_tokens",)}


def check(workspace: Workspace, settings: RunSettings) -> list[Problem]:
    """Return what keeps a run from going on from the one that `model.adapter` names; nothing when it names none."""
    if not settings.model.adapter:
        return []
    try:
        earlier = find(workspace, settings.model.adapter)
        earlier.require_adapter()
        base = models.fingerprint(models.find_model(workspace, settings.model.path))
    except StudioError as error:
        return list(error.problems)
    return list(_incompatible(earlier, settings, base))


def advice(workspace: Workspace, settings: RunSettings, steps: int) -> list[Problem]:
    """Return what to mind about going on from an earlier run: its schedule, its prompt, and what it may forget."""
    if not settings.model.adapter or check(workspace, settings):
        return []
    earlier = find(workspace, settings.model.adapter)
    rate = f"{settings.optim.learning_rate:g}"
    warmup = math.ceil(steps * settings.schedule.warmup_share)
    values = {"steps": steps, "warmup": warmup, "rate": rate, "before": f"{earlier.settings.optim.learning_rate:g}"}
    found = [problem("continue.schedule", earlier.name, **values)]
    forgotten = [name for name in earlier.settings.data.train if name not in settings.data.train]
    if forgotten:
        found.append(problem("continue.replay", "data.train", names=", ".join(forgotten), run=earlier.name))
    now, then = settings.prompt, earlier.settings.prompt
    if (now.name, now.version or then.version, now.blanks) != (then.name, then.version or now.version, then.blanks):
        found.append(problem("continue.other_prompt", "prompt.name", now=now.name, before=then.name, run=earlier.name))
    return found


def bring(workspace: Workspace, settings: RunSettings, run: Path) -> dict[str, str]:
    """Copy what the run begins from into its directory, and return what its config says of it.

    Raises:
        RunError: if the earlier run has nothing saved, or what it saved is damaged.
    """
    earlier = find(workspace, settings.model.adapter)
    folder, begun = earlier.require_adapter(), run / START
    if (folder / COMPLETE).read_bytes() and not is_intact(folder):  # an older studio's marker says nothing
        raise RunError(problem("continue.damaged", earlier.name, folder=folder.name))
    begun.mkdir()
    for file in folder.iterdir():
        if file.name not in (*FILES, COMPLETE):
            shutil.copy2(file, begun / file.name)
    return {
        "run": earlier.name,
        "adapter": str(folder.relative_to(earlier.path)),
        "adapter_sha256": weights_hash(begun),
    }


def size(workspace: Workspace, settings: RunSettings) -> int:
    """Return the bytes that a run begins from, 0 where it begins from its base."""
    if not settings.model.adapter:
        return 0
    return sum(file.stat().st_size for file in find(workspace, settings.model.adapter).require_adapter().iterdir())


def required(run: Run) -> Path | None:
    """Return the folder with what a run begins from, None where it begins from its base.

    Raises:
        RunError: if it is gone or another one.
    """
    if not run.settings.model.adapter:
        return None
    folder, expected = run.path / START, run.config.get("continued", {}).get("adapter_sha256")
    if not folder.is_dir() or weights_hash(folder) != expected:
        raise RunError(problem("continue.start_gone", run.name, earlier=run.settings.model.adapter))
    return folder


def weights_hash(folder: Path) -> str:
    """Return the SHA-256 over all weight files of an adapter or a whole model."""
    total = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        if file.name not in FILES:
            with file.open("rb") as opened:
                total.update(hashlib.file_digest(opened, "sha256").digest())
    return total.hexdigest()


def _incompatible(earlier: Run, settings: RunSettings, base: str) -> Iterator[Problem]:
    before, name = earlier.settings, settings.method.name
    if earlier.config["model"]["fingerprint"] not in (None, base):
        yield problem("continue.other_base", "model.path", run=earlier.name, base=before.model.path)
        return
    lora = _SAME_LORA if TRAITS[name].adapter and TRAITS[name].mergeable else ()
    for path in (*_SAME, *(lora if before.method.name == name else ()), *_SAME_OF.get(name, ())):
        was, now = _value(before, path), _value(settings, path)
        if was != now:
            yield problem("continue.other_setting", path, run=earlier.name, before=_shown(was), after=_shown(now))


def _value(settings: RunSettings, path: str) -> object:
    group, _, name = path.partition(".")
    return settings.lora_alpha if path == "lora.alpha" else getattr(getattr(settings, group), name)


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
