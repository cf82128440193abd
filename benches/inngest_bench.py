"""What the middleware for Inngest costs a function: the real SDK runs it with and without the middleware, in turn.

BENCH_RUNS is the number of runs of each.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import harness

HERE = Path(__file__).parent
RUNS = os.environ.get("BENCH_RUNS", "100")


def main():
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=HERE.parent / "tests" / "api", check=True)
    done = subprocess.run(["node", HERE / "inngest.mjs", RUNS], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    result = json.loads(done.stdout)
    if result["steps"] != result["expected"]:
        sys.exit(f"{result['steps']} of {result['expected']} steps were recorded with a cost")
    print(f"{RUNS} runs of each; five steps of 20 ms\n")
    rows = []
    for mode, ways in result["took"].items():
        bare, recorded = (statistics.median(ways[way]) for way in ("without", "with"))
        rows.append([mode, bare, recorded, recorded / bare, statistics.median(b - a for a, b in zip(ways["without"], ways["with"]))])
    harness.table(["functions", "without the middleware, ms", "with it, ms", "ratio", "difference, ms"], rows)


main()
