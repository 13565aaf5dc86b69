"""Writes small sources for the tiny GPT-2 beside this, and what evaluating them must give.

Run with a Python that has torch, transformers 5 and sae-lens 6.54: `python make.py`. Every source is a folder with SAELens'
files; `expected.json` has the prompts, the ignored tokens, and the metrics of each source.

The model is Hugging Face's GPT-2 with forward hooks, the metrics are written here from their formulas, and for SAEs they are
held against SAELens' own `evals.py`, run with one prompt to a batch. Metrics that SAELens does not have, or has for SAEs
alone, come from the formulas. Every source asserts that no pre-activation lies within 1e-4 of where its activation function
jumps: the tests compare counts, and must not depend on how a sum is ordered.
"""

import json
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace

import torch
from transformers import GPT2LMHeadModel

warnings.filterwarnings("ignore")

from sae_lens import (  # noqa: E402
    AbsTopKSAE,
    AbsTopKSAEConfig,
    JumpReLUSAE,
    JumpReLUSAEConfig,
    SkipTranscoder,
    SkipTranscoderConfig,
    StandardSAE,
    StandardSAEConfig,
)
from sae_lens import evals as saelens  # noqa: E402
from sae_lens.saes.sae import SAEMetadata  # noqa: E402
from sae_lens.training.activation_scaler import ActivationScaler  # noqa: E402

HERE = Path(__file__).parent
D, F, HEADS, GAP = 32, 40, 4, 1e-4
IGNORED = [0, 1]
Z, PRE, LN2, MLP = "blocks.1.attn.hook_z", "blocks.1.hook_resid_pre", "blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out"


def prompts():
    torch.manual_seed(0)
    made = []
    for length in (5, 12, 1, 17, 9, 2):
        ids = torch.randint(1, 64, (length,))
        ids[0] = 0
        made.append(ids.tolist())
    made[1][6] = 1
    return made + [[0], [7, 9, 7, 9, 30]]


class Net:
    """GPT-2 with the points that sources here read and write, in the form in which SAELens calls a model."""

    def __init__(self):
        folder = HERE.parent / "models" / "gpt2"
        self.net = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()

    def place(self, point):
        """A module, and whether the point is its input or its output."""
        block = self.net.transformer.h[1]
        return {PRE: (block, "in"), Z: (block.attn.c_proj, "in"), LN2: (block.ln_2, "in"), MLP: (block.mlp, "out")}[point]

    @torch.no_grad()
    def run(self, tokens, point, change):
        """Logits with the value at a point changed."""
        module, side = self.place(point)
        if side == "in":
            handle = module.register_forward_pre_hook(lambda _m, args: (change(args[0]), *args[1:]))
        else:
            handle = module.register_forward_hook(lambda _m, _args, output: change(output))
        logits = self.net(tokens).logits
        handle.remove()
        return logits

    def value(self, tokens, point):
        seen = []
        self.run(tokens, point, lambda value: (seen.append(value), value)[1])
        value = seen[0]
        if point == LN2:
            centred = value - value.mean(-1, keepdim=True)
            value = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
        return value

    # What SAELens' evals ask of a HookedTransformer.

    def __call__(self, tokens, return_type="both", loss_per_token=True):
        logits = self.net(tokens).logits
        return logits, per_token_loss(logits, tokens)

    def run_with_hooks(self, tokens, fwd_hooks, return_type="both", loss_per_token=True):
        [(point, hook)] = fwd_hooks
        change = lambda value: split(hook(split(value, point), hook=None), point, back=True)  # noqa: E731
        logits = self.run(tokens, point, change)
        return logits, per_token_loss(logits, tokens)

    def run_with_cache(self, tokens, names_filter, **_ignored):
        [point] = names_filter
        return None, {point: split(self.value(tokens, point), point)}


def split(value, point, back=False):
    """Heads in a dimension of their own, where TransformerLens has them so."""
    if point != Z:
        return value
    return value.flatten(-2, -1) if back else value.unflatten(-1, (HEADS, -1))


def per_token_loss(logits, tokens):
    log_probabilities = logits.log_softmax(-1)
    return -log_probabilities[:, :-1].gather(-1, tokens[:, 1:, None])[..., 0]


class TooClose(Exception):
    """A value lies too near to where an activation function jumps."""


def write_point(sae):
    return sae.cfg.metadata.get("hook_name_out", None) or sae.cfg.metadata.hook_name


