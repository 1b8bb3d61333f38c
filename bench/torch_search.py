#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The search step in PyTorch, written from SPEC. compare_torch.py compares mixgrad with it.

Run as a program, it measures one kind of step, so that the process's peak memory is that of the step, and prints one
JSON object; with `check DIR` it compares its mixtures with the golden cases.

There are two forms of the mixtures. `obvious` writes them down as the formulas are, and leaves gradients to PyTorch:
straight-through, one fake-quantized tensor a candidate, and their weighted sum. `lean` is as fast as we could
make it. What makes it fast, each measured with PyTorch 1.13: the mixtures work in place on one buffer with plain
vectorized passes (mul, clamp, round, add), because `fake_quantize_per_tensor_affine`, `bucketize`, `where` and sums
of booleans are several times slower on a CPU; the gradient within a clip is one `hardtanh_backward`, whose sum also
gives the clip's gradient; ReLU is the lower clamp; quantized values are recomputed in the backward pass (keeping them was
no faster and took 100 MiB more); optimizers use foreach.
"""
import argparse
import itertools
import json
import resource
import statistics
import struct
import sys
import time
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from torch import nn

UNTIMED_STEPS = 3
CLASSES = 10
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
hardtanh_backward = torch.ops.aten.hardtanh_backward.grad_input
threshold_backward = torch.ops.aten.threshold_backward


# --- mixtures (SPEC §2, §3) ---------------------------------------------------------------------------------------

class WeightMixture(torch.autograd.Function):
    """Σ_p θ_p ŵ_p; θ: [P] or [P, C_out]. All candidates are in one tensor [P, C_out, ...]: weights are small, so the
    number of calls determines the time."""

    @staticmethod
    def forward(ctx, w, theta, bits):
        ones = (1,) * (w.dim() - 1)
        within = tuple(range(1, w.dim()))
        largest = w.abs().amax(within, keepdim=True)
        largest.masked_fill_(largest == 0, 1)
        used = [p for p, b in enumerate(bits) if b > 0]
        column = lambda values: torch.tensor(values, dtype=w.dtype).view(-1, 1, *ones)
        half = column([(2 ** bits[p] - 1) / 2 for p in used])
        low, high = column([-2.0 ** (bits[p] - 1) for p in used]), column([2.0 ** (bits[p] - 1) - 1 for p in used])
        codes = torch.round((w / largest) * half).clamp_(low, high)
        step = largest / half
        live = theta if len(used) == len(bits) else theta[used]
        live = live.view(len(used), -1, *ones)
        ctx.save_for_backward(codes, step, live)
        ctx.used, ctx.theta_shape = used, theta.shape
        return (codes * (live * step)).sum(0)

    @staticmethod
    def backward(ctx, g):
        codes, step, live = ctx.saved_tensors
        by_channel = (codes * g).flatten(2).sum(2) * step.flatten(1)
        grad_theta = g.new_zeros(ctx.theta_shape)
        grad_theta[ctx.used] = by_channel if len(ctx.theta_shape) == 2 else by_channel.sum(1)
        return g * live.sum(0), grad_theta, None


class ActivationMixture(torch.autograd.Function):
    """Σ_p θ_p x̂_p, after a ReLU if `one_sided`; `levels`: the number of codes above zero of each candidate. θ and c are
    read as Python numbers, which PyTorch handles faster than tensors of one element."""

    @staticmethod
    def forward(ctx, x, theta, clip, levels, one_sided):
        ctx.save_for_backward(x)
        ctx.one_sided = one_sided
        ctx.candidates = list(zip(theta.tolist(), clip.tolist(), levels))
        codes, out = torch.empty_like(x), None
        for share, c, n in ctx.candidates:
            encode(x, c, n, one_sided, codes)
            out = codes * (share * c / n) if out is None else out.add_(codes, alpha=share * c / n)
        return out

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        wanted_x, wanted_theta = ctx.needs_input_grad[:2]
        # Two-sided: for |x|, the lower clip is the same as the upper one.
        sign = None if ctx.one_sided else torch.copysign(torch.ones(()), x)
        outward = threshold_backward(g, x, 0) if ctx.one_sided else g * sign
        total = outward.sum()
        grad_x, grad_theta, grad_clip = None, [], []
        buffer = torch.empty_like(x)
        for share, c, n in ctx.candidates:
            hardtanh_backward(outward, x, 0 if ctx.one_sided else -c, c, grad_input=buffer)
            grad_clip.append((total - buffer.sum()) * share)
            if wanted_x:
                grad_x = buffer * share if grad_x is None else grad_x.add_(buffer, alpha=share)
            if wanted_theta:
                grad_theta.append(encode(x, c, n, ctx.one_sided, buffer).mul_(g).sum() * (c / n))
        if grad_x is not None and sign is not None:
            grad_x.mul_(sign)
        return grad_x, torch.stack(grad_theta) if wanted_theta else None, torch.stack(grad_clip), None, None


def encode(x, clip, levels, one_sided, out):
    """Writes the integer codes rne(clamp(x) / s) to `out`. Clamping after the division gives the same codes."""
    return torch.mul(x, levels / clip, out=out).clamp_(0 if one_sided else -levels, levels).round_()


class StraightThrough(torch.autograd.Function):
    """`quantized`, with the gradient of x."""

    @staticmethod
    def forward(ctx, x, quantized):
        return quantized

    @staticmethod
    def backward(ctx, g):
        return g, None


def obvious_weights(w, theta, bits):
    """WeightMixture by PyTorch's own gradients."""
    ones = (1,) * (w.dim() - 1)
    largest = w.detach().abs().amax(tuple(range(1, w.dim())), keepdim=True)
    largest = torch.where(largest == 0, torch.ones_like(largest), largest)
    total = torch.zeros_like(w)
    for share, b in zip(theta, bits):
        if b > 0:
            half = (2 ** b - 1) / 2
            step = largest / half
            codes = torch.round(w.detach() / largest * half).clamp(-2.0 ** (b - 1), 2.0 ** (b - 1) - 1)
            total = total + share.view(-1, *ones) * StraightThrough.apply(w, codes * step)
    return total


