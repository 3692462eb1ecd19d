"""Packaging of XMC-GAN in TensorFlow: `pip install -e .`, with the extras named below."""

from setuptools import find_packages, setup

_PACKAGES = ("xmcgan", "data_pipelines", "eval", "experiments")
_HUGGINGFACE_HUB = "huggingface_hub>=0.23"
_GRADIO = "gradio>=6,<7; python_version >= '3.10'"
# TensorFlow 2.15, the paper's, has wheels up to Python 3.11; from 3.12 on it is the newest that TensorFlow Text has.
_PAPER = "python_version < '3.12'"
_NEWEST = "python_version >= '3.12'"
# The last for Python 3.9, and the last that goes with the ml_dtypes of TensorFlow 2.15.
_JAX = f"jax[cpu]==0.4.30; {_PAPER}"

setup(
    name="xmcgan",
    version="0.1.0",
    description="XMC-GAN: cross-modal contrastive learning for text-to-image generation, in TensorFlow 2",
    license="Apache-2.0",
    package_dir={"": "."},  # An editable install then is one line in a .pth file.
    packages=find_packages(include=[pattern for package in _PACKAGES for pattern in (package, f"{package}.*")]),
    package_data={
        **{package: ["py.typed"] for package in _PACKAGES},
        "xmcgan": ["py.typed", "pretrained/**"],  # Models that experiments.pretrained makes.
        "data_pipelines.inspection": ["*.jinja"],
    },
    python_requires=">=3.9,<3.14",
    install_requires=[
        "absl-py>=1.4",
        "etils[epath,epy]>=1.5",
        "google-crc32c>=1.5",  # Google Cloud Storage states this checksum of the files that it serves.
        "importlib_resources>=5",  # TFDS imports it when a builder lives in a package, and does not ask for it.
        "jinja2>=3.1",
        "matplotlib>=3.8",
        "ml_collections>=0.1.1",  # The first with DEFINE_config_dataclass; the newest for Python 3.9.
        "msgspec>=0.18",  # Checks the types of values in users' JSON.
        f"numpy<2; {_PAPER}",  # TensorFlow 2.15 is built against NumPy 1.
        f"numpy>=2; {_NEWEST}",
        "pillow>=10.1",  # The first whose default font can be scaled.
        "psutil>=5.9",
        "requests>=2.30",  # The first for urllib3 2.
        "safetensors>=0.4.3",  # Weights of imported text encoders.
        "scipy>=1.10",
        "simplejpeg>=1.7",  # A strict decoder: it sees damage that TensorFlow's paints over.
        "tabulate>=0.9",
        "setuptools<81",  # TensorFlow Hub imports pkg_resources, which newer ones do not have.
        "tensorboard>=2.15",
        f"tensorflow==2.15.1; {_PAPER}",
        f"tensorflow==2.21.*; {_NEWEST}",
        "tensorflow-datasets>=4.9.3",
        "tensorflow-hub==0.16.1",
        f"tensorflow-metadata<1.18; {_PAPER}",  # Newer ones want protobuf 5, which TensorFlow 2.15 cannot use.
        f"tensorflow-serving-api==2.15.1; {_PAPER}",  # The messages of warm-up requests.
        f"tensorflow-serving-api==2.21.*; {_NEWEST}",
        f"tensorflow-text==2.15.0; {_PAPER}",
        f"tensorflow-text==2.21.*; {_NEWEST}",
        f"tf-keras==2.15.1; {_PAPER}",  # Keras 2. TensorFlow 2.15 has its own, but TensorFlow Hub asks for this.
        f"tf-keras==2.21.*; {_NEWEST}",
        "tqdm>=4.62",
        "urllib3>=2.2",  # The first whose responses have read1.
    ],
    extras_require={
        "gpu": [f"tensorflow[and-cuda]==2.15.1; {_PAPER}", f"tensorflow[and-cuda]==2.21.*; {_NEWEST}"],
        "beam": ["apache-beam>=2.50"],
        "demo": [_GRADIO],
        "huggingface": [_HUGGINGFACE_HUB],
        "parquet": ["pyarrow>=10"],
        "lowered": [_JAX],
        # TensorFlow Addons and GAN: an independent spectral normalization, FID, KID and IS that the tests compare with.
        "dev": [
            "apache-beam>=2.50",
            _GRADIO,
            _HUGGINGFACE_HUB,
            _JAX,
            "hypothesis>=6.100",
            "import-linter>=2",
            "mypy>=1.10",
            "playwright>=1.40",  # Drives an installed Chromium.
            "pyarrow>=10",
            "pytest>=7",
            "pytest-xdist>=3",
            "ruff>=0.6",
            "tokenizers>=0.19",  # The tokens of imported text encoders are compared with its own.
            "types-requests",
            "types-tabulate",
            "types-tqdm",
            f"tensorflow-addons==0.23.0; {_PAPER}",
            f"tensorflow-gan==2.1.0; {_PAPER}",
            f"tensorflow-probability==0.23.0; {_PAPER}",  # TensorFlow GAN asks for any; newer want a newer TensorFlow.
        ],
    },
)
