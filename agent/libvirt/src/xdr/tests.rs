//! Round trips, golden bytes and hostile bytes.

use super::*;
use proptest::prelude::*;
use uuid::Uuid;

type Everything = (u32, i32, u64, i64, String, Option<String>, Uuid, List<(u32, String), 8>);

fn encode_everything(value: &Everything) -> Vec<u8> {
    let mut to = Encoder::default();
    let (a, b, c, d, e, f, g, h) = value;
    (a, b, c, d, e.as_str()).encode(&mut to);
    (f.as_deref(), g).encode(&mut to);
    let pairs: Vec<(u32, &str)> = h.0.iter().map(|(number, text)| (*number, text.as_str())).collect();
    Slice::<_, 8>(&pairs).encode(&mut to);
    to.finish().unwrap()
}

#[test]
fn strings_are_padded_to_four_bytes() {
    assert_eq!("abcde".to_bytes().unwrap(), *b"\0\0\0\x05abcde\0\0\0");
    assert_eq!("abcd".to_bytes().unwrap(), *b"\0\0\0\x04abcd");
    assert_eq!("".to_bytes().unwrap(), *b"\0\0\0\0");
    assert_eq!(Some("a").to_bytes().unwrap(), *b"\0\0\0\x01\0\0\0\x01a\0\0\0");
    assert_eq!(None::<&str>.to_bytes().unwrap(), *b"\0\0\0\0");
    assert_eq!((-2i32, 1u64 << 40).to_bytes().unwrap(), *b"\xff\xff\xff\xfe\0\0\x01\0\0\0\0\0");
    assert_eq!(1.5f64.to_bytes().unwrap(), *b"\x3f\xf8\0\0\0\0\0\0");
}

#[test]
fn what_the_protocol_cannot_carry_is_refused_before_it_is_sent() {
    let long = "x".repeat(STRING_MAX + 1);
    assert_eq!((1u32, long.as_str()).to_bytes(), Err(EncodeError::StringTooLong { len: long.len() }));
    assert_eq!("a\0b".to_bytes(), Err(EncodeError::ZeroByte { at: 1 }));
    let mut to = Encoder::default();
    Slice::<_, 2>(&[1u32, 2, 3]).encode(&mut to);
    assert_eq!(to.finish(), Err(EncodeError::ListTooLong { len: 3, max: 2 }));
}

#[test]
fn a_length_is_believed_only_as_far_as_the_bytes_reach() {
    let what = "a string";
    assert_eq!(String::from_bytes(b"\0\x3f\xff\xff"), Err(DecodeError::Truncated { what }));
    let max = STRING_MAX as u64;
    let len = u64::from(u32::MAX);
    assert_eq!(String::from_bytes(&[0xff; 4]), Err(DecodeError::TooLong { what, len, max }));
    let what = "a list";
    assert_eq!(List::<u32, 2>::from_bytes(b"\0\0\0\x03"), Err(DecodeError::TooLong { what, len: 3, max: 2 }));
    let what = "an unsigned int";
    assert_eq!(List::<u32, 2>::from_bytes(b"\0\0\0\x02\0\0\0\x01"), Err(DecodeError::Truncated { what }));
}

#[test]
fn other_layouts_are_noticed() {
    assert_eq!(u32::from_bytes(b"\0\0\0\x01\0"), Err(DecodeError::Trailing { len: 1 }));
    let what = "a boolean";
    assert_eq!(Option::<u32>::from_bytes(b"\0\0\0\x02"), Err(DecodeError::Invalid { what, value: 2 }));
    assert_eq!(String::from_bytes(b"\0\0\0\x01\xff\0\0\0").unwrap(), "\u{fffd}");
}

proptest! {
    #[test]
    fn values_survive_the_trip(
        numbers in any::<(u32, i32, u64, i64)>(), text in "[^\\x00]{0,40}", maybe in proptest::option::of("[^\\x00]{0,9}"),
        uuid in any::<u128>(), list in prop::collection::vec((any::<u32>(), "[^\\x00]{0,9}"), 0..=8),
    ) {
        let (a, b, c, d) = numbers;
        let value: Everything = (a, b, c, d, text, maybe, Uuid::from_u128(uuid), List(list));
        let bytes = encode_everything(&value);
        prop_assert_eq!(bytes.len() % 4, 0);
        prop_assert_eq!(Everything::from_bytes(&bytes).unwrap(), value);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Everything::from_bytes(&bytes);
        let _ = List::<(u32, String), 16384>::from_bytes(&bytes);
        let _ = Vec::from_iter(Option::<f64>::from_bytes(&bytes));
    }

    #[test]
    fn a_message_cut_anywhere_is_refused(text in "[a-z]{1,20}", cut in 0usize..40) {
        let bytes = (7u32, text.as_str()).to_bytes().unwrap();
        prop_assume!(cut < bytes.len());
        prop_assert!(<(u32, String)>::from_bytes(&bytes[..cut]).is_err());
    }
}
