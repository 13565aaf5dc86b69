"""Makes tiny random BERT models, and what sentence-transformers computes with them.

    python make.py            # writes a folder for each model beside itself

Needs torch, transformers 5 and sentence-transformers 6. Weights are stored in f16 (and were f16 numbers when the vectors
were computed, in f32). Tests read the files and never run this.
"""

import base64
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, BertTokenizerFast

HERE = Path(__file__).parent
LONGEST = 24

WORDS = """[PAD] [UNK] [CLS] [SEP] [MASK] ! ' , - . 0 1 2 ? a b c d e f g h i j k l m n o p q r s t u v w x y z é ß 日 本
##a ##b ##c ##d ##e ##f ##g ##h ##i ##j ##k ##l ##m ##n ##o ##p ##q ##r ##s ##t ##u ##v ##w ##x ##y ##z ##ing ##ed ##es ##er
the of and to in is that words names numbers references dates code python mention verb after before token cat dog cafe""".split()

TEXTS = [
    "",
    " ",
    "the cat",
    "names of dogs, and words that mention cats",
    "Tokens after the VERB \"is\"!",
    "café naïve straße 日本",
    "[SEP] the [MASK] of unknown ☃ [CLS]",
    "dates before 2012\nand\tnumbers",
    "x",
    "the of and to in is that words names numbers references dates code python mention verb after before",
    "the words of the names of the numbers of the references of the dates of the code of the words of the cat, the dog",
    "supercalifragilisticexpialidocious-antidisestablishmentarianism",
]

# What differs between the models: sizes, files, and what sentence-transformers makes of them.
MODELS = {
    "mean": dict(sizes=dict(hidden_size=32, num_attention_heads=4, intermediate_size=48), normalize=True),
    "cls": dict(
        sizes=dict(hidden_size=20, num_attention_heads=2, intermediate_size=40, hidden_act="relu"),
        pooling="cls", pickled=True, words=True, prefix="bert.", folder="0_Transformer",
    ),
    "bare": dict(
        sizes=dict(hidden_size=24, num_attention_heads=2, intermediate_size=32, hidden_act="gelu_new"), modules=False
    ),
    "cased": dict(
        sizes=dict(hidden_size=16, num_attention_heads=1, intermediate_size=24), words=True, cased=True, lower=True
    ),
}  # fmt: skip


def tokenizer(folder, cased, words):
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS) + "\n")
    made = BertTokenizerFast(vocab={word: number for number, word in enumerate(WORDS)}, do_lower_case=not cased)
    made.model_max_length = LONGEST
    made.save_pretrained(folder)
    if words:
        (folder / "tokenizer.json").unlink()
        settings = {"do_lower_case": not cased, "model_max_length": LONGEST, "tokenizer_class": "BertTokenizer"}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    else:
        vocabulary.unlink()
        # Files often say what was last done with them. Neither may count.
        kept = Tokenizer.from_file(str(folder / "tokenizer.json"))
        kept.enable_truncation(7)
        kept.enable_padding(length=11)
        kept.save(str(folder / "tokenizer.json"))


def weights(folder, sizes, pickled, prefix):
    config = BertConfig(
        vocab_size=len(WORDS), num_hidden_layers=2, max_position_embeddings=LONGEST + 8, initializer_range=0.3, **sizes
    )
    net = BertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            # Biases and gains as models have them after training, so that none may be forgotten.
            shift = torch.randn_like(parameter) * 0.2 if parameter.ndim == 1 else 0
            parameter.copy_((parameter + shift).half().float())
    config.architectures = ["BertModel"]
    config.save_pretrained(folder)
    tensors = {prefix + name: value.half().contiguous() for name, value in net.state_dict().items()}
    if pickled:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def modules(top, encoder, width, pooling, normalize, lower):
    entries = [("Transformer", encoder.name if encoder != top else ""), ("Pooling", "1_Pooling")]
    entries += [("Normalize", "2_Normalize")] if normalize else []
    listed = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(entries)
    ]
    (top / "modules.json").write_text(json.dumps(listed, indent=2))
    (top / "1_Pooling").mkdir()
    flags = {f"pooling_mode_{mode}": False for mode in ("cls_token", "mean_tokens", "max_tokens")}
    flags["pooling_mode_cls_token" if pooling == "cls" else "pooling_mode_mean_tokens"] = True
    (top / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": width, **flags}, indent=2))
    limits = {"max_seq_length": 16 if normalize else None, "do_lower_case": lower}
    (encoder / "sentence_bert_config.json").write_text(json.dumps(limits))


def make(name, sizes, pooling="mean", normalize=False, pickled=False, words=False, cased=False, lower=False,
         prefix="", folder="", modules_=True):  # fmt: skip
    torch.manual_seed(sum(name.encode()))
    top = HERE / name
    shutil.rmtree(top, ignore_errors=True)
    encoder = top / folder
    tokenizer(encoder, cased, words)
    weights(encoder, sizes, pickled, prefix)
    if modules_:
        modules(top, encoder, sizes["hidden_size"], pooling, normalize, lower)
    model = SentenceTransformer(str(top), device="cpu", model_kwargs={"dtype": torch.float32})
    vectors = model.encode(TEXTS, batch_size=5, convert_to_numpy=True)
    expected = {
        "max_tokens": model.max_seq_length,
        "texts": TEXTS,
        "vectors": [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors],
    }
    (top / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    for name, settings in MODELS.items():
        settings = dict(settings)
        make(name, modules_=settings.pop("modules", True), **settings)
