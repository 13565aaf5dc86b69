"""Makes tiny random models of every family, and what Hugging Face's own code computes in them at every point.

    python make.py            # writes a folder for each model beside itself

Needs torch and transformers 5. Weights are stored in f16 (and were f16 numbers when the values were computed, in f32).
Tests read the files and never run this.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)
from tokenizers import Tokenizer, models, pre_tokenizers

HERE = Path(__file__).parent
LENGTH = 12
SHARED = dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64)
GROUPED = dict(SHARED, num_key_value_heads=2, intermediate_size=48)
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip

CONFIGS = {
    "gpt2": GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=64, n_inner=48),
    "neox": GPTNeoXConfig(**SHARED, intermediate_size=48, rotary_pct=0.25, use_parallel_residual=True),
    "neox-sequential": GPTNeoXConfig(**SHARED, intermediate_size=48, rotary_pct=0.5, use_parallel_residual=False),
    "llama": LlamaConfig(**GROUPED, rope_parameters=LLAMA3),
    "mistral": MistralConfig(**GROUPED, sliding_window=4, head_dim=8),
    "qwen2": Qwen2Config(**GROUPED),
    "qwen3": Qwen3Config(**GROUPED, head_dim=16),
    "gemma": GemmaConfig(**GROUPED, head_dim=16),
    "gemma2": Gemma2Config(**GROUPED, head_dim=16, query_pre_attn_scalar=24, sliding_window=4),
    "gemma3": Gemma3TextConfig(
        **dict(GROUPED, num_hidden_layers=6), head_dim=16, query_pre_attn_scalar=24, sliding_window=4
    ),
}


@dataclass
class Parts:
    """Where a family keeps its modules."""

    layers: list
    norm1: str
    norm2: str
    attention: str
    out: str
    mlp: str
    up: str
    down: str
    gate: str | None
    final: torch.nn.Module
    post_attention: str | None = None
    post_mlp: str | None = None


def parts(name, net):
    if name == "gpt2":
        base = net.transformer
        return Parts(base.h, "ln_1", "ln_2", "attn", "c_proj", "mlp", "c_fc", "c_proj", None, base.ln_f)
    if name.startswith("neox"):
        base = net.gpt_neox
        return Parts(
            base.layers, "input_layernorm", "post_attention_layernorm", "attention", "dense", "mlp", "dense_h_to_4h",
            "dense_4h_to_h", None, base.final_layer_norm,
        )  # fmt: skip
    base = net.model
    sandwich = name in ("gemma2", "gemma3")
    return Parts(
        base.layers, "input_layernorm", "pre_feedforward_layernorm" if sandwich else "post_attention_layernorm",
        "self_attn", "o_proj", "mlp", "up_proj", "down_proj", "gate_proj", base.norm,
        "post_attention_layernorm" if sandwich else None, "post_feedforward_layernorm" if sandwich else None,
    )  # fmt: skip


def normalized(x, norm):
    """A norm's input divided by its scale, before the gain."""
    if isinstance(norm, torch.nn.LayerNorm):
        x = x - x.mean(-1, keepdim=True)
        eps = norm.eps
    else:
        eps = getattr(norm, "eps", getattr(norm, "variance_epsilon", None))
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()


def first(value):
    return value[0] if isinstance(value, tuple) else value


class Seen:
    """Keeps inputs and outputs of modules."""

    def __init__(self):
        self.input, self.output = {}, {}

    def watch(self, key, module):
        def hook(_module, args, kwargs, output):
            self.input[key] = args[0] if args else kwargs["hidden_states"]
            self.output[key] = first(output)

        module.register_forward_hook(hook, with_kwargs=True)


def heads(name, config, seen, layer):
    """Queries, keys and values after bias, before rotation: [T, heads · dh]."""
    if name == "gpt2":
        return seen.output[layer, "qkv"][0].chunk(3, -1)
    if name.startswith("neox"):
        fused = seen.output[layer, "qkv"][0].reshape(LENGTH, config.num_attention_heads, 3, -1)
        return [fused[:, :, i].reshape(LENGTH, -1) for i in range(3)]
    return [seen.output[layer, part][0] for part in "qkv"]