def obvious_activations(x, theta, clip, levels, one_sided):
    """ActivationMixture by PyTorch's own gradients."""
    total = torch.zeros_like(x)
    for share, c, n in zip(theta, clip, levels):
        clamped = torch.minimum(F.relu(x), c) if one_sided else torch.maximum(torch.minimum(x, c), -c)
        total = total + share * StraightThrough.apply(clamped, torch.round(clamped.detach() * (n / c)) * (c / n))
    return total


# The mixture of weights and that of activations.
FORMS = {"lean": (WeightMixture.apply, ActivationMixture.apply), "obvious": (obvious_weights, obvious_activations)}


# --- layers of the search -----------------------------------------------------------------------------------------

class Slot(nn.Module):
    """An activation quantizer; the operands of an Add share one (SPEC §5)."""

    def __init__(self, bits, is_signed, mixture):
        super().__init__()
        self.mixture = mixture
        self.is_signed = is_signed
        self.levels = [2 ** (b - 1) - 1 if is_signed else 2 ** b - 1 for b in bits]
        # A single candidate has θ = 1 for any α.
        self.alpha = nn.Parameter(scaled_alpha(bits), requires_grad=len(bits) > 1)
        self.clip = nn.Parameter(torch.zeros(len(bits)))
        self.calibrating = False

    def forward(self, x, relu):
        if self.calibrating:
            return self.calibrate(F.relu(x) if relu else x)
        return self.mixture(x, torch.softmax(self.alpha, 0), self.clip, self.levels, relu or not self.is_signed)

    @torch.no_grad()
    def calibrate(self, x):
        """Sets the clip to the 99.9th percentile of |x|, the largest over all tensors that share the slot."""
        self.clip.clamp_(min=max(float(numpy.percentile(x.abs().numpy(), 99.9)), 1e-3))
        return x


def scaled_alpha(bits, channels=None):
    alpha = torch.tensor(bits, dtype=torch.float32) / max(bits)
    return alpha if channels is None else alpha[:, None].repeat(1, channels)


