//! The binary batches of CIFAR-10 and CIFAR-100: records of one label byte (CIFAR-100: coarse, then fine), then 32 x 32 bytes each of
//! red, green and blue, row by row. (Format: <https://www.cs.toronto.edu/~kriz/cifar.html>, "Binary version".)

use crate::array::{Array, Data};
use crate::dataset::Loaded;
use crate::element::fill;
use crate::error::{Error, Result};
use crate::input::{Input, Length};
use crate::sets::Listing;
use std::path::Path;

const SIDE: usize = 32;
const CHANNELS: usize = 3;
const PIXELS: usize = SIDE * SIDE;

/// One of the two sets.
#[derive(Clone, Copy)]
struct Layout {
    /// Bytes before the pixels; the last of them is the label.
    head: usize,
    /// Classes named by the head's bytes.
    classes: [usize; 2],
    /// The file with the names of the classes.
    names: &'static str,
}

const TEN: Layout = Layout { head: 1, classes: [0, 10], names: "batches.meta.txt" };
const HUNDRED: Layout = Layout { head: 2, classes: [20, 100], names: "fine_label_names.txt" };

/// The training batches of CIFAR-10.
const TRAINING: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];

/// Whether a file of that name belongs to one of the sets.
pub(crate) fn is_batch(name: &str) -> bool {
    matches!(name, "train.bin" | "test.bin" | "test_batch.bin") || TRAINING.contains(&name)
}

/// Loads the set in `folder`, whose content is `listing`: every training batch that is there, and the test batch if there is one.
pub(crate) fn load(folder: &Path, listing: &Listing, max_bytes: u64) -> Result<Loaded> {
    let has = |name: &str| listing.files.iter().any(|file| file == name);
    let ten: Vec<&str> = TRAINING.into_iter().filter(|name| has(name)).collect();
    let (layout, train, test) = match (ten.is_empty() && !has("test_batch.bin"), has("train.bin") || has("test.bin")) {
        (false, true) => {
            let (expected, found) = ("batches of CIFAR-10 or of CIFAR-100", "some of both");
            return Err(Error::malformed(
                folder,
                "the folder",
                expected,
                found,
                "put each set into a folder of its own",
            ));
        }
        (false, false) => (TEN, ten, "test_batch.bin"),
        (true, _) => (HUNDRED, vec!["train.bin"], "test.bin"),
    };
    if !train.iter().any(|name| has(name)) {
        let expected = if layout.head == 1 { "a training batch, data_batch_1.bin to 5" } else { "train.bin" };
        return Err(Error::malformed(folder, "the folder", expected, format!("{test} alone"), "add a training batch"));
    }
    let classes = names(folder, listing, layout)?;
    let mut left = max_bytes;
    let mut read = |names: &[&str]| -> Result<(Array, Array)> {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for name in names {
            read_batch(&folder.join(name), layout, left, &mut x, &mut y)?;
        }
        left = left.saturating_sub((x.len() + y.len()) as u64);
        let n = y.len();
        let x = Array { shape: vec![n, SIDE, SIDE, CHANNELS], data: Data::U8(x) };
        Ok((x, Array { shape: vec![n], data: Data::U8(y) }))
    };
    let (x, y) = read(&train)?;
    let test = if has(test) { Some(Box::new(read(&[test])?)) } else { None };
    Ok(Loaded::Arrays { x, y: Some(y), test, classes })
}

/// Appends the records of one file; `limit` holds for all bytes in `x` and `y`.
fn read_batch(path: &Path, layout: Layout, limit: u64, x: &mut Vec<u8>, y: &mut Vec<u8>) -> Result<()> {
    let size = layout.head + CHANNELS * PIXELS;
    let input = Input::new(path, limit)?;
    if let Length::Exact(bytes) = input.length() {
        let part = bytes % size as u64;
        if bytes == 0 || part != 0 {
            let (expected, found) = (format!("records of {size} bytes"), format!("{bytes} bytes"));
            let hint = "the file is truncated or of another kind: copy or download it again";
            return Err(Error::malformed(path, "the records", expected, found, hint));
        }
    }
    let mut reader = std::io::BufReader::with_capacity(1 << 16, input.open()?);
    let (mut record, mut count) = (vec![0; size], 0usize);
    loop {
        let filled = fill(&mut reader, &mut record).map_err(|e| Error::read(path, "read", &e))?;
        if filled == 0 && count > 0 {
            return Ok(());
        }
        count += 1;
        if filled < size {
            let at = format!("record {count}");
            let (expected, missing) = (size as u64, (size - filled) as u64);
            return Err(Error::Truncated { file: path.into(), at, expected, missing });
        }
        let needed = (x.len() + y.len() + size) as u64;
        if needed > limit {
            return Err(Error::TooLarge { file: path.into(), at: format!("record {count}"), needed, limit });
        }
        let (head, planes) = record.split_at(layout.head);
        check_labels(path, layout, head, count)?;
        y.extend(head.last());
        // Stored as three planes, wanted as pixels.
        x.extend((0..PIXELS).flat_map(|p| (0..CHANNELS).map(move |c| planes[c * PIXELS + p])));
    }
}

/// Labels count from 0; those of a damaged file rarely stay in range.
fn check_labels(path: &Path, layout: Layout, head: &[u8], record: usize) -> Result<()> {
    let limits = layout.classes.iter().skip(layout.classes.len() - layout.head);
    match head.iter().zip(limits).find(|(label, limit)| usize::from(**label) >= **limit) {
        None => Ok(()),
        Some((label, limit)) => {
            let (at, expected) = (format!("the label of record {record}"), format!("a number below {limit}"));
            let hint = "the file is damaged or of another kind: copy or download it again";
            Err(Error::malformed(path, at, expected, label.to_string(), hint))
        }
    }
}

/// The names of the classes, if their file is there: one a line.
fn names(folder: &Path, listing: &Listing, layout: Layout) -> Result<Option<Vec<String>>> {
    /// Longest file of names that is read.
    const MAX_BYTES: u64 = 1 << 16;
    if !listing.files.iter().any(|file| file == layout.names) {
        return Ok(None);
    }
    let path = folder.join(layout.names);
    let mut text = String::new();
    let input = Input::new(&path, MAX_BYTES)?;
    std::io::Read::read_to_string(&mut std::io::Read::take(input.open()?, MAX_BYTES), &mut text)
        .map_err(|e| Error::read(&path, "read", &e))?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_string).collect();
    let different: std::collections::BTreeSet<&String> = names.iter().collect();
    let [_, wanted] = layout.classes;
    if names.len() == wanted && different.len() == wanted {
        return Ok(Some(names));
    }
    let expected = format!("{wanted} different names, one a line");
    let found = format!("{} lines, {} different", names.len(), different.len());
    Err(Error::malformed(&path, "the names", expected, found, "copy it again, or remove it: classes are numbers then"))
}