@torch.no_grad()
def captured(name, net, ids):
    where, seen, config = parts(name, net), Seen(), net.config
    kept = sorted({0, len(where.layers) - 1})
    for layer, block in enumerate(where.layers):
        attention, mlp = getattr(block, where.attention), getattr(block, where.mlp)
        seen.watch((layer, "block"), block)
        seen.watch((layer, "attention"), attention)
        seen.watch((layer, "out"), getattr(attention, where.out))
        seen.watch((layer, "mlp"), mlp)
        seen.watch((layer, "up"), getattr(mlp, where.up))
        seen.watch((layer, "down"), getattr(mlp, where.down))
        for part, module in (("gate", where.gate), ("post_attention", where.post_attention), ("post_mlp", where.post_mlp)):
            if module:
                seen.watch((layer, part), getattr(mlp if part == "gate" else block, module))
        if name == "gpt2":
            seen.watch((layer, "qkv"), attention.c_attn)
        elif name.startswith("neox"):
            seen.watch((layer, "qkv"), attention.query_key_value)
        else:
            for part in "qkv":
                seen.watch((layer, part), getattr(attention, f"{part}_proj"))
    seen.watch("final", where.final)
    answer = net(ids, output_attentions=True)
    values = {"logits": answer.logits, "ln_final.hook_normalized": normalized(seen.input["final"], where.final)}
    parallel = name == "neox"
    for layer in kept:
        block = where.layers[layer]
        pre = seen.input[layer, "block"]
        raw = seen.output[layer, "attention"]
        attention_out = seen.output.get((layer, "post_attention"), raw)
        mid = pre + attention_out
        point = f"blocks.{layer}."
        query, key, value = heads(name, config, seen, layer)
        values |= {
            point + "hook_resid_pre": pre,
            point + "ln1.hook_normalized": normalized(pre, getattr(block, where.norm1)),
            point + "attn.hook_q": query,
            point + "attn.hook_k": key,
            point + "attn.hook_v": value,
            point + "attn.hook_pattern": answer.attentions[layer][0],
            point + "attn.hook_z": seen.input[layer, "out"],
            point + "attn.hook_out": raw,
            point + "hook_attn_out": attention_out,
            point + "ln2.hook_normalized": normalized(pre if parallel else mid, getattr(block, where.norm2)),
            point + "mlp.hook_in": seen.input[layer, "mlp"],
            point + "mlp.hook_pre": seen.output[layer, "gate" if where.gate else "up"],
            point + "mlp.hook_post": seen.input[layer, "down"],
            point + "mlp.hook_out": seen.output[layer, "mlp"],
            point + "hook_mlp_out": seen.output.get((layer, "post_mlp"), seen.output[layer, "mlp"]),
            point + "hook_resid_post": seen.output[layer, "block"],
        }
        if not parallel:
            values[point + "hook_resid_mid"] = mid
        if where.gate:
            values[point + "mlp.hook_pre_linear"] = seen.output[layer, "up"]
    return {key: flat(value) for key, value in values.items()}


def flat(value):
    value = value.detach().float()
    return (value[0] if value.shape[0] == 1 else value).contiguous().clone()


@torch.no_grad()
def replaced(net, where, ids):
    """Logits after the stream before the last block is doubled at position 5."""

    def double(_module, args, kwargs):
        stream = (args[0] if args else kwargs["hidden_states"]).clone()
        stream[:, 5] *= 2
        return ((stream, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": stream})

    handle = where.layers[-1].register_forward_pre_hook(double, with_kwargs=True)
    logits = net(ids).logits
    handle.remove()
    return logits[0].contiguous()


def tokenizer(folder):
    vocabulary = {"<bos>": 0, "<eos>": 1, "<pad>": 2, "<unk>": 3, **{f"t{i}": i + 4 for i in range(60)}}
    tok = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tok.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tok, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)


def main():
    for number, (name, config) in enumerate(CONFIGS.items()):
        torch.manual_seed(number)
        config._attn_implementation = "eager"
        net = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
        with torch.no_grad():
            for weight in net.parameters():
                weight.normal_(std=0.3)
                weight.copy_(weight.half().float())
        ids = torch.randint(4, 64, (1, LENGTH))
        ids[0, 0] = 0
        values = captured(name, net, ids)
        values["replaced"] = replaced(net, parts(name, net), ids)
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        tokenizer(folder)
        # One of them in shards.
        net.half().save_pretrained(folder, safe_serialization=True, max_shard_size="15KB" if name == "qwen2" else "5GB")
        save_file(values, folder / "expected.safetensors")
        (folder / "inputs.json").write_text(json.dumps(ids[0].tolist()))


if __name__ == "__main__":
    main()
