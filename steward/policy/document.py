"""YAML with positions: plain data and the line of each part, for the policy file's errors.

Scalars stay the text that was written (0.02 is never a binary float); only true, false and null
become Python's.
"""

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

Path = tuple[str | int, ...]
MOST_PARTS = 50_000
"""Aliases can make a short file huge; no real policy file comes near this."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the file; ``line`` counts from 1, 0 is the file as a whole."""

    line: int
    text: str
    column: int | None = None

    def __str__(self) -> str:
        column = f", column {self.column}" if self.column else ""
        return f", line {self.line}{column}: {self.text}" if self.line else f": {self.text}"


@dataclass(slots=True)
class Document:
    """What the file says. ``lines`` maps a path such as ("policies", 0, "mode") to its line."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, path: Path) -> int:
        """The line of the part at ``path``, or of the nearest part around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(text: str) -> Document:
    """Parse YAML text; what is wrong with it is in ``problems``, never raised."""
    document = Document()
    try:
        root = YAML(typ="rt", pure=True).compose(text)
        if root is None or (isinstance(root, ScalarNode) and not root.value):
            document.problems.append(Problem(0, "the file is empty"))
        elif not isinstance(root, MappingNode):
            document.problems.append(Problem(1, "the file must be a mapping (version: 1 ...)"))
        else:
            document.data = _value_of(root, (), document)
    except MarkedYAMLError as error:
        document.problems.append(_syntax_problem(error))
    except RecursionError:
        document.problems.append(Problem(0, "the file is nested too deeply"))
    except Exception as error:  # noqa: BLE001  # the library raises many kinds for odd escapes
        first_line = str(error).partition("\n")[0]
        document.problems.append(Problem(0, f"this is not YAML: {first_line}"))
    return document


def _syntax_problem(error: MarkedYAMLError) -> Problem:
    problem = str(error.problem)
    if "'\\t'" in problem:
        problem = "a tab; YAML is indented with spaces"
    elif "undefined alias" in problem:
        problem += "; text that begins with * needs quotes"
    elif "but found another document" in problem:
        problem = "a second document begins here; a policy file is one document"
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Problem(0, problem)
    return Problem(mark.line + 1, problem, mark.column + 1)


def _value_of(node: Node, path: Path, document: Document) -> Any:
    document.lines.setdefault(path, node.start_mark.line + 1)
    if len(document.lines) > MOST_PARTS:
        raise ValueError("its aliases make it too large")
    if isinstance(node, ScalarNode):
        return _scalar(node)
    if isinstance(node, MappingNode):
        return _mapping(node, path, document)
    return [_value_of(item, (*path, i), document) for i, item in enumerate(node.value)]


def _mapping(node: MappingNode, path: Path, document: Document) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value
        if not isinstance(key, str):
            document.problems.append(Problem(line, "a key must be a word, not a list or mapping"))
            continue
        if key in mapping:
            first = document.lines[(*path, key)]
            text = f"the key '{key}' stands twice; the first is on line {first}"
            document.problems.append(Problem(line, text))
            continue
        document.lines[(*path, key)] = line
        mapping[key] = _value_of(value_node, (*path, key), document)
    return mapping


def _scalar(node: ScalarNode) -> str | bool | None:
    text: str = node.value
    tag = node.tag or ""
    if tag.endswith(":null"):
        return None
    if tag.endswith(":bool") and text.lower() in ("true", "yes", "on", "y"):
        return True
    if tag.endswith(":bool") and text.lower() in ("false", "no", "off", "n"):
        return False
    return text
