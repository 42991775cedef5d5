"""Smaller encoders: quality and seconds of `dualnet compress`, agreement, speed and int8 beside transformers and ONNX Runtime.

    scripts/fetch-data minilm mpnet sentences topics && cargo build --release
    python3 -m venv ENV && ENV/bin/pip install -r bench/requirements-transformers.txt
    ENV/bin/python bench/compress.py [--parts quality agree speed int8 time] [--seeds 0 1] [--sets A B] [--json FILE]

- quality: MiniLM compressed on unlabeled texts of four sources (set A: newsgroups, film reviews, dialogues, product reviews; set B:
  Reuters, books, editorials, tweets), judged on texts of the four others: mean cosine of embeddings to the original's, the share
  of the ten nearest neighbours among 2,000 texts that stay, retrieval (46 pieces of a document are to find the next 46 among 1,000;
  mean reciprocal rank), both on newsgroups (set B) or Reuters (set A), and the sign of film reviews by logistic regression.
  Texts have 48 tokens at most; documents are cut into passages of 46 pieces.
- agree: largest difference between our embeddings and those of transformers on 100 sentences (MiniLM, MPNet), and for a
  compressed folder loaded in transformers.
- speed: 32 texts of 128 tokens at a time through `dualnet embed`, PyTorch and ONNX Runtime (f32 and dynamic int8), MiniLM and an encoder of
  the shape of BERT-base, one thread and two, in turn, medians of five; operations a second beside those of a large product.
- int8: bytes, cosine to the original in f32, and seconds of the original and of m = 384 in ONNX Runtime (from the files of `dualnet export`) and
  in PyTorch, f32 and dynamic int8; one thread, in turn, medians of five.
- time: seconds of `dualnet embed` for the shape of every run of quality, against the original's; one thread, in turn, medians of five.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from encoder_texts import DATA, SETS, SOURCES, calibration, documents, passages, sentences, texts_of

ROOT = Path(__file__).resolve().parent.parent
BINARY = ROOT / "target" / "release" / "dualnet"
CUT = "48"


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
    "svd r=76, no steps": ("--hidden", 384, "--method", "svd", "--steps", "none"),
    "svd r=76, distilled": ("--hidden", 384, "--method", "svd", "--steps", "distill"),
    "relu m=384, distilled": ("--hidden", 384, "--method", "relu", "--steps", "distill"),
    "drop-layers 3 of 6, distilled": ("--ratio", 0.5, "--method", "drop-layers", "--steps", "distill"),
}


class Judge:
    """Texts and labels that models are judged by, with the original's embeddings."""

    def __init__(self, scratch):
        self.scratch, self.original = scratch, {}
        self.texts = {source: texts_of(source)[-500:] for some in SETS.values() for source in some}
        for source in ("newsgroups", "reuters"):
            self.texts[f"{source} neighbours"] = texts_of(source)[-2000:]
            pairs = [p for p in passages(documents(source), 2) if len(p) == 2]
            random.Random(2).shuffle(pairs)
            for i, part in enumerate(("first", "second")):
                self.texts[f"{source} {part}"] = [p[i] for p in pairs[:1000]]
        name = DATA / "sentences" / "movieReviewSnippets_GroundTruth.txt"
        rows = [row.split("\t", 2) for row in name.read_text(encoding="utf-8", errors="replace").splitlines()]
        rows = [row for row in rows if len(row) == 3 and float(row[1]) != 0]
        random.Random(3).shuffle(rows)
        self.texts["reviews"] = [" ".join(row[2].split()) for row in rows[:3000]]
        self.signs = np.array([float(row[1]) > 0 for row in rows[:3000]])
        self.original = self.embed(DATA / "minilm", self.texts)

    def embed(self, model, names):
        """Embeddings of all texts in one call, by name."""
        texts = [t for name in names for t in self.texts[name]]
        rows = embed(model, texts, self.scratch, "--max-tokens", CUT)[0]
        ends = np.cumsum([len(self.texts[name]) for name in names])
        return dict(zip(names, np.split(rows, ends[:-1])))

    def figures(self, model, sources):
        """Of a model that was not fitted on `sources`."""
        from sklearn.linear_model import LogisticRegression

        source = "newsgroups" if "newsgroups" in sources else "reuters"
        near, first, second = (f"{source} {part}" for part in ("neighbours", "first", "second"))
        own = self.embed(model, [*sources, near, first, second, "reviews"])
        each = {s: float(np.mean(np.sum(own[s] * self.original[s], axis=1))) for s in sources}
        scores = own[first] @ own[second].T
        ranks = np.sum(scores >= np.diag(scores)[:, None], axis=1)
        classes = LogisticRegression(C=10, max_iter=1000).fit(own["reviews"][:2400], self.signs[:2400])
        return {
            "cosine": float(np.mean(list(each.values()))),
            "each": each,
            "neighbours": neighbours(self.original[near], own[near]),
            "retrieval": float(np.mean(1 / ranks)),
            "films": float(classes.score(own["reviews"][2400:], self.signs[2400:])),
        }


