"""The page in a browser, as its user has it."""

from __future__ import annotations

import io
import os
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tests.support import libraries

libraries.need("gradio", "Gradio needs Python 3.10")
sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
CAPTION, OTHER = "a red ball on the beach", "two small trees at night"
_OFFLINE = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
DESKTOP, PHONE = (1180, 900), (390, 844)  # Sizes of the window.
_WAIT = 60_000  # Milliseconds.


@pytest.fixture(scope="module")
def address(export_dir, command):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = command("xmcgan.demo", f"--export={export_dir}", f"--port={port}")
    line = process.stdout.readline()
    assert f"ball/1: look at http://127.0.0.1:{port}/" in line, process.stderr.read()
    yield f"http://127.0.0.1:{port}/"
    process.terminate()
    process.wait(timeout=60)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--disable-gpu", *_OFFLINE, *sandbox])
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=[DESKTOP, pytest.param(PHONE, marks=pytest.mark.slow)], ids=["desktop", "phone"])
def page(request, browser, address):
    """The page, on which one test goes on after the other, as its user would: to load it takes seconds."""
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(_WAIT)
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#draw")
    yield page
    page.close()


def _pixels(page, image) -> np.ndarray:
    """An image as the page has it."""
    response = page.request.get(image.evaluate("image => image.currentSrc"))
    assert response.headers["content-type"] == "image/png"
    return np.array(Image.open(io.BytesIO(response.body())).convert("RGB"))


def _levels(a, b) -> int:
    return np.max(np.abs(np.asarray(a, int) - np.asarray(b, int)))


def _draw(page, caption: str, images: int = 4) -> None:
    page.fill("#caption textarea", caption)
    page.fill("#count input[type=number]", str(images))
    page.click("#draw")
    page.wait_for_selector(f"#images img >> nth={images - 1}")
    page.wait_for_selector("#looked img")


def test_type_click_and_see(page, address, exported):
    _draw(page, CAPTION, images=3)
    images = page.query_selector_all("#images img")
    drawn = exported([CAPTION] * 3, range(3))
    assert len(images) == 3
    for image, expected in zip(images, drawn):
        assert image.is_visible() and image.bounding_box()["width"] >= 100
        assert _levels(_pixels(page, image), expected) <= 1
    # A map for each word; those of another image when it is chosen.
    captions = [each.inner_text() for each in page.query_selector_all("#looked .caption-label")]
    assert [caption.split()[0] for caption in captions] == ["[CLS]", *CAPTION.split(), "[SEP]"]
    before = page.query_selector("#looked img").get_attribute("src")
    images[2].click()
    page.wait_for_function("src => document.querySelector('#looked img').src != src", arg=before)
    # The grid, as a file.
    with page.expect_download() as download:
        page.click("#download")
    grid = Image.open(download.value.path())
    assert download.value.suggested_filename == "pictures.png" and grid.width > 3 * 64
    # Nothing hangs out of the window, fails, or comes from elsewhere.
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.complaints == []
    assert [url for url in page.asked if not url.startswith((address, "data:", "blob:"))] == []


def test_mistakes_are_told_and_the_images_stay(page):
    _draw(page, CAPTION)
    page.fill("#caption textarea", "   ")
    page.click("#draw")
    page.get_by_text("Write a caption first").wait_for()
    assert len(page.query_selector_all("#images img")) == 4
    page.fill("#caption textarea", "ball " * 40)
    page.click("#draw")
    page.get_by_text("The rest is ignored").wait_for()


@pytest.mark.slow  # Without a browser: test_demo_actions. What a button does in one: above.
def test_slide_from_one_caption_to_another(page, exported):
    page.fill("#caption textarea", CAPTION)
    if page.get_by_role("tab", name="Between captions").is_visible():
        page.get_by_role("tab", name="Between captions").click()
    page.fill("#other_caption textarea", OTHER)
    page.click("#mix")
    page.wait_for_selector("#mixed img >> nth=8")
    first, second = exported([CAPTION, OTHER], [0, 0])
    shown = page.wait_for_selector("#mixed_shown img")
    assert _levels(_pixels(page, shown), first) <= 1
    before = shown.get_attribute("src")
    page.fill("#mixed_share input[type=number]", "1")
    page.press("#mixed_share input[type=number]", "Enter")
    page.wait_for_function("src => document.querySelector('#mixed_shown img').src != src", arg=before)
    assert _levels(_pixels(page, page.query_selector("#mixed_shown img")), second) <= 1


@pytest.mark.parametrize(
    ("request_line", "length", "status"),
    [
        ("GET / HTTP/1.1", 0, 200),
        ("POST /gradio_api/upload HTTP/1.1", 3_000_000, 403),
        ("POST /gradio_api/upload?upload_id=x HTTP/1.1", 5, 403),
        ("POST /gradio_api/%75pload HTTP/1.1", 5, 403),
        ("POST /gradio_api/queue/join HTTP/1.1", 3_000_000, 413),
        ("POST /gradio_api/call/draw HTTP/1.1", 3_000_000, 413),
        ("GET /gradio_api/file=/etc/passwd HTTP/1.1", 0, 403),
    ],
)
def test_it_takes_no_files_and_gives_none_but_its_own(request_line, length, status, address):
    """Refused before the body comes: it is never sent here."""
    with socket.create_connection(("127.0.0.1", int(address.split(":")[-1].strip("/"))), timeout=60) as connection:
        head = [
            request_line,
            "Host: localhost",
            "Content-Type: multipart/form-data",
            f"Content-Length: {length}",
            "",
            "",
        ]
        connection.sendall("\r\n".join(head).encode())
        assert connection.recv(100).split()[1] == b"%d" % status


@pytest.mark.slow  # Sixteen threads and one model: tests/xmcgan/serving/test_export.py.
def test_many_at_once_wait_for_their_own(address, exported):
    from gradio_client import Client

    def ask(number: int) -> int:
        client = Client(address, verbose=False, analytics_enabled=False)
        images, *_ = client.predict(f"{CAPTION} {number}", number, 1, api_name="/draw")
        drawn = np.array(Image.open(images[0]["image"]).convert("RGB"))
        return _levels(drawn, exported([f"{CAPTION} {number}"], [number])[0])

    with ThreadPoolExecutor(4) as threads:
        assert max(threads.map(ask, range(4))) <= 1


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (["--workdir=a", "--export=b"], 2, "give one model: --workdir=RUN or --export=FOLDER or --pretrained=NAME ("),
        (["--export={tmp}/nothing"], 1, "no exported model in"),
    ],
)
def test_a_wrong_command_says_why(arguments, status, message, command, tmp_path):
    process = command("xmcgan.demo", *(each.format(tmp=tmp_path) for each in arguments))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == status
    assert message in errors and "Traceback" not in errors
