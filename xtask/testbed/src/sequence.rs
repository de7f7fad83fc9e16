//! A guest in one sector that writes numbered sectors for ever, each full of what follows from its number, and reads each
//! again a lap later, before it writes there anew. It shows whether a disk loses a write while something is done to it.
//!
//! It says [`BANNER`] on its first serial line, a `.` for every so many writes, and `E` when a sector cannot be read or
//! written or holds something else than was written; then it stops. It stops, too, when something is typed on that line, and
//! says `S`: then all of its writes have been answered.

use anyhow::{Result, bail, ensure};

/// The program. In its comments: address, then what it does.
const PROGRAM: &[u8] = &[
    // 7c00 segments 0, stack below the program, strings go up
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xfb, 0xfc,
    // 7c0e drive = dl, as the BIOS left it; si = banner
    0x88, 0x16, 0xce, 0x7c, 0xbe, 0xd3, 0x7c,
    // 7c15 puts: al = next letter; if it is 0, go to next; else putc, and again
    0xac, 0x84, 0xc0, 0x74, 0x05, 0xe8, 0xa0, 0x00, 0xeb, 0xf6,
    // 7c1f next: in 0x3fd, bit 0: has a byte come? then al = `S`, go to last
    0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0x04, 0xb0, 0x53, 0xeb, 0x74,
    // 7c2b number += 1; packet's sector = (number & 0xff) * 128 + 0x800
    0x66, 0xff, 0x06, 0xcf, 0x7c, 0x66, 0xa1, 0xcf, 0x7c, 0x66, 0x25, 0xff, 0x00, 0x00, 0x00, 0x66, 0xc1,
    0xe0, 0x07, 0x66, 0x05, 0x00, 0x08, 0x00, 0x00, 0x66, 0xa3, 0xe6, 0x7c,
    // 7c48 eax = number - 0x100, the one that was written here a lap ago; if there is none, go to write
    0x66, 0xa1, 0xcf, 0x7c, 0x66, 0x2d, 0x00, 0x01, 0x00, 0x00, 0x76, 0x1c,
    // 7c54 fill; read the sector to 0x8200
    0xe8, 0x4e, 0x00, 0xc7, 0x06, 0xe2, 0x7c, 0x00, 0x82, 0xb4, 0x42, 0xe8, 0x2f, 0x00,
    // 7c62 are the 128 words of 4 bytes at 0x8000 and 0x8200 the same? if not, go to error
    0xbe, 0x00, 0x80, 0xbf, 0x00, 0x82, 0xb9, 0x80, 0x00, 0x66, 0xf3, 0xa7, 0x75, 0x2d,
    // 7c70 write: eax = number; fill; write the sector from 0x8000
    0x66, 0xa1, 0xcf, 0x7c, 0xe8, 0x2e, 0x00, 0xc7, 0x06, 0xe2, 0x7c, 0x00, 0x80, 0xb8, 0x00, 0x43, 0xe8,
    0x0e, 0x00, // 7c83 has number one of these bits? then go to next; else putc `.`, and to next
    0xf6, 0x06, 0xcf, 0x7c, 0x3f, 0x75, 0x95, 0xb0, 0x2e, 0xe8, 0x2e, 0x00, 0xeb, 0x8e,
    // 7c91 disk: int 0x13: read (ah = 0x42) or write (0x43) what packet says; if that failed, go to error
    0x8a, 0x16, 0xce, 0x7c, 0xbe, 0xde, 0x7c, 0xcd, 0x13, 0x72, 0x01, 0xc3,
    // 7c9d error: al = `E`; 7c9f last: putc, and wait for ever
    0xb0, 0x45, 0xe8, 0x1b, 0x00, 0xf4, 0xeb, 0xfd,
    // 7ca5 fill: 128 words of 4 bytes at 0x8000, the first eax, each next one 0x19660d times the last, plus 0x3c6ef35f
    0xbf, 0x00, 0x80, 0xb9, 0x80, 0x00, 0x66, 0xab, 0x66, 0x69, 0xc0, 0x0d, 0x66, 0x19, 0x00, 0x66, 0x05,
    0x5f, 0xf3, 0x6e, 0x3c, 0xe2, 0xef, 0xc3,
    // 7cbd putc: wait for bit 5 of in 0x3fd, then out 0x3f8, al
    0x88, 0xc3, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x20, 0x74, 0xf8, 0x88, 0xd8, 0xba, 0xf8, 0x03, 0xee, 0xc3,
    // 7cce drive, number
    0x00, 0x00, 0x00, 0x00, 0x00, // 7cd3 banner
    b'S', b'E', b'Q', b'U', b'E', b'N', b'C', b'E', b'\r', b'\n', 0,
    // 7cde packet: 16 bytes, 1 sector, where in memory, which sector
    0x10, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];

