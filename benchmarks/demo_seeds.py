"""Run `studio demo` with several seeds, a JSON line each: does the first experience hold, and how long does it take?

python benchmarks/demo_seeds.py [SEED ...]
"""

import json
import subprocess
import sys
import tempfile


def main() -> None:
    """Run the seeds one after the other, each in a workspace of its own."""
    for seed in sys.argv[1:] or ["1", "2", "3"]:
        with tempfile.TemporaryDirectory() as workspace:
            command = [sys.executable, "-m", "core.cli", "demo", "--seed", seed, "--workspace", workspace, "--json"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
        result["merge"].pop("folder")
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
