"""Forward time of every backbone of the zoo against PyTorch's: whole networks, batches of 16 images, ratios in processor time.

    cargo build --release -p capwright-train --example peer
    python benches/peer/zoo.py [NAMES] [--turns 1] [--rounds 3] [--threads 1] [--capwright PROGRAM --program EXAMPLE]

NAMES: backbones or the beginnings of their names; all where none is given. torch 2.x, torchvision and timm (for what torchvision does not have), in any
environment of its own. The two sides take turns; PyTorch runs with maps channel by channel and cell by cell, and the faster counts.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from run import HERE, measured


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    release = HERE.parents[1] / "target/release"
    parser.add_argument("--capwright", default=release / "capwright")
    parser.add_argument("--program", default=release / "examples/peer")
    args = parser.parse_args()
    zoo = json.loads(subprocess.run([args.capwright, "zoo", "list", "--json"], capture_output=True, check=True).stdout)
    threads = {name: str(args.threads) for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "PEER_THREADS")}
    torch = [sys.executable, Path(HERE) / "torch_side.py"]
    ratios = {}
    print("| backbone | MMACs | capwright | PyTorch | ratio |\n| --- | ---: | ---: | ---: | ---: |")
    for row in zoo:
        name = row["name"]
        if args.names and not any(name.startswith(given) for given in args.names):
            continue
        ours, theirs = [], []
        for _ in range(args.turns):
            ours.append(measured([args.program, "network", name, args.rounds], threads))
            theirs.append(measured([*torch, "network", name, args.rounds, row["input"]], threads))
        if {turn["learned"] for turn in ours + theirs} != {row["parameters"]}:
            sys.exit(f"{name}: the two sides do not have the same network")
        a, b = (1e3 * statistics.median(statistics.median(turn["seconds"]) for turn in side) for side in (ours, theirs))
        ratios[name] = a / b
        print(f"| {name} | {row['macs'] / 1e6:.0f} | {a:.1f} ms | {b:.1f} | {a / b:.2f} |", flush=True)
    print(f"\nmedian ratio {statistics.median(ratios.values()):.2f} of {len(ratios)}")


if __name__ == "__main__":
    main()
