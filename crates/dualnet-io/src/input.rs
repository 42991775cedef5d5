//! An input file whose content can be read more than once: plain, gzip, or a pipe held in memory or in a temporary file.

use crate::element::fill;
use crate::error::{Error, OverLimit, Result};
use flate2::bufread::MultiGzDecoder;
use std::fs::{File, Metadata};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tempfile::NamedTempFile;

/// DEFLATE cannot do better than 258 bytes for 2 bits (RFC 1951), 1032 : 1. What a header claims beyond that is a lie.
const DEFLATE_RATIO: u64 = 1032;

/// The most bytes that `compressed` bytes of DEFLATE can unpack to.
pub(crate) fn inflated_at_most(compressed: u64) -> u64 {
    compressed.saturating_mul(DEFLATE_RATIO).saturating_add(DEFLATE_RATIO)
}

/// How long content is, as far as that is known before reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Exact(u64),
    AtMost(u64),
}

#[derive(Debug)]
enum Kind {
    Plain { size: u64 },
    Gzip { size: u64 },
    Memory(Vec<u8>),
}

/// A file to read, with the limit on what may come out of it.
#[derive(Debug)]
pub(crate) struct Input {
    path: PathBuf,
    kind: Kind,
    limit: u64,
    /// Where a pipe's content lies.
    spool: Option<NamedTempFile>,
    stamp: Stamp,
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    file: (u64, u64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            size: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            file: (metadata.dev(), metadata.ino()),
        }
    }
}

impl Input {
    /// Looks at `path`; a pipe is read into memory at once, since it can be read only once.
    pub(crate) fn new(path: &Path, limit: u64) -> Result<Self> {
        let mut file = File::open(path).map_err(|e| Error::read(path, "open", &e))?;
        let metadata = file.metadata().map_err(|e| Error::read(path, "open", &e))?;
        if metadata.is_dir() {
            return Err(Error::malformed(path, "the path", "a file", "a folder", "name a file in it"));
        }
        let mut magic = Vec::new();
        let read_magic = (&mut file).take(2).read_to_end(&mut magic);
        read_magic.map_err(|e| Error::read(path, "read", &e))?;
        let gzip = magic == [0x1f, 0x8b];
        let kind = match (metadata.is_file(), gzip) {
            (true, true) => Kind::Gzip { size: metadata.len() },
            (true, false) => Kind::Plain { size: metadata.len() },
            (false, _) => {
                let rest = Cursor::new(magic).chain(file);
                let mut content = Vec::new();
                let read = if gzip {
                    Limited::new(MultiGzDecoder::new(BufReader::new(rest)), limit).read_to_end(&mut content)
                } else {
                    Limited::new(rest, limit).read_to_end(&mut content)
                };
                read.map_err(|e| Error::read(path, "read", &e))?;
                Kind::Memory(content)
            }
        };
        Ok(Self { path: path.into(), kind, limit, spool: None, stamp: Stamp::of(&metadata) })
    }

    /// Like [`Input::new`], for readers that hold a part of the content at a time: what a packed file unpacks to is not
    /// limited, and a pipe's content, of at most `limit` bytes, goes to a temporary file.
    pub(crate) fn for_stream(path: &Path, limit: u64) -> Result<Self> {
        let open = |e| Error::read(path, "open", &e);
        let pipe = File::open(path).map_err(open)?;
        let metadata = pipe.metadata().map_err(open)?;
        if metadata.is_file() || metadata.is_dir() {
            return Ok(Self { limit: u64::MAX, ..Self::new(path, limit)? });
        }
        let failed = |e| Error::read(path, "copy to a temporary file", &e);
        let mut spool = NamedTempFile::new().map_err(failed)?;
        io::copy(&mut Limited::new(pipe, limit), &mut spool).map_err(failed)?;
        let found = Self::new(spool.path(), limit)?;
        Ok(Self { path: path.into(), limit: u64::MAX, spool: Some(spool), ..found })
    }

