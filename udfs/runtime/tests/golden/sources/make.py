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
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from huggingface_hub.utils import LocalEntryNotFoundError
from safetensors import safe_open
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


# --- Other formats, as SAELens reads them ----------------------------------------------------------------------------


class Local:
    """Stands in for the hub: files of a repository lie in a folder."""

    def __init__(self, root):
        self.root = root

    def download(self, repo_id, filename, subfolder=None, **_):
        path = self.root / (subfolder or "") / filename
        if not path.is_file():
            raise LocalEntryNotFoundError(filename)
        return str(path)

    def shapes(self, repo_id, filename):
        with safe_open(self.root / filename, framework="pt") as f:
            return {key: list(f.get_slice(key).get_shape()) for key in f.keys()}


def loaded(conversion, root, repo_id, folder_name, overrides=None, scale=None):
    """The source as `SAE.from_pretrained` would make it."""
    local = Local(root)
    loaders.hf_hub_download, loaders.get_safetensors_tensor_shapes = local.download, local.shapes
    load = loaders.NAMED_PRETRAINED_SAE_LOADERS[conversion]
    cfg, state, _ = load(repo_id, folder_name, "cpu", False, {"dtype": "float32"} | (overrides or {}))
    cfg = loaders.handle_config_defaulting(cfg)
    cls, config = loaders.get_sae_class(cfg["architecture"])
    sae = cls(config.from_dict(cfg))
    sae.load_state_dict({k: v.float() for k, v in state.items()})
    if scale:
        sae.fold_activation_norm_scaling_factor(scale)
    return sae


def foreign(name, conversion, root, repo_id, folder_name, opened, hints=None, overrides=None, scale=None, d=D):
    sae = loaded(conversion, root, repo_id, folder_name, overrides, scale)
    x = inputs(d)
    write(HERE / name, opened, hints or {}, x, expectations(sae, x))


def weights(d_in=D, d_out=D):
    return {
        "W_enc": rand(d_in, F),
        "W_dec": rand(F, d_out),
        "b_enc": rand(F, scale=0.1),
        "b_dec": rand(d_out, scale=0.1),
    }


def threshold(*shape):
    return torch.rand(*shape) * 0.5 + 0.05


def gemma_scope(name, repo, inner, tensors, conversion="gemma_2", save=np.savez):
    root = folder(name) / repo
    (root / inner).mkdir(parents=True)
    save(root / inner / "params.npz", **{k: v.numpy() for k, v in tensors.items()})
    overrides = {"d_in": D, "d_sae": F} | ({"d_out": D} if "transcoder" in conversion else {})
    foreign(name, conversion, root, f"google/{repo}", inner, f"{repo}/{inner}", overrides=overrides)


@case
def gemma_scope_residual(name):
    tensors = weights() | {"threshold": threshold(F)}
    gemma_scope(name, "gemma-scope-2b-pt-res", "layer_3/width_16k/average_l0_10", tensors)


@case
def gemma_scope_compressed(name):
    """Deflated, with the older names, and one array with its columns first."""
    tensors = weights() | {"threshold": threshold(F)}
    tensors = {k.replace("W_", "w_"): v for k, v in tensors.items()}
    tensors["w_dec"] = tensors["w_dec"].T.contiguous().T
    inner = "layer_3/width_16k/average_l0_10"
    gemma_scope(name, "gemma-scope-2b-pt-mlp", inner, tensors, save=np.savez_compressed)


@case
def gemma_scope_embedding(name):
    tensors = weights() | {"threshold": threshold(F)}
    gemma_scope(name, "gemma-scope-2b-pt-res", "embedding/width_4k/average_l0_10", tensors)


@case
def gemma_scope_transcoder(name):
    tensors = weights() | {"threshold": threshold(F)}
    inner = "layer_3/width_16k/average_l0_10"
    gemma_scope(name, "gemma-scope-2b-pt-transcoders", inner, tensors, "gemma_2_transcoder")


def gemma_scope_2(name, inner, config, tensors, file="params.safetensors", folder_name=None):
    root = folder(name) / "gemma-scope-2-1b-pt"
    (root / inner).mkdir(parents=True)
    save_file({k.replace("W_", "w_"): v for k, v in tensors.items()}, root / inner / file)
    config = {"architecture": "jump_relu", "model_name": "gemma-v3-1b-pt", "width": F} | config
    if folder_name is None:
        (root / inner / "config.json").write_text(json.dumps(config))
    opened = f"gemma-scope-2-1b-pt/{inner}" + ("" if folder_name is None else f"/{file}")
    foreign(name, "gemma_3", root, "google/gemma-scope-2-1b-pt", folder_name or inner, opened)


