//! A guest in one sector: says [`BANNER`] on the first serial line within a second or two, then does these for ever:
//!
//! - what is typed on its keyboard, and what comes on its serial line, it writes to its serial line;
//! - but for a `w` on its serial line: then it writes a sector to its disk, and says `W`, or `E` if that failed;
//! - when its power button is pressed, it turns itself off, unless it is [`Kind::Silent`];
//! - a disk that it is asked for it lets go of, on the machine `q35`, if it is [`Kind::Yielding`].

/// How a guest takes its power button, and what else is wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It turns itself off.
    Answering,
    /// It takes no notice.
    Silent,
    /// It turns itself off, and lets go of disks.
    Yielding,
}

/// The program. In its comments: address, then what it does.
const PROGRAM: &[u8] = &[
    // 7c00 segments 0, stack below the program
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xfb,
    // 7c0d drive = dl, as the BIOS left it
    0x88, 0x16, 0x84, 0x7c,
    // 7c11 out 0x602, 0x100: ACPI's PM1 enable register; the power button shall show in its status register
    0xba, 0x02, 0x06, 0xb8, 0x00, 0x01, 0xef, // 7c18 si = banner
    0xbe, 0x85, 0x7c, // 7c1b puts: al = next letter; if it is 0, go to idle; else putc, and again
    0xac, 0x84, 0xc0, 0x74, 0x05, 0xe8, 0x50, 0x00, 0xeb, 0xf6,
    // 7c25 idle: wait for an interrupt; the timer's comes 18 times a second
    0xf4, // 7c26 again: int 0x16, ah = 1: a key? if not, go to serial
    0xb4, 0x01, 0xcd, 0x16, 0x74, 0x09, // 7c2c int 0x16, ah = 0: which? putc it, and again
    0xb4, 0x00, 0xcd, 0x16, 0xe8, 0x40, 0x00, 0xeb, 0xf1,
    // 7c35 serial: in 0x3fd, bit 0: has a byte come? if not, go to button
    0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0x0d,
    // 7c3d al = in 0x3f8; if it is `w`, go to write; else putc it, and again
    0xba, 0xf8, 0x03, 0xec, 0x3c, 0x77, 0x74, 0x17, 0xe8, 0x2b, 0x00, 0xeb, 0xdc,
    // 7c4a button: in 0x600, bit 8: was the button pressed? if not, go to idle
    0xba, 0x00, 0x06, 0xed, 0xf6, 0xc4, 0x01, 0x74, 0xd2, // 7c53 out 0x604, 0x2000: off
    0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xeb, 0xc9,
    // 7c5c write: int 0x13, ah = 0x43: write what packet says to drive
    0xb8, 0x00, 0x43, 0x8a, 0x16, 0x84, 0x7c, 0xbe, 0x90, 0x7c, 0xcd, 0x13,
    // 7c68 al = `W`, or `E` if that failed; putc it, and again
    0xb0, 0x57, 0x73, 0x02, 0xb0, 0x45, 0xe8, 0x02, 0x00, 0xeb, 0xb3,
    // 7c73 putc: wait for bit 5 of in 0x3fd, then out 0x3f8, al
    0x88, 0xc3, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x20, 0x74, 0xf8, 0x88, 0xd8, 0xba, 0xf8, 0x03, 0xee, 0xc3,
    // 7c84 drive
    0x00, // 7c85 banner
    b'G', b'U', b'E', b'S', b'T', b'-', b'U', b'P', b'\r', b'\n', 0,
    // 7c90 packet: 16 bytes, 1 sector, from 0:7c00, to sector 1024
    0x10, 0x00, 0x01, 0x00, 0x00, 0x7c, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    // 7ca0 yield: for each bus, ecx = 0 to 31: out 0xcd0, ecx: ACPI's slots of this bus
    0x66, 0x31, 0xc9, 0xba, 0xd0, 0x0c, 0x66, 0x89, 0xc8, 0x66, 0xef,
    // 7cab in 0xcc4: is any of them asked for? then out 0xcc8: it may go
    0xba, 0xc4, 0x0c, 0x66, 0xed, 0x66, 0x85, 0xc0, 0x74, 0x05, 0xba, 0xc8, 0x0c, 0x66, 0xef,
    // 7cba the next one; behind the last go to idle
    0x41, 0x83, 0xf9, 0x20, 0x72, 0xe3, 0xe9, 0x62, 0xff,
];

/// Where the program has the jump that is taken while the power button was not pressed.
const BUTTON_JUMP: usize = 0x51;

/// Its first line.
pub const BANNER: &str = "GUEST-UP\r\n";

/// The number of the sector, of 512 bytes, that it writes on a `w`: its own first sector.
pub const WRITTEN_SECTOR: u64 = 1024;

/// A raw disk of 1 MiB that boots it, by BIOS.
pub fn disk(kind: Kind) -> Vec<u8> {
    let mut disk = vec![0; 1 << 20];
    disk[..PROGRAM.len()].copy_from_slice(PROGRAM);
    match kind {
        Kind::Answering => {}
        // The jump is always taken.
        Kind::Silent => disk[BUTTON_JUMP] = 0xeb,
        // It leads to yield.
        Kind::Yielding => disk[BUTTON_JUMP + 1] = 0x4d,
    }
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

/// A domain of type qemu with the guest's disk, which lies at [`image`], as `vda`, and these devices. `balloon`
/// and a PCI bus are there.
pub fn domain(name: &str, devices: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><vcpu current='1'>2</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features><devices>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{}'/>
<target dev='vda' bus='virtio'/></disk><serial type='pty'/>{devices}</devices></domain>",
        image(name)
    )
}

/// Where the guest's disk lies in the room.
pub fn image(name: &str) -> String {
    format!("/var/lib/libvirt/images/{name}.raw")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_kinds_differ_in_the_jump_alone() {
        let (answering, silent) = (disk(Kind::Answering), disk(Kind::Silent));
        let differ: Vec<usize> = (0..answering.len()).filter(|&at| answering[at] != silent[at]).collect();
        assert_eq!(differ, [BUTTON_JUMP]);
        assert_eq!(answering[BUTTON_JUMP..BUTTON_JUMP + 2], [0x74, 0xd2]);
        assert!(PROGRAM.len() <= 510 && answering[510..512] == [0x55, 0xaa]);
    }
}
