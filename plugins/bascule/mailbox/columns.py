"""Columns of numbers: half a million messages cost a few bytes each, where Python's own objects would cost hundreds."""

import heapq
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

SCATTERED = 16  # one ascending part for so many numbers: then sorting costs less memory than merging


def ascending(keys: "array[int]", starts: Sequence[int] = ()) -> Iterator[int]:
    """The indexes of `keys` in the order of their values.

    `starts`: where batches begin that ascend and don't overlap; sessions add them in any order. Half a million
    Python integers, which sorting would need, cost 20 MB.
    """
    descents = [i for i in range(1, len(keys)) if keys[i] < keys[i - 1]]
    if not descents:
        return iter(range(len(keys)))
    cuts = sorted({0, *descents, *starts, len(keys)})
    parts = sorted((part for part in pairwise(cuts)), key=lambda part: keys[part[0]])
    if all(keys[one[1] - 1] < keys[other[0]] for one, other in pairwise(parts)):
        return chain.from_iterable(range(*part) for part in parts)
    if len(parts) > len(keys) // SCATTERED:
        return iter(sorted(range(len(keys)), key=keys.__getitem__))
    return heapq.merge(*(range(*part) for part in parts), key=keys.__getitem__)


def in_order(keys: "array[int]") -> "array[int]":
    """The same numbers, ascending; itself when it is so already."""
    if all(one <= other for one, other in pairwise(keys)):
        return keys
    return array(keys.typecode, (keys[i] for i in ascending(keys)))