@case
def gemma_scope_2_residual(name):
    config = {"hf_hook_point_in": "model.layers.3.output"}
    gemma_scope_2(name, "resid_post/layer_3_width_16k_l0_small", config, weights() | {"threshold": threshold(F)})


@case
def gemma_scope_2_affine_transcoder(name):
    config = {
        "hf_hook_point_in": "model.layers.3.pre_feedforward_layernorm.output",
        "hf_hook_point_out": "model.layers.3.post_feedforward_layernorm.output",
        "affine_connection": True,
    }
    tensors = weights(d_out=20) | {"threshold": threshold(F), "affine_skip_connection": rand(D, 20)}
    gemma_scope_2(name, "transcoder/layer_3_width_16k_l0_small_affine", config, tensors)


@case
def gemma_scope_2_cross_layer(name):
    tensors = weights() | {"threshold": threshold(F), "W_dec": rand(F, 3, D)}
    inner = "clt/width_16k_l0_small"
    gemma_scope_2(name, inner, {}, tensors, "params_layer_1.safetensors", inner + "/params_layer_1")


def linear(tensors, encoder="encoder", decoder="decoder"):
    return {
        f"{encoder}.weight": tensors["W_enc"].T.contiguous(),
        f"{encoder}.bias": tensors["b_enc"],
        f"{decoder}.weight": tensors["W_dec"].T.contiguous(),
        f"{decoder}.bias": tensors["b_dec"],
    }


@case
def llama_scope(name):
    inner = "Llama3_1-8B-Base-L15R-8x"
    root = folder(name)
    (root / inner / "checkpoints").mkdir(parents=True)
    average = 4.2
    config = {
        "d_model": D,
        "d_sae": F,
        "hook_point_in": "blocks.15.hook_resid_post",
        "hook_point_out": "blocks.15.hook_resid_post",
        "jump_relu_threshold": 0.35,
        "dataset_average_activation_norm": {"in": average, "out": average},
    }
    (root / inner / "hyperparams.json").write_text(json.dumps(config))
    state = {k: v.bfloat16() for k, v in linear(weights()).items()}
    save_file(state, root / inner / "checkpoints" / "final.safetensors")
    foreign(name, "llama_scope", root, "fnlp/Llama3_1-8B-Base-LXR-8x", inner, inner, scale=D**0.5 / average)


