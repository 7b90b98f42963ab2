"""Steps of an epoch of Flickr8k on the captions and cached features that the example `peer` has left in a folder."""

import json
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from models import BEGIN, END, Captioner
from torch_side import kibibytes, learned, learner

CHUNK, HEADER, TOKENS, CHANNELS = 256, 64, 49, 1280


class Features:
    """The cache of 16-bit floats, mapped: chunks of 256 images behind a header."""

    def __init__(self, folder):
        shape = (-1, TOKENS, CHANNELS)
        files = sorted(folder.glob("*.bin"))
        self.chunks = [np.memmap(f, np.float16, "r", offset=HEADER).reshape(shape) for f in files]

    def batch(self, images):
        out = torch.empty(len(images), TOKENS, CHANNELS, dtype=torch.float16)
        for row, image in zip(out.numpy(), images):
            row[:] = self.chunks[image // CHUNK][image % CHUNK]
        return out.float()


def sorted_rows(captions):
    """All captions of a batch, longest first: words read, targets step by step, rows alive at each step, each row's image."""
    rows = sorted(((caption, image) for image, own in enumerate(captions) for caption in own), key=lambda r: -len(r[0]))
    longest = len(rows[0][0]) + 1
    words = torch.zeros(len(rows), longest, dtype=torch.long)
    targets = torch.zeros(len(rows), longest, dtype=torch.long)
    for row, (caption, _) in enumerate(rows):
        words[row, : len(caption) + 1] = torch.tensor([BEGIN, *caption])
        targets[row, : len(caption) + 1] = torch.tensor([*caption, END])
    alive = [sum(len(caption) >= t for caption, _ in rows) for t in range(longest)]
    targets = torch.cat([targets[:n, t] for t, n in enumerate(alive)])
    return words, targets, alive, torch.tensor([image for _, image in rows])


def epoch(work, steps):
    work = Path(work)
    told = json.loads((work / "captions.json").read_text())
    features = Features(next(work.glob("features-*")))
    model = Captioner("lstm", told["vocab"])
    update, losses, anonymous = learner(model), [], 0
    start, wall = time.process_time(), time.perf_counter()
    for images in told["batches"][:steps]:
        words, targets, alive, owners = sorted_rows([told["references"][image] for image in images])
        hidden = model.decoder.alive(model.memory(features.batch(images)), words, alive, owners)
        losses.append(update(F.cross_entropy(model.decoder.out(hidden), targets, label_smoothing=0.1)))
        anonymous = max(anonymous, kibibytes("RssAnon"))
    seconds, wall = (time.process_time() - start) / len(losses), (time.perf_counter() - wall) / len(losses)
    return {"seconds": [seconds], "wall": [wall], "anonymous": anonymous, "loss": sum(losses) / len(losses), **learned(model)}
