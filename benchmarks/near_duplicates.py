"""Near duplicates in 100,000 texts: seconds of one core, memory, recall and false positives on planted pairs.

Run: python -m benchmarks.near_duplicates [--rows 100000]

Nine rows in ten are independent texts of 10 to 250 words from 20,000 made-up words, half of them in a template that all
share; one in ten is a copy of one of them with a word in seventy changed. Which copies are near duplicates is told by the
similarity of each pair, computed by itself.
"""

import argparse
import random
import resource
import time

from core.data.near import THRESHOLD, clusters, similarity


def texts_of(rows: int, seed: int = 1) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the texts, and the pairs (original, copy) that were planted."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 11))) for _ in range(20_000)]
    texts = []
    for number in range(rows - rows // 10):
        text = " ".join(rng.choices(words, k=rng.randint(10, 250)))
        texts.append(
            f"Please summarise the following note of a customer in one sentence. {text}" if number % 2 else text
        )
    pairs = []
    for original in rng.sample(range(len(texts)), rows // 10):
        copy = texts[original].split()
        for _ in range(max(1, len(copy) // 70)):
            copy[rng.randrange(len(copy))] = rng.choice(words)
        pairs.append((original, len(texts)))
        texts.append(" ".join(copy))
    return texts, pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    texts, pairs = texts_of(rows)
    started, worked = time.perf_counter(), time.process_time()
    found = clusters(texts)
    took, worked = time.perf_counter() - started, time.process_time() - worked
    group = {index: cluster[0] for cluster in found for index in cluster}
    near = [(a, b) for a, b in pairs if similarity(texts[a], texts[b]) >= THRESHOLD]
    hit = sum(group.get(a, -1) == group.get(b, -2) for a, b in near)
    wrong = sum(max(similarity(texts[each[0]], texts[other]) for other in each[1:]) < THRESHOLD for each in found)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"{rows} rows: {took:.1f} s ({worked:.1f} s of one core), {memory:.0f} MB")
    print(f"planted pairs: {len(near)}, recall {hit / max(1, len(near)):.4f}; groups without a near pair: {wrong}")


if __name__ == "__main__":
    main()
