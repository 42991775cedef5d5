"""Smaller encoders: quality and seconds of `dualnet compress`, agreement and speed beside transformers.

    scripts/fetch-data minilm mpnet sentences && cargo build --release
    python3 -m venv ENV && ENV/bin/pip install -r bench/requirements-transformers.txt
    ENV/bin/python bench/compress.py [--parts quality agree speed] [--seeds 0 1] [--json FILE]

- quality: MiniLM compressed on unlabeled sentences of one source (film reviews; products), judged on sentences of the
  others (tweets, news) that it never saw: mean cosine of embeddings to the original's, and the share of the ten nearest
  neighbours among 2,000 test sentences that stay. Texts are cut to 48 tokens, as in the study that the methods are from.
- agree: largest difference between our embeddings and those of transformers on 100 sentences (MiniLM, MPNet), and for a
  compressed folder loaded in transformers.
- speed: tokens a second of `dualnet embed` beside transformers in PyTorch (f32, batches of 32 sorted by length, so with
  little padding), tokenization of both included, one thread and two, alternating, medians of three.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
BINARY = ROOT / "target" / "release" / "dualnet"
DATA = ROOT / "data" / "fetched"
SOURCES = {"films": "movieReview", "products": "amazonReview", "news": "nytEditorial", "tweets": "tweets"}
TEST = ("tweets", "news")
CUT = "48"


def sentences(source):
    """The texts of a source, in the order of its file."""
    stem = SOURCES[source]
    name = f"{stem}_GroundTruth.txt" if stem == "tweets" else f"{stem}Snippets_GroundTruth.txt"
    lines = (DATA / "sentences" / name).read_text(encoding="utf-8", errors="replace").splitlines()
    return [" ".join(line.split("\t", 2)[2].split()) for line in lines if line.count("\t") >= 2]


def dualnet(*words):
    """The JSON that a verb prints."""
    done = subprocess.run([BINARY, *map(str, words), "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"dualnet {' '.join(map(str, words))}\n{done.stderr}")
    return json.loads(done.stdout)


def embed(model, texts, scratch, *options):
    """Embeddings of texts, and what the verb says of them."""
    file, out = scratch / "texts.txt", scratch / "out.npy"
    file.write_text("\n".join(texts) + "\n", encoding="utf-8")
    said = dualnet("embed", model, "--texts", file, "-o", out, *options)
    return np.load(out), said


def neighbours(a, b, k=10):
    """Share of the k nearest of each row, among the rows of a, that are so among those of b."""
    near = []
    for x in (a[:2000], b[:2000]):
        cosines = x @ x.T
        np.fill_diagonal(cosines, -2)
        near.append(np.argsort(-cosines, axis=1)[:, :k])
    return float(np.mean([len(set(p) & set(q)) / k for p, q in zip(*near)]))


RUNS = {
    "neurons m=384, no steps": ("--hidden", 384, "--steps", "none"),
    "neurons m=384, local": ("--hidden", 384, "--steps", "local"),
    "neurons m=384, local and distilled": ("--hidden", 384),
    "neurons m=768, local and distilled": ("--hidden", 768),
    "neurons m=192, local and distilled": ("--hidden", 192),
    "prune m=384, no steps": ("--hidden", 384, "--method", "prune", "--steps", "none"),
    "prune m=384, distilled": ("--hidden", 384, "--method", "prune", "--steps", "distill"),
    "relu m=384, distilled": ("--hidden", 384, "--method", "relu", "--steps", "distill"),
    "drop-layers 3 of 6, distilled": ("--ratio", 0.5, "--method", "drop-layers", "--steps", "distill"),
}


def quality(options, scratch):
    """A row for each run, calibration source and seed."""
    rows = []
    model = DATA / "minilm"
    tests = {source: sentences(source)[:4000] for source in TEST}
    original = {source: embed(model, texts, scratch)[0] for source, texts in tests.items()}
    for name, words in RUNS.items():
        if options.only and not any(part in name for part in options.only):
            continue
        for source in options.calibrate:
            for seed in options.seeds:
                texts, out = scratch / "calibrate.txt", scratch / f"out{len(rows)}"
                texts.write_text("\n".join(sentences(source)) + "\n", encoding="utf-8")
                start = perf_counter()
                more = ("--max-tokens", CUT, "--seed", seed, "-o", out)
                report = dualnet("compress", model, "--texts", texts, *words, *more)
                row = {"run": name, "calibrated": source, "seed": seed, "seconds": perf_counter() - start}
                row |= {"megabytes": 4e-6 * report["parameters"][1], "tokens": report["tokens_fit"]}
                row["apart"] = (report["distilled"] or report["fit"])["cosine"]
                for test, lines in tests.items():
                    own = embed(out, lines, scratch)[0]
                    row[f"cosine {test}"] = float(np.mean(np.sum(own * original[test], axis=1)))
                    row[f"neighbours {test}"] = neighbours(original[test], own)
                print(json.dumps(row), flush=True)
                rows.append(row)
    return rows


def transformer(folder):
    """The encoder of a folder in transformers: a function from texts to embeddings."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def run(texts, limit, batch=32):
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        result = [None] * len(texts)
        for first in range(0, len(order), batch):
            part = order[first : first + batch]
            own = [texts[i] for i in part]
            inputs = tokenizer(own, padding=True, truncation=True, max_length=limit, return_tensors="pt")
            with torch.inference_mode():
                states = model(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1)
            pooled = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)
            for i, row in zip(part, pooled.numpy()):
                result[i] = row
        return np.array(result)

    return run