def target(net, sae):
    """What tokens after the first hold where a source writes."""
    found = [net.value(torch.tensor([prompt]), write_point(sae))[0, 1:] for prompt in prompts()]
    return torch.cat(found)


def fill(sae, net, seed):
    """Weights with which the source is of some use."""
    written = target(net, sae)
    scale = 0.8 if "transcoder" not in sae.cfg.architecture() else 0.1
    torch.manual_seed(seed)
    with torch.no_grad():
        directions = torch.nn.functional.normalize(torch.randn(D, F), dim=0)
        for name, weight in sae.named_parameters():
            weight.copy_(torch.randn_like(weight) * 0.1)
            if name == "W_enc":
                weight.copy_(directions)
            elif name == "W_dec":
                weight.copy_(scale * (directions.T + 0.05 * torch.randn(F, D)))
            elif name == "b_dec":
                weight.copy_(written.mean(0))
            elif name == "threshold":
                weight.uniform_(0, 1)
    sae.turn_off_forward_pass_hook_z_reshaping()
    return sae


def sources():
    def shape(point, **more):
        metadata = SAEMetadata(model_name="gpt2", hook_name=point, **more)
        return dict(d_in=D, d_sae=F, dtype="float32", device="cpu", metadata=metadata)

    yield "jumprelu", JumpReLUSAE(JumpReLUSAEConfig(**shape(PRE)))
    yield "abstopk", AbsTopKSAE(AbsTopKSAEConfig(**shape(PRE), k=6))
    yield "hook_z", StandardSAE(StandardSAEConfig(**shape(Z), reshape_activations="hook_z"))
    config = SkipTranscoderConfig(**shape(LN2, hook_name_out=MLP), d_out=D, apply_b_dec_to_input=False)
    yield "skip_transcoder", SkipTranscoder(config)


def check_gaps(sae, x):
    """Nothing may lie where rounding could change which features are active."""
    pre = sae.process_sae_in(x) @ sae.W_enc + sae.b_enc
    if sae.cfg.architecture() == "abstopk":
        top = pre.abs().sort(-1, descending=True).values
        gap = top[..., sae.cfg.k - 1] - top[..., sae.cfg.k]
    else:
        gap = (pre - getattr(sae, "threshold", 0)).abs()
    if gap.min() < GAP:
        raise TooClose


@torch.no_grad()
def by_formula(net, sae, ids, replaces_ignored):
    read, write = sae.cfg.metadata.hook_name, write_point(sae)
    seen = {key: [] for key in "f x y legacy ce ce_source ce_zero kl_source kl_zero".split()}
    sequences = torch.zeros(F)
    for prompt in ids:
        tokens = torch.tensor([prompt])
        counts = ~torch.isin(tokens, torch.tensor(IGNORED))
        inside, x = net.value(tokens, read), net.value(tokens, write)
        if counts.any():
            check_gaps(sae, inside[counts])
        f, y = sae.encode(inside), sae(inside)
        place = torch.where((counts | replaces_ignored)[..., None], y, x)
        logits = {
            "": net.net(tokens).logits,
            "_source": net.run(tokens, write, lambda _value: place),
            "_zero": net.run(tokens, write, torch.zeros_like),
        }
        for key, values in logits.items():
            seen["ce" + key].append(per_token_loss(values.double(), tokens)[counts[:, :-1]])
            if key:
                clean = logits[""].double().log_softmax(-1)
                seen["kl" + key].append((clean.exp() * (clean - values.double().log_softmax(-1))).sum(-1)[counts])
        f, x, y = f[counts].double(), x[counts].double(), y[counts].double()
        if len(x) > 1:
            seen["legacy"].append(1 - (x - y).pow(2).sum(-1) / (x - x.mean(0)).pow(2).sum(-1))
        sequences += (f != 0).any(0)
        for key, value in (("f", f), ("x", x), ("y", y)):
            seen[key].append(value)
    return metrics({key: torch.cat(values) for key, values in seen.items()}, sequences)


