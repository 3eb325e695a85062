"""The layer as a PyTorch module, with PyTorch's own kernel inside or any other that is registered."""

from harness.masks import four_axes
from harness.multi_head import EVERYTHING, MULTI_HEAD, Problem
from harness.registry import Differentiable, implementation

KERNELS = ("sdpa", "numba-flash", "torch-eager", "numpy")


@implementation(
    "torch-module",
    operator=MULTI_HEAD,
    framework="torch",
    devices=("cpu", "cuda"),
    supports=EVERYTHING,
    tunables={"attention": KERNELS},
)
def torch_module(problem: Problem, attention: str = "sdpa"):
    """harness.layers.torch.MultiHeadAttention: four nn.Linear and scaled_dot_product_attention, or another kernel."""
    import torch

    from harness.layers.torch import MultiHeadAttention

    dtype = getattr(torch, problem.dtype)
    module = MultiHeadAttention(
        problem.width,
        problem.q_heads,
        kv_heads=problem.kv_heads,
        head_dim=problem.head_dim,
        v_head_dim=problem.v_head_dim,
        y_width=problem.y_width,
        out_width=problem.out_width,
        biases=problem.biases,
        causal=problem.causal,
        window=problem.window,
        softcap=problem.softcap,
        scale=problem.scale,
        attention=attention,
    ).to(dtype)

    def call(x, y=None, k_cache=None, v_cache=None, mask=None):
        return module(x, y, four_axes(mask), None if k_cache is None else (k_cache, v_cache))

    def load(**weights):
        module.to(weights["wq"].device).eval().load(weights)
        if problem.direction == "backward":
            return _differentiable(problem, module, call)
        module.requires_grad_(False)
        return call

    return load


def _differentiable(problem, module, call):
    import torch

    projections = (module.q_proj, module.k_proj, module.v_proj, module.o_proj)
    parameters = [p.weight for p in projections] + [p.bias for p in projections if problem.biases]

    def forward(x, y=None, mask=None):
        leaves = [a.detach().requires_grad_() for a in (x, y) if a is not None]
        out = call(*leaves, mask=mask)
        return out.detach(), (out, leaves)

    def backward(saved, dout):
        out, leaves = saved
        found = torch.autograd.grad(out, [*leaves, *parameters], dout, retain_graph=True)
        shapes = list(problem.output_shapes.values())
        weights = [d.T if d.ndim == 2 else d for d in found[len(leaves) :]]
        return tuple(d.reshape(shape) for d, shape in zip((*found[: len(leaves)], *weights), shapes, strict=True))

    return Differentiable(forward, backward)
