"""Makes the golden files of the model functions: a tiny GPT-2 with a tokenizer of its own, sources on it, and what
interp-engine and SAELens say of a few prompts.

    python make.py            # writes model/, sources/ and expected.json beside itself

Needs torch, transformers 5, sae-lens 6.54 and interp-engine 1.14. Tests read the files and never run this.
"""

import json
import shutil
from pathlib import Path

import torch
from interp_engine import EagerModel, run_with_cache
from sae_lens import SAE, JumpReLUSAE, JumpReLUSAEConfig, StandardSAE, StandardSAEConfig, TopKSAE, TopKSAEConfig
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

HERE = Path(__file__).parent
WIDTH, FEATURES, LAYERS = 32, 96, 3
TEXTS = [
    "The cat sat on the mat.",
    "A quick brown fox jumps over the lazy dog, and the cat looks on.",
    "Grüße aus Köln! 猫が好き",
    "the",
    "In the beginning was the word, and the word was with the cat on the mat.",
]
BOS = "<|endoftext|>"


def tokenizer():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=[BOS], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tok.train_from_iterator(TEXTS * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tok, bos_token=BOS, eos_token=BOS)


def model(tok):
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tok), n_positions=64, n_embd=WIDTH, n_layer=LAYERS, n_head=4, bos_token_id=0, eos_token_id=0,
        attn_implementation="eager",
    )  # fmt: skip
    net = GPT2LMHeadModel(config).float().eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_(std=0.25)
            weight.copy_(weight.half().float())
    return net


def source(kind, name, hook, seed):
    torch.manual_seed(seed)
    shared = dict(d_in=WIDTH, d_sae=FEATURES, dtype="float32", device="cpu")
    sae = {
        "standard": lambda: StandardSAE(StandardSAEConfig(**shared)),
        "jumprelu": lambda: JumpReLUSAE(JumpReLUSAEConfig(**shared)),
        "topk": lambda: TopKSAE(TopKSAEConfig(**shared, k=8)),
    }[kind]()
    with torch.no_grad():
        for weight in sae.parameters():
            weight.normal_(std=0.3 if weight.ndim > 1 else 0.1)
        if kind == "jumprelu":
            sae.threshold.uniform_(0.2, 1.5)
    sae.cfg.metadata.hook_name = hook
    sae.cfg.metadata.model_name = "tiny"
    sae.save_model(HERE / "sources" / name)
    return SAE.load_from_disk(HERE / "sources" / name, device="cpu")


SOURCES = {
    "1-res": ("jumprelu", "blocks.1.hook_resid_pre", ("resid_pre", 1)),
    "2-res": ("standard", "blocks.2.hook_resid_pre", ("resid_pre", 2)),
    "2-topk": ("topk", "blocks.2.hook_resid_post", ("resid_post", 2)),
    "1-att": ("standard", "blocks.1.attn.hook_z", ("z", 1)),
}


def folded(sae):
    """What Neuronpedia's server does on loading: fold, unless the architecture has no such thing."""
    if getattr(sae.cfg, "rescale_acts_by_decoder_norm", True) is not False:
        sae.fold_W_dec_norm()
    return sae


def captured(net, tok, ids):
    engine = EagerModel("tiny", hf_model=net, tokenizer=tok, device=None, dtype="float32")
    points = [point for _, _, point in SOURCES.values()] + [("attn_probs", 1), ("value", 1)]
    return run_with_cache(engine, ids, points)


def flat(tensor):
    """[1, T, …] to [T, width]."""
    tensor = tensor.detach().float()
    tensor = tensor[0] if tensor.shape[0] == 1 else tensor
    return tensor.reshape(tensor.shape[0], -1)


@torch.no_grad()
def main():
    for folder in ("model", "sources"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
    tok = tokenizer()
    net = model(tok)
    tok.save_pretrained(HERE / "model")
    net.half().save_pretrained(HERE / "model", safe_serialization=True)
    net.float()
    saes = {name: source(kind, name, hook, seed) for seed, (name, (kind, hook, _)) in enumerate(SOURCES.items())}
    plain = {name: SAE.load_from_disk(HERE / "sources" / name, device="cpu") for name in saes}
    for sae in saes.values():
        sae.turn_off_forward_pass_hook_z_reshaping() if sae.cfg.reshape_activations != "none" else None
        folded(sae)
    expected = []
    for text in TEXTS:
        ids = torch.tensor([tok(BOS + text, add_special_tokens=False)["input_ids"]])
        cache = captured(net, tok, ids)
        row = {
            "text": text,
            "ids": ids[0].tolist(),
            "tokens": [tok.decode([i], clean_up_tokenization_spaces=False) for i in ids[0].tolist()],
            "sources": {},
        }
        for name, sae in saes.items():
            x = flat(cache.get(*SOURCES[name][2]))
            acts = sae.encode(x)
            row["sources"][name] = {
                "acts": acts.tolist(),
                "unfolded": plain[name].encode(x).tolist(),
                "hidden": x.tolist(),
            }
        logits = net(ids).logits[0, -1]
        row["logits"] = logits.tolist()
        hidden = net(ids, output_hidden_states=True).hidden_states
        # hidden_states[l] is the stream before block l; the last one has gone through the final norm.
        lens = [net.lm_head(net.transformer.ln_f(hidden[layer + 1])) for layer in range(LAYERS - 1)] + [net(ids).logits]
        row["lens_top"] = [layer[0].argmax(-1).tolist() for layer in lens]
        # Some versions keep [1, T, H·dh], some [T, H, dh].
        value = flat(cache.get("value", 1)).reshape(ids.shape[1], 4, WIDTH // 4)
        probs = cache.get("attn_probs", 1).detach().float().reshape(4, ids.shape[1], ids.shape[1])
        row["pattern"] = probs.tolist()
        index = 7
        att = saes["1-att"].encode(flat(cache.get("z", 1)))[:, index].clone()
        att[0] = 0.0
        dest = int(att[1:].argmax()) + 1
        weight = saes["1-att"].W_enc[:, index].reshape(4, -1)
        row["dfa"] = {
            "index": index,
            "target": dest,
            "values": torch.einsum("hs,shd,hd->s", probs[:, dest], value, weight).tolist(),
        }
        expected.append(row)
    for row in expected:
        shorten(row)
    (HERE / "expected.json").write_text(json.dumps(expected))


def shorten(value):
    """Six significant digits are enough for a relative tolerance of 1e-5, and keep the file small."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        if isinstance(item, float):
            value[key] = float(f"{item:.7g}")
        else:
            shorten(item)


if __name__ == "__main__":
    main()
