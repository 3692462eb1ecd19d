"""Shows a trained XMC-GAN on a page in the browser.

  pip install -e '.[demo]'
  python -m xmcgan.demo --export=exports/demo
  python -m xmcgan.demo --workdir=runs/demo

Type a caption, choose a seed and the number of images, and see the images, where the generator looked for each word,
and the images between two captions or two noise vectors. Requests are processed one after another, and users see their
place in the queue. The page loads nothing from other hosts. It is meant for a machine or a network that you trust; to
serve a model, give the folder of its export to TensorFlow Serving.
"""

from __future__ import annotations

from absl import flags

from xmcgan import command_line, model_flags, path_flags
from xmcgan.serving import versions

_EXPORT = path_flags.define_path("export", None, "Folder of an exported model, see xmcgan.export.")
_WORKDIR = command_line.define_workdir("Folder of a training run, instead of an export.", optional=True)
model_flags.define_pretrained()
_DATA_DIR = command_line.define_data_dir()
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "latest", "Which checkpoint of a run to use: 'latest', 'best' (by FID, see eval.evaluate) or a step."
)
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0 shows the page to the network.")
_PORT = flags.DEFINE_integer("port", 7860, "Port to listen on; 0: any that is free.", lower_bound=0, upper_bound=65535)
_QUEUE = flags.DEFINE_integer("queue", 32, "Requests that may wait; further ones are turned away.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Loads the model, and serves the page until it is stopped."""
    del argv
    run = model_flags.get_run()
    if run is None:
        versions.find_version(_EXPORT.value)  # A missing model is told at once: the page takes seconds to import.
    try:
        from xmcgan.display import demo_page
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ValueError("the page needs Gradio (and Python 3.10 or newer): pip install -e '.[demo]'") from error
    import contextlib
    import tempfile

    from absl import logging

    from xmcgan.display import page_server
    from xmcgan.display.demo_actions import Actions
    from xmcgan.temporary_folders import temporary_folder
    from xmcgan.text_to_image import TextToImage

    with page_server.listen(_HOST.value, _PORT.value) as listener:  # Now, not only after the model is loaded.
        if run is None:
            model = TextToImage.from_export(_EXPORT.value)
        else:
            model = TextToImage.from_run(run, _DATA_DIR.value, _CHECKPOINT.value)
        logging.info("drawing a first image, which takes longer than the next ones")
        model([""], [0])
        with temporary_folder(tempfile.gettempdir(), "xmcgan_demo", mode=0o700) as folder:
            page = demo_page.build(Actions(model), folder).queue(max_size=_QUEUE.value)
            server = page_server.server(demo_page.application(page))
            listener.listen()  # From now on, requests wait for the server.
            print(f"{model.name}: look at {page_server.address(listener)}; Ctrl-C ends", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                server.run(sockets=[listener])


if __name__ == "__main__":
    command_line.run(main)
