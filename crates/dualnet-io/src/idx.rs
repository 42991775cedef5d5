//! IDX, the format of MNIST: two zero bytes, a type, the number of axes, their lengths, then the values, all big-endian.

use crate::array::Array;
use crate::element::{Element, Header, Layout, Number, Order, Payload, fill};
use crate::error::{Error, Result};
use crate::input::Input;
use crate::npy::MAX_AXES;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The four files of a standard data set, each plain or with `.gz`.
const STANDARD: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

fn element(code: u8) -> Option<Element> {
    let number = match code {
        0x08 => Number::U8,
        0x09 => Number::I8,
        0x0b => Number::I16,
        0x0c => Number::I32,
        0x0d => Number::F32,
        0x0e => Number::F64,
        _ => return None,
    };
    Some(Element { number, order: Order::Big })
}

/// True if `head` can begin an IDX file.
pub(crate) fn looks_like(head: &[u8]) -> bool {
    matches!(head, [0, 0, code, axes, ..] if element(*code).is_some() && (1..=MAX_AXES).contains(&usize::from(*axes)))
}

/// Reads an IDX file, plain or gzip.
///
/// # Errors
/// Anything else; sizes that disagree with the file's; more than `max_bytes`.
pub fn read(path: &Path, max_bytes: u64) -> Result<Array> {
    from_input(&Input::new(path, max_bytes)?)
}

pub(crate) fn from_input(input: &Input) -> Result<Array> {
    let (file, at) = (input.path(), "the values");
    let mut reader = input.open()?;
    let header = read_header(&mut *reader, file)?;
    let n = header.count(file, at, input.limit())?;
    let payload = Payload { file, at: at.into(), length: header.rest(input.length()), limit: input.limit() };
    Ok(Array { data: payload.read(&mut *reader, header.element, n)?, shape: header.shape })
}

/// Reads what stands before the values.
pub(crate) fn read_header(reader: &mut dyn Read, file: &Path) -> Result<Header> {
    let mut take = |count: usize| -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        let filled = fill(reader, &mut bytes).map_err(|e| Error::read(file, "read", &e))?;
        if filled < count {
            let (expected, missing) = (count as u64, (count - filled) as u64);
            return Err(Error::Truncated { file: file.into(), at: "the header".into(), expected, missing });
        }
        Ok(bytes)
    };
    let start = take(4)?;
    let Some(element) = element(start[2]).filter(|_| looks_like(&start)) else {
        let (expected, found) = ("an IDX header (00 00 type axes)", format!("the bytes {start:02x?}"));
        return Err(Error::malformed(file, "the header", expected, found, "check that it is an IDX file"));
    };
    let lengths = take(4 * usize::from(start[3]))?;
    let shape: Vec<usize> = lengths.as_chunks().0.iter().map(|&b| u32::from_be_bytes(b) as usize).collect();
    Ok(Header { element, layout: Layout::C, shape, bytes: (4 + lengths.len()) as u64 })
}

/// Whether a file of that name belongs to a standard data set.
pub(crate) fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name.strip_suffix(".gz").unwrap_or(name))
}

/// The paths of the four standard files in `folder`: training images and labels, test images and labels.
///
/// # Errors
/// Files that are not there, by name.
pub(crate) fn standard_files(folder: &Path) -> Result<[PathBuf; 4]> {
    let find = |name: &str| {
        let plain = folder.join(name);
        let packed = folder.join(format!("{name}.gz"));
        [plain, packed].into_iter().find(|path| path.is_file())
    };
    let [a, b, c, d] = STANDARD.map(find);
    if let (Some(a), Some(b), Some(c), Some(d)) = (a, b, c, d) {
        return Ok([a, b, c, d]);
    }
    let absent: Vec<_> = STANDARD.iter().copied().filter(|name| find(name).is_none()).collect();
    let expected = format!("the four IDX files {} (each may end in .gz)", STANDARD.join(", "));
    let found = format!("no {}", absent.join(", no "));
    Err(Error::malformed(folder, "the folder", expected, found, "add what is missing, or name a data file"))
}
