//! What a domain is made of, as it is asked for. Paths are absolute paths of this host.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use uuid::Uuid;

/// A domain to be defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainSpec {
    /// Its identity; never changes.
    pub uuid: Uuid,
    /// Its name on this host: 1 to 64 letters, digits, `.`, `_`, `-`, the first a letter or digit.
    pub name: String,
    /// Its memory in bytes, a multiple of 1 MiB.
    pub memory_bytes: u64,
    /// Its processors, 1 to 255.
    pub vcpus: u32,
    /// Its main board.
    pub machine: Machine,
    /// What it boots with.
    pub firmware: Firmware,
    /// What runs its instructions.
    pub accel: AccelChoice,
    /// What is tuned for.
    pub guest: Guest,
    /// Where it looks for something to boot, first to last; not empty, nothing twice.
    pub boot: Vec<BootDevice>,
    /// Its disks, at most 128; the first one is the root disk.
    pub disks: Vec<Disk>,
    /// Its CD-ROM drives, by their number from 0; at most 16, on i440fx 4.
    pub cdroms: Vec<CdromDrive>,
    /// Its network cards, at most 32.
    pub interfaces: Vec<Interface>,
}

/// A writable disk on a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The identity of its volume; no two disks of a domain share one.
    pub id: DiskId,
    /// The file.
    pub source: PathBuf,
    /// What is in the file.
    pub format: Format,
    /// How the guest sees it.
    pub bus: DiskBus,
    /// How QEMU is to open the file, and every file under it.
    pub cache: CacheRequest,
    /// The sector that its guest sees.
    pub sector: Sector,
}

/// What is asked of the cache mode of a disk or a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheRequest {
    /// What is asked for.
    pub choice: CacheChoice,
    /// Where that was set. None: nobody says, as in descriptions that an operator wrote.
    pub origin: Option<Origin>,
    /// Whether whoever set it accepts that a crash of the host loses what is on the disk. `unsafe` takes that.
    pub accepts_loss: bool,
}

/// The sector that a guest sees on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sector {
    /// It is known to the guest, or to what a guest has written: it must not change. In bytes; None: QEMU's, which is 512.
    Fixed(Option<u32>),
    /// Nobody has written to the disk, and nothing boots from it.
    Free,
}

/// Identity of a disk within its domain: that of its volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskId(pub Uuid);

/// A CD-ROM drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdromDrive {
    /// How QEMU is to open what lies in it. The mode is settled when the domain starts: neither QEMU nor libvirt changes that
    /// of a drive that a guest has.
    pub cache: CacheRequest,
    /// What lies in it: a file, a raw image.
    pub media: Option<PathBuf>,
}

/// A network card on a bridge of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its address: unicast, not beginning with `fe`, which libvirt keeps for the host's end.
    pub mac: Mac,
    /// Name of an existing bridge.
    pub bridge: String,
    /// How the guest sees it.
    pub model: InterfaceModel,
}

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
                    .ok_or_else(|| UnknownWord { word: word.to_owned(), known: &[$($word),+] })
            }
        }
    };
}

/// A word that is none of those known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not one of {}", known.join(", "))]
pub struct UnknownWord {
    /// The word.
    pub word: String,
    /// Those that would do.
    pub known: &'static [&'static str],
}

words! {
    /// How QEMU opens the files of a disk: its `cache` option, which libvirt's `<driver cache='...'>` sets. Table:
    /// "Disk image formats" and `-drive` in QEMU's manual.
    CacheMode {
        /// Past the page cache (O_DIRECT); the guest's flushes are honoured.
        None = "none",
        /// Through the page cache; the guest's flushes are honoured.
        Writeback = "writeback",
        /// Through the page cache; every write is flushed.
        Writethrough = "writethrough",
        /// Past the page cache (O_DIRECT); every write is flushed.
        Directsync = "directsync",
        /// Through the page cache; the guest's flushes are ignored. A crash of the host loses the disk.
        Unsafe = "unsafe",
    }
}

words! {
    /// What can be asked of a disk.
    CacheChoice {
        /// [`CacheMode::None`] where the file system takes O_DIRECT, else [`CacheMode::Writeback`].
        Auto = "auto",
        /// [`CacheMode::None`]
        None = "none",
        /// [`CacheMode::Writeback`]
        Writeback = "writeback",
        /// [`CacheMode::Writethrough`]
        Writethrough = "writethrough",
        /// [`CacheMode::Directsync`]
        Directsync = "directsync",
        /// [`CacheMode::Unsafe`]
        Unsafe = "unsafe",
    }
}

words! {
    /// Where a cache mode was set. The most specific place wins.
    Origin {
        /// For the volume.
        Volume = "volume",
        /// For the virtual machine.
        Vm = "vm",
        /// For the storage.
        Storage = "storage",
        /// For everything.
        Global = "global",
    }
}

words! {
    /// How QEMU waits for the host's reads and writes: its `aio` option, which libvirt's `<driver io='...'>` sets.
    Aio {
        /// A pool of threads; what QEMU does unless it is told otherwise.
        Threads = "threads",
        /// Linux' own asynchronous calls; with O_DIRECT alone.
        Native = "native",
        /// A ring that is shared with the kernel, in every mode.
        IoUring = "io_uring",
    }
}

