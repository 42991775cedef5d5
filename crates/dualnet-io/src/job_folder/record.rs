//! One tile as bytes.

use crate::array::Elements;

/// The hash of a job's description.
pub(super) type Key = [u8; blake3::KEY_LEN];

pub(super) const MAGIC: &[u8; 8] = b"tile\xa7rec";
/// Magic, length, number.
pub(super) const HEAD: usize = 20;
const CHECKSUM: usize = 16;
/// Bytes of a record besides the values.
pub(super) const OVERHEAD: usize = HEAD + CHECKSUM;

/// A record whose checksum is right.
#[derive(Debug, PartialEq)]
pub(super) struct Record<'a> {
    pub(super) tile: u64,
    pub(super) values: &'a [u8],
}

/// What the first bytes of a record claim: number of the tile, bytes of the values.
pub(super) fn claims(bytes: &[u8]) -> Option<(u64, usize)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (tile, _) = rest.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*tile), usize::try_from(u32::from_le_bytes(*length)).ok()?))
}

impl<'a> Record<'a> {
    /// The record that `bytes` begin with, if there is a whole one, not larger than it may be.
    pub(super) fn parse(key: &Key, bytes: &'a [u8], max_bytes: usize) -> Option<Self> {
        let (tile, length) = claims(bytes).filter(|(_, length)| *length <= max_bytes)?;
        let (body, rest) = bytes.split_at_checked(HEAD + length)?;
        let found = rest.first_chunk::<CHECKSUM>()?;
        (*found == checksum(key, body)).then(|| Self { tile, values: &body[HEAD..] })
    }
}

pub(super) fn encode(key: &Key, tile: u64, values: Elements<'_>) -> Vec<u8> {
    let mut record = Vec::with_capacity(OVERHEAD + values.bytes());
    record.extend_from_slice(MAGIC);
    record.extend_from_slice(&(values.bytes() as u32).to_le_bytes());
    record.extend_from_slice(&tile.to_le_bytes());
    // Memory takes all that it is given.
    let _ = values.write_to(&mut record);
    record.extend_from_slice(&checksum(key, &record));
    record
}

fn checksum(key: &Key, body: &[u8]) -> [u8; CHECKSUM] {
    let mut short = [0; CHECKSUM];
    short.copy_from_slice(&blake3::keyed_hash(key, body).as_bytes()[..CHECKSUM]);
    short
}
