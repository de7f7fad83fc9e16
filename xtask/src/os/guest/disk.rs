//! The guest's disk: the boot loader in front, kernel and memory image in a partition that is no file system, and a partition that
//! is the guest's own. GRUB takes both by their places, so that nothing but bytes has to be put where they belong.

use anyhow::{Context as _, Result, ensure};

/// Bytes of a sector.
pub const SECTOR: usize = 512;

/// Where the kernel begins, in sectors: behind the room that partition tables leave to boot loaders.
pub const KERNEL_SECTOR: usize = 2048;

/// Where the guest's own partition begins and ends, in sectors.
const OWN: (usize, usize) = (28 * 2048, 44 * 2048);

/// The part of the first sector that is the boot loader's.
const BOOT_BYTES: usize = 440;

/// What GRUB does, told in its own words: `(hd0)A+N` are N sectors from sector A of the disk that it was started from.
pub fn commands(kernel: &[u8], memory: &[u8]) -> String {
    let (kernel, memory) = (sectors(kernel), sectors(memory));
    let behind = KERNEL_SECTOR + kernel;
    format!(
        "linux (hd0){KERNEL_SECTOR}+{kernel} console=tty0 console=ttyS0 quiet\ninitrd (hd0){behind}+{memory}\nboot\n"
    )
}

/// Puts the disk together. `boot` is the boot loader's first sector, `core` the rest of it.
///
/// # Errors
/// If something is bigger than its place.
pub fn disk(boot: &[u8], core: &[u8], kernel: &[u8], memory: &[u8]) -> Result<Vec<u8>> {
    let behind = KERNEL_SECTOR + sectors(kernel);
    let end = behind + sectors(memory);
    ensure!(core.len() <= (KERNEL_SECTOR - 1) * SECTOR, "the boot loader is too big for its place");
    ensure!(end <= OWN.0, "kernel and drivers are too big for the guest's disk");
    let mut disk = vec![0; OWN.1 * SECTOR];
    let mut put = |sector: usize, bytes: &[u8]| disk[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);
    put(0, boot.get(..BOOT_BYTES).context("the boot loader's first sector is too small")?);
    put(1, core);
    put(KERNEL_SECTOR, kernel);
    put(behind, memory);
    // 0xda: no file system. 0x83: one of Linux.
    let table = [partition(0x80, 0xda, KERNEL_SECTOR, end), partition(0, 0x83, OWN.0, OWN.1)].concat();
    disk[446..][..table.len()].copy_from_slice(&table);
    disk[SECTOR - 2..SECTOR].copy_from_slice(&[0x55, 0xaa]);
    Ok(disk)
}

fn sectors(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(SECTOR)
}

/// A line of the partition table. Cylinders, heads and sectors say that the numbers behind them count.
fn partition(flag: u8, kind: u8, start: usize, end: usize) -> Vec<u8> {
    let mut line = vec![flag, 0xfe, 0xff, 0xff, kind, 0xfe, 0xff, 0xff];
    line.extend_from_slice(&(start as u32).to_le_bytes());
    line.extend_from_slice(&((end - start) as u32).to_le_bytes());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_lies_where_the_boot_loader_looks() {
        let (kernel, memory) = (vec![1; 1000], vec![2; 513]);
        assert_eq!(
            commands(&kernel, &memory),
            "linux (hd0)2048+2 console=tty0 console=ttyS0 quiet\ninitrd (hd0)2050+2\nboot\n"
        );
        let disk = disk(&[9; 512], &[8; 700], &kernel, &memory).unwrap();
        assert_eq!(disk.len(), 44 << 20);
        assert_eq!((disk[439], disk[440], disk[512], disk[1211], disk[1212]), (9, 0, 8, 8, 0));
        assert_eq!((disk[2048 * 512], disk[2050 * 512], disk[2051 * 512]), (1, 2, 2));
        assert_eq!(disk[446..450], [0x80, 0xfe, 0xff, 0xff]);
        assert_eq!(disk[454..462], [0, 8, 0, 0, 4, 0, 0, 0]);
        assert_eq!(disk[510..512], [0x55, 0xaa]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let big = vec![0; 28 << 20];
        assert!(disk(&[0; 512], &[], &big, &[]).is_err());
        assert!(disk(&[0; 512], &big, &[], &[]).is_err());
        assert!(disk(&[0; 100], &[], &[], &[]).is_err());
    }
}
