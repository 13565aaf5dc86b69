"""Writes the sources that the tests of `latentdb-runtime` read, and what they must give.

Run with a Python that has torch and sae-lens 6.54: `python make.py [case ...]`. Every case becomes a folder with the
source's files as published, `case.json` (how to open it), and `expected.safetensors`: the input `x`, and for the plain
and the folded source `encode`, `decode` and `forward`. Numbers come from SAELens, or, where SAELens has no such
format or reads it wrongly, from a formula written here from the format's definition.

Every case asserts that no pre-activation lies within 1e-4 of its threshold, and that the k-th and the next one are
further apart than that: the tests compare values, and must not depend on how a sum is ordered.
"""

import copy
import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from huggingface_hub.utils import EntryNotFoundError
from safetensors.torch import save_file

warnings.filterwarnings("ignore")

import sae_lens  # noqa: E402
from sae_lens import *  # noqa: E402,F403
from sae_lens.loading import pretrained_sae_loaders as loaders  # noqa: E402

HERE = Path(__file__).parent
D, F, ROWS, GAP = 16, 48, 7, 1e-4
CASES = {}


def case(f):
    CASES[f.__name__] = f
    return f


class TooClose(Exception):
    """A value lies too near to where an activation function jumps."""


def rand(*shape, scale=0.3):
    return torch.randn(*shape) * scale


def folder(name):
    path = HERE / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def write(path, opened, hints, x, expected):
    (path / "case.json").write_text(json.dumps({"open": opened, "hints": hints}, indent=1) + "\n")
    tensors = {"x": x.reshape(-1, x.shape[-1])}
    for key, value in expected.items():
        tensors[key] = value.detach().reshape(-1, value.shape[-1])
    save_file({k: v.float().contiguous().clone() for k, v in tensors.items()}, path / "expected.safetensors")


def check_threshold(pre, threshold):
    if (pre - threshold).abs().min() < GAP:
        raise TooClose


def check_topk(ranked, k):
    top = ranked.sort(-1, descending=True).values
    if k < top.shape[-1] and (top[..., k - 1] - top[..., k]).min() < GAP:
        raise TooClose


def check(sae, x):
    """Raises TooClose where rounding could change which features are active."""
    pre = {}
    handle = sae.hook_sae_acts_pre.register_forward_hook(lambda m, i, o: pre.__setitem__("pre", o.detach()))
    sae.encode(x)
    handle.remove()
    arch = sae.cfg.architecture()
    if "jumprelu" in arch:
        check_threshold(pre["pre"], sae.threshold)
    if arch == "gated":
        check_threshold(sae.process_sae_in(x) @ sae.W_enc + sae.b_gate, 0)
    if arch == "topk":
        scale = sae.W_dec.norm(dim=-1) if sae.cfg.rescale_acts_by_decoder_norm else 1
        check_topk(pre["pre"] * scale, sae.cfg.k)
    if arch == "abstopk":
        scale = sae.W_dec.norm(dim=-1) if sae.cfg.rescale_acts_by_decoder_norm else 1
        check_topk((pre["pre"] * scale).abs(), sae.cfg.k)
    if arch == "temporal" and sae.cfg.sae_diff_type == "topk":
        check_topk(pre["pre"].relu(), sae.cfg.kval_topk)


def outputs(sae, x, prefix=""):
    with torch.no_grad():
        f = sae.encode(x)
        y = sae.decode(f)
        return {prefix + "encode": f, prefix + "decode": y, prefix + "forward": sae(x)}


def expectations(sae, x):
    sae = copy.deepcopy(sae)
    sae.turn_off_forward_pass_hook_z_reshaping()
    check(sae, x)
    expected = outputs(sae, x)
    # What Neuronpedia's server folds: see section 3.1 of the reference.
    if sae.cfg.architecture() not in ("temporal", "matching_pursuit") and getattr(
        sae.cfg, "rescale_acts_by_decoder_norm", True
    ):
        sae.fold_W_dec_norm()
        expected |= outputs(sae, x, "folded_")
    return expected


def randomise(sae):
    with torch.no_grad():
        for name, p in sae.named_parameters():
            p.copy_(rand(*p.shape, scale=0.3 if p.ndim > 1 else 0.1))
            if name == "threshold":
                p.uniform_(-0.1, 0.6)
    return sae


def inputs(d=D, rows=ROWS, sequences=1):
    return torch.randn(sequences, rows, d) * 2


# --- SAELens' own format -------------------------------------------------------------------------------------------


