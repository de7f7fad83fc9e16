//! The archive that the kernel unpacks into memory when it starts: the kernel's documentation calls it initramfs, cpio calls its
//! format newc. The same entries give the same bytes: nobody's time, owner or numbers of files are in it.

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file that can be read.
    File,
    /// A file that can be run.
    Program,
    /// A character device, by its numbers.
    Device(u32, u32),
}

/// The archive so far.
#[derive(Debug, Default)]
pub struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
}

impl Cpio {
    /// Adds an entry. A folder comes before what is in it.
    pub fn add(&mut self, name: &str, kind: Kind, content: &[u8]) {
        let (mode, major, minor) = match kind {
            Kind::Folder => (0o040_755, 0, 0),
            Kind::File => (0o100_644, 0, 0),
            Kind::Program => (0o100_755, 0, 0),
            Kind::Device(major, minor) => (0o020_600, major, minor),
        };
        self.entries += 1;
        self.entry(name, mode, (major, minor), content);
    }

    fn entry(&mut self, name: &str, mode: u32, (major, minor): (u32, u32), content: &[u8]) {
        let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
        let (size, name_size) = (content.len() as u32, name.len() as u32 + 1);
        let fields = [self.entries, mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        fields.iter().for_each(|field| self.bytes.extend_from_slice(format!("{field:08X}").as_bytes()));
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The whole of it.
    pub fn finish(mut self) -> Vec<u8> {
        self.entries = 0;
        self.entry("TRAILER!!!", 0, (0, 0), b"");
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpio_reads_what_is_written() {
        let mut cpio = Cpio::default();
        cpio.add("dev", Kind::Folder, b"");
        cpio.add("dev/console", Kind::Device(5, 1), b"");
        cpio.add("init", Kind::Program, b"#!/bin/sh\n");
        let bytes = cpio.finish();
        assert_eq!(bytes.len() % 4, 0);
        let header = "070701000000030000\
                      81ED000000000000000000000001000000000000000A00000000000000000000000000000000000000050000000";
        assert!(String::from_utf8_lossy(&bytes).contains(header), "{}", String::from_utf8_lossy(&bytes));
        assert!(bytes.windows(12).any(|window| window == b"dev/console\0"));
        assert!(bytes.ends_with(b"TRAILER!!!\0\0\0\0") || bytes.ends_with(b"TRAILER!!!\0"));
    }
}
