"""What the README shows is executed, in its order, as its reader would type it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

README = Path(__file__).parents[2] / "README.md"


def python_blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def run_block(source: str, namespace: dict[str, Any]) -> int:
    """Execute a block; compare expressions with the value in the comment behind them.

    Returns:
        How many values were compared.
    """
    lines = source.splitlines()
    compared = 0
    for statement in ast.parse(source).body:
        code = ast.unparse(statement)
        if not isinstance(statement, ast.Expr):
            exec(compile(code, "README.md", "exec"), namespace)
            continue
        value = eval(compile(code, "README.md", "eval"), namespace)
        _, _, comment = lines[statement.end_lineno - 1].partition("  # ")  # type: ignore[operator]
        if comment:
            compared += 1
            assert value == ast.literal_eval(comment), code
    return compared


def test_the_readme_does_what_it_says() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}

    compared = sum(run_block(block, namespace) for block in python_blocks())

    assert compared >= 3