class SearchedWeights(nn.Module):
    """Weights and bias of a layer with folded batch norm, and their α."""

    def __init__(self, like, bits, per_channel, mixture):
        super().__init__()
        self.mixture = mixture
        self.weight = nn.Parameter(like.weight.detach().clone())
        self.bias = nn.Parameter(torch.zeros(len(like.weight)))
        self.bits = bits
        self.alpha = nn.Parameter(scaled_alpha(bits, len(like.weight) if per_channel else None))
        self.bit_count = torch.tensor(bits, dtype=torch.float32)

    def forward(self):
        self.theta = torch.softmax(self.alpha, 0)
        return self.mixture(self.weight, self.theta, self.bits)

    def size(self):
        """The expected size of the weights in bits (SPEC §6), from this step's θ."""
        per_channel = self.weight[0].numel()
        channels = 1 if self.theta.dim() == 2 else len(self.weight)
        return torch.tensordot(self.bit_count, self.theta, 1).sum() * (per_channel * channels)


class SearchedConv(nn.Module):
    def __init__(self, conv, weights, slot, relu):
        super().__init__()
        self.weights = weights
        self.slot, self.relu = slot, relu
        self.geometry = conv.stride, conv.padding, conv.dilation, conv.groups

    def forward(self, x):
        return self.slot(F.conv2d(x, self.weights(), self.weights.bias, *self.geometry), self.relu)


class SearchedLinear(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, x):
        return F.linear(x, self.weights(), self.weights.bias)


class SearchedValue(nn.Module):
    """The quantizer of an Add's result or of the network's input."""

    def __init__(self, slot, relu):
        super().__init__()
        self.slot, self.relu = slot, relu

    def forward(self, x):
        return self.slot(x, self.relu)


# --- two kits: each network is written once and built with either -------------------------------------------------

class FloatKit:
    """Builds the float network, with batch norm."""

    def slot(self, is_signed=False):
        return None

    def input(self):
        return nn.Identity()

    def conv(self, c_in, c_out, kernel, stride, slot, relu=True, norm=True, groups=1):
        layers = [nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=not norm)]
        layers += [nn.BatchNorm2d(c_out)] * norm + [nn.ReLU(inplace=True)] * relu
        return nn.Sequential(*layers)

    def joined(self, slot):
        return nn.ReLU(inplace=True)

    def linear(self, features, classes):
        return nn.Linear(features, classes)


class SearchKit:
    """Builds the search network, with folded batch norm and quantizers placed as in SPEC §5."""

    def __init__(self, weight_bits, act_bits, per_channel, form):
        self.weight_bits, self.act_bits, self.per_channel = weight_bits, act_bits, per_channel
        self.weight_mixture, self.activation_mixture = FORMS[form]

    def weights(self, like):
        return SearchedWeights(like, self.weight_bits, self.per_channel, self.weight_mixture)

    def slot(self, is_signed=False):
        return Slot(self.act_bits, is_signed, self.activation_mixture)

    def input(self):
        return SearchedValue(Slot([8], False, self.activation_mixture), relu=False)

    def conv(self, c_in, c_out, kernel, stride, slot, relu=True, norm=True, groups=1):
        plain = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups)
        return SearchedConv(plain, self.weights(plain), slot, relu)

    def joined(self, slot):
        return SearchedValue(slot, relu=True)

    def linear(self, features, classes):
        return SearchedLinear(self.weights(nn.Linear(features, classes)))


class Stack(nn.Module):
    """relu(conv(relu(conv(x))) + shortcut(x)); `meeting` is the slot that both operands of the Add share."""

    def __init__(self, kit, c_in, c_out, stride, meeting):
        super().__init__()
        self.conv1 = kit.conv(c_in, c_out, 3, stride, kit.slot())
        self.conv2 = kit.conv(c_out, c_out, 3, 1, meeting, relu=False)
        self.shortcut = nn.Identity() if stride == 1 else kit.conv(c_in, c_out, 1, stride, meeting, relu=False, norm=False)
        self.joined = kit.joined(kit.slot())

    def forward(self, x):
        return self.joined(self.conv2(self.conv1(x)) + self.shortcut(x))


