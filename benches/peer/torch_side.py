"""PyTorch's side of one line: `python torch_side.py step|greedy|beam DESIGN ROUNDS`,
`features plain|tuned ROUNDS`, `network BACKBONE ROUNDS SIZE`, or `epoch WORK STEPS`.

Prints one JSON object as the example `peer` does. Threads: PEER_THREADS, 1 where it is not set.
"""

import json
import os
import resource
import statistics
import sys
import time

import torch
from torch import nn

from models import VOCAB, Captioner

IMAGES, REFS, WORDS, DECODED, LONGEST = 24, 5, 12, 32, 20


def kibibytes(line):
    with open("/proc/self/status") as status:
        return next((int(x.split()[1]) for x in status if x.startswith(line + ":")), 0)


def timed(rounds, step):
    """Processor and wall time of each round, after two that are not counted."""
    seconds, wall, anonymous = [], [], 0
    for i in range(rounds + 2):
        start = (time.process_time(), time.perf_counter())
        step()
        if i >= 2:
            seconds.append(time.process_time() - start[0])
            wall.append(time.perf_counter() - start[1])
        anonymous = max(anonymous, kibibytes("RssAnon"))
    return {"seconds": seconds, "wall": wall, "anonymous": anonymous}


def learner(model):
    """A step of AdamW with clipping, from a function that gives the loss."""
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01, fused=True)

    def step(loss):
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        return loss.item()

    return step


def learned(model):
    return {"learned": sum(p.numel() for p in model.parameters())}


def inputs(name, images):
    frozen = name in ("lstm", "gru", "transformer")
    return torch.rand(images, 49, 1280) ** 2 if frozen else torch.rand(images, 3, 96, 96) ** 2


def steps(name, rounds):
    model = Captioner(name)
    update, x = learner(model), inputs(name, IMAGES)
    words = torch.randint(4, VOCAB, (IMAGES * REFS, WORDS + 1))
    targets = torch.randint(4, VOCAB, (IMAGES * REFS, WORDS + 1))
    return {**timed(rounds, lambda: update(model.loss(x, words, targets))), **learned(model)}


def decoded(name, beam, rounds):
    from decoding import beam_search, greedy

    model, x = Captioner(name).eval(), inputs(name, DECODED)

    def run():
        with torch.inference_mode():
            memory = model.memory(x)
        if beam == 1:
            said = greedy(model.decoder, memory, LONGEST, LONGEST)
        else:
            said = beam_search(model.decoder, memory, beam, LONGEST, LONGEST)
        assert said.shape == (DECODED, LONGEST) and (said > 3).all()

    return {**timed(rounds, run), **learned(model)}


def features(tuned, rounds):
    """Seconds an image in the faster of two batch sizes; tuned: batch norm folded and channels last, else as it is."""
    from torch.fx.experimental.optimization import fuse
    from torchvision.models import mobilenet_v2

    net, best = mobilenet_v2(weights=None).features.eval(), None
    layout = torch.channels_last if tuned else torch.contiguous_format
    net = fuse(net).to(memory_format=layout) if tuned else net
    for batch in (1, 16):
        x = torch.rand(batch, 3, 224, 224).to(memory_format=layout)
        with torch.inference_mode():
            times = timed(max(3, rounds // batch), lambda: net(x))
        for key in ("seconds", "wall"):
            times[key] = [t / batch for t in times[key]]
        if best is None or statistics.median(times["seconds"]) < statistics.median(best["seconds"]):
            best = {**times, "batch": batch}
    return best


def network(name, rounds, size):
    """Seconds an image of a whole network at batch 16, in the faster of two layouts of memory."""
    import torchvision

    if name.startswith(("efficientnet_lite", "lcnet")):
        import timm

        net = timm.create_model(name if name.startswith("lcnet") else "tf_" + name).eval()
    else:
        parts = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        net = getattr(torchvision.models, name)(**parts).eval()
    best = None
    for layout in (torch.contiguous_format, torch.channels_last):
        net = net.to(memory_format=layout)
        x = torch.rand(16, 3, size, size).to(memory_format=layout)
        with torch.inference_mode():
            times = timed(rounds, lambda: net(x))
        for key in ("seconds", "wall"):
            times[key] = [t / 16 for t in times[key]]
        if best is None or statistics.median(times["seconds"]) < statistics.median(best["seconds"]):
            best = {**times, **learned(net)}
    return best


def main():
    torch.set_num_threads(int(os.environ.get("PEER_THREADS", 1)))
    torch.manual_seed(0)
    kind, name, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if kind == "epoch":
        from epoch import epoch

        told = epoch(name, rounds)
    elif kind == "features":
        told = features(name == "tuned", rounds)
    elif kind == "network":
        told = network(name, rounds, int(sys.argv[4]))
    else:
        told = steps(name, rounds) if kind == "step" else decoded(name, 3 if kind == "beam" else 1, rounds)
    print(json.dumps({**told, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


if __name__ == "__main__":
    main()
