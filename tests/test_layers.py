"""Who may import whom. The table is the architecture; change it on purpose or not at all."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
WORDS = {
    "core.wording",
    "core.amounts",
    "core.errors",
    "core.records",
    "core.workspace",
    "core.duration",
    "core.placeholders",
    "core.progress",
    "core.yaml_text",
}
MAY_IMPORT = {  # package -> packages of ours it may import (its own modules always)
    "core.wording": set(),
    "core.errors": {"core.wording"},
    "core.amounts": set(),
    "core.yaml_text": set(),
    "core.duration": {"core.wording"},
    "core.records": set(),
    "core.progress": set(),
    "core.placeholders": {"core.errors"},
    "core.workspace": {"core.errors"},
    "core.settings": {"core.errors", "core.wording", "core.yaml_text"},
    "core.prompts": WORDS,
    "core.data": WORDS,
    "core.render": WORDS,
    "core.models": WORDS | {"core.runs", "core.settings", "core.render"},
    "core.runs": WORDS | {"core.settings"},
    "core.tokens": WORDS | {"core.data", "core.render", "core.runs"},
    "core.doctor": WORDS | {"core.data", "core.render", "core.models", "core.tokens"},
    "core.curate": WORDS | {"core.data", "core.doctor", "core.prompts", "core.render", "core.models", "core.runs"},
    "core.train": WORDS | {"core.settings", "core.data", "core.doctor", "core.prompts", "core.render", "core.models",
                           "core.runs", "core.tokens"},
    "core.evaluate": WORDS | {"core.settings", "core.data", "core.prompts", "core.render", "core.models", "core.runs"},
    "core.diagnose": WORDS | {"core.settings", "core.data", "core.runs", "core.train", "core.evaluate", "core.models",
                              "core.prompts", "core.render", "core.doctor"},
    "core.experiments": WORDS | {"core.settings", "core.data", "core.prompts", "core.models", "core.runs", "core.train",
                                 "core.evaluate", "core.diagnose"},
    "core.chat": WORDS | {"core.settings", "core.prompts", "core.render", "core.models", "core.runs"},
    "core.merge": WORDS | {"core.settings", "core.data", "core.prompts", "core.render", "core.models", "core.runs"},
    "core.starter": WORDS | {"core.render", "core.data"},
    "core.commands": WORDS | {"core.cli", "core.settings", "core.data", "core.prompts", "core.models", "core.runs",
                              "core.train", "core.evaluate", "core.chat", "core.merge", "core.doctor", "core.curate",
                              "core.render", "core.experiments", "core.diagnose"},
    "core.cli": {"core.commands"},
    "app": WORDS | {"core.settings", "core.data", "core.prompts", "core.render", "core.models", "core.runs", "core.train",
                    "core.evaluate", "core.chat", "core.merge", "core.doctor", "core.curate", "core.experiments",
                    "core.diagnose"},
}  # fmt: skip
HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "accelerate", "datasets", "gradio", "fastapi", "pandas"}
MAY_USE = {  # heavy third parties that a module, or a package, may import
    "app": {"gradio", "fastapi", "pandas"},
    "core.models.load": {"torch", "transformers", "peft"},
    "core.models.folding": {"torch", "peft"},
    "core.models.voice": {"torch"},
    "core.models.grow": {"torch", "transformers"},
    "core.models.out_of_memory": {"torch"},
    "core.models.virtual_tokens": {"torch", "transformers", "peft"},
    "core.train.methods": {"torch", "transformers", "peft"},
    "core.train.trainer": {"torch"},
    "core.train.forward": {"torch"},
    "core.train.attention": {"torch", "transformers"},
    "core.train.loss": {"torch"},
    "core.train.micro_batch": {"torch"},
    "core.train.lean_lora": {"torch", "peft", "bitsandbytes"},
    "core.train.lean_norm": {"torch"},
    "core.train.attached": {"torch", "peft"},
    "core.train.worker": {"torch"},
    "core.train.peak": {"torch"},
    "core.train.probe": {"torch"},
    "core.train.optimizers": {"torch", "transformers", "bitsandbytes"},
    "core.train.noise": {"torch"},
    "core.train.checkpoint": {"torch"},
    "core.train.state": {"torch"},
    "core.evaluate.generate": {"torch", "transformers", "peft"},
    "core.evaluate.choosing": {"torch"},
    "core.evaluate.stepping": {"torch", "transformers"},
    "core.evaluate.perplexity": {"torch", "transformers"},
    "core.evaluate.worker": {"torch", "transformers", "peft"},
    "core.chat.worker": {"torch", "transformers", "peft"},
    "core.chat.model": {"torch", "transformers", "peft"},
    "core.merge.worker": {"torch", "transformers", "peft"},
    "core.merge.parity": {"torch", "transformers", "peft"},
    "core.starter": {"torch", "transformers"},
}


def package_of(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "core" else parts[0]


def allowed_heavy(module: str) -> set[str]:
    return set().union(*(uses for name, uses in MAY_USE.items() if f"{module}.".startswith(f"{name}.")))


def imports(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):  # imports inside functions count too
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        if isinstance(node, ast.ImportFrom) and node.module == "core":
            found += [(node.lineno, f"core.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.lineno, node.module or ""))
    return found


def test_imports_follow_the_table():
    wrong = []
    for path in [*ROOT.glob("core/**/*.py"), *ROOT.glob("app/**/*.py")]:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if module in ("core", "app"):
            continue
        here = package_of(module)
        assert here in MAY_IMPORT, f"{here} is not in the table"
        for line, name in imports(path):
            top, there = name.split(".")[0], package_of(name)
            ours = top in ("core", "app") and there not in (here, "core") and there not in MAY_IMPORT[here]
            if ours or (top in HEAVY and top not in allowed_heavy(module)):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_web_process_and_the_command_line_import_nothing_heavy():
    script = (
        "import sys, app.server, core.commands.root; core.commands.root.tree(); heavy = {'torch', 'transformers', 'peft'};"
        "print(*sys.modules.keys() & (heavy | {'optuna'}));"
        "import core.experiments.worker; print(*sys.modules.keys() & heavy)"  # it stands by while others need the memory
    )
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""
