"""Files of torch.export (.pt2); those that ask for more than tensors and a graph are refused.

Reading such a file can run code: pickled objects, compiled libraries, Python functions that the graph names,
and expressions of its sizes that are evaluated as Python. All four are looked for before PyTorch reads it.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export.passes import move_to_device_pass

from squeeze_segnet_ros.engine.backends.base import Runtime, TensorKind, chosen_output, only_input
from squeeze_segnet_ros.engine.device import choose_device
from squeeze_segnet_ros.errors import ConfigError, DeviceError, one_line

_MOST_BYTES = 2**33
"""Unpacked; more than any network that labels images needs."""
_SAFE_TARGET = re.compile(
    r"torch\.ops\.(aten|prims)\.\w+\.\w+|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem)"
    r"|math\.\w+|torch\.sym_\w+"
)
"""What a graph may call: PyTorch's operators on tensors, and arithmetic of sizes."""
_SAFE_EXPRESSION = re.compile(r"(?!.*__)[\w\s'(),=+\-*/<>!]*", re.ASCII)
_SAFE_WORD = re.compile(
    r"\d+|[suz]\w{0,4}\d+|Symbol|Integer|Rational|Mul|Add|Pow|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|IntTrueDiv"
    r"|FloatTrueDiv|ToFloat|TruncToInt|CeilToInt|FloorToInt|floor|ceiling|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not"
    r"|positive|integer|nonnegative|True|False"
)


class Exported(Runtime):
    """A .pt2 through PyTorch, on a CPU or a GPU."""

    def __init__(self, file: Path, output: str | None, device: str, precision: str) -> None:
        self.device = choose_device(device)
        self.name = str(self.device)
        if precision not in ("auto", "fp32"):
            raise DeviceError(
                f"precision '{precision}' is not for {file.name}, which runs as it was exported: "
                "choose auto, or export the network in that precision"
            )
        self.precision = "file" if precision == "auto" else precision
        self._file = file
        program = _loaded(file)
        self.input, outputs = _kinds(program, file)
        if self.device.type != "cpu":
            program = move_to_device_pass(program, self.device)
        self._network = program.module()
        self._index = chosen_output(outputs, output, file)
        self.output = outputs[self._index]

    def __call__(self, x: Tensor) -> Tensor:
        """See :class:`Runtime`."""
        try:
            out = self._network(x)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError, ValueError) as error:
            raise DeviceError(f"PyTorch failed on {self._file}: {one_line(error)[:300]}") from error
        outputs = [leaf for leaf in torch.utils._pytree.tree_leaves(out) if isinstance(leaf, Tensor)]
        return outputs[self._index]


def outputs_of_exported(file: Path) -> list[TensorKind]:
    """Return all outputs of a .pt2.

    Raises:
        ConfigError: the file is not one that PyTorch runs, or is refused.
    """
    return _kinds(_loaded(file), file)[1]


def _loaded(file: Path) -> torch.export.ExportedProgram:
    check_contents(file)
    try:
        program = torch.export.load(file)
    except Exception as error:
        raise ConfigError(
            f"{file} is no file that PyTorch {torch.__version__} runs: {one_line(error)[:300]}"
        ) from error
    # Conditions on sizes, as Python code: a size that does not fit is an error of the graph's too.
    program._guards_code = []
    return program


def check_contents(file: Path) -> None:
    """Look for what a .pt2 can run when PyTorch reads it.

    Raises:
        ConfigError: the file is not a .pt2, or asks for more than tensors and a graph.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > _MOST_BYTES:
                raise ConfigError(f"{file} unpacks to {size} bytes: expected at most {_MOST_BYTES}")
            names = archive.namelist()
            graphs = [name for name in names if re.fullmatch(r"[^/]+/models/[^/]+\.json", name)]
            if len(graphs) != 1:
                raise ConfigError(f"{file} holds {len(graphs)} graphs of torch.export: expected one")
            for name in names:
                _check_entry(file, name, archive)
            graph = json.loads(archive.read(graphs[0]))
    except (
        zipfile.BadZipFile,
        OSError,
        ValueError,
        KeyError,
        RecursionError,
        EOFError,
        NotImplementedError,
    ) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{file} is not a complete file of torch.export.save: {one_line(error)}") from error
    for key, value in _entries(graph):
        if key == "target" and isinstance(value, str) and not _SAFE_TARGET.fullmatch(value):
            raise ConfigError(f"{file} is refused: its graph calls {value[:100]!r}, no operator on tensors")
        if key == "expr_str" and not _is_safe_expression(value):
            raise ConfigError(f"{file} is refused: it has {str(value)[:100]!r} as a size, which would be run")


def _check_entry(file: Path, name: str, archive: zipfile.ZipFile) -> None:
    inside = name.partition("/")[2]
    if re.search(r"aotinductor|\.so$|custom_obj_|opaque_obj_|executorch", inside):
        raise ConfigError(f"{file} is refused: it holds {inside!r}, which is code or an object, not a tensor")
    if inside.endswith("_config.json"):
        for payload in json.loads(archive.read(name)).get("config", {}).values():
            if payload.get("use_pickle"):
                raise ConfigError(
                    f"{file} is refused: {payload.get('path_name')!r} is pickled, not a plain tensor"
                )
    if inside.startswith("data/sample_inputs/"):
        try:
            torch.load(io.BytesIO(archive.read(name)), weights_only=True)
        except Exception as error:
            raise ConfigError(
                f"{file} is refused: its sample inputs are more than tensors ({one_line(error)[:100]})"
            ) from error


def _is_safe_expression(text: object) -> bool:
    return (
        isinstance(text, str)
        and _SAFE_EXPRESSION.fullmatch(text) is not None
        and all(_SAFE_WORD.fullmatch(word) for word in re.findall(r"\w+", text))
    )


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Go through all keys and values of a JSON value, however deep."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield from each.items()
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _kinds(program: torch.export.ExportedProgram, file: Path) -> tuple[TensorKind, list[TensorKind]]:
    """Return what a program takes and gives."""
    placeholders = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    inputs = [
        _kind(name, placeholders[str(name)].meta["val"]) for name in program.graph_signature.user_inputs
    ]
    nodes = {node.name: node for node in program.graph.nodes}
    outputs = [
        _kind(name, nodes[str(name)].meta["val"])
        for name in program.graph_signature.user_outputs
        if name in nodes
    ]
    return only_input(inputs, file), outputs


def _kind(name: object, value: Tensor) -> TensorKind:
    shape = tuple(length if isinstance(length, int) else None for length in value.shape)
    return TensorKind(str(name), shape, str(value.dtype).removeprefix("torch."))
