"""`capture` beside `luna svd-spectrum --model` on tiny models of many families, and what cannot be captured."""

import gc
import json
import os
import tracemalloc
from pathlib import Path

import luna_attention as luna_py
import numpy as np
import pytest
from conftest import assert_same, heads

os.environ["HF_HUB_OFFLINE"] = "1"
torch = pytest.importorskip("torch", reason="capture is not tested without PyTorch")
transformers = pytest.importorskip("transformers", reason="capture is not tested without transformers")

TINY = Path(__file__).parents[2] / "tests" / "golden" / "hf_tiny"
pytestmark = pytest.mark.skipif(not TINY.exists(), reason="without the repository there are no tiny models")

FAMILIES = """
    albert bert camembert clip_vision_model deit dinov2 distilbert electra esm gemma2 gemma3_text gpt2 gpt_neox gpt_oss llama-gqa
    mistral-sliding modernbert olmo2 opt phi phi3-sliding qwen2-sliding qwen3 roberta t5-encoder vit
""".split()
# Those whose softmax has more than a mask: transformers computes them with its eager implementation.
EAGER = {"gemma2", "gpt_oss"}


def load(name, implementation="eager"):
    kind = json.loads((TINY / name / "config.json").read_text())["architectures"][0]
    model = getattr(transformers, kind).from_pretrained(TINY / name, attn_implementation=implementation)
    return model.eval()


def fed(model, n=24, samples=1):
    if model.main_input_name == "pixel_values":
        config = getattr(model.config, "vision_config", model.config)
        generator = torch.Generator().manual_seed(0)
        return {"pixel_values": torch.randn((samples, 3, config.image_size, config.image_size), generator=generator)}
    ids = [[3 + (5 * i * i + 11 * i + 17 * sample) % 60 for i in range(n)] for sample in range(samples)]
    return {"input_ids": torch.tensor(ids)}


def run(model, **inputs):
    with torch.no_grad():
        return model(**inputs)


def close(table, texts, tolerance=1e-5):
    """The same figures as those of the model; counts may step by one where a share is met but for rounding."""
    assert list(table) == list(texts)
    compared = 0
    for name, column in table.items():
        for value, text in zip(column.tolist(), texts[name], strict=True):
            if isinstance(value, str) or text == "":
                assert value == text or value is None or value != value, (name, value, text)
            elif not isinstance(value, bool) and not name.endswith("numerical_rank"):
                counts = isinstance(value, int) or name.startswith("keys")
                assert abs(value - float(text)) <= (1 if counts else tolerance * max(1, abs(float(text)))), (name, value, text)
                compared += not counts
    assert compared > 10


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", FAMILIES)
def test_figures_are_those_of_the_model(name, implementation, rows, tmp_path):
    if implementation == "sdpa" and name in EAGER:
        pytest.skip(f"transformers has no sdpa for {name}")
    model = load(name, implementation)
    inputs = fed(model, samples=2)
    ((key, fed_in),) = inputs.items()
    before = run(model, **inputs)
    with luna_py.capture(model, tmp_path / "heads"):
        inside = run(model, **inputs)
    assert torch.equal(inside[0], before[0]) and torch.equal(run(model, **inputs)[0], before[0])
    if key == "input_ids":
        (tmp_path / "ids.json").write_text(json.dumps(fed_in.flatten().tolist()))
        source = ["--tokens", "ids.json", "--seq-len", "24", "--windows", "2", "--stride", "contiguous"]
    else:
        np.save(tmp_path / "pixels.npy", fed_in.numpy())
        source = ["--pixels", "pixels.npy"]
    options = ["--null", "none", "--at", "2,4,8", "--aggregate=no"]
    model_rows = rows("svd-spectrum", "--model", TINY / name, *source, *options)
    table = luna_py.spectrum(tmp_path / "heads", at=[2, 4, 8], aggregate="no")
    close(table, model_rows)
    assert_same(table, rows("svd-spectrum", "--qkv", "heads", *options))
    # A callback gets the same heads.
    seen = []
    with luna_py.capture(model, lambda layer, q, k, v, info: seen.append((layer, luna_py.spectrum(q, k, v, at=2, **info)))):
        run(model, **inputs)
    assert [layer for layer, _ in seen] == sorted(set(table["layer"].tolist()))
    found = np.concatenate([one["effective_rank"] for _, one in seen])
    assert np.array_equal(np.sort(found), np.sort(table["effective_rank"]))


