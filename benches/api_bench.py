"""Many clients at once through the real PostgREST, with supabase-js: requests per second, and how long each kind takes.

BENCH_SECONDS and BENCH_CLIENTS scale it.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import harness

HERE = Path(__file__).parent
SECONDS = os.environ.get("BENCH_SECONDS", "30")
CLIENTS = os.environ.get("BENCH_CLIENTS", "64")


def main():
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=HERE.parent / "tests" / "api", check=True)
    done = subprocess.run(["node", HERE / "api.mjs", SECONDS, CLIENTS], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    result = json.loads(done.stdout)
    if result["errors"]:
        sys.exit(f"requests failed: {result['errors']}")
    kinds = {**result["kinds"], "all": [ms for kind in result["kinds"].values() for ms in kind]}
    print(f"{CLIENTS} clients, {SECONDS} seconds: {len(kinds['all']) / result['seconds']:.0f} requests/s\n")
    harness.table(["request", "number", "median, ms", "95 %, ms"],
                  [[name, len(took), statistics.median(took), statistics.quantiles(took, n=20)[-1]] for name, took in kinds.items()])


main()