class ResNet8(nn.Module):
    """As in src/models/resnet8.cpp."""

    input_shape = (3, 32, 32)

    def __init__(self, kit):
        super().__init__()
        stem_meets = kit.slot(is_signed=True)
        self.input = kit.input()
        self.conv = kit.conv(3, 16, 3, 1, stem_meets)
        self.stack1 = Stack(kit, 16, 16, 1, stem_meets)
        self.stack2 = Stack(kit, 16, 32, 2, kit.slot(is_signed=True))
        self.stack3 = Stack(kit, 32, 64, 2, kit.slot(is_signed=True))
        self.fc = kit.linear(64, CLASSES)

    def forward(self, x):
        x = self.stack3(self.stack2(self.stack1(self.conv(self.input(x)))))
        return self.fc(F.avg_pool2d(x, x.shape[2:]).flatten(1))  # unlike a mean, its gradient is channels-last


class MobileNetV1(nn.Module):
    """As in src/models/mobilenet_v1.cpp: width 0.25, for images of 96 x 96."""

    input_shape = (3, 96, 96)
    blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (128, 1), (128, 1), (128, 1), (256, 2), (256, 1)]

    def __init__(self, kit):
        super().__init__()
        layers = [kit.input(), kit.conv(3, 8, 3, 2, kit.slot())]
        channels = 8
        for out, stride in self.blocks:
            layers += [kit.conv(channels, channels, 3, stride, kit.slot(), groups=channels), kit.conv(channels, out, 1, 1, kit.slot())]
            channels = out
        self.layers = nn.Sequential(*layers)
        self.fc = kit.linear(channels, CLASSES)

    def forward(self, x):
        x = self.layers(x)
        return self.fc(F.avg_pool2d(x, x.shape[2:]).flatten(1))


MODELS = {"resnet8": ResNet8, "mobilenet_v1": MobileNetV1}


# --- steps --------------------------------------------------------------------------------------------------------

def float_step(net, x, labels):
    sgd = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, foreach=True)

    def step():
        sgd.zero_grad(set_to_none=True)
        F.cross_entropy(net(x), labels).backward()
        sgd.step()
    return step


def search_step(net, x, labels):
    """SGD for weights, biases and clips, Adam for α, as in `mixgrad bench step`."""
    calibrate(net, x)
    alphas = [p for name, p in net.named_parameters() if name.endswith("alpha") and p.requires_grad]
    others = [p for name, p in net.named_parameters() if not name.endswith("alpha")]
    sgd = torch.optim.SGD(others, lr=1e-4, momentum=0.9, foreach=True)
    adam = torch.optim.Adam(alphas, lr=1e-4, foreach=True)
    layers = [m for m in net.modules() if isinstance(m, SearchedWeights)]

    def step():
        sgd.zero_grad(set_to_none=True)
        adam.zero_grad(set_to_none=True)
        task = F.cross_entropy(net(x), labels)
        (task + 1e-6 * sum(layer.size() for layer in layers)).backward()
        sgd.step()
        adam.step()
    return step


@torch.no_grad()
def calibrate(net, x):
    slots = [m for m in net.modules() if isinstance(m, Slot)]
    for slot in slots:
        slot.calibrating = True
    net(x)
    for slot in slots:
        slot.calibrating = False


def measured(step, steps):
    """The milliseconds of each step, after a few untimed ones."""
    times = []
    for i in range(-UNTIMED_STEPS, steps):
        start = time.perf_counter()
        step()
        if i >= 0:
            times.append(1e3 * (time.perf_counter() - start))
    return times