@case
def llama_scope_r1_distill(name):
    inner = "400M-Slimpajama-400M-OpenR1-Math-220k/L15R"
    root = folder(name)
    (root / inner).mkdir(parents=True)
    config = {"d_model": D, "expansion_factor": F // D, "hook_point_in": "blocks.15.hook_resid_post"}
    (root / inner / "config.json").write_text(json.dumps(config))
    save_file(linear(weights()) | {"log_jumprelu_threshold": threshold(F).log()}, root / inner / "sae_weights.safetensors")
    hints = {"norm_scaling_factor": 0.8}
    foreign(name, "llama_scope_r1_distill", root, "fnlp/Llama-Scope-R1-Distill", inner, inner, hints, scale=0.8)


class Dictionary(torch.nn.Module):
    """A module, so that its state is saved as a module's: an OrderedDict with metadata."""

    def __init__(self, tensors, buffers=None):
        super().__init__()
        for key, value in tensors.items():
            module, _, leaf = key.rpartition(".")
            owner = self
            if module:
                if not hasattr(self, module):
                    setattr(self, module, torch.nn.Module())
                owner = getattr(self, module)
            owner.register_parameter(leaf, torch.nn.Parameter(value))
        for key, value in (buffers or {}).items():
            self.register_buffer(key, value)


def dictionary_config(cls, **trainer):
    trainer = {
        "trainer_class": "Trainer",
        "activation_dim": D,
        "dict_size": F,
        "layer": 3,
        "lm_name": "EleutherAI/pythia-70m-deduped",
        "dict_class": cls,
        "submodule_name": "resid_post_layer_3",
    } | trainer
    return {"trainer": trainer, "buffer": {"d_submodule": D, "io": "out", "n_ctxs": 1000, "ctx_len": 128}}


def dictionary(name, cls, tensors, buffers=None, **trainer):
    root = folder(name)
    (root / "trainer_0").mkdir()
    (root / "trainer_0" / "config.json").write_text(json.dumps(dictionary_config(cls, **trainer)))
    torch.save(Dictionary(tensors, buffers).state_dict(), root / "trainer_0" / "ae.pt")
    foreign(name, "dictionary_learning_1", root, "canrager/lm_sae", "trainer_0", "trainer_0")


@case
def dictionary_learning_standard(name):
    state = linear(weights())
    state["bias"] = state.pop("decoder.bias")
    dictionary(name, "AutoEncoder", state)


@case
def dictionary_learning_gated(name):
    state = linear(weights())
    state["decoder_bias"] = state.pop("decoder.bias")
    state.pop("encoder.bias")
    gate = {"r_mag": rand(F), "gate_bias": rand(F, scale=0.1), "mag_bias": rand(F, scale=0.1)}
    dictionary(name, "GatedAutoEncoder", state | gate)


@case
def dictionary_learning_topk(name):
    state = linear(weights())
    state["b_dec"] = state.pop("decoder.bias")
    buffers = {"k": torch.tensor(6, dtype=torch.int32), "threshold": torch.tensor(-1.0)}
    dictionary(name, "AutoEncoderTopK", state, buffers, k=6)


@case
def dictionary_learning_batch_topk(name):
    state = linear(weights())
    state["b_dec"] = state.pop("decoder.bias")
    buffers = {"k": torch.tensor(6, dtype=torch.int32), "threshold": torch.tensor(0.4)}
    dictionary(name, "BatchTopKSAE", state, buffers, k=6)


@case
def dictionary_learning_matryoshka(name):
    buffers = {
        "k": torch.tensor(6, dtype=torch.int32),
        "threshold": torch.tensor(0.4),
        "group_sizes": torch.tensor([16, 32]),
    }
    dictionary(name, "MatryoshkaBatchTopKSAE", weights(), buffers, k=6)


@case
def dictionary_learning_jumprelu(name):
    dictionary(name, "JumpReluAutoEncoder", weights() | {"threshold": threshold(F)})


@case
def dictionary_learning_new(name):
    """A class that SAELens lacks: relu(encoder(x)), decoder with its own bias."""
    root, w, x = folder(name), weights(), inputs()
    (root / "config.json").write_text(json.dumps(dictionary_config("AutoEncoderNew")))
    torch.save(Dictionary(linear(w)).state_dict(), root / "ae.pt")
    f = np.maximum(x[0].numpy() @ w["W_enc"].numpy() + w["b_enc"].numpy(), 0)
    formula(name, "", {}, x, f, w["W_dec"], w["b_dec"])


@case
def deepseek_r1(name):
    """Half precision, and a matrix that was transposed without being copied."""
    root = folder(name)
    state = linear({k: v.bfloat16() for k, v in weights().items()})
    state["encoder.weight"] = state["encoder.weight"].T.contiguous().T
    torch.save(state, root / "DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt")
    file = "DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt"
    foreign(name, "deepseek_r1", root, "qresearch/sae", file, file, overrides={"d_in": D, "d_sae": F})


@case
def goodfire(name):
    root, file = folder(name), "Llama-3.1-8B-Instruct-SAE-l19.pth"
    state = linear({k: v.half() for k, v in weights().items()}, "encoder_linear", "decoder_linear")
    torch.save(state, root / file)
    repo = "Goodfire/Llama-3.1-8B-Instruct-SAE-l19"
    foreign(name, "goodfire", root, repo, file, file, overrides={"d_in": D, "d_sae": F})


@case
def qwen_scope(name):
    repo = "SAE-Res-Qwen3-1.7B-Base-W32K-L0_5"
    root = folder(name) / repo
    root.mkdir()
    w = weights()
    w["W_enc"], w["W_dec"] = w["W_enc"].T.contiguous(), w["W_dec"].T.contiguous()
    torch.save(w, root / "layer7.sae.pt")
    overrides = {"d_in": D, "d_sae": F}
    foreign(name, "qwen_scope", root, f"Qwen/{repo}", "layer7.sae.pt", f"{repo}/layer7.sae.pt", overrides=overrides)


@case
def connor_rob(name):
    root = folder(name)
    torch.save(weights(), root / "gpt2-small_L5_hook_z.pt")
    config = {"act_size": D, "dict_size": F, "act_name": "blocks.5.attn.hook_z", "lr": 0.001}
    (root / "gpt2-small_L5_hook_z_cfg.json").write_text(json.dumps(config))
    file = "gpt2-small_L5_hook_z.pt"
    foreign(name, "connor_rob_hook_z", root, "ckkissane/attn-saes-gpt2-small", file, file)


@case
def mwhanna(name):
    root, w = folder(name), weights()
    save_file(w | {"W_enc": w["W_enc"].T.contiguous()}, root / "layer_4.safetensors")
    (root / "config.yaml").write_text("model_name: Qwen/Qwen3-0.6B\nmodel_kind: transcoder_set\n")
    wandb = {"d_model": {"value": D}, "d_feature": {"value": F}, "batch_size": {"value": 64}}
    (root / "wandb-config.yaml").write_text(json.dumps(wandb))
    file = "layer_4.safetensors"
    foreign(name, "mwhanna_transcoder", root, "mwhanna/qwen3-0.6b-transcoders", file, file)


CLT = (
    "model_kind: cross_layer_transcoder\nmodel_name: google/gemma-2-2b\n"
    "feature_input_hook: hook_resid_mid\nfeature_output_hook: hook_mlp_out\n"
)


def clt(root, w, **more):
    (root / "config.yaml").write_text(CLT)
    encoder = {"W_enc_2": w["W_enc"].T.contiguous(), "b_enc_2": w["b_enc"], "b_dec_2": w["b_dec"]}
    save_file(encoder | more, root / "W_enc_2.safetensors")
    save_file({"W_dec_2": w["W_dec"]}, root / "W_dec_2.safetensors")


@case
def cross_layer(name):
    root = folder(name)
    clt(root, weights() | {"W_dec": rand(F, 3, D)})
    foreign(name, "mntss_clt_layer_transcoder", root, "mntss/clt-gemma-2-2b-426k", "2", "", {"layer": 2})


@case
def temporal_published(name):
    root = folder(name)
    (root / "layer_12" / "temporal").mkdir(parents=True)
    config = TemporalSAEConfig(d_in=D, d_sae=F, **temporal_settings(tied_weights=False))
    state = randomise(TemporalSAE(config)).state_dict()
    raw = {"D": state["W_dec"], "b": state["b_dec"], "E": state["W_enc"]}
    raw |= {k: v for k, v in state.items() if k.startswith("attn_layers.")}
    save_file(raw, root / "layer_12" / "temporal" / "latest_ckpt.safetensors")
    sae = temporal_settings(tied_weights=False) | {"exp_factor": F / D, "scaling_factor": 0.3}
    conf = {"llm": {"dimin": D}, "sae": sae, "data": {"dtype": "float32"}}
    (root / "layer_12" / "temporal" / "conf.yaml").write_text(json.dumps(conf))
    foreign(name, "temporal", root, "canrager/temporalSAEs", "layer_12/temporal", "layer_12/temporal")


# --- Formats that SAELens lacks or reads wrongly: formulas from their own libraries ----------------------------------


def formula(name, opened, hints, x, f, W_dec, b_dec, skip=None, folds=True):
    """What a source gives whose features are `f`: y = f @ W_dec + b_dec (+ skip)."""
    f, W, b = np.asarray(f), W_dec.numpy(), b_dec.numpy()
    y = f @ W + b
    forward = y if skip is None else y + skip
    expected = {"encode": f, "decode": y, "forward": forward}
    if folds:
        norms = np.linalg.norm(W, axis=-1)
        expected |= {"folded_encode": f * norms, "folded_decode": y, "folded_forward": forward}
    write(HERE / name, opened, hints, x, {k: torch.tensor(v) for k, v in expected.items()})


def largest(pre, k):
    """The k largest of each row; everything else 0."""
    check_topk(torch.tensor(pre), k)
    cut = np.sort(pre, axis=-1)[:, -k, None]
    return np.where(pre >= cut, pre, 0)


def sparsify(name, module, w, **config):
    path = folder(name) / module
    path.mkdir()
    settings = {
        "activation": "topk",
        "expansion_factor": F // D,
        "normalize_decoder": True,
        "num_latents": 0,
        "k": 6,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": D,
    }
    (path / "cfg.json").write_text(json.dumps(settings | config))
    state = {
        "encoder.weight": w["W_enc"].T.contiguous(),
        "encoder.bias": w["b_enc"],
        "W_dec": w["W_dec"],
        "b_dec": w["b_dec"],
    }
    save_file(state | ({"W_skip": w["W_skip"]} if "W_skip" in w else {}), path / "sae.safetensors")


def sparsify_pre(x, w, centred):
    x = x - w["b_dec"].numpy() if centred else x
    return np.maximum(x @ w["W_enc"].numpy() + w["b_enc"].numpy(), 0)


@case
def sparsify_topk(name):
    w, x = weights(), inputs()
    sparsify(name, "layers.5", w)
    f = largest(sparsify_pre(x[0].numpy(), w, True), 6)
    formula(name, "layers.5", {}, x, f, w["W_dec"], w["b_dec"], folds=False)


@case
def sparsify_groupmax(name):
    w, x = weights(), inputs()
    sparsify(name, "layers.5.mlp", w, activation="groupmax", num_latents=F, expansion_factor=0)
    pre = sparsify_pre(x[0].numpy(), w, True).reshape(ROWS, 6, F // 6)
    for row in pre.reshape(-1, F // 6):
        check_topk(torch.tensor(row)[None], 1) if row.max() > 0 else None
    f = np.where(pre == pre.max(-1, keepdims=True), pre, 0).reshape(ROWS, F)
    formula(name, "layers.5.mlp", {}, x, f, w["W_dec"], w["b_dec"], folds=False)


@case
def sparsify_skip_transcoder(name):
    w, x = weights() | {"W_skip": rand(D, D)}, inputs()
    sparsify(name, "layers.5.mlp", w, transcode=True, skip_connection=True)
    f = largest(sparsify_pre(x[0].numpy(), w, False), 6)
    skip = x[0].numpy() @ w["W_skip"].numpy().T
    formula(name, "layers.5.mlp", {}, x, f, w["W_dec"], w["b_dec"], skip, folds=False)


def circuit_tracer(name, w, **more):
    root = folder(name)
    settings = {"model_kind": "transcoder_set", "model_name": "google/gemma-2-2b"}
    settings |= {"feature_input_hook": "mlp.hook_in", "feature_output_hook": "mlp.hook_out"}
    settings |= {"transcoders": ["hf://org/repo/layer_2.safetensors"]}
    (root / "config.yaml").write_text("".join(f"{k}: {json.dumps(v)}\n" for k, v in settings.items()))
    save_file(w | {"W_enc": w["W_enc"].T.contiguous()} | more, root / "layer_2.safetensors")


def pre_of(x, w):
    return x[0].numpy() @ w["W_enc"].numpy() + w["b_enc"].numpy()


@case
def circuit_tracer_relu(name):
    w, x = weights(), inputs()
    circuit_tracer(name, w)
    formula(name, "layer_2.safetensors", {}, x, np.maximum(pre_of(x, w), 0), w["W_dec"], w["b_dec"])


@case
def circuit_tracer_jumprelu_skip(name):
    """Some thresholds are negative: what passes them stays negative."""
    w, x, theta, skip = weights(), inputs(), torch.rand(F) - 0.3, rand(D, D)
    circuit_tracer(name, w, **{"activation_function.threshold": theta, "W_skip": skip})
    pre = pre_of(x, w)
    check_threshold(torch.tensor(pre), theta)
    f = np.where(pre > theta.numpy(), pre, 0)
    formula(name, "", {"layer": 2}, x, f, w["W_dec"], w["b_dec"], x[0].numpy() @ skip.numpy().T)


@case
def circuit_tracer_topk(name):
    """More features are kept than are positive: negative ones stay."""
    w, x = weights(), inputs()
    circuit_tracer(name, w, k=torch.tensor(40))
    f = largest(pre_of(x, w), 40)
    formula(name, "layer_2.safetensors", {}, x, f, w["W_dec"], w["b_dec"], folds=False)


@case
def cross_layer_jumprelu(name):
    """circuit-tracer's cross-layer transcoders have thresholds, which SAELens leaves out."""
    w, x, theta = weights() | {"W_dec": rand(F, 3, D)}, inputs(), torch.rand(F) - 0.3
    clt(folder(name), w, threshold_2=theta)
    pre = pre_of(x, w)
    check_threshold(torch.tensor(pre), theta)
    f = np.where(pre > theta.numpy(), pre, 0)
    formula(name, "W_enc_2.safetensors", {}, x, f, w["W_dec"].sum(1), w["b_dec"])


@case
def pickles(name):
    """Not a source: every kind of value that a file of tensors may hold, as two protocols write it."""
    path = folder(name)
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    values = {
        "J": {0: base.half(), 7: (base + 1).half(), -2: base.half().T},
        "ordered": OrderedDict(a=1, b=2.5),
        "integers": [0, 255, 65535, -1, 2**31, -(2**40), True],
        "float": -0.125,
        "text": "naïve",
        "bytes": b"abc",
        "none": None,
        "tuple": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "set": {5},
        "size": base.shape,
        "f64": base.double(),
        "bf16": base.bfloat16(),
        "i64": torch.tensor([1, -2]),
        "i32": torch.tensor([1, -2], dtype=torch.int32),
        "i16": torch.tensor([1, -2], dtype=torch.int16),
        "i8": torch.tensor([1, -2], dtype=torch.int8),
        "u8": torch.tensor([1, 254], dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(base),
        "transposed": base.T,
        "columns": base[:, 1::2],
        "row": base[2],
    }
    for protocol in (2, 4):
        torch.save(values, path / f"protocol_{protocol}.pt", pickle_protocol=protocol)


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
