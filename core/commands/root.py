"""All commands of `studio` in one tree. Only what is asked for is imported: all of them take a second."""

import importlib

import typer

from core.cli import open_page

_MODULES = {
    "jobs": ("train", "resume", "chat", "merge"),
    "plan": ("plan", "presets"),
    "evaluations": ("evaluate", "report"),
    "demo": ("demo",),
    "data": ("data",),
    "models": ("models",),
    "runs": ("runs",),
    "experiments": ("experiment",),
    "queue": ("queue",),
}


def tree(asked: str | None = None) -> typer.Typer:
    """Return the tree with the one command that is asked for; with all where there is none such, for help and near names."""
    app = typer.Typer(
        no_args_is_help=False, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    app.callback(invoke_without_command=True)(start)
    app.command(
        "ui", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    )(ui)
    for module in [name for name, commands in _MODULES.items() if asked in commands] or _MODULES:
        app.add_typer(importlib.import_module(f"core.commands.{module}").app)
    return app


def start(context: typer.Context) -> None:
    """Fine-tune a language model, see whether it worked, talk to it and take it home. Without a command: the page."""
    if context.invoked_subcommand is None:
        open_page([])


def ui(context: typer.Context) -> None:
    """Open the studio's page (the same as no command); `studio ui --help` lists its options."""
    open_page(context.args)