@pytest.mark.skipif("LUNA_SMOLLM2" not in os.environ, reason="LUNA_SMOLLM2 names no folder of SmolLM2-135M")
def test_figures_of_smollm2_are_those_of_the_model(rows, tmp_path):
    folder = os.environ["LUNA_SMOLLM2"]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa", dtype=torch.float32).eval()
    words = "the of and a to in is that it as was for on are with his they at be this from have or by one had not but what".split()
    text = " ".join(words[i * i % len(words)] for i in range(600))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json")
    ids = tokenizer(text).input_ids[:256]
    with luna_py.capture(model, tmp_path / "heads"):
        for window in (ids[:128], ids[128:]):
            run(model, input_ids=torch.tensor([window]))
    (tmp_path / "ids.json").write_text(json.dumps(ids))
    source = ["--model", folder, "--tokens", "ids.json", "--seq-len", "128", "--windows", "2", "--stride", "contiguous"]
    close(luna_py.spectrum(tmp_path / "heads", aggregate="no"), rows("svd-spectrum", *source, "--null", "none", "--aggregate=no"))


def test_errors_are_those_of_the_model(rows, tmp_path):
    for name in ["llama-gqa", "bert"]:
        model = load(name, "sdpa")
        inputs = fed(model)
        with luna_py.capture(model, tmp_path / name):
            run(model, **inputs)
        (tmp_path / "ids.json").write_text(json.dumps(inputs["input_ids"].flatten().tolist()))
        mechanism = "luna-causal,linear" if name == "llama-gqa" else "luna,linformer"
        options = ["--mechanism", mechanism, "--l", "4", "--aggregate=no"]
        source = ["--tokens", "ids.json", "--seq-len", "24", "--windows", "1"]
        texts = rows("approx-error", "--model", TINY / name, *source, *options)
        close(luna_py.errors(tmp_path / name, attention=mechanism, l=4, aggregate="no"), texts)


def test_what_a_layer_has_is_told():
    kinds = []
    for name in ["gemma2", "gpt_oss", "t5-encoder", "mistral-sliding", "llama-gqa", "bert"]:
        model = load(name)
        with luna_py.capture(model, lambda layer, q, k, v, info: kinds.append((name, q.shape, k.shape, info))):
            run(model, **fed(model))
    of = {name: [info for other, _, _, info in kinds if other == name] for name, *_ in kinds}
    assert {info["softcap"] for info in of["gemma2"]} == {load("gemma2").config.attn_logit_softcapping}
    assert {info["mask"].partition(":")[0] for info in of["gemma2"]} == {"causal", "causal,window"}
    assert all(info["sink"].shape == (4,) for info in of["gpt_oss"])
    assert all(info["bias"].shape[1] == 47 for info in of["t5-encoder"])
    back = load("mistral-sliding").config.sliding_window - 1
    assert {info["mask"] for info in of["mistral-sliding"]} == {f"causal,window:back={back}"}
    assert [info["mask"] for info in of["bert"]] == ["full"] * len(of["bert"])
    (_, q, k, _) = next(one for one in kinds if one[0] == "llama-gqa")
    assert q[1] > k[1] and q[1] % k[1] == 0


