//! Sizes as people write them: `512M`, `20G`. Powers of 1024, as QEMU counts.

/// The units, biggest first.
const UNITS: [(char, u64); 4] = [('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

/// Reads a size in bytes.
///
/// # Errors
/// With what a size is.
pub fn parse(text: &str) -> Result<u64, String> {
    let upper = text.to_ascii_uppercase();
    let unit = UNITS.into_iter().find_map(|(unit, bytes)| Some((upper.strip_suffix(unit)?, bytes)));
    let (number, bytes) = unit.unwrap_or((upper.as_str(), 1));
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let size = number.parse::<u64>().ok().filter(|_| plain).and_then(|number| number.checked_mul(bytes));
    size.ok_or_else(|| format!("`{text}` is no size; give a number with `K`, `M`, `G` or `T`, such as `20G`"))
}

/// Writes a size with at most one digit behind the point.
pub fn spell(bytes: u64) -> String {
    match UNITS.into_iter().find(|(_, unit)| bytes >= *unit) {
        None => bytes.to_string(),
        Some((unit, size)) if bytes.is_multiple_of(size) => format!("{}{unit}", bytes / size),
        Some((unit, size)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(size);
            format!("{}.{}{unit}", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [("512", 512), ("1k", 1024), ("20G", 20 << 30), ("2T", 2 << 40)] {
            assert_eq!(parse(text), Ok(bytes));
        }
        for wrong in ["", "G", "1.5G", "-1", "1GB", "99999999999999T"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            (spell(20 << 30).as_str(), spell(1536 << 20).as_str(), spell(7).as_str()),
            ("20G", "1.5G", "7")
        );
    }
}