def agree(options, scratch):
    """Largest difference of embeddings on 100 sentences."""
    texts = [t for source in SOURCES for t in sentences(source)[:25]]
    small = scratch / "small"
    calibrate = scratch / "calibrate.txt"
    calibrate.write_text("\n".join(sentences("films")[:2000]), encoding="utf-8")
    words = ("--hidden", 384, "--distill-steps", 20, "--max-tokens", CUT, "-o", small)
    dualnet("compress", DATA / "minilm", "--texts", calibrate, *words)
    rows = []
    for name, folder in {"minilm": DATA / "minilm", "minilm, m=384": small, "mpnet": DATA / "mpnet"}.items():
        own, said = embed(folder, texts, scratch)
        other = transformer(folder)(texts, said["max_tokens"])
        row = {"model": name, "texts": len(texts), "largest difference": float(np.max(np.abs(own - other)))}
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def speed(options, scratch):
    """Tokens a second, ours and PyTorch's, in turn."""
    import torch

    rows, texts = [], sentences("films")[: options.texts]
    for name in ("minilm", "mpnet"):
        run = transformer(DATA / name)
        some = texts if name == "minilm" else texts[: len(texts) // 4]
        for threads in (1, 2):
            torch.set_num_threads(threads)
            ours, theirs, tokens = [], [], 0
            for _ in range(3):
                said = embed(DATA / name, some, scratch, "--threads", threads)[1]
                ours.append(said["seconds"])
                tokens = said["tokens"]
                start = perf_counter()
                run(some, said["max_tokens"])
                theirs.append(perf_counter() - start)
            row = {"model": name, "threads": threads, "texts": len(some), "tokens": tokens}
            row |= {"dualnet tokens/s": tokens / median(ours), "PyTorch tokens/s": tokens / median(theirs)}
            row["ratio of seconds"] = median(ours) / median(theirs)
            print(json.dumps(row), flush=True)
            rows.append(row)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["quality", "agree", "speed"])
    parser.add_argument("--only", nargs="+", help="runs of quality whose names hold one of these words")
    parser.add_argument("--calibrate", nargs="+", default=["films", "products"], choices=SOURCES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--texts", type=int, default=2000, help="texts that speed is measured on")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for part in options.parts:
        with tempfile.TemporaryDirectory() as scratch:
            results[part] = {"quality": quality, "agree": agree, "speed": speed}[part](options, Path(scratch))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