words! {
    /// A main board that QEMU emulates.
    Machine {
        /// PCI Express, AHCI.
        Q35 = "q35",
        /// PCI, IDE; what ZStack 0.9 used.
        I440fx = "i440fx",
    }
}

words! {
    /// What a domain boots with.
    Firmware {
        /// SeaBIOS.
        Bios = "bios",
        /// UEFI without secure boot; the host needs an image of it.
        Uefi = "uefi",
    }
}

words! {
    /// What is to run a domain's instructions.
    AccelChoice {
        /// KVM where it is usable, else TCG.
        Auto = "auto",
        /// The processor itself; refused where it cannot.
        Kvm = "kvm",
        /// QEMU's software emulation, which works everywhere and is slow.
        Tcg = "tcg",
    }
}

words! {
    /// What runs a domain's instructions.
    Accel {
        /// The processor itself.
        Kvm = "kvm",
        /// QEMU's software emulation.
        Tcg = "tcg",
    }
}

words! {
    /// What kind of guest a domain is tuned for.
    Guest {
        /// Linux and others with virtio drivers and a clock in UTC.
        Linux = "linux",
        /// Windows: Hyper-V features, a clock in local time.
        Windows = "windows",
    }
}

words! {
    /// Something to boot from.
    BootDevice {
        /// The first disk.
        Hd = "hd",
        /// The first CD-ROM drive.
        Cdrom = "cdrom",
        /// The first network card.
        Network = "network",
    }
}

words! {
    /// What is in a volume's file.
    Format {
        /// The guest's sectors and nothing else.
        Raw = "raw",
        /// QEMU's own format: grows as it is written, can lie on another image.
        Qcow2 = "qcow2",
    }
}

words! {
    /// How a guest sees a disk.
    DiskBus {
        /// virtio-blk; the guest needs a driver, Linux has it.
        Virtio = "virtio",
        /// virtio-scsi.
        Scsi = "scsi",
        /// AHCI; every guest has a driver. Not pluggable while the guest runs.
        Sata = "sata",
    }
}

words! {
    /// How a guest sees a network card.
    InterfaceModel {
        /// virtio-net; the guest needs a driver, Linux has it.
        Virtio = "virtio",
        /// Intel's, which Windows has a driver for.
        E1000e = "e1000e",
        /// Intel's older one, for old guests.
        E1000 = "e1000",
    }
}

impl CdromDrive {
    /// An empty one.
    #[must_use]
    pub fn empty(cache: impl Into<CacheRequest>) -> Self {
        Self { cache: cache.into(), media: None }
    }

    /// One in which something lies.
    #[must_use]
    pub fn with(cache: impl Into<CacheRequest>, media: impl Into<PathBuf>) -> Self {
        Self { cache: cache.into(), media: Some(media.into()) }
    }
}

impl Disk {
    /// Whether they are the same disk, whatever is asked of its cache mode and its sector.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let Self { id, source, format, bus, cache: _, sector: _ } = self;
        (id, source, format, bus) == (&other.id, &other.source, &other.format, &other.bus)
    }
}

impl CacheRequest {
    /// The same, and whoever asks accepts that a crash of the host loses what is on the disk.
    #[must_use]
    pub const fn accepting_loss(self) -> Self {
        Self { accepts_loss: true, ..self }
    }
}

impl From<CacheChoice> for CacheRequest {
    fn from(choice: CacheChoice) -> Self {
        Self { choice, origin: None, accepts_loss: false }
    }
}

impl From<CacheMode> for CacheRequest {
    fn from(mode: CacheMode) -> Self {
        CacheChoice::from(mode).into()
    }
}

impl From<CacheMode> for CacheChoice {
    fn from(mode: CacheMode) -> Self {
        match mode {
            CacheMode::None => Self::None,
            CacheMode::Writeback => Self::Writeback,
            CacheMode::Writethrough => Self::Writethrough,
            CacheMode::Directsync => Self::Directsync,
            CacheMode::Unsafe => Self::Unsafe,
        }
    }
}

impl CacheMode {
    /// Whether QEMU opens the file with O_DIRECT.
    #[must_use]
    pub const fn is_direct(self) -> bool {
        match self {
            Self::None | Self::Directsync => true,
            Self::Writeback | Self::Writethrough | Self::Unsafe => false,
        }
    }

    /// The mode that differs in O_DIRECT alone. None for `unsafe`: with O_DIRECT it has no name.
    #[must_use]
    pub const fn with_direct(self, direct: bool) -> Option<Self> {
        match (self, direct) {
            (Self::None | Self::Writeback, true) => Some(Self::None),
            (Self::None | Self::Writeback, false) => Some(Self::Writeback),
            (Self::Directsync | Self::Writethrough, true) => Some(Self::Directsync),
            (Self::Directsync | Self::Writethrough, false) => Some(Self::Writethrough),
            (Self::Unsafe, false) => Some(Self::Unsafe),
            (Self::Unsafe, true) => None,
        }
    }
}

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Text that is no hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no hardware address; write six pairs of hexadecimal digits with colons, as in `52:54:00:00:00:01`"
)]
pub struct NoMac(pub String);

impl FromStr for Mac {
    type Err = NoMac;
    fn from_str(text: &str) -> Result<Self, NoMac> {
        let no = || NoMac(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let is_pair = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            let part = parts.next().filter(is_pair).ok_or_else(no)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| no())?;
        }
        if parts.next().is_some() { Err(no()) } else { Ok(Self(bytes)) }
    }
}
