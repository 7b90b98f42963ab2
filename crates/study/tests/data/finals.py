"""Reads the finals of a study's ledger into finals.json: for each finalist its runs, for each run the score of each image.

    python3 finals.py STUDY > finals.json
"""

import json
import sqlite3
import sys

rows = sqlite3.connect(f"{sys.argv[1]}/ledger.sqlite").execute("select json from events order by seq")
design, runs = {}, {}
for (text,) in rows:
    event = json.loads(text)
    if event["event"] == "trial_repeated":
        design[event["trial"]] = event["of"]
    elif event["event"] == "trial_finished":
        trial = event["trial"]
        # A trial that went on after a rung of the halving has its last result here.
        runs[trial] = [round(value, 4) for value in event["result"]["by_image"]]
finalists = sorted(set(design.values()))
print(json.dumps([[runs[of]] + [runs[n] for n in sorted(design) if design[n] == of] for of in finalists]))
