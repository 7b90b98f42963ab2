"""Images a second on one thread, from file bytes to the normalised input of 224 pixels, by Pillow and torchvision.

    python -m venv VENV && VENV/bin/pip install pillow torch torchvision
    VENV/bin/python benches/pil_speed.py FOLDER [ROUNDS]

The counterpart of `cargo run --release -p capwright-caption-data --example decode_speed`. Where torch is not installed,
numpy does what `ToTensor` and `Normalize` do, and the output says so: torchvision resizes Pillow images by Pillow.
"""

import io
import sys
import time
from pathlib import Path

from PIL import Image

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

try:
    import torch
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

    torch.set_num_threads(1)
    CUBIC = InterpolationMode.BICUBIC
    RESIZES = {
        "squash 224": Resize((224, 224)),
        "resize 256, crop 224": Compose([Resize(256), CenterCrop(224)]),
        "the same, bicubic": Compose([Resize(256, CUBIC), CenterCrop(224)]),
    }
    TO_NUMBERS = Compose([ToTensor(), Normalize(MEAN, STD)])
    WHAT = "torchvision"
except (ImportError, OSError, ValueError):
    import numpy as np

    BILINEAR, CUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC

    def centre(resample):
        def apply(image):
            short, long = sorted(image.size)
            longer = int(256 * long / short)
            size = (256, longer) if image.width <= image.height else (longer, 256)
            image = image.resize(size, resample)
            left, top = (int(round((n - 224) / 2.0)) for n in image.size)
            return image.crop((left, top, left + 224, top + 224))

        return apply

    mean, std = (np.array(v, np.float32).reshape(3, 1, 1) for v in (MEAN, STD))
    RESIZES = {
        "squash 224": lambda image: image.resize((224, 224), BILINEAR),
        "resize 256, crop 224": centre(BILINEAR),
        "the same, bicubic": centre(CUBIC),
    }

    def TO_NUMBERS(image):
        planes = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)).astype(np.float32)
        planes /= 255
        planes -= mean
        planes /= std
        return planes

    WHAT = "Pillow and numpy"


def spent(files, resize):
    """Seconds of decoding, resizing and normalising all files."""
    parts = [0.0, 0.0, 0.0]
    for file in files:
        start = time.perf_counter()
        image = Image.open(io.BytesIO(file)).convert("RGB")
        decoded = time.perf_counter()
        square = resize(image)
        resized = time.perf_counter()
        TO_NUMBERS(square)
        end = time.perf_counter()
        for at, part in enumerate([decoded - start, resized - decoded, end - resized]):
            parts[at] += part
    return parts


def main():
    files = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    print(WHAT)
    for name, resize in RESIZES.items():
        best = min((spent(files, resize) for _ in range(rounds)), key=sum)
        ms = [1e3 * part / len(files) for part in best]
        print(
            f"{name}: {1e3 / sum(ms):.0f} images/s; ms an image: "
            f"{ms[0]:.3f} decode, {ms[1]:.3f} resize, {ms[2]:.3f} normalise"
        )


main()
