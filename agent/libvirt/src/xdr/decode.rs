//! Bytes to values. The bytes come from outside: nothing here panics, and nothing is allocated because a length in
//! the message says so, only because that many bytes are there.

use super::{STRING_MAX, padding};
use thiserror::Error;
use uuid::Uuid;

/// Why bytes are not the value they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end within a value.
    #[error("the message ends within {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
    },
    /// A length above what the protocol allows.
    #[error("the message has {what} of length {len}, more than the {max} of the protocol")]
    TooLong {
        /// What was being read.
        what: &'static str,
        /// The length in the message.
        len: u64,
        /// The highest that is allowed.
        max: u64,
    },
    /// A number outside its set.
    #[error("the message has {value} where it should have {what}")]
    Invalid {
        /// What was being read.
        what: &'static str,
        /// What was there.
        value: i64,
    },
    /// Bytes are left after the last value.
    #[error("the message has {len} bytes more than it should")]
    Trailing {
        /// How many.
        len: usize,
    },
}

/// Reads values off the front of some bytes.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated { what })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated { what })?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array("an unsigned int").map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array("an int").map(i32::from_be_bytes)
    }

    /// XDR's boolean, as in front of a value that may be absent: 0 or 1, nothing else.
    fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::Invalid { what: "a boolean", value: other.into() }),
        }
    }

    /// A length in front of something, checked against the protocol's limit.
    fn len(&mut self, max: usize, what: &'static str) -> Result<usize, DecodeError> {
        let len = self.u32()?;
        match usize::try_from(len) {
            Ok(len) if len <= max => Ok(len),
            _ => Err(DecodeError::TooLong { what, len: len.into(), max: max as u64 }),
        }
    }

    /// A string's bytes as text. libvirt's strings are UTF-8 wherever XML is involved; a host path that is not shows
    /// the replacement character.
    fn string(&mut self) -> Result<String, DecodeError> {
        let len = self.len(STRING_MAX, "a string")?;
        let bytes = self.take(len, "a string")?;
        self.take(padding(len), "a string's padding")?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Ends reading: whatever is left is an error, since it tells of another layout than ours.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            len => Err(DecodeError::Trailing { len }),
        }
    }
}

/// A value that can be read.
pub(crate) trait Decode: Sized {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError>;

    /// Reads a value that is all of `bytes`.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let value = Self::decode(&mut decoder)?;
        decoder.finish()?;
        Ok(value)
    }
}

impl Decode for u32 {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.u32()
    }
}

impl Decode for i32 {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.i32()
    }
}

impl Decode for u64 {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.array("an unsigned hyper").map(u64::from_be_bytes)
    }
}

impl Decode for i64 {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.array("a hyper").map(i64::from_be_bytes)
    }
}

impl Decode for f64 {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.array("a double").map(f64::from_be_bytes)
    }
}

impl Decode for String {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.string()
    }
}

impl Decode for Uuid {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.array("a UUID").map(Self::from_bytes)
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        if from.bool()? { T::decode(from).map(Some) } else { Ok(None) }
    }
}

/// A list with the protocol's limit of its length. Every element takes at least four bytes, so that the list can
/// grow no further than the message reaches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct List<T, const MAX: usize>(pub(crate) Vec<T>);

impl<T: Decode, const MAX: usize> Decode for List<T, MAX> {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let len = from.len(MAX, "a list")?;
        let mut list = Vec::new();
        for _ in 0..len {
            list.push(T::decode(from)?);
        }
        Ok(Self(list))
    }
}

impl Decode for () {
    fn decode(_: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

macro_rules! tuple {
    ($($name:ident)+) => {
        impl<$($name: Decode),+> Decode for ($($name,)+) {
            fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Ok(($($name::decode(from)?,)+))
            }
        }
    };
}

tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
tuple!(A B C D E F G);
tuple!(A B C D E F G H);
