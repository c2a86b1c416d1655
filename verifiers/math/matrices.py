r"""Sums, multiples, products and determinants of matrices, worked out entry by entry.

Rational entries are worked out at once, so that a product of many matrices stays small.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

from rewardkit.verifiers.math.tree import Node, Num, Op, Sym, is_value, number, walk
from rewardkit.verifiers.math.values import factors, study

__all__ = ["has_matrix", "left_to_do", "worked_out"]

MAX_ENTRIES = 400
"""Most entries of a matrix that is multiplied."""
MAX_DETERMINANT = 5
"""Largest determinant worked out, in rows."""
MAX_FACTORS = 6
"""Most factors in a product with a matrix: entries with letters double with each."""

_ARITHMETIC = frozenset({"add", "neg", "mul", "div", "inv", "pow", "det"})

Matrix = list[list[Node]]


class _No(Exception):  # noqa: N818 - not worked out; nothing failed
    pass


def has_matrix(node: Node) -> bool:
    """True if a matrix is calculated with, not merely given."""
    if not (isinstance(node, Op) and node.kind in _ARITHMETIC):
        return False
    return any(isinstance(part, Op) and part.kind == "matrix" for part in walk(node))


def worked_out(node: Node) -> Node | None:
    """The matrix or number that an expression in matrices comes to, or ``None``."""
    try:
        found = _of(node)
    except _No:
        return None
    return found if not isinstance(found, list) else _tree(found)


def left_to_do(node: Node) -> set[str]:
    """Sums, products and powers of matrices: a multiple by a number is a value."""
    todo = set[str]()
    for part in walk(node):
        if not isinstance(part, Op) or part.kind not in ("add", "mul", "pow") or is_value(part):
            continue
        if part.kind != "mul" or sum(not is_value(arg) for arg in part.args) > 1:
            todo.add(part.kind)
    return todo


def _tree(rows: Matrix) -> Node:
    return Op("matrix", tuple(Op("row", tuple(row)) for row in rows))


def _of(node: Node) -> Matrix | Node:
    if isinstance(node, Op) and node.kind == "matrix":
        return [list(row.args) for row in node.args if isinstance(row, Op)]
    if not isinstance(node, Op) or not has_matrix(node):
        if not is_value(node):
            raise _No
        return node
    match node.kind:
        case "add":
            return _sum([_of(arg) for arg in node.args])
        case "neg":
            return _times(number(-1), _of(node.args[0]))
        case "mul" | "div":
            return _product(node)
        case "pow":
            return _power(_of(node.args[0]), node.args[1])
        case "det":
            return _determinant(_of(node.args[0]))
    raise _No


def _sum(terms: list[Matrix | Node]) -> Matrix | Node:
    matrices = [term for term in terms if isinstance(term, list)]
    if not matrices:
        return _added([term for term in terms if not isinstance(term, list)])
    shapes = {(len(m), len(m[0])) for m in matrices}
    if len(matrices) < len(terms) or len(shapes) != 1:
        raise _No
    rows, columns = shapes.pop()
    return [[_added([m[i][j] for m in matrices]) for j in range(columns)] for i in range(rows)]


def _product(node: Op) -> Matrix | Node:
    chain = factors(node)
    if len(chain) > MAX_FACTORS:
        raise _No
    product: Matrix | Node | None = None
    for factor, inverse in chain:
        value = _of(factor)
        if inverse:
            if isinstance(value, list):
                raise _No
            value = Op("div", (Num(Fraction(1)), value))
        product = value if product is None else _two(product, value)
    if product is None:
        raise _No
    return product


def _two(a: Matrix | Node, b: Matrix | Node) -> Matrix | Node:
    if isinstance(a, list) and isinstance(b, list):
        return _rows_by_columns(a, b)
    return _times(b, a) if isinstance(a, list) else _times(a, b)


def _times(scalar: Matrix | Node, of: Matrix | Node) -> Matrix | Node:
    if isinstance(scalar, list):
        raise _No
    if not isinstance(of, list):
        return _multiplied(scalar, of)
    return [[_multiplied(scalar, entry) for entry in row] for row in of]


def _multiplied(a: Node, b: Node) -> Node:
    return _known(Op("mul", (a, b)))


def _added(terms: list[Node]) -> Node:
    return terms[0] if len(terms) == 1 else _known(Op("add", tuple(terms)))


def _known(node: Node) -> Node:
    value = study(node).value
    return node if value is None else number(value)


def _rows_by_columns(a: Matrix, b: Matrix) -> Matrix | Node:
    if len(a[0]) == len(b[0]) == 1 and len(a) == len(b) > 1:
        # Two columns with a dot between them: the scalar product.
        return _dot([row[0] for row in a], [row[0] for row in b])
    if len(a[0]) != len(b) or len(a) * len(b[0]) * len(b) > MAX_ENTRIES:
        raise _No
    columns = [list(column) for column in zip(*b, strict=True)]
    return [[_dot(row, column) for column in columns] for row in a]


def _dot(row: list[Node], column: list[Node]) -> Node:
    return _added([_multiplied(x, y) for x, y in zip(row, column, strict=True)])


def _power(base: Matrix | Node, exponent: Node) -> Matrix:
    if not isinstance(base, list):
        raise _No
    if isinstance(exponent, Sym) and exponent.name == "T":
        return [list(column) for column in zip(*base, strict=True)]
    if not isinstance(exponent, Num) or exponent.value not in (2, 3):
        raise _No
    found: Matrix | Node = base
    for _ in range(int(exponent.value) - 1):
        found = _two(found, base)
    if not isinstance(found, list):
        raise _No
    return found


def _determinant(matrix: Matrix | Node) -> Node:
    if not isinstance(matrix, list):
        raise _No
    size = len(matrix)
    if size > MAX_DETERMINANT or any(len(row) != size for row in matrix):
        raise _No
    terms: list[Node] = []
    for order in permutations(range(size)):
        term: Node = Op("mul", tuple(matrix[i][j] for i, j in enumerate(order)))
        term = matrix[0][0] if size == 1 else term
        swaps = sum(order[i] > order[j] for i in range(size) for j in range(i + 1, size))
        terms.append(Op("neg", (term,)) if swaps % 2 else term)
    return terms[0] if size == 1 else Op("add", tuple(terms))
