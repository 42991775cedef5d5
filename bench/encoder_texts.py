"""Unlabeled texts of eight sources for the benches of encoders, in two sets, from data/fetched (scripts/fetch-data minilm sentences topics)."""

import csv
import random
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data" / "fetched"
SOURCES = {"films": "movieReview", "products": "amazonReview", "news": "nytEditorial", "tweets": "tweets"}
TOPICS = {"newsgroups": ("20newsgroups-train", 1), "reuters": ("reuters-r8-train", 1), "books": ("book-excerpts", 1)}
TOPICS |= {"dialogues": ("friends-transcripts", 5)}
SETS = {"A": ("newsgroups", "films", "dialogues", "products"), "B": ("reuters", "books", "news", "tweets")}
PIECES = 46


def sentences(source):
    """The texts of a source, in the order of its file."""
    stem = SOURCES[source]
    name = f"{stem}_GroundTruth.txt" if stem == "tweets" else f"{stem}Snippets_GroundTruth.txt"
    lines = (DATA / "sentences" / name).read_text(encoding="utf-8", errors="replace").splitlines()
    return [" ".join(line.split("\t", 2)[2].split()) for line in lines if line.count("\t") >= 2]


def documents(source):
    """The texts of a table of topics; lines of dialogues joined by twenty."""
    csv.field_size_limit(1 << 30)
    name, column = TOPICS[source]
    with open(DATA / "topics" / f"{name}.tab", encoding="utf-8", errors="replace", newline="") as file:
        texts = [" ".join(row[column].split()) for row in csv.reader(file, delimiter="\t") if len(row) > column][3:]
    if source == "dialogues":
        texts = [" ".join(texts[i : i + 20]) for i in range(0, len(texts), 20)]
    return texts


def passages(texts, most=4):
    """For each text its first whole passages."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(DATA / "minilm" / "tokenizer.json"))
    tokenizer.no_truncation()
    result = []
    for text in texts:
        at = tokenizer.encode(text, add_special_tokens=False).offsets
        firsts = range(0, min(len(at) - PIECES + 1, most * PIECES), PIECES)
        result.append([text[at[i][0] : at[i + PIECES - 1][1]] for i in firsts])
    return result


def texts_of(source):
    """Shuffled texts of a source, always the same."""
    if source in SOURCES:
        texts = sentences(source)
    else:
        texts = [p for some in passages(documents(source), 40 if source == "books" else 4) for p in some]
    random.Random(0).shuffle(texts)
    return texts


def calibration(name):
    """The texts of a set, its sources in equal parts as long as they last."""
    texts = [t for source in SETS[name] for t in texts_of(source)[:6000]]
    random.Random(1).shuffle(texts)
    return texts
