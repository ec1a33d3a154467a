"""Captured heads as files."""

import os
from pathlib import Path

from ._mask import Unknown


class Folder:
    """A file for each layer of each forward pass, as ``luna svd-spectrum --qkv`` reads them."""

    def __init__(self, path):
        self.path, self.passes, self.files, self.sizes = Path(path), 0, [], None
        if self.path.exists() and (not self.path.is_dir() or any(self.path.glob("pass-*-layer-*.safetensors"))):
            raise ValueError(f"'{self.path}' is not accepted; accepted: a folder that holds no captured heads yet")

    def write(self, layer, arrays, heads):
        import torch
        from safetensors.torch import save_file

        lengths = arrays[0].shape[1:3], arrays[1].shape[2]
        if self.sizes not in (None, lengths):
            raise Unknown("a folder holds layers of as many heads and passes of one length; give windows of one length, capture to "
                           "a function, or name the layers")
        self.sizes = lengths
        tensors = dict(zip("qkv", (x[None] for x in arrays), strict=True))
        for name, shape in (("sink", (1, 1)), ("bias", (1, -1))):
            if name in heads:
                tensors[name] = torch.from_numpy(heads[name]).reshape(1, 1, len(heads[name]), *shape)
        # Arrays of their own: a file holds no two that share memory.
        tensors = {name: x.cpu().clone(memory_format=torch.contiguous_format) for name, x in tensors.items()}
        facts = {name: str(heads[name]) for name in ("mask", "scale", "softcap") if name in heads}
        self.path.mkdir(parents=True, exist_ok=True)
        path = self.path / f"pass-{self.passes}-layer-{layer}.safetensors"
        part = path.with_name(f".{path.name}.part")
        self.files.append(path)
        try:
            save_file(tensors, part, metadata=facts)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def ends(self, whole):
        """Keeps the files of a pass, or removes those of one that did not end."""
        if whole:
            self.passes += 1
        else:
            for path in self.files:
                path.unlink(missing_ok=True)
        self.files = []