def native(name, cls, config, hook="blocks.1.hook_resid_pre", hints=None, sequences=1, **settings):
    settings = dict(d_in=D, d_sae=F, dtype="float32", device="cpu") | settings
    sae = randomise(cls(config(**settings)))
    sae.cfg.metadata.hook_name = hook
    sae.cfg.metadata.model_name = "gpt2"
    sae.cfg.metadata.neuronpedia_id = "gpt2-small/1-test"
    sae.cfg.metadata.prepend_bos = True
    if sae.cfg.architecture().endswith("transcoder"):
        sae.cfg.metadata.hook_name = "blocks.1.ln2.hook_normalized"
        sae.cfg.metadata.hook_name_out = "blocks.1.hook_mlp_out"
    x = inputs(sequences=sequences)
    expected = expectations(sae, x)
    path = folder(name)
    sae.save_model(path)
    hints = (hints or {}) | ({"sequences": [[i * ROWS, (i + 1) * ROWS] for i in range(sequences)]})
    write(path, "", hints, x, expected)
    return path


@case
def standard(name):
    native(name, StandardSAE, StandardSAEConfig)


@case
def standard_uncentred(name):
    native(name, StandardSAE, StandardSAEConfig, apply_b_dec_to_input=False)


@case
def standard_layer_norm(name):
    native(name, StandardSAE, StandardSAEConfig, apply_b_dec_to_input=False, normalize_activations="layer_norm")


@case
def standard_constant_norm(name):
    native(name, StandardSAE, StandardSAEConfig, normalize_activations="constant_norm_rescale")


@case
def standard_hook_z(name):
    native(name, StandardSAE, StandardSAEConfig, hook="blocks.1.attn.hook_z", reshape_activations="hook_z")


@case
def gated(name):
    native(name, GatedSAE, GatedSAEConfig)


@case
def jumprelu(name):
    native(name, JumpReLUSAE, JumpReLUSAEConfig)


@case
def topk(name):
    native(name, TopKSAE, TopKSAEConfig, k=8)


@case
def topk_rescaled(name):
    native(name, TopKSAE, TopKSAEConfig, k=8, rescale_acts_by_decoder_norm=True)


@case
def abstopk(name):
    native(name, AbsTopKSAE, AbsTopKSAEConfig, k=8)


@case
def abstopk_rescaled(name):
    native(name, AbsTopKSAE, AbsTopKSAEConfig, k=8, rescale_acts_by_decoder_norm=True)


@case
def transcoder(name):
    native(name, Transcoder, TranscoderConfig, d_out=20, apply_b_dec_to_input=False)


@case
def transcoder_layer_norm(name):
    native(
        name, Transcoder, TranscoderConfig, d_out=20, apply_b_dec_to_input=False, normalize_activations="layer_norm"
    )


@case
def skip_transcoder(name):
    native(name, SkipTranscoder, SkipTranscoderConfig, d_out=20, apply_b_dec_to_input=False)


@case
def jumprelu_transcoder(name):
    native(name, JumpReLUTranscoder, JumpReLUTranscoderConfig, d_out=20, apply_b_dec_to_input=False)


@case
def jumprelu_skip_transcoder(name):
    native(name, JumpReLUSkipTranscoder, JumpReLUSkipTranscoderConfig, d_out=20, apply_b_dec_to_input=False)


@case
def matching_pursuit(name):
    native(name, MatchingPursuitSAE, MatchingPursuitSAEConfig, max_iterations=5)


@case
def matching_pursuit_uncentred(name):
    native(
        name,
        MatchingPursuitSAE,
        MatchingPursuitSAEConfig,
        apply_b_dec_to_input=False,
        residual_threshold=3.0,
        stop_on_duplicate_support=False,
    )


def temporal_settings(**more):
    return dict(n_heads=2, n_attn_layers=1, bottleneck_factor=4, sae_diff_type="topk", kval_topk=8) | more


@case
def temporal(name):
    native(name, TemporalSAE, TemporalSAEConfig, sequences=2, **temporal_settings())


@case
def temporal_untied(name):
    more = dict(tied_weights=False, n_attn_layers=2, apply_b_dec_to_input=False, sae_diff_type="relu")
    more |= dict(normalize_activations="constant_scalar_rescale", activation_normalization_factor=0.4)
    native(name, TemporalSAE, TemporalSAEConfig, sequences=2, **temporal_settings(**more))


@case
def averaged_norm(name):
    """expected_average_only_in: the factor is only in SAELens' list."""
    sae = randomise(JumpReLUSAE(JumpReLUSAEConfig(d_in=D, d_sae=F, normalize_activations="expected_average_only_in")))
    sae.cfg.metadata.hook_name = "blocks.1.hook_resid_pre"
    x, path = inputs(), folder(name)
    sae.save_model(path)
    sae.fold_activation_norm_scaling_factor(1.7)
    write(path, "", {"norm_scaling_factor": 1.7}, x, expectations(sae, x))