def work(o):
    """One measurement, with the field names of `mixgrad bench step --json`."""
    torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    kit = FloatKit() if o.phase == "float" else SearchKit(o.weight_bits, o.act_bits, o.scheme == "per-channel", o.form)
    net = MODELS[o.model](kit).to(memory_format=LAYOUTS[o.layout])
    x = torch.rand(o.batch, *net.input_shape).contiguous(memory_format=LAYOUTS[o.layout])
    labels = torch.randint(CLASSES, (o.batch,))
    step = (float_step if o.phase == "float" else search_step)(net, x, labels)
    ms = statistics.median(measured(step, o.steps))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ms": ms, "images_per_s": 1e3 * o.batch / ms, "peak_rss_mib": peak, "torch": torch.__version__}


# --- golden cases -------------------------------------------------------------------------------------------------

def read_safetensors(path):
    """Returns the case's description, and its tensors by name."""
    blob = path.read_bytes()
    size = struct.unpack("<Q", blob[:8])[0]
    header = json.loads(blob[8:8 + size])
    case = json.loads(header.pop("__metadata__")["case"])
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = numpy.frombuffer(blob[8 + size + begin:8 + size + end], "<f4")
        tensors[name] = torch.from_numpy(values.reshape(entry["shape"]).copy())
    return case, tensors


def run_case(case, t, layout, form):
    """Runs a case's mixture in one form; the results have the names of the expected tensors in the file."""
    theta = lambda alpha: torch.softmax(alpha / case["tau"], 0)
    laid_out = lambda v: v.contiguous(memory_format=LAYOUTS[layout]).clone() if v.dim() == 4 else v.clone()
    if case["kind"] == "weight-mix":
        inputs = {name: laid_out(t[name]).requires_grad_() for name in ("w", "alpha")}
        out = FORMS[form][0](inputs["w"], theta(inputs["alpha"]), case["bits"])
    else:
        inputs = {name: laid_out(t[name]).requires_grad_() for name in ("x", "clip", "alpha")}
        slot = Slot(case["bits"], case["signed"], FORMS[form][1])
        out = slot.mixture(inputs["x"], theta(inputs["alpha"]), inputs["clip"], slot.levels, not case["signed"])
    out.backward(laid_out(t["grad_out"]))
    return {"out": out.detach(), **{"grad_" + name: v.grad for name, v in inputs.items()}}


def check(folder):
    """Compares the mixtures with their golden cases (tolerance: golden/README.md). Returns whether all agree."""
    passed, failed = 0, 0
    for path in sorted(Path(folder).glob("*.safetensors")):
        case, tensors = read_safetensors(path)
        if case["kind"] not in ("weight-mix", "act-mix"):
            continue
        for layout, form in itertools.product(LAYOUTS, FORMS):
            for name, got in run_case(case, tensors, layout, form).items():
                expected = tensors[name]
                far = float((got - expected).abs().max())
                good = far <= max(1e-4 * float(expected.abs().max()), 1e-6)
                passed, failed = passed + good, failed + (not good)
                if not good:
                    print(f"{path.name} ({layout}, {form}): {name} is off by {far:g}")
    print(f"{passed} tensors agree with {folder}, {failed} do not")
    return failed == 0 and passed > 0


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    golden = commands.add_parser("check", help="compare the mixtures with golden cases")
    golden.add_argument("folder")
    step = commands.add_parser("step", help="measure one kind of step")
    bits = lambda text: [int(b) for b in text.split(",")]
    step.add_argument("--phase", choices=["search", "float"], default="search")
    step.add_argument("--form", choices=FORMS, default="lean")
    step.add_argument("--layout", choices=LAYOUTS, default="nhwc")
    step.add_argument("--model", choices=MODELS, default="resnet8")
    step.add_argument("--scheme", choices=["per-channel", "per-layer"], default="per-channel")
    step.add_argument("--weight-bits", type=bits, default=[2, 4, 8])
    step.add_argument("--act-bits", type=bits, default=[2, 4, 8])
    step.add_argument("--batch", type=int, default=128)
    step.add_argument("--threads", type=int, default=1)
    step.add_argument("--steps", type=int, default=10)
    return parser.parse_args()


def main():
    o = options()
    if o.command == "check":
        sys.exit(not check(o.folder))
    print(json.dumps(work(o)))


if __name__ == "__main__":
    main()
