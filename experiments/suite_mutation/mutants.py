"""Ways to break a source file, one expression at a time; what only words an error or an annotation is left alone."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

OTHER = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*"}
OTHER |= {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "=="}
OTHER |= {ast.And: "or", ast.Or: "and"}
IDENTITIES_OF_ONE_SHAPE = {"rev", "flip", "swap_groups", "reversed", "roll"}  # replaced by their first argument
IDENTITIES_AS_METHODS = {"transpose", "astype"}  # replaced by what they are called on
CHECKS = ("require", "raise", "isinstance", "getattr", "named_scope")


@dataclass(frozen=True)
class Mutant:
    """`source` with the text from `begin` to `end` (in bytes) replaced."""

    path: str
    line: int
    column: int
    begin: int
    end: int
    before: str
    after: str

    def __str__(self) -> str:
        return (
            f"{self.path}:{self.line}:{self.column}: {' '.join(self.before.split())} -> {' '.join(self.after.split())}"
        )

    def applied(self, source: bytes) -> bytes:
        return source[: self.begin] + self.after.encode() + source[self.end :]


def mutants(path: str, source: str) -> list[Mutant]:
    """Every mutant of a file that this module knows of, in the order of the file."""
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node in _expressions(ast.parse(source)):
        begin = starts[node.lineno - 1] + node.col_offset
        column = len(source.encode()[starts[node.lineno - 1] : begin].decode()) + 1
        end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        before = source.encode()[begin:end].decode()
        found += [Mutant(path, node.lineno, column, begin, end, before, after) for after in _changed(node)]
    return found


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    """The nodes that compute: no docstring, annotation, `raise`, `assert`, check of an argument, or decorator."""
    if isinstance(node, ast.Raise | ast.Assert | ast.AnnAssign | ast.JoinedStr | ast.Import | ast.ImportFrom):
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            yield from _expressions(node.value)
        return
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1].startswith(CHECKS):
        return
    if isinstance(node, ast.expr):
        yield node
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns", "decorator_list"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _expressions(child)


def _changed(node: ast.expr) -> Iterator[str]:
    """Other texts for an expression. Parentheses keep what is around it as it is."""
    text = ast.unparse
    match node:
        case ast.BinOp(left, op, right) if type(op) in OTHER:
            yield f"(({text(left)}) {OTHER[type(op)]} ({text(right)}))"
            if isinstance(op, ast.Mult | ast.Div):
                yield f"({text(left)})"
            if isinstance(op, ast.Mult):
                yield f"({text(right)})"
        case ast.Compare(left, [op], [right]) if type(op) in OTHER:
            yield f"(({text(left)}) {OTHER[type(op)]} ({text(right)}))"
        case ast.BoolOp(op, values):
            yield "(" + f" {OTHER[type(op)]} ".join(f"({text(v)})" for v in values) + ")"
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield f"({text(operand)})"
        case ast.Constant(bool() as value):
            yield str(not value)
        case ast.Constant(int() as value):
            yield f"({value - 1 if value else 1})"
        case ast.Constant(float() as value):
            yield f"({value * 1.5 if value else 0.5})"
        case ast.Subscript(value, ast.Slice(None, None, ast.UnaryOp(ast.USub()))) | ast.Attribute(value, "T"):
            yield f"({text(value)})"
        case ast.Tuple([ast.Name(), ast.Name(), *_] as names, ast.Store()):  # residuals, above all
            for i in range(len(names) - 1):
                yield ", ".join(text(n) for n in [*names[:i], names[i + 1], names[i], *names[i + 2 :]])
        case ast.Call():
            yield from _changed_call(node)


def _of_another_kind(argument: ast.expr) -> bool:
    """What no one would exchange with the other argument, for it raises at once."""
    if isinstance(argument, ast.Starred | ast.Tuple | ast.Lambda):
        return True
    return ast.unparse(argument).endswith(("dims", "dtype", "groups", "axis", "axis_name"))


def _changed_call(node: ast.Call) -> Iterator[str]:
    text, name = ast.unparse, ast.unparse(node.func).split(".")[-1]
    if name in IDENTITIES_OF_ONE_SHAPE and node.args:
        yield f"({text(node.args[0])})"
    if isinstance(node.func, ast.Attribute) and name in IDENTITIES_AS_METHODS:
        yield f"({text(node.func.value)})"
    if name == "sum" and any(k.arg == "keepdims" for k in node.keywords):
        yield f"({text(node.args[0] if node.args else node.func)})".replace(".sum)", ")")
    if len(node.args) == 2 and not any(_of_another_kind(a) for a in node.args):
        yield text(ast.Call(node.func, node.args[::-1], node.keywords))
    if any(k.arg == "dtype" for k in node.keywords):
        yield text(ast.Call(node.func, node.args, [k for k in node.keywords if k.arg != "dtype"]))