    /// An error if the file is no longer the one that was opened, by its size, its time and (on Unix) its number.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        let metadata = std::fs::metadata(self.place()).map_err(|e| Error::read(&self.path, "open", &e))?;
        let now = Stamp::of(&metadata);
        match &self.stamp {
            then if *then == now => Ok(()),
            then if then.size != now.size => {
                let words = |size: u64| format!("{size} bytes as at the beginning");
                Err(Error::changed(&self.path, words(then.size), now.size.to_string()))
            }
            _ => Err(Error::changed(&self.path, "the file as at the beginning", "one written since")),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes of (unpacked) content.
    pub(crate) fn length(&self) -> Length {
        match &self.kind {
            Kind::Plain { size } => Length::Exact(*size),
            Kind::Gzip { size } => Length::AtMost(inflated_at_most(*size)),
            Kind::Memory(content) => Length::Exact(content.len() as u64),
        }
    }

    /// The (unpacked) content from its beginning; reading stops with an error at the limit.
    pub(crate) fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(match &self.kind {
            Kind::Plain { .. } => Box::new(self.reopen()?),
            Kind::Gzip { .. } => {
                let packed = BufReader::with_capacity(1 << 16, self.reopen()?);
                Box::new(Limited::new(MultiGzDecoder::new(packed), self.limit))
            }
            Kind::Memory(content) => Box::new(Cursor::new(content.as_slice())),
        })
    }

    /// Like [`Input::open`], without a limit and free to outlive this.
    pub(crate) fn open_stream(&self) -> Result<Box<dyn Read + Send>> {
        Ok(match &self.kind {
            Kind::Plain { .. } => Box::new(self.reopen()?),
            Kind::Gzip { .. } => Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, self.reopen()?))),
            Kind::Memory(content) => Box::new(Cursor::new(content.clone())),
        })
    }

    /// The plain file from byte `start`, for readers that know where in it they have to look; none if it is packed.
    pub(crate) fn open_at(&self, start: u64) -> Result<Option<File>> {
        let Kind::Plain { .. } = self.kind else { return Ok(None) };
        let mut file = self.reopen()?;
        file.seek(SeekFrom::Start(start)).map_err(|e| Error::read(&self.path, "read", &e))?;
        Ok(Some(file))
    }

    /// The first `count` bytes of the content, fewer if it is shorter.
    pub(crate) fn head(&self, count: u64) -> Result<Vec<u8>> {
        let mut head = vec![0; count as usize];
        // A packed file that breaks off is judged by its reader, which knows how much is missing.
        let filled = fill(&mut *self.open()?, &mut head).map_err(|e| Error::read(&self.path, "read", &e))?;
        head.truncate(filled);
        Ok(head)
    }

    /// The file itself, for formats that jump about in it, with its size.
    pub(crate) fn file(&self) -> Result<(File, u64)> {
        match self.kind {
            Kind::Plain { size } => Ok((self.reopen()?, size)),
            Kind::Gzip { .. } => {
                Err(Error::unsupported(&self.path, "the file", "this format inside gzip", "unpack it with gunzip"))
            }
            Kind::Memory(_) => {
                Err(Error::unsupported(&self.path, "the path", "this format from a pipe", "save it to a file first"))
            }
        }
    }

    fn reopen(&self) -> Result<File> {
        File::open(self.place()).map_err(|e| Error::read(&self.path, "open", &e))
    }

    fn place(&self) -> &Path {
        self.spool.as_ref().map_or(&self.path, |spool| spool.path())
    }
}

/// A reader that fails, instead of ending, once more than `limit` bytes have come out.
struct Limited<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R> Limited<R> {
    fn new(inner: R, limit: u64) -> Self {
        Self { inner, left: limit, limit }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(OverLimit { limit: self.limit })),
        }
        Ok(count)
    }
}
