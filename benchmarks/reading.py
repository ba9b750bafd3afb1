"""How fast a large JSONL file is read, converted and examined, and how much memory that takes. Prints JSON.

    python benchmarks/reading.py [--rows 200000] [--runs 3] [--suffix .jsonl]

The file is made first: Alpaca rows of about 850 bytes, a fifth of them with escaped quotation marks and line breaks. Each
stage runs in a process of its own, so that its memory is its own: `reading` gives rows, `converting` records, `indexing`
keeps the place of each row, `structure` is the doctor's quick examination with the SHA-1 of the file, as before a start.
`rows_per_core_second` counts the processor time of that process, imports included, so that other programs do not change it
much; `rows_per_second` counts the time on the clock. Medians over the runs. The limits are for --rows 1000000.
"""

import argparse
import csv
import io
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
STAGES = ("reading", "converting", "indexing", "structure")
LIMITS = {"rows_per_core_second": 60_000, "megabytes": 500.0}  # for SHA-1 and structure at a million rows
_WORDS = (
    "the a model learns from rows that people write and every answer has its question in the same order while some texts "
    "name numbers dates places or reasons why bread rises when yeast eats sugar and makes gas which the dough then holds"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--suffix", choices=[".jsonl", ".json", ".csv"], default=".jsonl")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(measure(options.stage, options.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"rows{options.suffix}"
        make(file, options.rows)
        result: dict[str, Any] = {"rows": options.rows, "megabytes_of_file": round(file.stat().st_size / 1e6)}
        for stage in STAGES:
            found = [in_its_own_process(stage, file) for _ in range(options.runs)]
            result[stage] = {key: round(statistics.median(each[key] for each in found), 2) for key in found[0]}
    whole = result["structure"]
    within = (
        whole["rows_per_core_second"] >= LIMITS["rows_per_core_second"] and whole["megabytes"] < LIMITS["megabytes"]
    )
    result |= {"runs": options.runs, "load": round(os.getloadavg()[0], 2), "limits": LIMITS, "within": within}
    print(json.dumps(result))


def make(file: Path, rows: int) -> None:
    """Write a file of that many rows, each with texts of its own."""
    chance = random.Random(7)
    sentences = [" ".join(chance.choices(_WORDS.split(), k=12)).capitalize() + "." for _ in range(500)]
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write({".json": "[\n", ".csv": "instruction,input,output\n"}.get(file.suffix, ""))
        for number in range(rows):
            picked = chance.choices(sentences, k=12)
            row = {
                "instruction": f"Question {number}: {picked[0]}",
                "input": picked[1] if number % 2 else "",
                "output": f"Answer {number}: "
                + ('\n"Indeed," '.join(picked[2:]) if number % 5 == 0 else " ".join(picked[2:])),
            }
            if file.suffix == ".csv":
                line = io.StringIO()
                csv.writer(line).writerow(row.values())
                stream.write(line.getvalue())
            else:
                ends = ",\n" if file.suffix == ".json" and number < rows - 1 else "\n"
                stream.write(json.dumps(row, ensure_ascii=False) + ends)
        stream.write("]\n" if file.suffix == ".json" else "")


def in_its_own_process(stage: str, file: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--stage", stage, "--file", str(file)]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def measure(stage: str, file: Path) -> dict[str, float]:
    """Return rows a second and the most memory (MB) that this process held."""
    work = {"reading": reading, "converting": converting, "indexing": indexing, "structure": structure}[stage]
    began, worked = time.perf_counter(), time.process_time()
    rows = work(file)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    speed = {"rows_per_core_second": rows // cpu, "rows_per_second": rows // seconds}
    return {**speed, "seconds": seconds, "megabytes": megabytes}


def reading(file: Path) -> int:
    from core.data.problems import Problems
    from core.data.readers import iter_rows

    problems = Problems(file.name)
    rows = sum(1 for _ in iter_rows(file, problems))
    problems.stop_if_any()
    return rows


def converting(file: Path) -> int:
    from core.data.formats import records
    from core.data.problems import Problems
    from core.data.readers import iter_rows
    from core.data.reading import Reading

    problems = Problems(file.name)
    rows = sum(1 for _ in records(iter_rows(file, problems), Reading("alpaca"), file.name, problems))
    problems.stop_if_any()
    return rows


def indexing(file: Path) -> int:
    from core.data.index import RowIndex

    with tempfile.TemporaryDirectory() as cache:
        return len(RowIndex.of(file, Path(cache)))


def structure(file: Path) -> int:
    from core.data.entry import COLUMNS, TAGS, DatasetEntry
    from core.doctor.examine import examine

    entry = DatasetEntry("rows", file, "0" * 40, "alpaca", dict(COLUMNS), dict(TAGS))
    report = examine(entry, thorough=False)
    found = [each.code for each in report.findings if each.severity == "error"]
    if found != ["changed"]:  # the SHA-1 was worked out and is not the one that stands in the entry
        sys.exit(f"the doctor found {found}")
    return report.rows


if __name__ == "__main__":
    main()
