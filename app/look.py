"""How the page looks: the theme, the style sheet and the small script. Nothing is fetched from elsewhere."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from app.build import BUILD
from core.evaluate.report import FIGURES
from core.wording import words

STYLE = Path(__file__).parent / "style.css"
SCRIPTS = tuple(Path(__file__).parent / f"{name}.js" for name in ("connection", "page", "redraw", "live", "standing"))
ICON = Path(__file__).parent / "favicon.svg"
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei",
         "Noto Sans CJK SC", "Noto Sans SC", "sans-serif")  # fmt: skip
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Noto Sans Mono CJK SC", "monospace")


def theme() -> Any:
    """Return the theme: calm greys, one teal accent, square enough to look like a tool."""
    base = gr.themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        font=FONTS,
        font_mono=MONO,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_sm,
        spacing_size=gr.themes.sizes.spacing_sm,
    )
    return base.set(
        body_background_fill="#f6f7f9",
        body_background_fill_dark="#0f1419",
        body_text_color="#1a2430",
        body_text_color_dark="#e6eaef",
        body_text_color_subdued="#55616f",
        body_text_color_subdued_dark="#a3afbd",
        block_background_fill="#ffffff",
        block_background_fill_dark="#171e26",
        block_border_color="#dfe4ea",
        block_border_color_dark="#2b3642",
        block_label_text_color="#3d4957",
        block_label_text_color_dark="#c3ccd6",
        block_info_text_color="#5a6675",
        block_info_text_color_dark="#a3afbd",
        block_shadow="none",
        input_placeholder_color="#66727f",
        input_placeholder_color_dark="#93a0ae",
        input_border_width="1px",
        button_border_width="1px",
        button_medium_radius="8px",
        button_large_radius="8px",
        input_background_fill="#ffffff",
        input_background_fill_dark="#10161d",
        input_border_color="#c3ccd6",
        input_border_color_dark="#3a4755",
        input_border_color_focus="#0f766e",
        input_border_color_focus_dark="#2dd4bf",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_hover="#115e59",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover_dark="#0d9488",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_hover="#eef2f5",
        button_secondary_background_fill_dark="#1f2833",
        button_secondary_background_fill_hover_dark="#2b3642",
        button_secondary_border_color="#c3ccd6",
        button_secondary_border_color_dark="#3a4755",
        button_secondary_text_color="#1a2430",
        button_secondary_text_color_dark="#e6eaef",
    )


def head(language: str) -> str:
    """Return what goes into the head of a page: the style of figures, and the scripts with the page's language and words."""
    scripts = "\n".join(each.read_text(encoding="utf-8") for each in SCRIPTS)
    t = words(language)
    told = {"lost": t("page.lost"), "lost_title": t("notice.error"), "interrupted": t("page.interrupted"),
            "updated": t("page.updated"), "reload": t("page.reload")}  # fmt: skip
    said = json.dumps(told, ensure_ascii=False).replace("<", "\\u003c")
    known = f"window.studioLanguage = {language!r}; window.studioBuild = {BUILD!r}; window.studioWords = {said};"
    # The figures of an evaluation look as in its report; nested, so that nothing else on the page does.
    figures = f".evaluation {{ {FIGURES.read_text(encoding='utf-8')} }}"
    return f"<style>{figures}</style><script>{known}\n{scripts}</script>"
