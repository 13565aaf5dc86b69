"""Greedy texts of the tiny models of every family under steering, as interp-engine's eager path writes them.

    python make.py            # writes expected.safetensors and cases.json beside itself

Needs torch, transformers 5, interp-engine 1.14 and sae-lens 6. Reads the models in ../models and the sources in ../evals. What
interp-engine has no method for (setting, scaling and ablating a feature) is written here as hooks in plain torch, with the
features that SAELens encodes. Tests read the files and never run this.
"""

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
from interp_engine import EagerModel  # noqa: E402
from interp_engine.steer import SteerMask, SteerMethod, SteerSpec, generate_stream, steer  # noqa: E402
from sae_lens import SAE, SkipTranscoder  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "models"))
from make import CONFIGS, normalized, parts  # noqa: E402

STEPS = 6
PROMPT = 8
# Points as interp-engine names them, with TransformerLens' names, which the tests read.
HOOKS = {
    "resid_pre": "hook_resid_pre", "resid_post": "hook_resid_post", "mlp_out_post": "hook_mlp_out",
    "attn_out_post": "hook_attn_out", "z": "attn.hook_z",
}  # fmt: skip


def engine_cases(widths):
    """Interventions that interp-engine knows: (name, position mask, generated, [(point, layer, method, number, value)])."""
    yield "add", None, True, [("resid_post", 0, "additive", 0, 3.0)]
    yield "add_first", None, True, [("resid_pre", 0, "additive", 1, -1.5)]
    yield "orthogonal", None, True, [("resid_post", 0, "orthogonal", 0, 0.0), ("mlp_out_post", 1, "orthogonal", 1, 4.0)]
    yield "cap", None, True, [("resid_post", 0, "projection_cap", 0, -2.0), ("attn_out_post", 1, "projection_cap", 1, 0.1)]
    yield "z", None, True, [("z", 1, "additive", 2, 2.0)]
    yield "several", None, True, [
        ("resid_post", 0, "additive", 0, 2.0), ("resid_post", 0, "orthogonal", 1, 3.0),
        ("resid_post", 0, "projection_cap", 0, 0.5), ("resid_post", 1, "additive", 1, 1.0),
    ]  # fmt: skip
    yield "no_special", SteerMask.SPECIAL_TOKENS, True, [("resid_post", 0, "additive", 0, 3.0)]
    yield "prompt", None, False, [("resid_post", 0, "additive", 0, 3.0)]


@contextmanager
def engine_steering(model, ids, mask, generated, operations, vectors):
    specs = []
    for point, layer, method, number, value in operations:
        bound = {"max": value} if method == "projection_cap" else {"coeff": value}
        specs.append(SteerSpec(vectors[number], layer, method=SteerMethod(method), point=point, **bound))
    with steer(model, specs, prompt_token_ids=ids, position_mask=mask, generated=generated):
        yield


@contextmanager
def feature_steering(where, sae, index, target):
    """`h += (target(f) - f) W_dec`, for every position, where the source writes."""
    block, seen = where.layers[1], {}

    def corrected(x, value):
        f = sae.encode(x)[..., index]
        return value + (target(f) - f)[..., None] * sae.W_dec[index]

    def before_block(_module, args, kwargs):
        stream = args[0] if args else kwargs["hidden_states"]
        changed = corrected(stream, stream)
        return ((changed, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": changed})

    def before_norm(module, args):
        seen["x"] = normalized(args[0], module)

    def after(_module, _args, output):
        return corrected(seen["x"], output)

    if sae.cfg.metadata.hook_name == "blocks.1.hook_resid_pre":
        handles = [block.register_forward_pre_hook(before_block, with_kwargs=True)]
    else:
        writes = getattr(block, where.post_mlp or where.mlp)
        handles = [getattr(block, where.norm2).register_forward_pre_hook(before_norm), writes.register_forward_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def text(model, ids):
    steps = list(generate_stream(model, ids, max_tokens=STEPS, temperature=0.0, stop_at_eos=False))
    return [step.token_id for step in steps], torch.stack([step.logits for step in steps])


@torch.no_grad()
def main():
    torch.manual_seed(0)
    vectors = [torch.randn(32), torch.randn(32)]
    sources = {
        "jumprelu": SAE.load_from_disk(HERE.parent / "evals/jumprelu", device="cpu"),
        "skip_transcoder": SkipTranscoder.load_from_disk(HERE.parent / "evals/skip_transcoder", device="cpu"),
    }
    tensors, cases = {"vector.0": vectors[0], "vector.1": vectors[1]}, []

    def keep(family, name, tokens, logits, **facts):
        tensors[f"{family}.{name}"] = logits.contiguous().clone()
        cases.append({"family": family, "name": name, "tokens": tokens, **facts})

    for family in CONFIGS:
        folder = HERE.parent / "models" / family
        net = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = EagerModel(family, hf_model=net, tokenizer=tokenizer, device=None, dtype="float32")
        ids = json.loads((folder / "inputs.json").read_text())[:PROMPT]
        where = parts(family, net)
        z = getattr(getattr(where.layers[1], where.attention), where.out)
        z_width = z.weight.shape[0] if family == "gpt2" else z.weight.shape[1]
        own = [*vectors, torch.randn(z_width)]
        tensors[f"vector.{family}"] = own[2]
        keep(family, "none", *text(model, ids))
        for name, mask, generated, operations in engine_cases(z_width):
            with engine_steering(model, ids, mask, generated, operations, own):
                written = [[f"blocks.{layer}.{HOOKS[point]}", method, number, value] for point, layer, method, number, value in operations]
                keep(family, name, *text(model, ids), skip_special=mask is not None, prompt_only=not generated, operations=written)
        for source, sae in sources.items():
            index = busiest(net, ids, where, sae)
            for name, target, value in (("set", lambda f: torch.full_like(f, 5.0), 5.0), ("ablate", torch.zeros_like, 0.0), ("scale", lambda f: 3.0 * f, 3.0)):
                with feature_steering(where, sae, index, target):
                    keep(family, f"{source}.{name}", *text(model, ids), source=source, index=index, method=name, value=value)
    save_file(tensors, HERE / "expected.safetensors")
    (HERE / "cases.json").write_text(json.dumps(cases, indent=None, separators=(",", ":")).replace('{"family"', '\n{"family"') + "\n")


def busiest(net, ids, where, sae):
    """The feature that is largest on the prompt, so that taking it out changes something."""
    seen = {}
    block = where.layers[1]
    module = block if sae.cfg.metadata.hook_name == "blocks.1.hook_resid_pre" else getattr(block, where.norm2)

    def look(_module, args, kwargs):
        x = args[0] if args else kwargs["hidden_states"]
        seen["x"] = x if module is block else normalized(x, module)

    handle = module.register_forward_pre_hook(look, with_kwargs=True)
    net(torch.tensor([ids]))
    handle.remove()
    return int(sae.encode(seen["x"])[0, 1:].max(dim=0).values.argmax())


if __name__ == "__main__":
    main()
