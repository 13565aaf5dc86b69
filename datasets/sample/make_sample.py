#!/usr/bin/env python3
"""Make `export/`: a real Neuronpedia v1 export, written by SAEDashboard.

Everything that SAEDashboard needs is made here, seeded and offline:

1. text: the docstrings of the running Python's standard library;
2. a byte-level BPE tokenizer with 1,024 entries, trained on that text;
3. a GPT-2-architecture model (3 layers, width 64), trained for a minute;
4. a sparse autoencoder (144 latents, a few of them dead on purpose) on the
   residual stream after layer 1, trained with plain torch;
5. SAEDashboard's own `NeuronpediaRunner` on these, which writes its
   `batch-*.json` and then calls its own export step
   (`sae_dashboard.neuronpedia.neuronpedia_export`).

Nothing after step 5 touches the files, except that the export is copied here.

The export step is not in the released package (0.8.0); it is in the public
repository https://github.com/jbloomAus/SAEDashboard, MIT licence. Check out the
commit named in SAEDASHBOARD_COMMIT and pass its directory:

    python3.11 -m venv venv && venv/bin/pip install -r requirements.txt
    git clone https://github.com/jbloomAus/SAEDashboard && git -C SAEDashboard checkout COMMIT
    venv/bin/python make_sample.py --sae-dashboard SAEDashboard --work WORK_DIR

About 80 seconds on one CPU core. Row ids (process id, time, counter) and
`createdAt` differ from run to run because the exporter makes them so; numbers
agree with the same package versions, Python patch release and kind of CPU.
"""

import argparse
import ast
import hashlib
import json
import os
import shutil
import sys
import sysconfig
from pathlib import Path

SAEDASHBOARD_COMMIT = "db4839a41116d729fc9f43c1878e7b8b157748ea"
SEED = 20261123

MODEL_ID = "tiny-stdlib"
SOURCE_SET = "res-tiny"
LAYER = 1  # source id: 1-res-tiny
HOOK = f"blocks.{LAYER}.hook_resid_post"
DATASET = "tiny-stdlib-docstrings"

VOCAB = 1024
D_MODEL, N_LAYER, N_HEAD, N_POS = 64, 3, 4, 64
D_SAE, N_DEAD = 144, 6
CONTEXT = 32
N_PROMPTS = 640
FEATURES_PER_BATCH = 32
# The peer's defaults are 20 top examples and 5 quantiles of 5; fewer keep the
# checked-in files small.
TOP, N_QUANTILES, PER_QUANTILE = 8, 3, 2

LM_STEPS, LM_BATCH = 700, 32
SAE_STEPS, SAE_BATCH, SAE_L1 = 3000, 1024, 0.6

HERE = Path(__file__).resolve().parent


