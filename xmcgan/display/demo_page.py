"""The demo page: images of captions, attention maps, and interpolations."""

from __future__ import annotations

import functools
import itertools
import logging
import os
from typing import Any, Callable

# Set before Gradio is imported: nothing is sent to, or loaded from, other hosts.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import fastapi
import gradio as gr
import numpy as np

from xmcgan import escapes
from xmcgan.display.demo_actions import MOST_IMAGES, Actions, HeatMaps
from xmcgan.display.grid import save_png

_DOWNLOADS = 64  # Grids kept for download; Gradio holds copies of those that are on an open page.
logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio checks by HTTP whether it is running, and logs that.

_HIDDEN: dict[str, Any] = {"api_name": False}  # Not part of the page's API.
# One request is drawn at a time; the others wait in a queue that shows their position.
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
_KEEP_FILES = (600, 3600)  # Every ten minutes, the page's files that are older than an hour are removed.


def theme() -> gr.themes.Base:
    """Returns Gradio's plain theme with the system's fonts; its other themes download fonts."""
    return gr.themes.Base(
        primary_hue="blue",
        font=["system-ui", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )


def application(page: gr.Blocks) -> fastapi.FastAPI:
    """Returns the ASGI application that shows a page, for `page_server.server`."""
    app = fastapi.FastAPI(openapi_url=None)
    return gr.mount_gradio_app(app, page, path="/", theme=theme(), css=STYLE, show_error=False, ssr_mode=False)


def build(actions: Actions, folder: str) -> gr.Blocks:
    """Builds the page.

    Args:
      actions: the actions of the page's controls.
      folder: for the images that are drawn; only this user should be able to read it.

    Returns:
      The page, for `application`.
    """
    model = actions.model
    os.environ["GRADIO_TEMP_DIR"] = os.path.join(folder, "shown")  # By default, a folder that all users can read.
    places = itertools.cycle(os.path.join(folder, str(i), "pictures.png") for i in range(_DOWNLOADS))
    with gr.Blocks(title="XMC-GAN: text to image", analytics_enabled=False, delete_cache=_KEEP_FILES) as page:
        gr.Markdown(f"# Text to image\n{escapes.markdown(model.name)}, {model.image_size} x {model.image_size} pixels")
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
            mix = gr.Button("Draw the images between", variant="primary", elem_id="mix")
            mixed = _interpolation("mixed")
        with gr.Tab("Between seeds"):
            other_seed = gr.Number(label="Other seed", value=1, precision=0, minimum=0, elem_id="other_seed")
            walk = gr.Button("Draw the images between", variant="primary", elem_id="walk")
            walked = _interpolation("walked")

        @_shows_errors(outputs=5)
        def on_draw(caption: str, seed: float, count: float) -> list:
            drawn = actions.draw(caption, seed, count)
            _warn(actions, caption)
            path = next(places)
            save_png(path, drawn.grid)
            labeled = [(image, f"seed {number}") for image, number in zip(drawn.images, drawn.seeds)]
            maps = _labeled(actions.attention(caption, drawn.seeds[0])) if model.attends else []
            return [labeled, gr.DownloadButton(value=path, interactive=True), maps, caption, drawn.seeds]

        @_shows_errors(outputs=1)
        def on_select(caption: str, seeds: list[int], event: gr.SelectData) -> list:
            return [_labeled(actions.attention(caption, seeds[event.index]))]

        @_shows_errors(outputs=4)
        def on_mix(caption: str, other: str, seed: float) -> list:
            frames = actions.between_captions(caption, other, seed)
            _warn(actions, caption)
            _warn(actions, other)
            return _frames(frames)

        @_shows_errors(outputs=4)
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


def _labeled(maps: HeatMaps) -> list[tuple[np.ndarray, str]]:
    return [(image, f"{word} {share:.0%}") for word, image, share in zip(maps.words, maps.images, maps.shares)]


def _interpolation(name: str) -> list[gr.components.Component]:
    """Makes the components of an interpolation: the image shown, a slider, a gallery, and the state behind them."""
    shown = gr.Image(
        show_label=False,
        format="png",
        height=300,
        interactive=False,
        buttons=["download"],
        elem_id=f"{name}_shown",
        elem_classes="shown",
    )
    slider = gr.Slider(label="Position", minimum=0, maximum=1, value=0, step=0.125, elem_id=f"{name}_share")
    frames = _gallery("### All images", name)
    images = gr.State([])
    # The slider does not use the model, so it need not wait in the queue.
    slider.input(_frame_at, [images, slider], shown, show_progress="hidden", queue=False, **_HIDDEN)
    return [shown, slider, frames, images]


def _frames(images: np.ndarray) -> list:
    """Returns the values of the components of `_interpolation`; the first image is shown."""
    return [images[0], 0, list(images), images]


def _frame_at(images: np.ndarray, share: float) -> np.ndarray | None:
    return images[round(share * (len(images) - 1))] if len(images) else None


def _shows_errors(outputs: int) -> Callable[[Callable], Callable]:
    """Makes a decorator that shows the user a ValueError as a warning, and leaves the page as it was.

    Args:
      outputs: the number of components that the function sets.
    """

    def decorated(function: Callable[..., list]) -> Callable[..., list]:
        @functools.wraps(function)
        def called(*arguments) -> list:
            try:
                values = function(*arguments)
            except ValueError as error:
                gr.Warning(str(error), title="Please check", duration=8)
                values = [gr.skip()] * outputs
            return values[0] if outputs == 1 else values

        return called

    return decorated


def _warn(actions: Actions, caption: str) -> None:
    for notice in actions.notices(caption):
        gr.Warning(notice)