def quality(options, scratch):
    """A row for each run, calibration set and seed."""
    judge = Judge(scratch)
    rows = [{"run": "original", "set": s} | judge.figures(DATA / "minilm", SETS["B" if s == "A" else "A"]) for s in SETS]
    print(*map(json.dumps, rows), sep="\n", flush=True)
    for name, words in RUNS.items():
        if options.only and name not in options.only:
            continue
        for part in options.sets:
            (scratch / f"{part}.txt").write_text("\n".join(calibration(part)) + "\n", encoding="utf-8")
            for seed in options.seeds:
                out, start = scratch / f"out{len(rows)}", perf_counter()
                more = ("--max-tokens", CUT, "--seed", seed, "--threads", 2, "-o", out)
                report = dualnet("compress", DATA / "minilm", "--texts", scratch / f"{part}.txt", *words, *more)
                row = {"run": name, "set": part, "seed": seed, "seconds": perf_counter() - start}
                row |= {"megabytes": 4e-6 * report["parameters"][1], "tokens": report["tokens_fit"]}
                row["seconds of fit and distillation"] = [report["seconds_fit"], report["seconds_distill"]]
                row["apart"] = (report["distilled"] or report["fit"])["cosine"]
                row |= judge.figures(out, SETS["B" if part == "A" else "A"])
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


