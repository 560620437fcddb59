"""ONNX files: through ONNX Runtime on a CPU or a GPU, with TensorRT where that is there; through OpenVINO."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from squeeze_segnet_ros.engine.backends.base import Runtime, TensorKind, chosen_output, only_input
from squeeze_segnet_ros.engine.device import choose_device
from squeeze_segnet_ros.errors import ConfigError, DeviceError, one_line

_log = logging.getLogger(__name__)
_DTYPES = {
    "float": "float32", "float16": "float16", "bfloat16": "bfloat16", "double": "float64", "uint8": "uint8",
    "int8": "int8", "int32": "int32", "int64": "int64", "bool": "bool",
}  # fmt: skip
"""ONNX Runtime's names of types, and PyTorch's."""
_FILE = "file"
"""The precision of a file that is run as it was written."""
_MAX_ENGINES = 4
"""Shapes whose TensorRT sessions are kept."""


def open_onnx(file: Path, output: str | None, device: str, precision: str, sha256: str) -> Runtime:
    """Open an ONNX file.

    Args:
        file: its path.
        output: the name of its output; None for the first.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``openvino``.
        precision: ``auto`` runs the file as it was written.
        sha256: the file's hash.

    Raises:
        ConfigError: a library is missing, or the file is not one that it runs.
        DeviceError: this machine does not have the device or the precision.
    """
    if device == "openvino":
        return OpenVino(file, output, precision)
    return OnnxRuntime(file, output, device, precision, sha256)


def outputs_of_onnx(file: Path) -> list[TensorKind]:
    """Return all outputs of an ONNX file.

    Raises:
        ConfigError: ONNX Runtime is missing, or the file is not one that it runs.
    """
    ort = _library("onnxruntime", "onnx")
    session = _opened(ort, file, ["CPUExecutionProvider"])
    return [_kind(each) for each in session.get_outputs()]


def _opened(ort: ModuleType, file: Path, providers: list[Any]) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    # PyTorch's threads prepare the images: those of ONNX Runtime must not spin beside them meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(file), options, providers)
    except Exception as error:
        raise ConfigError(
            f"{file} is no file that ONNX Runtime {ort.__version__} runs: {_reason(error)}"
        ) from error


def _library(name: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f'{name} is not installed ({one_line(error)}): pip install "squeeze_segnet_ros[{extra}]"'
        ) from None


class OnnxRuntime(Runtime):
    """ONNX Runtime; tensors are handed over where they are, without a copy."""

    def __init__(self, file: Path, output: str | None, device: str, precision: str, sha256: str) -> None:
        self._ort = _library("onnxruntime", "onnx")
        self._file, self._sha256 = file, sha256
        self._providers = self._ort.get_available_providers()
        self.device = self._chosen_device(device)
        self._with_tensorrt = self.device.type == "cuda" and "TensorrtExecutionProvider" in self._providers
        self.name = str(self.device)
        self.precision = self._chosen_precision(precision)
        session = self._session(None)
        self.input = only_input([_kind(each) for each in session.get_inputs()], file)
        outputs = [_kind(each) for each in session.get_outputs()]
        self.output = outputs[chosen_output(outputs, output, file)]
        # TensorRT builds an engine for each shape; the others take any.
        self._sessions: OrderedDict[tuple[int, ...] | None, Any] = OrderedDict({None: session})
        self._output_shapes: OrderedDict[tuple[int, ...], tuple[int, ...]] = OrderedDict()

    def __call__(self, x: Tensor) -> Tensor:
        """See :class:`Runtime`."""
        shape = tuple(x.shape)
        session = self._session_for(shape)
        binding = session.io_binding()
        index = self.device.index or 0
        try:
            dtype = np.dtype(self.input.dtype)
            # Both libraries use one memory, not one stream: each waits for the other's.
            if self.device.type == "cuda":
                torch.cuda.current_stream(self.device).synchronize()
            binding.bind_input(self.input.name, self.device.type, index, dtype, shape, x.data_ptr())
            out = None
            if shape in self._output_shapes:
                out = torch.empty(
                    self._output_shapes[shape], dtype=getattr(torch, self.output.dtype), device=self.device
                )
                binding.bind_output(
                    self.output.name, self.device.type, index, np.dtype(self.output.dtype),
                    tuple(out.shape), out.data_ptr(),
                )  # fmt: skip
            else:
                binding.bind_output(self.output.name, "cpu")
            session.run_with_iobinding(binding)
            if out is not None:
                return out
            first = torch.from_numpy(binding.copy_outputs_to_cpu()[0])
        except Exception as error:
            # ONNX Runtime's exceptions have no class in common but this one.
            raise DeviceError(f"ONNX Runtime failed on {self._file}: {_reason(error)}") from error
        self._output_shapes[shape] = tuple(first.shape)
        if len(self._output_shapes) > 100:
            self._output_shapes.popitem(last=False)
        return first.to(self.device)

    def _session_for(self, shape: tuple[int, ...]) -> Any:
        key = shape if self._with_tensorrt else None
        if key not in self._sessions:
            self._sessions[key] = self._session(shape)
            if len(self._sessions) > _MAX_ENGINES:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(key)
        return self._sessions[key]

    def _session(self, shape: tuple[int, ...] | None) -> Any:
        return _opened(self._ort, self._file, self._chosen_providers(shape))

    def _chosen_device(self, device: str) -> torch.device:
        has_gpu = "CUDAExecutionProvider" in self._providers
        if device == "auto" and not has_gpu:
            return torch.device("cpu")
        chosen = choose_device(device)
        if chosen.type == "cuda" and not has_gpu:
            raise DeviceError(
                f"this ONNX Runtime has no CUDA provider, so that {self._file.name} cannot run on {device}: "
                "pip install onnxruntime-gpu in place of onnxruntime, or choose device auto, cpu or openvino"
            )
        return chosen

    def _chosen_precision(self, precision: str) -> str:
        allowed = {"auto": _FILE, "fp32": "fp32", **({"fp16": "fp16"} if self._with_tensorrt else {})}
        if precision not in allowed:
            raise DeviceError(
                f"precision '{precision}' is not for {self._file.name} on {self.name}, where ONNX Runtime "
                f"runs it as it was written: choose {', '.join(allowed)}, or write the file in that precision"
            )
        return allowed[precision]

    def _chosen_providers(self, shape: tuple[int, ...] | None) -> list[str | tuple[str, dict[str, Any]]]:
        """Return the providers in the order in which they are asked; TensorRT where the shape is known."""
        if self.device.type == "cpu":
            return ["CPUExecutionProvider"]
        index = self.device.index or 0
        cuda = {"device_id": index, "use_tf32": int(self.precision != "fp32")}
        chosen: list[str | tuple[str, dict[str, Any]]] = [("CUDAExecutionProvider", cuda)]
        if self._with_tensorrt and shape is not None:
            profile = f"{self.input.name}:{'x'.join(map(str, shape))}"
            options = {
                "device_id": index,
                "trt_fp16_enable": self.precision == "fp16",
                **{f"trt_profile_{kind}_shapes": profile for kind in ("min", "opt", "max")},
            }
            cache = engine_cache(
                self._sha256, tensorrt_version(), torch.cuda.get_device_name(index), shape, self.precision
            )
            if cache is not None:
                options |= {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(cache)}
            chosen.insert(0, ("TensorrtExecutionProvider", options))
        return [*chosen, "CPUExecutionProvider"]


def engine_cache(sha256: str, tensorrt: str, gpu: str, shape: tuple[int, ...], precision: str) -> Path | None:
    """Return the folder of the TensorRT engines of one file, version, GPU, shape and precision.

    It lies in ``$XDG_CACHE_HOME``, ``~/.cache`` by default; None, after a warning, where it cannot be made.
    """
    key = hashlib.sha256("\n".join([sha256, tensorrt, gpu, "x".join(map(str, shape)), precision]).encode())
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "squeeze_segnet_ros" / "tensorrt" / key.hexdigest()[:32]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _log.warning("TensorRT's engines are not kept, and built again at every start: %s", one_line(error))
        return None
    return folder


def tensorrt_version() -> str:
    """Return TensorRT's version, or ONNX Runtime's, which decides it, where TensorRT has no Python module."""
    for name in ("tensorrt", "onnxruntime"):
        try:
            return f"{name} {importlib.import_module(name).__version__}"
        except (ImportError, AttributeError):
            continue
    return "unknown"


class OpenVino(Runtime):
    """OpenVINO on an Intel or AMD CPU, in fp32, bf16, or as an int8 file has it."""

    def __init__(self, file: Path, output: str | None, precision: str) -> None:
        openvino = _library("openvino", "openvino")
        hints = {"auto": None, "fp32": "f32", "bf16": "bf16"}
        if precision not in hints:
            raise DeviceError(f"precision '{precision}' is not for openvino: choose {', '.join(hints)}")
        self._file = file
        self.device = torch.device("cpu")
        self.name = "openvino"
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        if hints[precision]:
            options["INFERENCE_PRECISION_HINT"] = hints[precision]
        try:
            model = openvino.Core().compile_model(str(file), "CPU", options)
        except Exception as error:
            raise ConfigError(
                f"{file} is no file that OpenVINO {openvino.__version__.split('-')[0]} runs: {_reason(error)}"
            ) from error
        used = model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.precision = {"f32": "fp32", "f16": "fp16"}.get(used, used)
        self.input = only_input([_openvino_kind(port) for port in model.inputs], file)
        outputs = [_openvino_kind(port) for port in model.outputs]
        index = chosen_output(outputs, output, file)
        self.output, self._port = outputs[index], model.outputs[index]
        self._request = model.create_infer_request()

    def __call__(self, x: Tensor) -> Tensor:
        """See :class:`Runtime`."""
        try:
            results = self._request.infer([x.numpy()], share_inputs=True)
        except Exception as error:
            raise DeviceError(f"OpenVINO failed on {self._file}: {_reason(error)}") from error
        return torch.from_numpy(results[self._port])


def _kind(argument: Any) -> TensorKind:
    """Return what ONNX Runtime says of an input or output."""
    element = argument.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(length if isinstance(length, int) else None for length in argument.shape)
    return TensorKind(argument.name, shape, _DTYPES.get(element, argument.type))


def _openvino_kind(port: Any) -> TensorKind:
    dtypes = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "u8": "uint8", "i64": "int64"}
    element = port.get_element_type().get_type_name()
    shape = tuple(length.get_length() if length.is_static else None for length in port.get_partial_shape())
    name = port.get_any_name() if port.get_names() else "unnamed"
    return TensorKind(name, shape, dtypes.get(element, element))


def _reason(error: Exception) -> str:
    """Return the first lines of what a library says, as one."""
    return one_line(error)[:300]
