"""The optimizers that a training configuration can name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.training.config import OptimizerConfig


class Optimizers:
    """One or two optimizers of PyTorch that step together, and the kernels that ``torch.optim.Muon`` steps.

    Muon takes matrices only. A kernel (O, I, h, w) is given to it as the matrix (O, I * h * w) that shares
    its memory, so that a step of the matrix is a step of the kernel.
    """

    def __init__(
        self,
        optimizers: dict[str, torch.optim.Optimizer],
        kernels: Sequence[tuple[nn.Parameter, Tensor]] = (),
    ) -> None:
        self._optimizers = optimizers
        self._kernels = kernels

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all optimizers; each has an ``lr`` and an ``lr_factor``."""
        # Not to be kept: an optimizer replaces its groups when it takes over a state.
        return [group for each in self._optimizers.values() for group in each.param_groups]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for optimizer in self._optimizers.values():
            optimizer.zero_grad()
        for kernel, _ in self._kernels:
            kernel.grad = None

    def step(self) -> None:
        """Change the parameters by their gradients; one without a gradient stays."""
        for kernel, matrix in self._kernels:
            matrix.grad = None if kernel.grad is None else _as_matrix(kernel.grad, like=kernel)
        for optimizer in self._optimizers.values():
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each optimizer by its name."""
        return {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the momenta of what :meth:`state_dict` gave; the options stay as configured.

        Raises:
            ConfigError: the state is that of other optimizers.
        """
        if set(state) != set(self._optimizers):
            there, here = (" and ".join(sorted(map(str, each))) for each in (state, self._optimizers))
            raise ConfigError(f"the checkpoint is of a run with {there}, the configuration has {here}")
        for name, optimizer in self._optimizers.items():
            options = [
                {key: value for key, value in group.items() if key != "params"}
                for group in optimizer.param_groups
            ]
            optimizer.load_state_dict(state[name])
            for group, own in zip(optimizer.param_groups, options, strict=True):
                group.update(own)


def _as_matrix(tensor: Tensor, like: Tensor) -> Tensor:
    """View (O, I, h, w) as (O, I * h * w), a row's elements in the order in which ``like`` holds them."""
    if not like.is_contiguous():
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.reshape(len(tensor), -1)


def make_optimizer(
    network: nn.Module,
    config: OptimizerConfig,
    pretrained: Collection[str],
    muon_dtype: torch.dtype = torch.bfloat16,
) -> Optimizers:
    """Return the optimizer of a run; parameters named in ``pretrained`` have their own ``lr_factor``.

    Biases and norms have no weight decay. Muon (https://kellerjordan.github.io/posts/muon) steps the kernels
    inside the network, AdamW all others: biases, norms, the first convolution and the last. Muon's steps are
    scaled to the size of AdamW's (arXiv 2502.16982, section 2.2), so that one rate and decay serve both.

    Args:
        network: what is trained.
        config: the optimizer's name, rates and decay.
        pretrained: names of the parameters that do not start afresh.
        muon_dtype: what Muon orthogonalizes in: bf16, or fp32 where the device only emulates bf16.

    Raises:
        ConfigError: Muon with a PyTorch that does not have it.
    """
    inside = _kernels_inside(network) if config.name == "muon" else set()
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    kernels = []
    for name, parameter in network.named_parameters():
        decays = parameter.ndim > 1
        if name in inside:
            matrix = nn.Parameter(_as_matrix(parameter.detach(), like=parameter))
            kernels.append((parameter, matrix))
            parameter = matrix
        groups.setdefault((name in inside, name in pretrained, decays), []).append(parameter)

    def of(by_muon: bool) -> list[dict[str, Any]]:
        return [
            {
                "params": parameters,
                "lr_factor": config.encoder_lr_factor if starts_trained else 1.0,
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for (is_kernel, starts_trained, decays), parameters in groups.items()
            if is_kernel == by_muon
        ]

    if config.name == "sgd":
        return Optimizers({"sgd": torch.optim.SGD(of(False), config.lr, momentum=config.momentum)})
    if config.name == "adam":
        return Optimizers({"adam": torch.optim.Adam(of(False), config.lr, fused=True)})
    optimizers: dict[str, torch.optim.Optimizer] = {
        "adamw": torch.optim.AdamW(of(False), config.lr, fused=True)
    }
    if kernels:
        if not hasattr(torch.optim, "Muon"):
            raise ConfigError(f"optimizer muon needs PyTorch 2.9 or later, this is {torch.__version__}")
        muon = torch.optim.Muon if muon_dtype == torch.bfloat16 else _muon_in_fp32()
        optimizers["muon"] = muon(of(True), config.lr, adjust_lr_fn="match_rms_adamw")
    return Optimizers(optimizers, kernels)


def _kernels_inside(network: nn.Module) -> set[str]:
    """Return the names of the kernels of all convolutions but the first and the last."""
    names = [
        f"{name}.weight"
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    return set(names[1:-1])


def _muon_in_fp32() -> type[torch.optim.Muon]:
    """PyTorch's Muon but for the type that it orthogonalizes in, with the same options and state.

    PyTorch's computes in bf16 whatever the hardware: a product of two 512x512 matrices takes 215 ms on a CPU
    that emulates it (AMD Zen 3), 2.4 ms in fp32.
    """

    class MuonInFp32(torch.optim.Muon):  # made here, as PyTorch before 2.9 does not have the base
        @torch.no_grad()
        def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
            """Change the matrices by their gradients."""
            for group in self.param_groups:
                for matrix in group["params"]:
                    if matrix.grad is not None:
                        self._step(matrix, matrix.grad, group)

        def _step(self, matrix: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
            state = self.state[matrix]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(gradient)
            mean = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
            update = gradient.lerp(mean, group["momentum"]) if group["nesterov"] else mean
            update = _orthogonalized(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
            matrix.mul_(1 - group["lr"] * group["weight_decay"])
            matrix.add_(update, alpha=-group["lr"] * 0.2 * max(matrix.shape) ** 0.5)

    return MuonInFp32


def _orthogonalized(
    matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """Return the matrix with all its singular values near 1, by Newton-Schulz iterations."""
    a, b, c = coefficients
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp_min(eps)
    for _ in range(steps):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide
