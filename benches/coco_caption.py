"""Times pycocoevalcap on captions in COCO's format, for docs/benchmarks.md.

Usage: python benches/coco_caption.py captions.json results.json

Needs pycocoevalcap==1.2 and Java. Where results.json is absent it is made: each image gets the second half of its first
caption after the first half of the next image's. At most five references of an image are used.
"""

import json
import resource
import sys
import time
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer


def references(path):
    images = {}
    for annotation in json.loads(Path(path).read_text())["annotations"]:
        captions = images.setdefault(annotation["image_id"], [])
        if len(captions) < 5:
            captions.append({"caption": annotation["caption"]})
    return images


def made(images):
    ids = sorted(images)
    results = []
    for own, other in zip(ids, ids[1:] + ids[:1]):
        left = images[other][0]["caption"].split()
        right = images[own][0]["caption"].split()
        caption = " ".join(left[: len(left) // 2] + right[len(right) // 2 :])
        results.append({"image_id": own, "caption": caption})
    return results


def cpu():
    """Processor seconds of this process and of finished ones that it started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def main():
    start = time.perf_counter()
    gts = references(sys.argv[1])
    path = Path(sys.argv[2])
    if not path.exists():
        path.write_text(json.dumps(made(gts)))
    res = {r["image_id"]: [{"caption": r["caption"]}] for r in json.loads(path.read_text())}
    gts = {image: gts[image] for image in res}
    lap = time.perf_counter()
    gts, res = PTBTokenizer().tokenize(gts), PTBTokenizer().tokenize(res)
    total = time.perf_counter() - lap
    print(f"tokenizer {total:.2f} s")
    for name, scorer in [("BLEU", Bleu(4)), ("ROUGE-L", Rouge()), ("CIDEr-D", Cider()), ("METEOR", Meteor())]:
        lap, before = time.perf_counter(), cpu()
        score, _ = scorer.compute_score(gts, res)
        lap = time.perf_counter() - lap
        if name == "METEOR":
            wall = time.perf_counter() - start - lap
            print(f"without METEOR, whole process {wall:.2f} s, processor {before:.2f} s")
        print(f"{name} {score} {lap:.2f} s")
    print(f"whole process {time.perf_counter() - start:.2f} s")
    print(f"peak memory of Python alone {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


main()
