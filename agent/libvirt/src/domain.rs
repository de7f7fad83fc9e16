//! What names a domain on the wire.

use crate::xdr::{Decode, DecodeError, Decoder, Encode, Encoder};
use uuid::Uuid;

/// A domain as libvirt names it: what every call about a domain takes, and every list and event returns. It is a
/// name only; the domain may be gone. libvirt finds it by its UUID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: Uuid,
    /// Its number while it runs, as it was when this name was made.
    pub id: Option<u32>,
}

impl Decode for Domain {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (name, uuid, id) = <(String, Uuid, i32)>::decode(from)?;
        // -1 while it does not run.
        Ok(Self { name, uuid, id: u32::try_from(id).ok() })
    }
}

impl Encode for Domain {
    fn encode(&self, to: &mut Encoder) {
        let id = self.id.and_then(|id| i32::try_from(id).ok()).unwrap_or(-1);
        (self.name.as_str(), self.uuid, id).encode(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_its_name_uuid_and_number() {
        let golden = b"\0\0\0\x03vm1\0\
                       \x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef\
                       \xff\xff\xff\xff";
        let uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let off = Domain { name: "vm1".to_owned(), uuid, id: None };
        assert_eq!(Domain::from_bytes(golden).unwrap(), off);
        assert_eq!(off.to_bytes().unwrap(), golden);
        let on = Domain { id: Some(7), ..off };
        assert_eq!(Domain::from_bytes(&on.to_bytes().unwrap()).unwrap(), on);
    }
}