def padded(side):
    ids = torch.tensor([[3 + (5 * i * i + 11 * i + 17 * sample) % 60 for i in range(24)] for sample in range(3)])
    real = torch.ones_like(ids)
    for sample, length in enumerate([24, 15, 24]):
        real[sample, length:] = 0
    return (ids, real) if side == "right" else (ids.flip(1), real.flip(1))


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize(
    ("name", "side"),
    # Absolute positions count padding on the left.
    [("bert", "right"), ("t5-encoder", "right"), ("t5-encoder", "left")]
    + [(name, side) for name in ("llama-gqa", "mistral-sliding") for side in ("right", "left")],
)
def test_padding_is_left_out(name, side, implementation):
    model = load(name, implementation)
    ids, real = padded(side)
    inputs = {"input_ids": ids, "attention_mask": real}
    if model.config.model_type in ("llama", "mistral"):
        inputs["position_ids"] = (real.cumsum(1) - 1).clamp(min=0)
    seen = []
    with luna_py.capture(model, lambda layer, q, k, v, info: seen.append((layer, q, k, v, info))):
        run(model, **inputs)
    alone = []
    tokens = ids[1][real[1].bool()][None]
    with luna_py.capture(model, lambda layer, q, k, v, info: alone.append((layer, q, k, v, info))):
        run(model, input_ids=tokens)
    for layer, q, k, v, info in alone:
        (found,) = [one for one in seen if one[0] == layer and one[4].samples == [1]]
        assert found[4].tokens == real[1].nonzero().flatten().tolist()
        for x, expected in zip(found[1:4], (q, k, v), strict=True):
            assert x.shape == expected.shape and np.allclose(x, expected, atol=2e-4)
        assert found[4]["mask"] == info["mask"]
        (others,) = [one for one in seen if one[0] == layer and one[4].samples == [0, 2]]
        assert others[1].shape[0] == 2 and others[1].shape[2] == 24


def test_a_folder_holds_windows_of_one_length(tmp_path):
    model = load("llama-gqa")
    ids, real = padded("right")
    with pytest.raises(ValueError, match="differ in their padding"), luna_py.capture(model, tmp_path / "a"):
        run(model, input_ids=ids, attention_mask=real)
    with pytest.raises(ValueError, match="passes of one length"), luna_py.capture(model, tmp_path / "b"):
        run(model, input_ids=ids[:, :12])
        run(model, input_ids=ids)
    assert not (tmp_path / "a").exists()
    # What was whole stays.
    assert len(list((tmp_path / "b").iterdir())) == model.config.num_hidden_layers
    with pytest.raises(ValueError, match="holds no captured heads yet"), luna_py.capture(model, tmp_path / "b"):
        pass


def test_passes_and_layers(rows, tmp_path):
    model = load("gpt2")
    ids = fed(model, samples=3)["input_ids"]
    with luna_py.capture(model, tmp_path / "one", layers=[1]):
        for one in ids:
            run(model, input_ids=one[None])
    with luna_py.capture(model, tmp_path / "all"):
        run(model, input_ids=ids[:2])
        run(model, input_ids=ids[2:])
    table = luna_py.spectrum(tmp_path / "one", at=2, aggregate="no")
    whole = luna_py.spectrum(tmp_path / "all", at=2, aggregate="no", layers="1")
    assert set(table["layer"]) == {1} and set(table["window"]) == {0, 1, 2}
    assert np.allclose(table["effective_rank"], whole["effective_rank"], rtol=1e-5)
    with pytest.raises(ValueError, match="--layers: '0' is not accepted; accepted: 1"):
        luna_py.spectrum(tmp_path / "one", layers="0")


def test_everything_is_restored():
    interface = transformers.AttentionInterface
    original = interface.get_interface
    model, other = load("llama-gqa", "sdpa"), load("bert", "sdpa")
    config = model.config.to_dict()

    def state():
        modules = [module for one in (model, other) for module in one.modules()]
        return [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules], model.config.to_dict()

    before = state()
    with luna_py.capture(model, lambda *heads: None):
        run(model, **fed(model))
    assert interface.get_interface is original and state() == before and model.config.to_dict() == config

    class Stop(Exception):
        pass

    def stop(layer, q, k, v, info):
        if layer == 1:
            raise Stop

    with pytest.raises(Stop), luna_py.capture(model, stop):
        run(model, **fed(model))
    assert interface.get_interface is original and state() == before
    # One inside the other, each with its own model, closed in any order.
    seen = []
    one = luna_py.capture(model, lambda layer, *_: seen.append(("llama", layer)))
    two = luna_py.capture(other, lambda layer, *_: seen.append(("bert", layer)))
    one.__enter__()
    two.__enter__()
    run(model, **fed(model))
    one.__exit__(None, None, None)
    run(model, **fed(model))
    run(other, **fed(other))
    two.__exit__(None, None, None)
    assert seen == [("llama", 0), ("llama", 1), ("bert", 0), ("bert", 1)]
    assert interface.get_interface is original and state() == before


