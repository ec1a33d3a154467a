"""Queries, keys and values of a Hugging Face model while it runs, and what its attention does with them."""

import functools
import os
import sys
import threading

from ._folder import Folder
from ._mask import Mask, Unknown, distances

# How far the output of attention may be from that of what was captured, of the largest value.
_FAR = {"float64": 1e-3, "float32": 5e-3, "float16": 5e-2}

_lock = threading.Lock()
_open: list["Capture"] = []


class Heads(dict):
    """What softmax attention does with captured queries, keys and values: keywords of ``spectrum`` and ``errors``.

    ``mask`` and ``scale`` as of ``spectrum``, ``axes`` ("batch,head"), and where the layer has them ``softcap`` (c of
    c tanh(x / c)), ``sink`` of shape (h,) and ``bias`` of shape (h, n + m - 1).

    Attributes
    ----------
    module : str
        The name of the attention module in the model.
    samples : list of int
        Which samples of the batch these are: those with the same padding.
    tokens : list of int
        The keys that are no padding, of which these are the keys and values (and of self-attention the queries).
    """

    def __init__(self, terms, module, samples, tokens):
        super().__init__(terms)
        self.module, self.samples, self.tokens = module, samples, tokens


class Capture:
    """The state of ``luna_attention.capture``."""

    def __init__(self, model, to, layers):
        if not callable(to) and not isinstance(to, (str, os.PathLike)):
            raise ValueError(f"to: '{type(to).__name__}' is not accepted; accepted: a function, or the path of a folder")
        self.sink = to if callable(to) else Folder(to)
        self.layers = None if layers is None else {layers} if isinstance(layers, int) else set(layers)
        self.interface = _interface(model)
        self.model = model
        self.names = {id(module): name for name, module in model.named_modules()}
        self.running, self.calls, self.masks = [], 0, {}

    def __enter__(self):
        from transformers import PreTrainedModel

        own = [module for module in self.model.modules() if isinstance(module, PreTrainedModel) or module is self.model]
        self.hooks = [module.register_forward_pre_hook(self._begins) for module in own]
        self.hooks += [module.register_forward_hook(self._ends, always_call=True) for module in own]
        with _lock:
            _open.append(self)
            if not hasattr(self.interface.get_interface, "luna_original"):
                self.interface.get_interface = _watched(self.interface.get_interface)

    def __exit__(self, *_):
        with _lock:
            _open.remove(self)
            current = self.interface.get_interface
            if not _open and hasattr(current, "luna_original"):
                self.interface.get_interface = current.luna_original
        for hook in self.hooks:
            hook.remove()
        self._leave(False)

    def _begins(self, module, _):
        if not self.running:
            self.calls = 0
        self.running.append(module)

    def _ends(self, module, _, output):
        while self.running and self.running.pop() is not module:
            pass
        if not self.running:
            self._leave(output is not None)

    def _leave(self, whole):
        self.masks = {}
        if whole and not self.calls:
            raise ValueError(_not_through(self.model))
        absent = sorted(layer for layer in self.layers or () if not 0 <= layer < self.calls)
        if whole and absent:
            raise ValueError(f"layers: '{absent[0]}' is not accepted; accepted: 0 to {self.calls - 1}")
        if isinstance(self.sink, Folder):
            self.sink.ends(whole)

    def see(self, implementation, module, q, k, v, mask, kwargs, output):
        """Hands on what a module attended with, if it is one of this model and its layer is wanted."""
        # What is computed again for gradients is outside of a forward pass.
        if id(module) not in self.names or not self.running:
            return
        layer, self.calls = self.calls, self.calls + 1
        if self.layers is not None and layer not in self.layers:
            return
        try:
            self._see(layer, implementation, module, q, k, v, mask, kwargs, output)
        except Unknown as error:
            name = self.names[id(module)]
            raise ValueError(f"layer {layer} ('{name}') cannot be captured: {error}") from None

    def _see(self, layer, implementation, module, q, k, v, mask, kwargs, output):
        q, k, v = (x.detach() for x in (q, k, v))
        if any(x.dim() != 4 for x in (q, k, v)) or k.shape[:3] != v.shape[:3] or q.shape[1] % k.shape[1]:
            raise Unknown(f"its queries, keys and values have the shapes {', '.join(str(list(x.shape)) for x in (q, k, v))}")
        scale = kwargs.get("scaling")
        if getattr(scale, "ndim", 0):
            raise Unknown("its scale is not one number")
        terms = {"axes": "batch,head", "scale": float(q.shape[-1] ** -0.5 if scale is None else scale)}
        if kwargs.get("softcap") is not None:
            terms["softcap"] = float(kwargs["softcap"])
        sink = kwargs.get("s_aux")
        if sink is not None:
            terms["sink"] = _numpy(sink.detach().reshape(-1))
        causal = kwargs.get("is_causal")
        causal = bool(getattr(module, "is_causal", True) if causal is None else causal)
        # Without a mask the eager implementation hides nothing.
        causal = causal and implementation != "eager"
        seen = Mask(mask, q.shape[0], q.shape[2], k.shape[2], causal, kwargs.get("sliding_window"))
        # Most layers of a pass share one mask, which is alive as long as the pass.
        key = (id(mask), q.shape[2], k.shape[2], causal, seen.window if seen.tensor is None else None)
        if key not in self.masks:
            self.masks[key] = (mask, seen.groups())
        groups = self.masks[key][1]
        if len(groups) > 1 and isinstance(self.sink, Folder):
            raise Unknown("the samples of the batch differ in their padding, and a folder holds windows of one length; give "
                           "them one at a time, or capture to a function")
        for samples, tokens, queries, words in groups:
            if words == "causal" and seen.window is not None and seen.window >= len(queries):
                words = f"causal,window:back={seen.window - 1}"  # it hides nothing at this length
            own = terms | {"mask": words}
            if kwargs.get("position_bias") is not None:
                own["bias"] = _numpy(distances(kwargs["position_bias"].detach(), samples, queries, tokens))
            every = len(samples) == q.shape[0]
            taken = [x if every else x[samples] for x in (q, k, v)]
            taken = [
                x if len(places) == x.shape[2] else x[:, :, places]
                for x, places in zip(taken, (queries, tokens, tokens), strict=True)
            ]
            if not kwargs.get("dropout"):
                _check(own, *(x[0] for x in taken), _rows_of(output, q, v, samples[0], queries))
            heads = Heads(own, self.names[id(module)], samples, tokens)
            if isinstance(self.sink, Folder):
                self.sink.write(layer, taken, heads)
            else:
                self.sink(layer, *map(_numpy, taken), heads)


