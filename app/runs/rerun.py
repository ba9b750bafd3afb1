"""A run's settings for the Train form: as they were, with its data and prompt as they are found here and now."""

from collections.abc import Iterable

from app.studio import Studio
from core.data.entry import DatasetEntry
from core.data.pinned import pinned
from core.errors import Problem, StudioError, problem
from core.models.cache import revision_of
from core.models.folder import find_model, fingerprint
from core.runs.directory import Run, find
from core.settings import RunSettings, from_dict
from core.train.going_on import weights_hash


def settings_of(studio: Studio, run: Run) -> tuple[RunSettings, list[Problem]]:
    """Return the settings that make the same run again, and what to mind: what is missing here, or is another one now.

    Data is found by its content, under whatever name it has here. A prompt that is not here, in this version, is saved.

    Raises:
        StudioError: if the settings cannot be read by this version of the studio.
    """
    settings, minded = _as_it_was(studio, run)
    _mind_start(studio, run, minded)
    return settings, minded


def _as_it_was(studio: Studio, run: Run) -> tuple[RunSettings, list[Problem]]:
    minded: list[Problem] = []
    settings = run.settings
    names = _data(studio, run, minded)
    version, blanks, name = _prompt(studio, run, minded)
    overrides = {
        "data.train": [names.get(each, each) for each in settings.data.train],
        "data.test": [names.get(each, each) for each in settings.data.test],
        "data.weights": {names.get(each, each): weight for each, weight in settings.data.weights.items()},
        "prompt.name": name,
        "prompt.version": version,
        "prompt.blanks": blanks,
    }
    _mind_model(studio, run, minded)
    return from_dict(settings.model_dump(mode="json"), overrides), minded


def continued(studio: Studio, run: Run) -> tuple[RunSettings, list[Problem]]:
    """Return the settings of a new run that goes on from what a run made of the model, and what to mind about that.

    Raises:
        RunError: if the run has saved nothing.
    """
    run.require_adapter()
    settings, minded = _as_it_was(studio, run)
    learnt = ", ".join(run.settings.data.train)
    advice = [problem("rerun.continued", run.name, data=learnt), *minded]
    return from_dict(settings.model_dump(mode="json"), {"model.adapter": run.name, "name": ""}), advice


def _data(studio: Studio, run: Run, minded: list[Problem]) -> dict[str, str]:
    """Return the name that each data set of the run has here."""
    entries = studio.registry.entries()
    here = {name: entry.sha1 for name, entry in entries.items()}
    names: dict[str, str] = {}
    for each in run.config["data"]:
        name, sha1 = each["name"], each.get("sha1", "")
        same = [known for known, content in here.items() if content and content == sha1]
        names[name] = name if name in same or not same else same[0]
        if same and name not in same:
            minded.append(problem("rerun.other_name", name, here=same[0]))
        elif not same and name in here:
            minded.append(problem("rerun.other_data", name))
        elif not same:
            minded.append(problem("rerun.no_data", name, sha1=sha1[:8]))
        if same and _split(entries[names[name]]) != each.get("split_sha1"):
            minded.append(problem("rerun.other_split", name))
    for one in dict.fromkeys(names.values()):
        twins = [name for name, known in names.items() if known == one]
        if len(twins) > 1:
            minded.append(problem("rerun.one_set", one, names=", ".join(twins)))
    return names


def _split(entry: DatasetEntry) -> str | None:
    """Return the SHA-1 of a set's split, None where it has none; "" where that cannot be read."""
    try:
        return pinned(entry).get("split_sha1")
    except (StudioError, OSError):
        return ""


def _prompt(studio: Studio, run: Run, minded: list[Problem]) -> tuple[int | None, dict[str, str], str]:
    """Return version, blanks and name of the prompt that says word for word what was trained."""
    recorded, asked = run.config["prompt"], run.settings.prompt
    name, text = recorded["name"], recorded["text"]
    if text is None:
        return None, {}, name
    for version in _versions(studio, name, int(recorded["version"])):
        for blanks in (asked.blanks, {}):
            try:
                if studio.prompts.get(name, version, blanks).text == text:
                    return version, dict(blanks), name
            except StudioError:
                continue
    saved = studio.prompts.save(name, text)
    minded.append(problem("rerun.prompt_saved", name, version=saved.version))
    return saved.version, {}, saved.name


def _versions(studio: Studio, name: str, first: int) -> Iterable[int]:
    """Return the versions of a prompt, beginning with the one that was used; none where there is no such prompt."""
    try:
        known = studio.prompts.versions(name)
    except StudioError:
        return []
    return sorted(known, key=lambda each: (each != first, -each))


def _mind_model(studio: Studio, run: Run, minded: list[Problem]) -> None:
    wanted = run.config["model"]
    try:
        found = find_model(studio.workspace, run.settings.model.path)
    except StudioError as error:
        minded += error.problems
        return
    was, now = wanted.get("revision"), revision_of(found)
    other = (
        fingerprint(found) != wanted["fingerprint"] if wanted.get("fingerprint") else bool(was and now and was != now)
    )
    if other:
        minded.append(problem("rerun.other_model", wanted["path"]))


def _mind_start(studio: Studio, run: Run, minded: list[Problem]) -> None:
    """Mind what the run went on from: the earlier run may be gone, or may have learnt more since."""
    earlier = run.settings.model.adapter
    if not earlier:
        return
    try:
        folder = find(studio.workspace, earlier).require_adapter()
    except StudioError as error:
        minded += error.problems
        return
    begun = (run.config.get("continued") or {}).get("adapter_sha256")
    if begun and weights_hash(folder) != begun:
        minded.append(problem("rerun.other_start", earlier))