def test_a_pass_that_fails_leaves_no_files(tmp_path):
    model = load("llama-gqa")
    ids = fed(model)["input_ids"]

    def fails(*_):
        raise RuntimeError("in the last layer")

    with luna_py.capture(model, tmp_path / "heads"):
        run(model, input_ids=ids)
        hook = model.model.layers[-1].mlp.register_forward_hook(fails)
        with pytest.raises(RuntimeError, match="in the last layer"):
            run(model, input_ids=ids)
        hook.remove()
        run(model.model, input_ids=ids)
    names = sorted(path.name for path in (tmp_path / "heads").iterdir())
    assert names == [f"pass-{run}-layer-{layer}.safetensors" for run in (0, 1) for layer in (0, 1)]


def test_generation_hands_on_each_step():
    model = load("llama-gqa", "sdpa")
    seen = []
    with luna_py.capture(model, lambda layer, q, k, v, info: seen.append((layer, q.shape[2], k.shape[2], info["mask"]))):
        model.generate(fed(model)["input_ids"], max_new_tokens=3, do_sample=False, pad_token_id=0, eos_token_id=None)
    assert seen == [(0, 24, 24, "causal"), (1, 24, 24, "causal"), (0, 1, 25, "full"), (1, 1, 25, "full"), (0, 1, 26, "full"),
                    (1, 1, 26, "full")]  # fmt: skip


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_other_number_formats(dtype, tmp_path):
    model = load("llama-gqa", "sdpa").to(getattr(torch, dtype))
    types = []
    with luna_py.capture(model, lambda layer, q, k, v, info: types.append(str(q.dtype))):
        run(model, **fed(model))
    assert set(types) == {"float32" if dtype == "bfloat16" else dtype}
    with luna_py.capture(model, tmp_path / "heads"):
        run(model, **fed(model))
    assert len(luna_py.spectrum(tmp_path / "heads", at=2)) > 10


def refused(model, said, **inputs):
    with pytest.raises(ValueError) as raised, luna_py.capture(model, lambda *_: None):
        run(model, **(inputs or fed(model)))
    assert said in str(raised.value) and "\n" not in str(raised.value), raised.value


def test_what_cannot_be_captured_is_told_in_a_sentence(tmp_path):
    for name in ["bloom", "mpt"]:
        refused(load(name), "does not go through transformers' AttentionInterface")
    refused(torch.nn.Linear(2, 2), "'Linear' does not go through")
    with pytest.raises(ValueError, match="'str' is not accepted; accepted: a model of transformers"):
        luna_py.capture("gpt2", print).__enter__()
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="a folder that holds no captured heads yet"):
        luna_py.capture(load("bert"), tmp_path / "file").__enter__()
    with pytest.raises(ValueError, match="to: 'NoneType' is not accepted; accepted: a function, or the path of a folder"):
        luna_py.capture(load("bert"), None).__enter__()
    llama = load("llama-gqa", "sdpa")
    ids = fed(llama)["input_ids"]
    with pytest.raises(ValueError, match="layers: '2' is not accepted; accepted: 0 to 1"), \
            luna_py.capture(llama, tmp_path / "heads", layers=[0, 2]):  # fmt: skip
        run(llama, input_ids=ids)
    assert not list((tmp_path / "heads").iterdir())
    packed = torch.cat([torch.arange(10), torch.arange(14)])[None]
    refused(llama, "layer 0 ('model.layers.0.self_attn') cannot be captured: its mask is not full, causal",
            input_ids=ids, position_ids=packed, use_cache=False)  # fmt: skip
    cache = run(llama, input_ids=ids[:, :20]).past_key_values
    refused(llama, "4 queries attend to 24 keys", input_ids=ids[:, 20:], past_key_values=cache)


