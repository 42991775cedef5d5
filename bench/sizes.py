"""Sizes of encoders with k bundled layers, from their configuration alone, beside the published ones.

    python3 bench/sizes.py [--features 8] [--markdown]

A bundled layer has, in place of a feed-forward net of d -> 4d -> d, a map of m random features (which are drawn, not kept)
to the output: d m + d numbers, the second matrix folded into it. "Shared": one bundled layer stands k times at the top, its attention and
norms included, as `[layer] * k` does in the code published with the paper. Needs Python alone.
"""

import argparse

BERT = {"name": "BERT-base", "d": 768, "layers": 12, "hidden": 3072, "tables": 30522 + 512 + 2, "table_norm": True}
VIT = {"name": "ViT-base", "d": 768, "layers": 12, "hidden": 3072, "tables": 1 + 197, "patch": 3 * 16 * 16}
# Megabytes or millions of parameters in the paper and its discussion; layers bundled.
PUBLISHED = {("BERT-base", 0): "440 MB", ("BERT-base", 6): "226.71 MB, 69 M", ("BERT-base", 5): "76 M"}
PUBLISHED |= {("ViT-base", 0): "346 MB", ("ViT-base", 6): "176.42 MB"}


def parts(c):
    """Numbers in the embeddings, a layer without its net, the net, and what stands at the end."""
    d, norm = c["d"], 2 * c["d"]
    patch = d * c["patch"] + d if "patch" in c else 0
    embeddings = d * c["tables"] + patch + (norm if c.get("table_norm") else 0)
    rest = 4 * (d * d + d) + 2 * norm
    net = 2 * d * c["hidden"] + c["hidden"] + d
    pooler = d * d + d
    return embeddings, rest, net, pooler + (norm if "patch" in c else 0)


def parameters(c, bundled, features, shared):
    """Of the whole encoder with `bundled` of its layers bundled."""
    embeddings, rest, net, end = parts(c)
    small = rest + features * c["d"] + c["d"]
    copies = min(bundled, 1) if shared else bundled
    return embeddings + (c["layers"] - bundled) * (rest + net) + copies * small + end


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    bar = " | " if options.markdown else "  "
    head = ["model", "bundled", "independent M", "MB", "MiB", "shared M", "MB", "MiB", "published"]
    rows = [head] + ([["---"] * len(head)] if options.markdown else [])
    for c in (BERT, VIT):
        for k in (0, 1, 2, 3, 4, 5, 6, 12):
            row = [c["name"], str(k)]
            for shared in (False, True):
                count = parameters(c, k, options.features, shared)
                row += [f"{count / 1e6:.2f}", f"{4e-6 * count:.1f}", f"{4 * count / 2**20:.1f}"]
            rows.append([*row, PUBLISHED.get((c["name"], k), "")])
    width = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        line = bar.join(cell.rjust(w) for cell, w in zip(row, width))
        print(f"| {line} |" if options.markdown else line)
    embeddings, rest, net, _ = parts(BERT)
    floor = embeddings + 6 * (rest + net)
    print(f"\nBERT-base: embeddings and 6 untouched layers alone: {floor / 1e6:.2f} M, {4e-6 * floor:.1f} MB, {4 * floor / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
