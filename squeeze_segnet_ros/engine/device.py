"""Chooses the device and the precision that a network runs in."""

from __future__ import annotations

import torch

from squeeze_segnet_ros.errors import DeviceError

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""What a whole network computes in."""
INT8 = "int8"
"""On a CPU: convolutions in int8, as far as the scales in the weights file go."""


def choose_device(device: str) -> torch.device:
    """Return the device of ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: the device is unknown or this machine does not have it.
    """
    if device == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()) or (kind == "cpu" and index):
        raise DeviceError(f"unknown device '{device}': choose auto, cpu, cuda or cuda:N")
    if kind == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= count:
        has = ", ".join(f"cuda:{i}" for i in range(count)) or "no CUDA device"
        raise DeviceError(f"device '{device}' does not exist: this machine has {has}; choose auto or cpu")
    return torch.device("cuda", int(index or 0))


def choose_precision(precision: str, device: torch.device) -> str:
    """Return the precision; ``auto``: fp16 on a GPU, bf16 on a CPU with instructions for it, else fp32.

    Raises:
        DeviceError: the precision is unknown, or the device cannot compute in it.
    """
    if precision == "auto":
        if device.type == "cuda":
            return "fp16"
        return "bf16" if computes_bf16(device) else "fp32"
    if precision not in (*PRECISIONS, INT8):
        raise DeviceError(f"unknown precision '{precision}': choose auto, {', '.join(PRECISIONS)} or {INT8}")
    if precision == INT8 and device.type != "cpu":
        raise DeviceError(f"precision '{INT8}' is for a CPU: on a GPU choose auto, fp16, bf16 or fp32")
    if precision == "fp16" and device.type == "cpu":
        raise DeviceError("precision 'fp16' needs a GPU: on a CPU choose auto, fp32 or bf16")
    return precision


def without_tf32() -> None:
    """Make a GPU's convolutions in fp32 compute in fp32, in the whole process.

    PyTorch rounds their factors to TF32's 10 bits by default.
    """
    torch.backends.cudnn.allow_tf32 = False


def computes_bf16(device: torch.device) -> bool:
    """Return whether the device has instructions for bf16; others emulate it, many times slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