def test_gradients_are_computed_and_compiled_models_refused():
    model = load("llama-gqa", "sdpa").train()
    model.gradient_checkpointing_enable()
    seen = []
    with luna_py.capture(model, lambda layer, *_: seen.append(layer)):
        model(**fed(model)).logits.sum().backward()
    assert seen == [0, 1]
    model.gradient_checkpointing_disable()
    refused(torch.compile(model), "a compiled model is not accepted", **fed(model))
    model.compile()
    refused(model, "a compiled model is not accepted")


def test_attention_that_is_not_what_it_says_is_refused(monkeypatch):
    """The output of an unknown implementation is held against what was captured."""

    def sharper(module, query, key, value, attention_mask, **kwargs):
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, 3 * query, key, value, attention_mask, **kwargs)

    transformers.AttentionInterface.register("sharper", sharper)
    transformers.AttentionMaskInterface.register("sharper", transformers.masking_utils.sdpa_mask)
    try:
        refused(load("llama-gqa", "sharper"), "its output is not that of softmax attention under the mask 'causal'")
    finally:
        del transformers.AttentionInterface._global_mapping["sharper"]
        del transformers.AttentionMaskInterface._global_mapping["sharper"]


def test_a_layer_is_held_no_longer_than_its_turn(tmp_path):
    """Of a deep model one layer's arrays are alive at a time, and none of n x n."""
    n, layers = 256, 8
    config = transformers.LlamaConfig(vocab_size=64, hidden_size=256, intermediate_size=64, num_hidden_layers=layers,
                                      num_attention_heads=4, num_key_value_heads=4)  # fmt: skip
    model = transformers.LlamaForCausalLM._from_config(config, attn_implementation="sdpa").eval()
    alive, largest = [], []

    def count(layer, q, k, v, info):
        gc.collect()
        shapes = [x.shape for x in gc.get_objects() if type(x) is torch.Tensor and x.dim() == 4]
        alive.append(sum(shape[2:] == (n, 64) for shape in shapes))
        largest.append(sum(shape[2:] == (n, n) for shape in shapes))

    ids = torch.arange(n)[None] % 64
    with luna_py.capture(model, count):
        with torch.no_grad():
            model(input_ids=ids, use_cache=False)
    assert len(alive) == layers and alive[-1] <= alive[0] and max(largest) == 0
    tracemalloc.start()
    with luna_py.capture(model, lambda *_: None):
        with torch.no_grad():
            model(input_ids=ids, use_cache=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_softcap_sink_and_bias_have_their_places():
    q, k = heads((2, 4, 20, 8), 1), heads((2, 2, 20, 8), 2)
    plain = luna_py.spectrum(q, k, mask="causal", at=2)
    bias, sink = np.zeros((2, 4, 39), np.float32), np.full((2, 4), -80.0)
    none = luna_py.spectrum(q, k, mask="causal", at=2, bias=bias, sink=sink, softcap=1e4)
    assert np.allclose(none["effective_rank"], plain["effective_rank"], rtol=1e-4)
    bias[1, 2] = -0.5 * np.abs(np.arange(-19, 20))
    other = luna_py.spectrum(q, k, mask="causal", at=2, bias=bias)
    differs = np.abs(other["effective_rank"] - plain["effective_rank"]) > 1e-3
    assert list(zip(other["layer"][differs], other["head"][differs], strict=True)) == [(1, 2)]
    for option, said in [
        ({"sink": np.zeros(4)}, "array 'sink': shape [1, 1, 4, 1, 1]; expected (layers, batch, heads, length, width) = (2, 1, 4, 1, 1)"),
        ({"bias": bias[..., 1:]}, "array 'bias': shape [2, 1, 4, 1, 38]"),
        ({"softcap": 0.0}, "--qkv-softcap: '0' is not accepted; accepted: a finite number above 0"),
    ]:
        with pytest.raises(ValueError) as raised:
            luna_py.spectrum(q, k, **option)
        assert said in str(raised.value)
    with pytest.raises(ValueError, match="softcap is not accepted beside attention matrices"):
        luna_py.spectrum(np.eye(3), softcap=3.0)
    with pytest.raises(ValueError, match="k is not accepted beside a path"):
        luna_py.spectrum("heads", k)