def _interface(model):
    """The class of transformers through which the attention of a model goes."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ValueError(f"capture needs PyTorch and transformers: {error}") from error
    interface = getattr(transformers, "AttentionInterface", None)
    if not hasattr(interface, "get_interface"):
        raise ValueError(f"capture needs transformers 5 or later; this is {transformers.__version__}")
    if not isinstance(model, torch.nn.Module):
        raise ValueError(f"model: '{type(model).__name__}' is not accepted; accepted: a model of transformers")
    if any(hasattr(one, "_orig_mod") or getattr(one, "_compiled_call_impl", None) for one in model.modules()):
        raise ValueError("model: a compiled model is not accepted; accepted: the model before torch.compile")
    homes = {type(module).__module__ for module in model.modules()}
    values = (value for home in homes if home in sys.modules for value in list(vars(sys.modules[home]).values()))
    if not any(isinstance(value, interface) for value in values):
        raise ValueError(_not_through(model))
    return interface


def _not_through(model):
    name = type(model).__name__
    return (f"model: the attention of '{name}' does not go through transformers' AttentionInterface, so that its queries and keys "
            "cannot be captured; luna svd-spectrum --model reads the families of luna list family")


def _watched(original):
    """``AttentionInterface.get_interface``, whose functions let open captures see what they did."""

    @functools.wraps(original)
    def get_interface(self, attn_implementation, default):
        function = original(self, attn_implementation, default)

        @functools.wraps(function)
        def attend(module, query, key, value, *rest, **kwargs):
            output = function(module, query, key, value, *rest, **kwargs)
            mask = rest[0] if rest else kwargs.get("attention_mask")
            for capture in list(_open):
                capture.see(attn_implementation, module, query, key, value, mask, kwargs, output[0])
            return output

        return attend

    get_interface.luna_original = original
    return get_interface


def _rows_of(output, q, v, sample, queries):
    """The output of three queries of a sample, shape (3, h, d_v), with their places among the queries."""
    (samples, heads, n, _), width = q.shape, v.shape[-1]
    if output.numel() != samples * heads * n * width or output.shape[:2] != (samples, n):
        raise Unknown(f"its output has the shape {list(output.shape)}")
    places = sorted({0, len(queries) // 2, len(queries) - 1})
    rows = output.detach().reshape(samples, n, heads, width)[sample]
    return places, rows[[queries[place] for place in places]]


def _check(terms, q, k, v, rows):
    """Holds the output of some queries against softmax attention of what was captured."""
    import torch

    places, output = rows
    wide = torch.float64 if q.dtype == torch.float64 else torch.float32
    share = q.shape[0] // k.shape[0]
    q, k, v = q[:, places].to(wide), k.to(wide).repeat_interleave(share, 0), v.to(wide).repeat_interleave(share, 0)
    logits = q @ k.mT * terms["scale"]
    if "softcap" in terms:
        logits = torch.tanh(logits / terms["softcap"]) * terms["softcap"]
    (n, m), mask = (0, k.shape[1]), terms["mask"]
    at, keys = torch.tensor(places, device=q.device)[:, None], torch.arange(m, device=q.device)
    if "bias" in terms:
        bias = torch.as_tensor(terms["bias"], dtype=wide, device=q.device)
        n = bias.shape[1] - m + 1
        logits = logits + bias[:, n - 1 + keys - at]
    reach = dict(part.split("=") for part in mask.partition("window:")[2].split(",") if part)
    hidden = (keys < at - int(reach.get("back", m))) | (keys > at + (0 if "causal" in mask else int(reach.get("ahead", m))))
    logits = logits.masked_fill(hidden if mask != "full" else torch.zeros_like(hidden), -torch.inf)
    if "sink" in terms:
        sink = torch.as_tensor(terms["sink"], dtype=wide, device=q.device)
        logits = torch.cat([logits, sink[:, None, None].expand(-1, len(places), 1)], -1)
    expected = (logits.softmax(-1)[..., :m] @ v).transpose(0, 1)
    name = str(output.dtype).removeprefix("torch.")
    far = float((expected - output.to(wide)).abs().max() / v.abs().max().clamp(min=1e-30))
    if not far <= _FAR.get(name, 0.1):
        raise Unknown(f"its output is not that of softmax attention under the mask '{mask}' with the terms that were given (off by "
                       f"{far:.1e} of the largest value)")


def _numpy(x):
    """As an array of NumPy, without a copy where it is one already."""
    x = x.detach().cpu()
    return (x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy()
