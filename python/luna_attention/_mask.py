"""What a mask or a bias of four dimensions means, read a few rows at a time."""

# Rows that are read at a time.
_ROWS = 256
# From here down, an additive mask hides.
_HIDDEN = -1e4


class Unknown(Exception):
    """What an attention does has no form here; the reason."""


class Mask:
    """Which keys each query sees: a mask of four dimensions, one of padding (samples, m), or none."""

    def __init__(self, mask, samples, n, m, causal, window):
        self.samples, self.n, self.m, self.causal = samples, n, m, causal and n > 1
        if hasattr(mask, "mask_mod"):
            raise Unknown("flex attention has block masks; load the model with attn_implementation='sdpa'")
        self.window = window
        self.tensor = mask if mask is not None and mask.dim() == 4 else None
        self.padding = mask if mask is not None and mask.dim() == 2 else None
        if mask is not None and self.tensor is self.padding is None:
            raise Unknown(f"its mask has the shape {list(mask.shape)}")

    def groups(self):
        """Samples that see the same keys in the same way: (samples, real keys, real queries, the mask in words)."""
        found = {}
        for sample in range(self.samples):
            if self.tensor is not None and self.tensor.shape[0] == 1 and sample:
                one = next(iter(found))
            else:
                tokens, queries = self._real(sample)
                one = tuple(tokens), tuple(queries), self._words(sample, tokens, queries)
            found.setdefault(one, []).append(sample)
        return [(samples, list(tokens), list(queries), words) for (tokens, queries, words), samples in found.items()]

    def _seen(self, sample, rows):
        """Which keys these queries see, shape (rows, m), of a mask of four dimensions."""
        import torch

        mask = self.tensor[min(sample, self.tensor.shape[0] - 1)]
        block = mask[:, rows if mask.shape[1] > 1 else slice(None), : self.m]
        if block.dtype.is_floating_point:
            if not ((block == 0) | (block <= _HIDDEN)).all():
                raise Unknown("its additive mask holds other numbers than 0 and -inf")
            block = block == 0
        elif block.dtype != torch.bool:
            raise Unknown(f"its mask is of {block.dtype}")
        if block.shape[0] > 1 and not (block == block[:1]).all():
            raise Unknown("its heads have different masks")
        return block[0].expand(len(rows), -1)

    def _blocks(self, queries):
        return (queries[start : start + _ROWS] for start in range(0, len(queries), _ROWS))

    def _real(self, sample):
        """The keys that some query sees, and the queries that stand beside them."""
        if self.padding is not None:
            keys = self.padding[sample, : self.m].bool()
        elif self.tensor is not None:
            keys = sum(self._seen(sample, rows).any(0).int() for rows in self._blocks(range(self.n))).bool()
        else:
            return range(self.m), range(self.n)
        tokens = keys.nonzero().flatten().tolist()
        if not tokens:
            raise Unknown("its mask hides every key")
        return tokens, tokens if self.n == self.m else range(self.n)

    def _words(self, sample, tokens, queries):
        n, m = len(queries), len(tokens)
        if self.tensor is None:
            back = m if self.window is None else self.window - 1
            return _in_words(n, m, back, 0 if self.causal else back)
        import torch

        firsts, lasts, counts = [], [], []
        for rows in self._blocks(queries):
            block = self._seen(sample, rows)
            block = (block if m == self.m else block[:, tokens]).byte()
            firsts.append(block.argmax(1))
            lasts.append(m - 1 - block.flip(1).argmax(1))
            counts.append(block.sum(1))
        first, last, count = (torch.cat(x).cpu() for x in (firsts, lasts, counts))
        places = torch.arange(n)
        back, ahead = int((places - first).max()), int((last - places).max())
        # Queries that see the first, or the last, key say nothing of how much further they would.
        expected = (places - back).clamp(min=0), (places + ahead).clamp(max=m - 1)
        if n != m and bool((count == m).all()):
            return "full"
        if not (torch.equal(first, expected[0]) and torch.equal(last, expected[1]) and torch.equal(count, last - first + 1)):
            raise Unknown("its mask is not full, causal, a window or padding: give one sequence a sample, without a cache that "
                           "holds earlier tokens")
        return _in_words(n, m, back, ahead)


def _in_words(n, m, back, ahead):
    """A mask as ``spectrum`` takes it; each query sees so many keys before and after its own."""
    if back >= n - 1 and ahead >= m - 1:
        return "full"
    if n != m:
        raise Unknown(f"{n} queries attend to {m} keys under a mask: a cache holds earlier tokens; pass the whole text at once, "
                       "as model(input_ids, use_cache=False) does")
    reach = [f"{name}={keys}" for name, keys in (("back", back), ("ahead", ahead)) if keys < n - 1]
    if ahead:
        return "window:" + ",".join(reach)
    return "causal" if back >= n - 1 else f"causal,window:back={back}"


def distances(bias, samples, queries, tokens):
    """A bias (1 or samples, h, n, m) as numbers for each distance j - i from -(n - 1) to m - 1, shape (h, n + m - 1)."""
    import torch

    if bias.shape[0] > 1:
        bias = bias[samples]
    if not (bias == bias[:1]).all():
        raise Unknown("its bias differs between samples")
    bias = bias[0]
    if (len(queries), len(tokens)) != bias.shape[1:]:
        bias = bias[:, queries][:, :, tokens]
    n, m = bias.shape[1:]
    found = torch.cat([bias[:, :, 0].flip(1)[:, :-1], bias[:, 0]], 1)
    shifted = found.unfold(1, m, 1).flip(1)
    for start in range(0, n, _ROWS):
        if not torch.equal(bias[:, start : start + _ROWS], shifted[:, start : start + _ROWS]):
            raise Unknown("its bias is not a function of distance")
    return found
