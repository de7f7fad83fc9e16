//! A signature says whose key has signed every byte, and nothing of it can be altered without being noticed.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod made;

use made::{Made, make_tiny};
use packaging_archive::{Archive, Error, PrivateKey, TRAILER_BYTES, Trailer, hex, sign};
use sha2::{Digest as _, Sha256};

fn signed() -> (Made, PrivateKey) {
    let made = make_tiny();
    let key = PrivateKey::generate().unwrap();
    sign(&Archive::open(&made.file).unwrap(), &key, &made.file).unwrap();
    (made, key)
}

#[test]
fn a_file_that_is_signed_later_differs_in_its_trailer_alone() {
    let made = make_tiny();
    let before = std::fs::read(&made.file).unwrap();
    let key = PrivateKey::generate().unwrap();
    assert_eq!(Archive::open(&made.file).unwrap().signer(), None);
    let (trailer, digest) = sign(&Archive::open(&made.file).unwrap(), &key, &made.file).unwrap();
    let after = std::fs::read(&made.file).unwrap();
    let content = before.len() - TRAILER_BYTES;
    assert_eq!((&before[..content], before.len()), (&after[..content], after.len()));
    assert_eq!(hex(&digest), hex(&Sha256::digest(&after)));
    let archive = Archive::open(&made.file).unwrap();
    assert_eq!(archive.trailer(), &trailer);
    assert_eq!(archive.signer(), Some(&key.public()));
    archive.verify_contents(&mut |_| ()).unwrap();
    // The same key again gives the same bytes, another key another signer.
    sign(&archive, &key, &made.file).unwrap();
    assert_eq!(std::fs::read(&made.file).unwrap(), after);
    let other = PrivateKey::generate().unwrap();
    sign(&archive, &other, &made.file).unwrap();
    assert_eq!(Archive::open(&made.file).unwrap().signer(), Some(&other.public()));
}

#[test]
fn what_is_damaged_is_not_signed() {
    let made = make_tiny();
    let mut bytes = std::fs::read(&made.file).unwrap();
    let place = bytes.len() - TRAILER_BYTES - 10;
    bytes[place] ^= 1;
    std::fs::write(&made.file, &bytes).unwrap();
    let key = PrivateKey::generate().unwrap();
    let error = sign(&Archive::open(&made.file).unwrap(), &key, &made.file).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert_eq!(std::fs::read(&made.file).unwrap(), bytes);
}

#[test]
fn a_signature_of_other_bytes_is_refused() {
    let (made, key) = signed();
    let bytes = std::fs::read(&made.file).unwrap();
    let archive = Archive::open(&made.file).unwrap();
    let content = bytes.len() - TRAILER_BYTES;
    // A byte of the script altered, and the digest made to agree: the signature is still that of the old bytes.
    let mut forged = bytes[..content].to_vec();
    forged[100] = b'#';
    let trailer = Trailer { digest: Sha256::digest(&forged).into(), ..archive.trailer().clone() };
    std::fs::write(&made.file, [&forged[..], &trailer.bytes()].concat()).unwrap();
    let error = Archive::open(&made.file).unwrap_err();
    assert!(matches!(error, Error::Signature { .. }) && error.is_damage(), "{error}");
    assert!(error.to_string().contains(&key.public().fingerprint().to_string()), "{error}");
    // Without a signature those bytes are an archive that nobody has signed.
    let trailer = Trailer { signature: None, ..trailer };
    std::fs::write(&made.file, [&forged[..], &trailer.bytes()].concat()).unwrap();
    let archive = Archive::open(&made.file).unwrap();
    archive.verify_contents(&mut |_| ()).unwrap();
    assert_eq!(archive.signer(), None);
}

#[test]
fn the_sizes_in_the_trailer_follow_from_the_bytes_that_are_signed() {
    let (made, _) = signed();
    let bytes = std::fs::read(&made.file).unwrap();
    let content = &bytes[..bytes.len() - TRAILER_BYTES];
    let archive = Archive::open(&made.file).unwrap();
    let good = archive.trailer();
    let mut tried = 0;
    for (stub, head) in (0..4).flat_map(|stub| (0..600).map(move |head| (stub * 4096, head))) {
        let (stub_bytes, head_bytes) = (stub, good.head_bytes + 300 - head);
        let trailer = Trailer { stub_bytes, head_bytes, ..good.clone() };
        if trailer != *good {
            std::fs::write(&made.file, [content, &trailer.bytes()].concat()).unwrap();
            assert!(Archive::open(&made.file).unwrap_err().is_damage(), "{stub_bytes} {head_bytes}");
            tried += 1;
        }
    }
    assert_eq!(tried, 4 * 600 - 1);
}
