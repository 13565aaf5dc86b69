"""Jacobian lenses of tiny models, by PyTorch's autograd, and what they show.

    python make.py            # writes a lens for each family and expected.safetensors beside itself

Needs torch and transformers 5. Reads the models in ../models. The Jacobians are those of the stream that goes into the final norm by
the stream after a block, at the same position, averaged over the positions of some prompts. Tests read the files and never run this.
"""

import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "models"))
from make import parts  # noqa: E402

FAMILIES = ["gpt2", "gemma2", "gemma3"]
PROMPTS = [[1, 7, 20, 33], [1, 5, 60, 12, 40]]
READ = [1, 11, 29, 3, 50]
TOKENS = [9, 30]
STRENGTH = 0.7


def stream_of(output):
    return output[0] if isinstance(output, tuple) else output


class Hooked:
    """A model whose stream after a block can be seen and replaced."""

    def __init__(self, family):
        self.net = AutoModelForCausalLM.from_pretrained(HERE.parent / "models" / family, dtype=torch.float32).eval()
        self.parts = parts(family, self.net)

    def run(self, ids, replaced=None):
        """The streams after each block, the one that goes into the final norm, and the logits. `replaced` maps layers to functions."""
        streams, last = {}, {}

        def after(layer):
            def hook(_module, _args, output):
                value = stream_of(output)
                if layer in (replaced or {}):
                    value = replaced[layer](value)
                streams[layer] = value
                return (value, *output[1:]) if isinstance(output, tuple) else value

            return hook

        def before_norm(_module, args):
            last["stream"] = args[0]

        hooks = [block.register_forward_hook(after(layer)) for layer, block in enumerate(self.parts.layers)]
        hooks.append(self.parts.final.register_forward_pre_hook(before_norm))
        try:
            logits = self.net(torch.tensor([ids])).logits[0]
        finally:
            for hook in hooks:
                hook.remove()
        return streams, last["stream"], logits

    def jacobian(self, ids, layer):
        """The average over positions of d last[t] / d stream[t]."""
        start = self.run(ids)[0][layer].detach()
        whole = torch.autograd.functional.jacobian(lambda value: self.run(ids, {layer: lambda _: value})[1][0], start)
        return torch.stack([whole[t, :, 0, t, :] for t in range(len(ids))]).mean(0)

    def decode(self, stream):
        logits = self.net.get_output_embeddings()(self.parts.final(stream))
        cap = getattr(self.net.config, "final_logit_softcapping", None)
        return cap * torch.tanh(logits / cap) if cap else logits


def unit(vector):
    return vector / vector.norm()


def added(direction):
    """A share of the stream's own length, and no more than that length."""

    def change(value):
        length = value.norm(dim=-1, keepdim=True)
        inject = STRENGTH * length * direction
        most = torch.clamp(length / inject.norm(dim=-1, keepdim=True), max=1.0)
        return value + inject * most

    return change


def ablated(direction):
    return lambda value: value - (value @ unit(direction))[..., None] * unit(direction)


def swapped(source, target):
    return lambda value: value + (value @ unit(source))[..., None] * (unit(target) - unit(source))


def main():
    expected = {}
    for family in FAMILIES:
        hooked = Hooked(family)
        layers = range(len(hooked.parts.layers))
        jacobians = {
            layer: torch.stack([hooked.jacobian(ids, layer) for ids in PROMPTS]).mean(0).half() for layer in list(layers)[:-1]
        }
        torch.save(
            {"J": jacobians, "source_layers": list(jacobians), "n_prompts": len(PROMPTS), "d_model": 32}, HERE / f"{family}.pt"
        )
        save_file({f"J.{layer}": matrix for layer, matrix in jacobians.items()}, HERE / f"{family}.safetensors")
        with torch.no_grad():
            streams, _, logits = hooked.run(READ)
            for layer in layers:
                stream = streams[layer][0]
                moved = stream @ jacobians[layer].float().T if layer in jacobians else stream
                expected[f"{family}.logit.{layer}"] = hooked.decode(stream)
                expected[f"{family}.jacobian.{layer}"] = hooked.decode(moved)
            assert torch.allclose(expected[f"{family}.logit.{layers[-1]}"], logits, atol=1e-5)
            rows = hooked.net.get_output_embeddings().weight
            seen = [unit(rows[token] @ jacobians[0].float()) for token in TOKENS]
            expected[f"{family}.direction"] = rows[TOKENS[0]] @ jacobians[0].float()
            for name, change in [
                ("add", added(seen[0])),
                ("add_capped", added(2 * (seen[0] + seen[1]))),
                ("ablate", ablated(seen[0])),
                ("swap", swapped(seen[0], seen[1])),
            ]:
                expected[f"{family}.{name}"] = hooked.run(READ, {0: change})[2]
    save_file({name: value.contiguous() for name, value in expected.items()}, HERE / "expected.safetensors")


if __name__ == "__main__":
    main()
