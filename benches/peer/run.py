"""Both sides of the comparison with PyTorch, in turn, and a table of ratios in processor time.

    cargo build --release -p capwright-train --example peer
    python benches/peer/run.py [LINES] [--data FLICKR8K --work FOLDER] [--turns 3] [--rounds 6] [--threads 1]

LINES: names from the table below, or their beginnings; all of them where none is given. torch 2.x and torchvision, in any
environment of its own. The two sides take turns; each number is the median over the turns of a turn's median round.
PyTorch runs with glibc's malloc as it is and with thresholds that keep freed memory, and the faster of the two counts.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# line: (what both sides are called with, PyTorch's name where it differs, bar)
LINES = {
    "step-lstm": (["step", "lstm"], None, 1.0),
    "step-gru": (["step", "gru"], None, 1.0),
    "step-transformer": (["step", "transformer"], None, 1.0),
    "greedy-lstm": (["greedy", "lstm"], None, 0.8),
    "greedy-transformer": (["greedy", "transformer"], None, 0.8),
    "beam-lstm": (["beam", "lstm"], None, 0.8),
    "beam-transformer": (["beam", "transformer"], None, 0.8),
    "features-plain": (["features", "mobilenet_v2"], "plain", 1.2),
    "features-tuned": (["features", "mobilenet_v2"], "tuned", 1.2),
    "scratch-conv": (["step", "conv"], None, 1.3),
    "scratch-separable": (["step", "separable"], None, 1.3),
    "scratch-basic": (["step", "basic"], None, 1.3),
    "epoch": (["epoch"], None, 0.8),
}
KEEPING = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 28),
}


def measured(command, env):
    done = subprocess.run([str(part) for part in command], env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def commands(line, args):
    """Our command, and PyTorch's."""
    work, other, _ = LINES[line]
    theirs = [sys.executable, HERE / "torch_side.py"]
    if work == ["epoch"]:
        return [args.program, "epoch", args.data, args.work, args.steps], [*theirs, "epoch", args.work, args.steps]
    rounds = 20 * args.rounds if work[0] == "features" else args.rounds
    return [args.program, *work, rounds], [*theirs, work[0], other or work[1], rounds]


def compare(line, args):
    """The turns of each side: ours, PyTorch's, and PyTorch's with the thresholds."""
    threads = {name: str(args.threads) for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "PEER_THREADS")}
    ours, theirs = commands(line, args)
    if line == "epoch":
        measured([*ours[:-1], 1], threads)  # features and file cache
    turns = {"ours": [], "plain": [], "keeping": []}
    for _ in range(args.turns):
        turns["ours"].append(measured(ours, threads))
        turns["plain"].append(measured(theirs, threads))
        turns["keeping"].append(measured(theirs, {**threads, **KEEPING}))
    sizes = {turn.get("learned", 0) for of_side in turns.values() for turn in of_side}
    if len(sizes) > 1:
        sys.exit(f"{line}: the two sides do not have the same network: {sizes} learned values")
    return turns


def median(turns, key):
    return statistics.median(statistics.median(turn[key]) for turn in turns)


def row(name, ours, plain, keeping, bar, unit):
    best = min(plain, keeping)
    ratio = ours / best
    verdict = "" if bar is None else f"{bar:.1f} {'kept' if ratio <= bar else 'missed'}"
    return f"| {name} | {ours:.1f} {unit} | {plain:.1f} | {keeping:.1f} | {ratio:.2f} | {verdict} |"


def report(line, turns, threads):
    every = turns["ours"], turns["plain"], turns["keeping"]
    bar = LINES[line][2] if threads == 1 else None
    print(row(line, *(1e3 * median(t, "seconds") for t in every), bar, "ms"))
    if line == "epoch" or threads > 1:
        print(row(f"{line}, wall time", *(1e3 * median(t, "wall") for t in every), None, "ms"))
    if line == "epoch":
        for key, name, bar in (("peak", "peak memory", 1.0), ("anonymous", "anonymous memory", None)):
            values = [statistics.median(turn[key] for turn in t) / 1024 for t in every]
            print(row(f"{line}, {name}", *values, bar, "MiB"))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", nargs="*", help="lines or their beginnings")
    parser.add_argument("--data", help="folder of Flickr8k, for the line epoch")
    parser.add_argument("--work", help="folder for its cached features (750 MB)")
    parser.add_argument("--steps", type=int, default=25, help="steps of the epoch, of 250")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--program", default=HERE.parents[1] / "target/release/examples/peer")
    args = parser.parse_args()
    chosen = [line for line in LINES if not args.lines or any(line.startswith(given) for given in args.lines)]
    if "epoch" in chosen and not (args.data and args.work):
        print("the line epoch is left out: it needs --data and --work", file=sys.stderr)
        chosen.remove("epoch")
    print("| line | capwright | PyTorch | PyTorch, malloc that keeps | ratio to the faster | bar |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for line in chosen:
        report(line, compare(line, args), args.threads)


if __name__ == "__main__":
    main()
