"""Running once, before any fork, what every judged program will run.

A fork is cheap; what costs is every page of memory that is touched after it for the first time. So
whatever fills a cache, makes a type ready or grows a table had better happen here.
"""

from __future__ import annotations

import io
import linecache
import os
import sys

from .program import Stage

__all__ = ["warm_up"]

_ROUNDS = 10
_PROGRAMS = (
    """
import sys, math, re, random, bisect, heapq, itertools, functools, string, collections, operator
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any, Dict, List, Optional, Tuple

class Solution:
    def solve(self, n: int, *rest: Any, **named: Any) -> List[int]:
        squares = [i * i for i in range(n)]
        groups: Dict[int, List[int]] = defaultdict(list)
        for value in squares:
            groups[value % 3].append(value)
        with_rest = {key: sorted(found, reverse=True) for key, found in groups.items()}
        return with_rest[0]

@functools.lru_cache(maxsize=None)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

def words(text):
    for word in text.split():
        yield word.strip(string.punctuation).lower()

if __name__ == "__main__":
    first = input()
    rest = sys.stdin.readlines()
    numbers = list(map(int, first.split()))
    print(sum(numbers), max(numbers), *sorted(set(numbers)))
    heap = []
    for number in numbers:
        heapq.heappush(heap, (-number, str(number)))
    queue = deque(numbers)
    queue.append(queue.popleft())
    print(heapq.heappop(heap), Solution().solve(20)[:3], fibonacci(20), len(rest))
    print(Counter(words("One two, two.")).most_common(1), re.sub(r"(\\w+)", r"<\\1>", "a b"))
    print(f"{math.sqrt(2):.3f} {3.5!r:>6} {10 ** 20:,}", "%d %s" % (3, "x"), end="\\n", flush=True)
    try:
        [][1]
    except (IndexError, ValueError) as error:
        sys.stderr.write(str(error))
    print(list(itertools.permutations([1, 2, 3]))[0], bisect.bisect([1, 3], 2), random.random())
""",
    "def fail(n):\n    return n / 0\n\nprint(fail(1))\n",
    "def broken(:\n",
    "import sys\nsys.exit(3)\n",
)


def warm_up() -> None:
    """Run programs that use what programs use, into the void."""
    before = (sys.stdin, sys.stdout, sys.stderr, sys.modules["__main__"])
    try:
        for _ in range(_ROUNDS):
            for source in _PROGRAMS:
                sys.stdin, sys.stdout, sys.stderr = _streams(b"3 1 2\nmore\n")
                Stage("/nowhere").rehearse(source.encode())
                sys.stdout.flush()
    finally:
        sys.stdin, sys.stdout, sys.stderr, sys.modules["__main__"] = before
        linecache.clearcache()


def _streams(stdin: bytes) -> tuple[io.TextIOWrapper, io.TextIOWrapper, io.TextIOWrapper]:
    """Like the interpreter's own three, which stay as new."""
    given = os.memfd_create("warm")
    os.write(given, stdin)
    os.lseek(given, 0, os.SEEK_SET)
    none = os.open(os.devnull, os.O_WRONLY)
    return (
        open(given, encoding="utf-8", errors="surrogateescape"),
        open(none, "w", encoding="utf-8", errors="surrogateescape"),
        open(os.dup(none), "w", encoding="utf-8", errors="backslashreplace", buffering=1),
    )
