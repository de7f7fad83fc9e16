//! XDR as libvirt uses it (RFC 4506): big-endian, everything in multiples of four bytes.
//!
//! What lives here: how values become bytes and bytes values. What does not: frames, and which procedure takes what.
//! A layout is written as a tuple of the fields in order, so that it can be compared with a page of documentation at
//! a glance: `(&domain, xml, flags)`.

mod decode;
mod encode;

pub use decode::DecodeError;
pub(crate) use decode::{Decode, Decoder, List};
pub use encode::EncodeError;
pub(crate) use encode::{Encode, Encoder, Slice};

/// The longest string that either side of the protocol accepts, in bytes (`REMOTE_STRING_MAX`).
pub const STRING_MAX: usize = 4 * 1024 * 1024;

/// How many zero bytes follow `len` bytes, so that the next value starts at a multiple of four.
fn padding(len: usize) -> usize {
    (4 - len % 4) % 4
}

#[cfg(test)]
mod tests;
