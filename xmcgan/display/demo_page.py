"""The page: captions to images, where the generator looked, and the ways between images."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import tempfile
from typing import Any, Callable

# Before Gradio is imported: nothing is sent to, or loaded from, another host.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import numpy as np

from xmcgan.display.demo_actions import MOST_IMAGES, Actions, HeatMaps
from xmcgan.display.grid import save_png

_DOWNLOADS = 64  # Grids kept for download; Gradio holds copies of those that are on somebody's page.
logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio asks itself whether it is there, and logs it.

_HIDDEN: dict[str, Any] = {"api_name": False}  # No part of the page's API.
# One request is drawn at a time; the others wait in a queue that shows their place.
_ALONE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
STYLE = """
.gradio-container {width: 100% !important; max-width: 1000px !important; margin: auto !important;}
.gradio-container main {width: 100% !important; max-width: 100% !important;}
.drawn {min-height: 0 !important;}
.drawn .grid-wrap {min-height: 0 !important; height: auto !important; max-height: none !important;}
.drawn .grid-container {grid-template-columns: repeat(auto-fit, minmax(104px, 1fr)) !important;}
.drawn .gallery-item {max-width: 260px;}
.shown img {width: 100% !important; height: 100% !important; object-fit: contain !important;}
footer {display: none !important;}
"""
_KEEP_FILES = (600, 3600)  # Every ten minutes, files of pages older than an hour are removed.


def theme() -> gr.themes.Base:
    """Gradio's plain theme in the system's own fonts: its others fetch theirs."""
    return gr.themes.Base(
        primary_hue="blue",
        font=["system-ui", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )


def build(actions: Actions) -> gr.Blocks:
    """Lays the page out.

    Args:
      actions: what its controls do.

    Returns:
      The page, to be launched with `theme()` and `STYLE`.
    """
    model = actions.model
    folder = tempfile.TemporaryDirectory(prefix="xmcgan_demo_")
    places = itertools.cycle(os.path.join(folder.name, str(i), "pictures.png") for i in range(_DOWNLOADS))
    with gr.Blocks(title="XMC-GAN: text to image", analytics_enabled=False, delete_cache=_KEEP_FILES) as page:
        page.folder = folder  # Goes when the page goes.
        gr.Markdown(f"# Text to image\n{model.name}, {model.image_size} x {model.image_size} pixels")
        caption = gr.Textbox(label="Caption", placeholder="a red ball on the beach", max_lines=4, elem_id="caption")
        with gr.Row():
            seed = gr.Number(label="First seed", value=0, precision=0, minimum=0, min_width=120, elem_id="seed")
            count = gr.Slider(
                label="Images", minimum=1, maximum=MOST_IMAGES, value=4, step=1, min_width=200, elem_id="count"
            )
        with gr.Tab("Draw"):
            draw = gr.Button("Draw", variant="primary", elem_id="draw")
            images = _gallery(
                "### Images\nChoose one to see where it looked." if model.attends else "### Images", "images"
            )
            download = gr.DownloadButton("Download as one image", interactive=False, elem_id="download")
            looked = _gallery("### Where it looked for each word", "looked", visible=model.attends)
            drawn_caption, drawn_seeds = gr.State(""), gr.State([])
        with gr.Tab("Between captions"):
            other = gr.Textbox(label="Other caption", placeholder="a blue ball at night", elem_id="other_caption")
            mix = gr.Button("Draw what lies between", variant="primary", elem_id="mix")
            mixed = _way("mixed")
        with gr.Tab("Between seeds"):
            other_seed = gr.Number(label="Other seed", value=1, precision=0, minimum=0, elem_id="other_seed")
            walk = gr.Button("Draw what lies between", variant="primary", elem_id="walk")
            walked = _way("walked")

        @_explained(outputs=5)
        def on_draw(caption: str, seed: float, count: float) -> list:
            drawn = actions.draw(caption, seed, count)
            _warn_of_cut(actions, caption)
            path = next(places)
            save_png(path, drawn.grid)
            labelled = [(image, f"seed {number}") for image, number in zip(drawn.images, drawn.seeds)]
            maps = _labelled(actions.attention(caption, drawn.seeds[0])) if model.attends else []
            return [labelled, gr.DownloadButton(value=path, interactive=True), maps, caption, drawn.seeds]

        @_explained(outputs=1)
        def on_select(caption: str, seeds: list[int], event: gr.SelectData) -> list:
            return [_labelled(actions.attention(caption, seeds[event.index]))]

        @_explained(outputs=4)
        def on_mix(caption: str, other: str, seed: float) -> list:
            frames = actions.between_captions(caption, other, seed)
            _warn_of_cut(actions, caption)
            _warn_of_cut(actions, other)
            return _frames(frames)

        @_explained(outputs=4)
        def on_walk(caption: str, seed: float, other_seed: float) -> list:
            return _frames(actions.between_seeds(caption, seed, other_seed))

        shown_by_draw = [images, download, looked, drawn_caption, drawn_seeds]
        gr.on([draw.click, caption.submit], on_draw, [caption, seed, count], shown_by_draw, api_name="draw", **_ALONE)
        if model.attends:
            images.select(on_select, [drawn_caption, drawn_seeds], looked, **_HIDDEN, **_ALONE)
        gr.on([mix.click, other.submit], on_mix, [caption, other, seed], mixed, api_name="mix", **_ALONE)
        walk.click(on_walk, [caption, seed, other_seed], walked, api_name="walk", **_ALONE)
    return page


def _gallery(title: str, name: str, visible: bool = True) -> gr.Gallery:
    gr.Markdown(title, visible=visible)
    return gr.Gallery(
        label=name,
        visible=visible,
        show_label=False,
        format="png",
        object_fit="contain",
        allow_preview=False,
        buttons=["download_all"],
        elem_id=name,
        elem_classes="drawn",
    )


def _labelled(maps: HeatMaps) -> list[tuple[np.ndarray, str]]:
    return [(image, f"{word} {share:.0%}") for word, image, share in zip(maps.words, maps.images, maps.shares)]


def _way(name: str) -> list[gr.components.Component]:
    """A slider between images: the image, the slider and all of the images."""
    shown = gr.Image(
        show_label=False,
        format="png",
        height=300,
        interactive=False,
        buttons=["download"],
        elem_id=f"{name}_shown",
        elem_classes="shown",
    )
    slider = gr.Slider(label="On the way", minimum=0, maximum=1, value=0, step=0.125, elem_id=f"{name}_share")
    frames = _gallery("### All on the way", name)
    images = gr.State([])
    # Not on the model: sliding need not wait for it.
    slider.input(_frame_at, [images, slider], shown, show_progress="hidden", queue=False, **_HIDDEN)
    return [shown, slider, frames, images]


def _frames(images: np.ndarray) -> list:
    """What the components of `_way` show of images, beginning with the first."""
    return [images[0], 0, list(images), images]


def _frame_at(images: np.ndarray, share: float) -> np.ndarray | None:
    return images[round(share * (len(images) - 1))] if len(images) else None


def _explained(outputs: int) -> Callable[[Callable], Callable]:
    """Tells the user what he did wrong, and leaves his page as it was.

    Args:
      outputs: how many components the function gives values to.
    """

    def decorated(function: Callable[..., list]) -> Callable[..., list]:
        @functools.wraps(function)
        def called(*arguments) -> list:
            try:
                values = function(*arguments)
            except ValueError as error:
                gr.Warning(str(error), title="Please", duration=8)
                values = [gr.skip()] * outputs
            return values[0] if outputs == 1 else values

        return called

    return decorated


def _warn_of_cut(actions: Actions, caption: str) -> None:
    message = actions.what_is_cut(caption)
    if message:
        gr.Warning(message)
