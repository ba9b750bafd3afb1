"""Which examples share a micro-batch."""

from collections.abc import Sequence


def pack(lengths: Sequence[int], capacity: int, most: int | None = None) -> list[list[int]]:
    """Return packs of indices: each of at most `capacity` tokens and `most` examples, best fit first.

    Longest first, each example goes where the least room is left over ("best fit decreasing": at most 11/9 of the fewest
    packs possible, Johnson 1973). An example longer than `capacity` has a pack of its own.
    """
    packs: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda each: (-lengths[each], each)):
        length = lengths[index]
        fitting = [at for at, left in enumerate(room) if left >= length and (most is None or len(packs[at]) < most)]
        if fitting:
            best = min(fitting, key=room.__getitem__)
            packs[best].append(index)
            room[best] -= length
        else:
            packs.append([index])
            room.append(capacity - length)
    return packs


def group(lengths: Sequence[int], capacity: int, most: int | None = None) -> list[list[int]]:
    """Return groups of indices of similar length, to be padded: rows times the longest row is at most `capacity`."""
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda each: (-lengths[each], each)):
        last = groups[-1] if groups else []
        full = not last or (len(last) + 1) * lengths[last[0]] > capacity or len(last) == most
        if full:
            groups.append([index])
        else:
            last.append(index)
    return groups