def metrics(seen, sequences):
    f, x, y = seen["f"], seen["x"], seen["y"]
    residual = (x - y).pow(2).sum(-1).mean()
    norm_in, norm_out, product = x.norm(dim=-1), y.norm(dim=-1), (x * y).sum(-1)
    ce, ce_source, ce_zero = (seen[key].mean() for key in ("ce", "ce_source", "ce_zero"))
    kl_source, kl_zero = seen["kl_source"].mean(), seen["kl_zero"].mean()
    density = (f != 0).double().mean(0)
    found = {
        "kl_div_score": (kl_zero - kl_source) / kl_zero,
        "kl_div_with_ablation": kl_zero,
        "kl_div_with_sae": kl_source,
        "ce_loss_score": (ce_zero - ce_source) / (ce_zero - ce),
        "ce_loss_with_ablation": ce_zero,
        "ce_loss_with_sae": ce_source,
        "ce_loss_without_sae": ce,
        "explained_variance": 1 - residual / (x - x.mean(0)).pow(2).sum(-1).mean(),
        "explained_variance_legacy": seen["legacy"].mean(),
        "mse": residual,
        "cossim": (product / norm_in / norm_out).mean(),
        "l2_norm_in": norm_in.mean(),
        "l2_norm_out": norm_out.mean(),
        "l2_ratio": (norm_out / norm_in).mean(),
        "relative_reconstruction_bias": norm_out.pow(2).mean() / product.mean(),
        "l0": (f != 0).sum(-1).double().mean(),
        "l1": f.abs().sum(-1).mean(),
        "frac_alive": (density > 0).double().mean(),
        "freq_over_1_percent": (density > 0.01).double().mean(),
        "freq_over_10_percent": (density > 0.1).double().mean(),
        "normalized_freq_over_1_percent": density[density > 0.01].sum() / density.sum(),
        "normalized_freq_over_10_percent": density[density > 0.1].sum() / density.sum(),
        "total_tokens_eval_reconstruction": torch.tensor(len(seen["kl_source"])),
        "total_tokens_eval_sparsity_variance": torch.tensor(len(x)),
    }
    features = {"tokens": (f != 0).sum(0).tolist(), "sequences": sequences.int().tolist()}
    return {"metrics": {key: value.item() for key, value in found.items()}, "features": features}


@torch.no_grad()
def by_saelens(net, sae, ids):
    """SAELens' own metrics, one prompt to a batch. Prompts of which it could make no mean are left out."""
    ids = [prompt for prompt in ids if sum(token not in IGNORED for token in prompt) > 1]

    def store():
        batches = iter([torch.tensor([prompt]) for prompt in ids])
        return SimpleNamespace(get_batch_tokens=lambda _size: next(batches))

    shared = dict(
        sae=sae, model=net, activation_scaler=ActivationScaler(), n_batches=len(ids), eval_batch_size_prompts=1,
        ignore_tokens=IGNORED,
    )  # fmt: skip
    found = saelens.get_downstream_reconstruction_metrics(
        activation_store=store(), compute_kl=True, compute_ce_loss=True, **shared
    )
    values, features = saelens.get_sparsity_and_variance_metrics(
        activation_store=store(), compute_l2_norms=True, compute_sparsity_metrics=True, compute_variance_metrics=True,
        compute_featurewise_density_statistics=True, model_kwargs={}, **shared,
    )  # fmt: skip
    return found | values, features, ids


def check_against_saelens(net, sae):
    found, features, ids = by_saelens(net, sae, prompts())
    formula = by_formula(net, sae, ids, replaces_ignored=False)
    # Theirs is a mean of ratios of batches.
    del found["relative_reconstruction_bias"]
    for key, value in found.items():
        expected = formula["metrics"][key]
        assert abs(value - expected) <= 1e-5 * (1 + abs(expected)), f"{key}: {value} and {expected}"
    tokens = formula["metrics"]["total_tokens_eval_sparsity_variance"]
    for density, own in zip(features["feature_density"], formula["features"]["tokens"], strict=True):
        assert abs(density - own / tokens) < 1e-6
    for steady, own, some in zip(
        features["consistent_activation_heuristic"], *formula["features"].values(), strict=True
    ):
        assert some == 0 or abs(steady - own / some) < 1e-4


def expectations(net, sae):
    if "transcoder" not in sae.cfg.architecture():
        check_against_saelens(net, sae)
    return {
        "original": by_formula(net, sae, prompts(), replaces_ignored=False),
        "replaced": by_formula(net, sae, prompts(), replaces_ignored=True),
    }


def main():
    net = Net()
    expected = {"prompts": prompts(), "ignored": IGNORED, "sources": {}}
    for name, sae in sources():
        for seed in range(1000):
            try:
                expected["sources"][name] = expectations(net, fill(sae, net, seed))
                break
            except TooClose:
                continue
        else:
            raise TooClose(name)
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        sae.save_model(folder)
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