/// Where the program has the bits of a number that gets no `.`.
const SILENT_BITS: usize = 0x87;

/// Its first line.
pub const BANNER: &str = "SEQUENCE\r\n";

/// How many sectors it writes before it begins anew.
pub const LAP: u32 = 256;

/// The first byte that it writes to, and from one of its sectors to the next: each lies in a cluster of its own.
const START: usize = 2048 * 512;
const STEP: usize = 128 * 512;

/// How large a disk has to be for it, in bytes.
pub const DISK_BYTES: usize = START + LAP as usize * STEP;

/// A raw disk that boots it, by BIOS. It says `.` for every `said` writes, a power of two up to 128.
pub fn disk(said: u8) -> Vec<u8> {
    let mut disk = vec![0; DISK_BYTES];
    disk[..PROGRAM.len()].copy_from_slice(PROGRAM);
    disk[SILENT_BITS] = said.wrapping_sub(1);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

/// Looks at a disk that it has written to, and returns the number of the last sector.
///
/// # Errors
/// If a sector does not hold what was written there last, up to the last one of all.
pub fn last(disk: &[u8]) -> Result<u32> {
    ensure!(disk.len() >= DISK_BYTES, "a disk of {} bytes is too small", disk.len());
    let mut numbers = Vec::new();
    for slot in 0..LAP {
        let at = START + slot as usize * STEP;
        let sector = &disk[at..at + 512];
        let words = sector.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        let number = words.clone().next().unwrap_or_default();
        if number == 0 && sector.iter().all(|byte| *byte == 0) {
            numbers.push(0);
            continue;
        }
        let mut expected = number;
        for word in words {
            ensure!(word == expected, "sector {number} holds something else than was written");
            expected = expected.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        }
        numbers.push(number);
    }
    let last = numbers.iter().copied().max().unwrap_or_default();
    for (slot, number) in (0..LAP).zip(numbers) {
        // The largest number up to the last that belongs here; 0: it has not come so far.
        let expected = last - (last.wrapping_sub(slot) % LAP).min(last);
        if number != expected {
            bail!("sector {expected} is lost: {number} is in its place, and the last one is {last}");
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(disk: &mut [u8], number: u32) {
        let at = START + (number % LAP) as usize * STEP;
        let mut word = number;
        for place in disk[at..at + 512].as_chunks_mut::<4>().0 {
            *place = word.to_le_bytes();
            word = word.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        }
    }

    #[test]
    fn what_is_lost_or_damaged_is_found() {
        let mut disk = disk(64);
        assert_eq!((last(&disk).unwrap(), disk[SILENT_BITS]), (0, 63));
        for number in 1..=LAP + 10 {
            written(&mut disk, number);
            if [1, 9, LAP - 1, LAP, LAP + 1].contains(&number) {
                assert_eq!(last(&disk).unwrap(), number);
            }
        }
        assert_eq!(last(&disk).unwrap(), LAP + 10);
        written(&mut disk, 5);
        assert!(last(&disk).unwrap_err().to_string().contains("sector 261 is lost: 5 is in its place"));
        written(&mut disk, LAP + 5);
        disk[START + 7 * STEP + 400] ^= 1;
        assert!(last(&disk).unwrap_err().to_string().contains("sector 263 holds something else"));
    }

    #[test]
    fn the_program_fits() {
        assert!(PROGRAM.len() <= 510);
        assert_eq!(PROGRAM[SILENT_BITS - 4..=SILENT_BITS], [0xf6, 0x06, 0xcf, 0x7c, 0x3f]);
    }
}
