"""Counting asserts: each is made to report itself, and to let the next one run."""

from __future__ import annotations

import ast
from dataclasses import dataclass

__all__ = ["Assert", "count_asserts"]

_MOST_TEXT = 120
_CATCHING = ("AssertionError", "Exception", "BaseException")


@dataclass(frozen=True, slots=True)
class Assert:
    """One assert of a script.

    Attributes:
        line: where it stands, from 1.
        text: what it asserts, cut short.
        needed: it stands where it is always come by: whoever passes has passed it.
        never: it cannot hold (``assert False``), and marks a place that must not be reached.
        once: it is come by once at most, so once it has passed, it has.
    """

    line: int
    text: str
    needed: bool
    never: bool
    once: bool


def count_asserts(tree: ast.Module, called: set[str]) -> list[Assert]:
    """Every assert of the tree, which is changed so that assert ``n`` calls ``__passed__(n)`` or
    ``__failed__(n, error)``.

    A failure no longer ends the script: whether it passes is not changed by what comes after. But
    where a ``try`` or ``with`` around it may be there to catch it, it still raises.

    Args:
        tree: the script.
        called: functions at the top that are sure to be called.
    """
    visitor = _Visitor(called)
    visitor.visit(tree)
    ast.fix_missing_locations(tree)
    return visitor.found


class _Visitor(ast.NodeTransformer):
    def __init__(self, called: set[str]) -> None:
        self.found: list[Assert] = []
        self._called = called
        self._functions = 0
        self._loops = 0
        self._sure = True
        self._caught = False

    def visit_Assert(self, node: ast.Assert) -> ast.stmt | list[ast.stmt]:
        number = len(self.found)
        never = isinstance(node.test, ast.Constant) and not node.test.value
        once = self._sure and not self._loops
        text = ast.unparse(node.test)[:_MOST_TEXT]
        self.found.append(Assert(node.lineno, text, self._sure and not never, never, once))
        passed: ast.stmt = ast.Expr(_call("__passed__", ast.Constant(number)))
        if self._caught:
            return _placed([node, passed], node)
        error = "__error__"
        failed: ast.stmt = ast.Expr(
            _call("__failed__", ast.Constant(number), ast.Name(error, ast.Load()))
        )
        handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), error, [failed])
        return _placed([ast.Try([node], [handler], [passed], [])], node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        at_top = self._functions == 0 and self._sure
        self._functions += 1
        found = self._inside(node, sure=at_top and node.name in self._called, caught=False)
        self._functions -= 1
        return found

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        # A method of a TestCase counts as a whole; its asserts must end it.
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        return self._loop(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self._loop(node)

    def _loop(self, node: ast.AST) -> ast.AST:
        self._loops += 1
        found = self._inside(node, sure=self._sure)
        self._loops -= 1
        return found

    def visit_If(self, node: ast.If) -> ast.AST:
        return self._inside(node, sure=False)

    def visit_While(self, node: ast.While) -> ast.AST:
        return self._inside(node, sure=False)

    def visit_Match(self, node: ast.Match) -> ast.AST:
        return self._inside(node, sure=False)

    def visit_With(self, node: ast.With) -> ast.AST:
        return self._inside(node, sure=False, caught=True)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self._inside(node, sure=False, caught=True)

    def visit_Try(self, node: ast.Try) -> ast.AST:
        catching = any(_catches(handler) for handler in node.handlers)
        return self._inside(node, sure=False, caught=self._caught or catching)

    def _inside(self, node: ast.AST, *, sure: bool, caught: bool | None = None) -> ast.AST:
        before = self._sure, self._caught
        self._sure = self._sure and sure if not isinstance(node, _FUNCTIONS) else sure
        self._caught = self._caught if caught is None else caught
        self.generic_visit(node)
        self._sure, self._caught = before
        return node


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _catches(handler: ast.ExceptHandler) -> bool:
    """Whether it would catch a failed assert. What is not a plain name might."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(not isinstance(kind, ast.Name) or kind.id in _CATCHING for kind in kinds)


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def _placed(nodes: list[ast.stmt], where: ast.stmt) -> list[ast.stmt]:
    return [ast.copy_location(node, where) for node in nodes]
