//! Memory of large matrices in large pages.
//!
//! A fresh matrix of n^2 values is paid for page by page as it is first written: with pages of 4 KiB that took more than half of the time of
//! a Gram matrix of 4,000 samples with 20 columns. Pages of 2 MiB make it negligible, where the system grants them.

/// Below this many bytes it is not worth a system call.
#[cfg(target_os = "linux")]
const WORTH: usize = 4 << 20;

/// Asks for large pages behind a buffer that has not been written yet. A refusal changes nothing but the time.
#[cfg(target_os = "linux")]
pub(super) fn advise_large<T>(buffer: &mut [T]) {
    const PAGE: usize = 4096;
    let (start, bytes) = (buffer.as_mut_ptr() as usize, size_of_val(buffer));
    let first = start.next_multiple_of(PAGE);
    if bytes < WORTH || first >= start + bytes {
        return;
    }
    let len = (start + bytes - first) / PAGE * PAGE;
    let pointer = buffer.as_mut_ptr().wrapping_byte_add(first - start).cast();
    // SAFETY: the pages lie within `buffer`, which is borrowed exclusively, and this advice does not change what they hold.
    #[allow(unsafe_code)]
    let _ = unsafe { rustix::mm::madvise(pointer, len, rustix::mm::Advice::LinuxHugepage) };
}

/// Elsewhere the system decides.
#[cfg(not(target_os = "linux"))]
pub(super) fn advise_large<T>(_: &mut [T]) {}