def stdlib_docstrings() -> list[str]:
    """Docstrings of the standard library's .py files, in a fixed order."""
    skip = {"site-packages", "test", "tests", "__pycache__", "idlelib", "lib2to3",
            "turtledemo", "encodings", "ensurepip"}
    out = []
    for folder, folders, files in os.walk(sysconfig.get_paths()["stdlib"]):
        folders[:] = sorted(d for d in folders if d not in skip and not d.startswith("config-"))
        for name in sorted(files):
            # _sysconfigdata and the like depend on how Python was built.
            if not name.endswith(".py") or name.startswith("_sysconfigdata"):
                continue
            tree = ast.parse((Path(folder) / name).read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                    text = ast.get_docstring(node)
                    if text and len(text) > 40:
                        out.append(text)
    return out


def passages(docs: list[str], length: int = 220) -> list[str]:
    """Runs of whole paragraphs of at least `length` characters: the runner uses
    only the first CONTEXT tokens of each text, and drops shorter ones."""
    out = []
    for doc in docs:
        run = ""
        for paragraph in doc.split("\n\n"):
            run = f"{run}\n\n{paragraph}" if run else paragraph
            if len(run) >= length:
                out.append(run)
                run = ""
    return out


def make_tokenizer(docs, folder):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(docs, trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tok, bos_token="<|endoftext|>", eos_token="<|endoftext|>",
        pad_token="<|endoftext|>", model_max_length=N_POS)
    fast.save_pretrained(folder)
    return fast


def train_model(docs, tokenizer, folder):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    eot = tokenizer.eos_token_id
    ids = []
    for row in tokenizer(docs, add_special_tokens=False)["input_ids"]:
        ids += [eot, *row]
    data = torch.tensor(ids[: len(ids) // N_POS * N_POS]).view(-1, N_POS)
    model = GPT2LMHeadModel(GPT2Config(
        vocab_size=len(tokenizer), n_positions=N_POS, n_embd=D_MODEL, n_layer=N_LAYER,
        n_head=N_HEAD, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=eot, eos_token_id=eot))
    opt = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, 3e-3, total_steps=LM_STEPS, pct_start=0.1)
    for step in range(LM_STEPS):
        rows = data[torch.randint(len(data), (LM_BATCH,))]
        loss = model(input_ids=rows, labels=rows).loss
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        sched.step()
        if step % 100 == 0 or step == LM_STEPS - 1:
            print(f"model step {step}: loss {loss.item():.3f}", flush=True)
    model.eval()
    model.save_pretrained(folder)
    return model, data


def train_sae(model, data, folder):
    """A ReLU SAE with an L1 penalty; saved in SAELens' format."""
    import torch
    from sae_lens import StandardSAE, StandardSAEConfig

    with torch.no_grad():
        # hidden_states[LAYER + 1] is the residual stream after block LAYER.
        acts = torch.cat([
            model(input_ids=rows, output_hidden_states=True).hidden_states[LAYER + 1][:, 1:].reshape(-1, D_MODEL)
            for rows in data[:2048].split(64)])
    W_dec = torch.nn.functional.normalize(torch.randn(D_SAE, D_MODEL), dim=1)
    W_enc, b_enc, b_dec = W_dec.T.clone(), torch.zeros(D_SAE), acts.mean(0).clone()
    # A few latents that can never fire, spread over the index range.
    b_enc[torch.linspace(5, D_SAE - 7, N_DEAD).long()] = -1e4
    params = [p.requires_grad_() for p in (W_enc, b_enc, W_dec, b_dec)]
    opt = torch.optim.Adam(params, lr=2e-3)
    for step in range(SAE_STEPS):
        x = acts[torch.randint(len(acts), (SAE_BATCH,))]
        f = torch.relu((x - b_dec) @ W_enc + b_enc)
        error = (f @ W_dec + b_dec - x).pow(2).sum(1).mean()
        sparsity = (f * W_dec.norm(dim=1)).sum(1).mean()
        loss = error + SAE_L1 * min(1.0, step / 500) * sparsity
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % 500 == 0 or step == SAE_STEPS - 1:
            print(f"SAE step {step}: error {error.item():.2f} of {x.var(0).sum().item():.2f}, "
                  f"L0 {(f > 0).float().sum(1).mean().item():.1f}, "
                  f"alive {int((f > 0).any(0).sum())}", flush=True)
    sae = StandardSAE(StandardSAEConfig(
        d_in=D_MODEL, d_sae=D_SAE, dtype="float32", device="cpu", apply_b_dec_to_input=True))
    with torch.no_grad():
        for name, value in {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}.items():
            getattr(sae, name).copy_(value)
    sae.cfg.metadata.hook_name = HOOK
    sae.cfg.metadata.model_name = MODEL_ID
    sae.cfg.metadata.prepend_bos = True
    sae.cfg.metadata.dataset_path = DATASET
    sae.save_model(folder)


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--sae-dashboard", required=True, type=Path, help="checkout of jbloomAus/SAEDashboard")
    args.add_argument("--work", required=True, type=Path, help="empty folder for the model and the runner's own files")
    args = args.parse_args()
    checkout, work = args.sae_dashboard.resolve(), args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    # The peer uses relative paths for its data set and caches, and records the
    # data set's path in source.jsonl: run inside the work folder.
    os.chdir(work)
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", WANDB_MODE="disabled",
                      HF_HOME=str(work / "hf"), TOKENIZERS_PARALLELISM="false")
    sys.path.insert(0, str(checkout))

    import numpy
    import random
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(SEED)
    numpy.random.seed(SEED % 2**32)
    random.seed(SEED)

    docs = stdlib_docstrings()
    digest = hashlib.sha256("\0".join(docs).encode()).hexdigest()
    print(f"Python {sys.version.split()[0]}: {len(docs)} docstrings, sha256 {digest}")
    os.makedirs(DATASET, exist_ok=True)
    with open(f"{DATASET}/train.jsonl", "w", encoding="utf-8") as out:
        for text in passages(docs):
            out.write(json.dumps({"text": text}) + "\n")

    tokenizer = make_tokenizer(docs, MODEL_ID)
    model, data = train_model(docs, tokenizer, MODEL_ID)
    train_sae(model, data, "sae")

    from sae_dashboard.neuronpedia.neuronpedia_runner import NeuronpediaRunner
    from sae_dashboard.neuronpedia.neuronpedia_runner_config import NeuronpediaRunnerConfig

    torch.manual_seed(SEED)
    exports = work / "exports"
    for folder in ("dashboards", "exports", "cached_activations"):
        shutil.rmtree(work / folder, ignore_errors=True)
    NeuronpediaRunner(NeuronpediaRunnerConfig(
        sae_set=SOURCE_SET, sae_path="sae", from_local_sae=True, np_set_name=SOURCE_SET,
        outputs_dir="dashboards", huggingface_dataset_path=DATASET,
        n_prompts_total=N_PROMPTS, n_tokens_in_prompt=CONTEXT, n_prompts_in_forward_pass=32,
        n_features_at_a_time=FEATURES_PER_BATCH, quantile_feature_batch_size=FEATURES_PER_BATCH,
        n_quantiles=N_QUANTILES, top_acts_group_size=TOP, quantile_group_size=PER_QUANTILE,
        model_dtype="float32", sae_dtype="float32", sae_device="cpu", model_device="cpu",
        activation_store_device="cpu", layer=LAYER,
        use_huggingface=True, hf_model_path=MODEL_ID,
        output_neuronpedia_exports=True, neuronpedia_exports_dir=str(exports),
        neuronpedia_model_name=MODEL_ID, neuronpedia_creator_name="LatentDB sample",
        neuronpedia_creator_id="clkht01d40000jv08hvalcvly",
        neuronpedia_release_id="tiny-stdlib-saes",
        neuronpedia_release_title="SAEs on a tiny model of Python's docstrings",
        neuronpedia_release_url="https://docs.python.org/3.11/license.html",
        neuronpedia_source_set_description="Residual Stream - 144",
        neuronpedia_hf_weights_repo_id="example/tiny-stdlib-saes",
        neuronpedia_hf_weights_path=f"{SOURCE_SET}/layer_{LAYER}/sae_weights.safetensors",
    )).run()

    target = HERE / "export" / "v1"
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(exports, target)
    print("wrote", *sorted(str(p.relative_to(HERE)) for p in target.rglob("*") if p.is_file()), sep="\n  ")


if __name__ == "__main__":
    main()
