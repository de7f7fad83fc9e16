//! Values to bytes. The values come from our own callers, who can still hand over a string that the protocol cannot
//! carry: the first such fault is kept and returned at the end, so that layouts read without interruption.

use super::{STRING_MAX, padding};
use thiserror::Error;
use uuid::Uuid;

/// Why a value cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// A string longer than the protocol carries.
    #[error("a string of {len} bytes is longer than the {STRING_MAX} that libvirt accepts; shorten it")]
    StringTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A string that libvirt, written in C, would cut off.
    #[error("a string has a zero byte at {at}, where libvirt would end it; remove it")]
    ZeroByte {
        /// Where, in bytes from its start.
        at: usize,
    },
    /// Arguments that together are longer than a frame.
    #[error("arguments of {len} bytes are longer than the {max} of one call; shorten them")]
    ArgumentsTooLong {
        /// Their length in bytes.
        len: usize,
        /// The highest that is accepted.
        max: usize,
    },
    /// A list longer than the protocol carries.
    #[error("a list of {len} is longer than the {max} that libvirt accepts; shorten it")]
    ListTooLong {
        /// Its length.
        len: usize,
        /// The highest that is accepted.
        max: usize,
    },
}

/// Appends values to some bytes.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    bytes: Vec<u8>,
    fault: Option<EncodeError>,
}

impl Encoder {
    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    fn string(&mut self, value: &str) {
        if value.len() > STRING_MAX {
            self.fail(EncodeError::StringTooLong { len: value.len() });
        } else if let Some(at) = value.bytes().position(|byte| byte == 0) {
            self.fail(EncodeError::ZeroByte { at });
        } else {
            self.u32(value.len() as u32);
            self.bytes.extend_from_slice(value.as_bytes());
            self.bytes.extend_from_slice(&[0; 3][..padding(value.len())]);
        }
    }

    fn fail(&mut self, fault: EncodeError) {
        self.fault.get_or_insert(fault);
    }

    /// All bytes, or the first fault.
    pub(crate) fn finish(self) -> Result<Vec<u8>, EncodeError> {
        match self.fault {
            None => Ok(self.bytes),
            Some(fault) => Err(fault),
        }
    }
}

/// A value that can be written.
pub(crate) trait Encode {
    fn encode(&self, to: &mut Encoder);

    fn to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let mut encoder = Encoder::default();
        self.encode(&mut encoder);
        encoder.finish()
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, to: &mut Encoder) {
        (**self).encode(to);
    }
}

impl Encode for u32 {
    fn encode(&self, to: &mut Encoder) {
        to.u32(*self);
    }
}

impl Encode for i32 {
    fn encode(&self, to: &mut Encoder) {
        to.i32(*self);
    }
}

impl Encode for u64 {
    fn encode(&self, to: &mut Encoder) {
        to.bytes.extend_from_slice(&self.to_be_bytes());
    }
}

impl Encode for i64 {
    fn encode(&self, to: &mut Encoder) {
        to.bytes.extend_from_slice(&self.to_be_bytes());
    }
}

impl Encode for f64 {
    fn encode(&self, to: &mut Encoder) {
        to.bytes.extend_from_slice(&self.to_be_bytes());
    }
}

impl Encode for str {
    fn encode(&self, to: &mut Encoder) {
        to.string(self);
    }
}

impl Encode for Uuid {
    fn encode(&self, to: &mut Encoder) {
        to.bytes.extend_from_slice(self.as_bytes());
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, to: &mut Encoder) {
        to.u32(u32::from(self.is_some()));
        if let Some(value) = self {
            value.encode(to);
        }
    }
}

/// A list with the protocol's limit of its length.
pub(crate) struct Slice<'a, T, const MAX: usize>(pub(crate) &'a [T]);

impl<T: Encode, const MAX: usize> Encode for Slice<'_, T, MAX> {
    fn encode(&self, to: &mut Encoder) {
        if self.0.len() > MAX {
            to.fail(EncodeError::ListTooLong { len: self.0.len(), max: MAX });
            return;
        }
        to.u32(self.0.len() as u32);
        self.0.iter().for_each(|value| value.encode(to));
    }
}

impl Encode for () {
    fn encode(&self, _: &mut Encoder) {}
}

macro_rules! tuple {
    ($($name:ident $field:tt)+) => {
        impl<$($name: Encode),+> Encode for ($($name,)+) {
            fn encode(&self, to: &mut Encoder) {
                $(self.$field.encode(to);)+
            }
        }
    };
}

tuple!(A 0 B 1);
tuple!(A 0 B 1 C 2);
tuple!(A 0 B 1 C 2 D 3);
tuple!(A 0 B 1 C 2 D 3 E 4);
tuple!(A 0 B 1 C 2 D 3 E 4 F 5);
