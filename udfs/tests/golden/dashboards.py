"""What SAEDashboard makes of the tiny model's sources: density, histograms, logits, intervals, strongest sequences.

    python dashboards.py      # reads model/ and sources/, writes dashboards.json beside itself

Needs sae-dashboard 0.8 (with pyarrow < 20), which wants older packages than make.py. Tests read the file and never run
this. Its runner is not used: it streams a dataset, and the corpus here is made of token ids.
"""

import json
import re
from pathlib import Path

import torch
from sae_dashboard.components_config import (
    ActsHistogramConfig,
    Column,
    FeatureTablesConfig,
    LogitsHistogramConfig,
    LogitsTableConfig,
    SequencesConfig,
)
from sae_dashboard.layout import SaeVisLayoutConfig
from sae_dashboard.sae_vis_data import SaeVisConfig
from sae_dashboard.sae_vis_runner import SaeVisRunner
from sae_lens import SAE, HookedSAETransformer
from transformer_lens import HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

HERE = Path(__file__).parent
PROMPTS, LENGTH, FEATURES = 64, 16, 24
SOURCES = {"1-res": "blocks.1.hook_resid_pre", "2-res": "blocks.2.hook_resid_pre", "1-att": "blocks.1.attn.hook_z"}
BOS = 0


def model():
    hf = GPT2LMHeadModel.from_pretrained(HERE / "model", torch_dtype=torch.float32, attn_implementation="eager").eval()
    c = hf.config
    cfg = HookedTransformerConfig(
        n_layers=c.n_layer, d_model=c.n_embd, n_ctx=c.n_positions, d_head=c.n_embd // c.n_head, n_heads=c.n_head,
        d_mlp=4 * c.n_embd, d_vocab=c.vocab_size, act_fn="gelu_new", normalization_type="LN", device="cpu",
        eps=c.layer_norm_epsilon, model_name="tiny",
    )  # fmt: skip
    net = HookedSAETransformer(cfg)
    net.load_state_dict(convert_gpt2_weights(hf, cfg), strict=False)
    tok = PreTrainedTokenizerFast(
        tokenizer_file=str(HERE / "model/tokenizer.json"), bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    )
    net.tokenizer = tok
    return net.eval()


def corpus(vocabulary):
    """[PROMPTS, LENGTH] token ids; BOS in front, and here and there within, as where documents were packed."""
    torch.manual_seed(5)
    tokens = torch.randint(1, vocabulary, (PROMPTS, LENGTH))
    tokens[torch.rand(PROMPTS, LENGTH) < 0.05] = BOS
    tokens[:, 0] = BOS
    # Some tokens are seen much more often than others, as in texts.
    return torch.where(torch.rand(PROMPTS, LENGTH) < 0.5, tokens, tokens % 24)


def config(hook):
    parts = Column(
        SequencesConfig(buffer=None, n_quantiles=5, top_acts_group_size=20, quantile_group_size=5),
        ActsHistogramConfig(n_bins=50),
        LogitsHistogramConfig(n_bins=50),
        LogitsTableConfig(n_rows=10),
        FeatureTablesConfig(n_rows=3),
    )
    return SaeVisConfig(
        hook_point=hook, features=list(range(FEATURES)), minibatch_size_features=FEATURES, minibatch_size_tokens=16,
        ignore_tokens={BOS}, device="cpu", dtype="float32", feature_centric_layout=SaeVisLayoutConfig(columns=[parts]),
    )  # fmt: skip


def histogram(data):
    return {"counts": data.bar_heights, "centres": data.bar_values}


def feature(data):
    groups = data.sequence_data.seq_group_data
    intervals = []
    for group in groups[1:]:
        low, high, share = re.fullmatch(r"INTERVAL (\S+) - (\S+)<br>CONTAINS (\S+)%", group.title).groups()
        intervals.append({"low": float(low), "high": float(high), "fraction": float(share) / 100})
    # Position 0 is left out of what SAEDashboard shows, so the first activation is that of position 1.
    acts = [[0.0, *sequence.feat_acts][sequence.qualifying_token_index] for sequence in groups[0].seq_data]
    places = [(sequence.original_index, sequence.qualifying_token_index) for sequence in groups[0].seq_data]
    logits = data.logits_table_data
    return {
        "density": float(re.search(r"DENSITY = (\S+)%", data.acts_histogram_data.title or "DENSITY = 0%")[1]) / 100,
        "activations": histogram(data.acts_histogram_data),
        "logits": histogram(data.logits_histogram_data),
        "top_ids": logits.top_token_ids,
        "top_logits": [round(value, 5) for value in logits.top_logits],
        "bottom_ids": logits.bottom_token_ids,
        "bottom_logits": [round(value, 5) for value in logits.bottom_logits],
        "intervals": intervals,
        "strongest": [[prompt, place, act] for (prompt, place), act in zip(places, acts) if act > 0],
    }


def main():
    net = model()
    tokens = corpus(net.cfg.d_vocab)
    made = {"tokens": tokens.tolist(), "sources": {}}
    for name, hook in SOURCES.items():
        sae = SAE.load_from_disk(HERE / "sources" / name, device="cpu")
        sae = sae[0] if isinstance(sae, tuple) else sae
        data = SaeVisRunner(config(hook)).run(encoder=sae, model=net, tokens=tokens)
        made["sources"][name] = [feature(data.feature_data_dict[index]) for index in range(FEATURES)]
    (HERE / "dashboards.json").write_text(json.dumps(made, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