@case
def averaged_norm_matching_pursuit(name):
    config = MatchingPursuitSAEConfig(
        d_in=D, d_sae=F, normalize_activations="expected_average_only_in", residual_threshold=2.0
    )
    sae = randomise(MatchingPursuitSAE(config))
    sae.cfg.metadata.hook_name = "blocks.1.hook_resid_pre"
    x, path = inputs(), folder(name)
    sae.save_model(path)
    sae.fold_activation_norm_scaling_factor(1.7)
    write(path, "", {"norm_scaling_factor": 1.7}, x, expectations(sae, x))


def whitened(name, cls, config, **settings):
    """A training checkpoint: the whitening lies next to weights that expect whitened input."""
    sae = randomise(cls(config(d_in=D, d_sae=F, normalize_activations="covariance_whitening", **settings)))
    sae.cfg.metadata.hook_name = "blocks.1.hook_resid_pre"
    matrix, mean = torch.eye(D) + rand(D, D, scale=0.1), rand(D)
    x, path = inputs(), folder(name)
    sae.save_model(path)
    inverse = torch.linalg.inv(matrix).contiguous()
    save_file({"mean": mean, "matrix": matrix, "inverse_matrix": inverse}, path / "activation_whitening.safetensors")
    sae.fold_activation_whitening(mean, matrix, inverse)
    write(path, "", {}, x, expectations(sae, x))


@case
def whitened_standard(name):
    whitened(name, StandardSAE, StandardSAEConfig, apply_b_dec_to_input=False)


@case
def whitened_gated(name):
    whitened(name, GatedSAE, GatedSAEConfig, apply_b_dec_to_input=False)


@case
def whitened_topk_rescaled(name):
    whitened(name, TopKSAE, TopKSAEConfig, k=8, rescale_acts_by_decoder_norm=True)


def old(name, cfg, hints=None, scale=None, **tensors):
    """A configuration from before version 6, and what SAELens makes of it."""
    path = folder(name)
    state = {"W_enc": rand(D, F), "W_dec": rand(F, D), "b_enc": rand(F, scale=0.1), "b_dec": rand(D, scale=0.1)}
    save_file(state | tensors, path / "sae_weights.safetensors")
    cfg = {"d_in": D, "d_sae": F, "dtype": "torch.float32", "device": "cpu", "model_name": "gpt2-small"} | cfg
    (path / "cfg.json").write_text(json.dumps(cfg))
    sae = SAE.load_from_disk(path, device="cpu")
    if scale:
        sae.fold_activation_norm_scaling_factor(scale)
    x = inputs()
    write(path, "", hints or {}, x, expectations(sae, x))


@case
def pre6_standard(name):
    cfg = {"hook_point": "blocks.1.hook_resid_pre", "hook_point_layer": 1, "normalize_activations": False}
    old(name, cfg, scaling_factor=torch.ones(F))


@case
def pre6_topk(name):
    cfg = {"hook_name": "blocks.1.hook_resid_pre", "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 8}}
    old(name, cfg | {"sae_lens_training_version": "5.1.0", "sae_lens_version": "5.1.0"})


@case
def pre6_averaged_norm(name):
    cfg = {"hook_name": "blocks.1.attn.hook_z", "normalize_activations": True, "apply_b_dec_to_input": False}
    old(name, cfg, {"norm_scaling_factor": 0.6}, scale=0.6)


@case
def half_precision(name):
    """Weights in bf16 are brought to single precision, and so is the input."""
    path = folder(name)
    state = {"W_enc": rand(D, F), "W_dec": rand(F, D), "b_enc": rand(F, scale=0.1), "b_dec": rand(D, scale=0.1)}
    save_file({k: v.bfloat16() for k, v in state.items()}, path / "sae_weights.safetensors")
    cfg = {"d_in": D, "d_sae": F, "dtype": "bfloat16", "hook_name": "blocks.1.hook_resid_pre"}
    (path / "cfg.json").write_text(json.dumps(cfg))
    sae = SAE.load_from_disk(path, device="cpu", dtype="float32")
    x = inputs()
    write(path, "", {}, x, expectations(sae, x))


# FOREIGN


def main(names):
    for number, (name, build) in enumerate(CASES.items()):
        if names and name not in names:
            continue
        for attempt in range(2000):
            torch.manual_seed(1000 * number + attempt)
            np.random.seed(1000 * number + attempt)
            try:
                with torch.no_grad():
                    build(name)
                break
            except TooClose:
                continue
        else:
            raise SystemExit(f"{name}: no seed keeps its distance from a threshold")
        print(name, attempt)
    print("sae_lens", sae_lens.__version__)


if __name__ == "__main__":
    main(sys.argv[1:])