def bert_base(folder):
    """An encoder of the shape of BERT-base, of random weights, with MiniLM's tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    BertModel(BertConfig()).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((DATA / "minilm" / "tokenizer.json").read_bytes())


def export(folder, to):
    """The encoder as ONNX, ids to last hidden states, and the same with dynamic int8 weights."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel

    class States(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

        def forward(self, ids, mask):
            return self.model(input_ids=ids, attention_mask=mask).last_hidden_state

    example = (torch.ones(2, 16, dtype=torch.int64), torch.ones(2, 16, dtype=torch.int64))
    axes = {"ids": {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens", max=512)}}
    axes["mask"] = axes["ids"]
    with torch.inference_mode():
        program = torch.onnx.export(States(), example, dynamo=True, dynamic_shapes=axes, input_names=["ids", "mask"])
    program.save(to)
    small = to.with_suffix(".int8.onnx")
    quantize_dynamic(to, small, weight_type=QuantType.QInt8)
    return to, small


def session(file, threads, output=None):
    """A function from ids to the output of that name, or to the first, in ONNX Runtime."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    inner = onnxruntime.InferenceSession(str(file), settings, providers=["CPUExecutionProvider"])
    names = [i.name for i in inner.get_inputs()]

    def run(ids):
        return inner.run([output] if output else None, {name: v for name, v in zip(names, (ids, np.ones_like(ids)))})[0]

    return run


def batches(count):
    """Texts of 128 tokens, and the tokens in batches of 32."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(DATA / "minilm" / "tokenizer.json"))
    tokenizer.enable_truncation(128)
    tokenizer.no_padding()
    texts = [t for t in documents("newsgroups") if len(t) > 1500][:count]
    ids = [tokenizer.encode(t).ids for t in texts]
    whole = [i for i in range(len(ids)) if len(ids[i]) == 128]
    ids = np.array([ids[i] for i in whole])
    return [texts[i] for i in whole], [ids[i : i + 32] for i in range(0, len(ids), 32)]


def flops(config, length):
    """Operations for a token of a text of that length: two for each weight, four d for each token that it attends to."""
    d, m = config.hidden_size, config.intermediate_size
    return config.num_hidden_layers * (2 * (4 * d * d + 2 * d * m) + 4 * d * length)


def peak():
    """Operations a nanosecond of f32 products of 2,048 x 2,048, the best of five."""
    import torch

    a = torch.randn(2048, 2048)
    seconds = []
    for _ in range(5):
        start = perf_counter()
        a @ a
        seconds.append(perf_counter() - start)
    return 2 * 2048**3 / min(seconds) / 1e9


def speed(options, scratch):
    """Seconds for the same texts: ours (tokenization included), PyTorch's, ONNX Runtime's."""
    import torch
    from transformers import AutoModel

    bert_base(scratch / "bert")
    rows = []
    small = scratch / "small"
    (scratch / "A.txt").write_text("\n".join(calibration("A")[:3000]), encoding="utf-8")
    dualnet("compress", DATA / "minilm", "--texts", scratch / "A.txt", "--hidden", 384, "--steps", "none", "-o", small)
    for name, folder, count in (("minilm", DATA / "minilm", 160), ("m=384", small, 160), ("bert", scratch / "bert", 40)):
        texts, ids = batches(count)
        model = AutoModel.from_pretrained(folder).eval()
        files = export(folder, scratch / f"{name}.onnx")
        for threads in (1, 2):
            torch.set_num_threads(threads)
            float32, int8 = (session(file, threads) for file in files)
            times = {"dualnet": [], "PyTorch": [], "ONNX Runtime": [], "ONNX Runtime int8": []}
            for _ in range(5):
                said = embed(folder, texts, scratch, "--threads", threads, "--max-tokens", 128)[1]
                times["dualnet"].append(said["seconds"])
                start = perf_counter()
                with torch.inference_mode():
                    for part in ids:
                        model(input_ids=torch.tensor(part))
                times["PyTorch"].append(perf_counter() - start)
                for key, run in (("ONNX Runtime", float32), ("ONNX Runtime int8", int8)):
                    start = perf_counter()
                    for part in ids:
                        run(part)
                    times[key].append(perf_counter() - start)
            row = {"model": name, "threads": threads, "tokens": ids[0].shape[1] * len(texts)}
            row |= {k: median(v) for k, v in times.items()}
            row["ratio to PyTorch"] = median(a / b for a, b in zip(times["dualnet"], times["PyTorch"]))
            row["ratio to ONNX Runtime"] = median(a / b for a, b in zip(times["dualnet"], times["ONNX Runtime"]))
            row["GFLOP/s"] = flops(model.config, ids[0].shape[1]) * row["tokens"] / row["dualnet"] / 1e9
            row["GFLOP/s of a product in PyTorch"] = peak()
            print(json.dumps(row), flush=True)
            rows.append(row)
    return rows


def pooled(states):
    """Mean over the tokens, of length one."""
    mean = np.asarray(states).mean(axis=1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def int8(options, scratch):
    """Bytes, cosines and seconds of the original and of m = 384 (with steps) in f32 and int8: PyTorch, and ONNX Runtime by `dualnet export`; one thread."""
    import torch
    from transformers import AutoModel

    small = scratch / "small"
    (scratch / "A.txt").write_text("\n".join(calibration("A")), encoding="utf-8")
    words = ("--texts", scratch / "A.txt", "--hidden", 384, "--max-tokens", CUT, "-o", small)
    dualnet("compress", DATA / "minilm", *words)
    torch.set_num_threads(1)
    rows, runs = [], []

    def add(model, runtime, weights, megabytes, run, **more):
        rows.append({"model": model, "runtime": runtime, "weights": weights, "megabytes with the tables": megabytes} | more)
        runs.append(run)

    for name, folder in (("original", DATA / "minilm"), ("m=384", small)):
        for weights in ("f32", "int8"):
            file = scratch / f"{name}.{weights}.onnx"
            said = dualnet("export", folder, "-o", file, *(["--int8"] if weights == "int8" else []))
            run = session(file, 1, "embedding")
            add(name, "ONNX Runtime", weights, said["bytes"] / 1e6, run, rounding=said["rounding"])
            model = AutoModel.from_pretrained(folder).eval()
            if weights == "int8":
                model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
            file = scratch / "state.pt"
            torch.save(model.state_dict(), file)

            def by_torch(part, model=model):
                with torch.inference_mode():
                    return pooled(model(input_ids=torch.tensor(part)).last_hidden_state)

            add(name, "PyTorch", weights, file.stat().st_size / 1e6, by_torch)
    ids = batches(512)[1]
    found = [np.concatenate([run(part) for part in ids]) for run in runs]
    times = in_turn([lambda run=run: [run(part) for part in ids[:5]] for run in runs])
    for row, rows_found, own in zip(rows, found, times):
        first = times[next(i for i, r in enumerate(rows) if r["runtime"] == row["runtime"])]
        row["cosine"] = float(np.mean(np.sum(rows_found * found[0], axis=1)))
        row |= {"seconds": median(own), "of the original in f32, same runtime": median(a / b for a, b in zip(own, first))}
        print(json.dumps(row), flush=True)
    return rows


def in_turn(runs, times=5):
    """Seconds of each of `runs`, one list a run."""
    seconds = [[] for _ in runs]
    for _ in range(times):
        for run, own in zip(runs, seconds):
            start = perf_counter()
            run()
            own.append(perf_counter() - start)
    return seconds


def time(options, scratch):
    """Seconds of `dualnet embed` (what it says itself, reading and tokenization included) for the shape of every run of quality, of the original's; one thread."""
    (scratch / "A.txt").write_text("\n".join(calibration("A")[:3000]), encoding="utf-8")
    folders = {"original": DATA / "minilm"}
    for i, (name, words) in enumerate(RUNS.items()):
        shape = name.split(",")[0]
        if shape not in folders:
            folders[shape] = scratch / f"shape{i}"
            # Steps change numbers, not shapes.
            words = [w for w in words if w not in ("--steps", "none", "local", "distill")]
            more = ("--steps", "none", "--tokens", 4000, "--max-tokens", CUT, "-o", folders[shape])
            dualnet("compress", DATA / "minilm", "--texts", scratch / "A.txt", *words, *more)
    texts = batches(160)[0]
    said = {shape: [] for shape in folders}
    for _ in range(5):
        for shape, folder in folders.items():
            said[shape].append(embed(folder, texts, scratch, "--threads", 1, "--max-tokens", 128)[1]["seconds"])
    rows = []
    for shape, own in said.items():
        of = median(a / b for a, b in zip(own, said["original"]))
        rows.append({"shape": shape, "seconds": median(own), "of the original": of})
        print(json.dumps(rows[-1]), flush=True)
    return rows


PARTS = {"quality": quality, "agree": agree, "speed": speed, "int8": int8, "time": time}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--only", nargs="+", help="runs of quality, by their names")
    parser.add_argument("--sets", nargs="+", default=["A", "B"], choices=SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for part in options.parts:
        with tempfile.TemporaryDirectory() as scratch:
            results[part] = PARTS[part](options, Path(scratch))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
