#!/usr/bin/env python3
"""Write the tiny encoders of crates/dualnet-nn/tests/tiny: random weights, saved by
transformers, with the hidden states it computes for some texts.

Needs torch and transformers (bench/requirements-transformers.txt). The files it wrote
are part of the repository; run it again only to add a family ("vision": those of
images alone).
"""

import json
import shutil
import sys
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

HOME = Path(__file__).resolve().parent.parent / "crates/dualnet-nn/tests/tiny"
WORDS = "the a film is good bad very not one of and scene music story warm cold dull ##s ##ly ##er".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = [[2, 5, 7, 8, 9, 3], [2, 12, 6, 18, 22, 11, 10, 14, 19, 3], [2, 3]]
SMALL = {"vocab_size": 32, "max_position_embeddings": 24}
SIZES = {"hidden_size": 20, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 28}


def encoders():
    """Name and model of each family."""
    t = transformers
    yield "bert", t.BertModel(t.BertConfig(**SMALL, **SIZES))
    yield "roberta", t.RobertaModel(t.RobertaConfig(**SMALL, **SIZES, hidden_act="gelu_new", pad_token_id=1))
    yield "mpnet", t.MPNetForMaskedLM(t.MPNetConfig(**SMALL, **SIZES, layer_norm_eps=1e-5))
    distil = {"dim": 20, "n_heads": 4, "n_layers": 2, "hidden_dim": 28}
    yield "distilbert", t.DistilBertForMaskedLM(t.DistilBertConfig(**SMALL, **distil))


def vision_encoders():
    """Likewise of images, and the side of the images: DINOv2 stretches its positions to others."""
    t = transformers
    small = {**SIZES, "image_size": 12, "patch_size": 4}
    yield "vit", t.ViTModel(t.ViTConfig(**small)), 12
    yield "deit", t.DeiTModel(t.DeiTConfig(**small, hidden_act="gelu_new")), 12
    small.pop("intermediate_size")
    yield "dinov2", t.Dinov2Model(t.Dinov2Config(**small, mlp_ratio=2)), 20


def spread(model):
    """Random values large enough that every tensor matters to the result."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            norm = "norm" in name.lower() and name.endswith("weight")
            parameter.copy_(1 + 0.2 * noise if norm else 0.4 * noise)


def hidden_states(model, ids):
    """The last hidden states of the encoder inside `model`, for one text without padding."""
    base = getattr(model, model.base_model_prefix, model)
    with torch.no_grad():
        return base(input_ids=torch.tensor([ids])).last_hidden_state[0]


def tokenizer():
    """A WordPiece tokenizer of a few words."""
    vocabulary = {word: i for i, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer


def write_vision(name, model, side):
    """The folder of an encoder of images, and its states for two images of random pixels."""
    model.eval()
    spread(model)
    folder = HOME / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    pixels = torch.randint(0, 256, (2, side, side, 3), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        values = (pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
        states = model(pixel_values=values).last_hidden_state.double().flatten(1).tolist()
    golden = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0], "side": side}
    golden |= {"rgb": pixels.flatten(1).tolist(), "hidden": [[round(x, 7) for x in state] for state in states]}
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    print(name, sorted(p.name for p in folder.iterdir()), states[0][:3])


def main():
    torch.manual_seed(0)
    for name, model, side in vision_encoders():
        write_vision(name, model, side)
    if "vision" in sys.argv[1:]:
        return 0
    for name, model in encoders():
        model.eval()
        spread(model)
        folder = HOME / name
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        tokenizer().save(str(folder / "tokenizer.json"))
        states = [hidden_states(model, ids).double().flatten().tolist() for ids in TEXTS]
        golden = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
        golden |= {"ids": TEXTS, "hidden": [[round(x, 7) for x in state] for state in states]}
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")
        print(name, sorted(p.name for p in folder.iterdir()), states[0][:3])
    return 0


if __name__ == "__main__":
    sys.exit(main())
