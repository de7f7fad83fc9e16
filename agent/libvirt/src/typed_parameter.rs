//! Typed parameters: libvirt's lists of named values, as statistics and tunables use them (libvirt-common.h,
//! `virTypedParameter`).

use crate::xdr::{Decode, DecodeError, Decoder, Encode, Encoder};

/// Tells the server that this client understands parameters that are strings (`VIR_TYPED_PARAM_STRING_OKAY`).
pub(crate) const STRING_OKAY: u32 = 1 << 2;

/// A name with a value. Which names and types a call takes or returns is written on libvirt's page of that call.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedParameter {
    /// Its name, at most 79 bytes.
    pub field: String,
    /// Its value.
    pub value: TypedValue,
}

/// The value of a typed parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum TypedValue {
    /// `VIR_TYPED_PARAM_INT`
    Int(i32),
    /// `VIR_TYPED_PARAM_UINT`
    UInt(u32),
    /// `VIR_TYPED_PARAM_LLONG`
    LLong(i64),
    /// `VIR_TYPED_PARAM_ULLONG`
    ULLong(u64),
    /// `VIR_TYPED_PARAM_DOUBLE`
    Double(f64),
    /// `VIR_TYPED_PARAM_BOOLEAN`
    Boolean(bool),
    /// `VIR_TYPED_PARAM_STRING`
    String(String),
}

impl TypedParameter {
    /// A parameter.
    pub fn new(field: impl Into<String>, value: TypedValue) -> Self {
        Self { field: field.into(), value }
    }
}

impl TypedValue {
    /// The value as a count, if it is a whole number that is not negative, of whatever width.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(value) => u64::try_from(*value).ok(),
            Self::UInt(value) => Some((*value).into()),
            Self::LLong(value) => u64::try_from(*value).ok(),
            Self::ULLong(value) => Some(*value),
            Self::Double(_) | Self::Boolean(_) | Self::String(_) => None,
        }
    }
}

impl Decode for TypedParameter {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (field, kind) = <(String, i32)>::decode(from)?;
        let value = match kind {
            1 => TypedValue::Int(i32::decode(from)?),
            2 => TypedValue::UInt(u32::decode(from)?),
            3 => TypedValue::LLong(i64::decode(from)?),
            4 => TypedValue::ULLong(u64::decode(from)?),
            5 => TypedValue::Double(f64::decode(from)?),
            // An int on the wire, not XDR's boolean.
            6 => TypedValue::Boolean(i32::decode(from)? != 0),
            7 => TypedValue::String(String::decode(from)?),
            // The type decides the length: nothing after it could be read.
            value => {
                return Err(DecodeError::Invalid {
                    what: "the type of a typed parameter",
                    value: value.into(),
                });
            }
        };
        Ok(Self { field, value })
    }
}

impl Encode for TypedParameter {
    fn encode(&self, to: &mut Encoder) {
        self.field.as_str().encode(to);
        match &self.value {
            TypedValue::Int(value) => (1i32, value).encode(to),
            TypedValue::UInt(value) => (2i32, value).encode(to),
            TypedValue::LLong(value) => (3i32, value).encode(to),
            TypedValue::ULLong(value) => (4i32, value).encode(to),
            TypedValue::Double(value) => (5i32, value).encode(to),
            TypedValue::Boolean(value) => (6i32, i32::from(*value)).encode(to),
            TypedValue::String(value) => (7i32, value.as_str()).encode(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = TypedValue> {
        prop_oneof![
            any::<i32>().prop_map(TypedValue::Int),
            any::<u32>().prop_map(TypedValue::UInt),
            any::<i64>().prop_map(TypedValue::LLong),
            any::<u64>().prop_map(TypedValue::ULLong),
            (-1e9f64..1e9).prop_map(TypedValue::Double),
            any::<bool>().prop_map(TypedValue::Boolean),
            "[^\\x00]{0,30}".prop_map(TypedValue::String),
        ]
    }

    proptest! {
        #[test]
        fn every_type_survives_the_trip(field in "[a-z._]{1,79}", value in value()) {
            let parameter = TypedParameter { field, value };
            let bytes = parameter.to_bytes().unwrap();
            prop_assert_eq!(TypedParameter::from_bytes(&bytes).unwrap(), parameter);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = TypedParameter::from_bytes(&bytes);
        }
    }

    #[test]
    fn golden_bytes() {
        let parameter = TypedParameter::new("x", TypedValue::ULLong(258));
        assert_eq!(parameter.to_bytes().unwrap(), *b"\0\0\0\x01x\0\0\0\0\0\0\x04\0\0\0\0\0\0\x01\x02");
        let parameter = TypedParameter::new("on", TypedValue::Boolean(true));
        assert_eq!(parameter.to_bytes().unwrap(), *b"\0\0\0\x02on\0\0\0\0\0\x06\0\0\0\x01");
        let unknown = b"\0\0\0\x01x\0\0\0\0\0\0\x08\0\0\0\0";
        let what = "the type of a typed parameter";
        assert_eq!(TypedParameter::from_bytes(unknown), Err(DecodeError::Invalid { what, value: 8 }));
    }
}
