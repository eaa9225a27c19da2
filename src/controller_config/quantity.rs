/// A size as NATS reads it: a number, or a number with a suffix (`k`, `m`, `g`, `t` are powers of 1000; `kb`, `ki`, `kib` and so on powers of 1024;
/// nats-server `conf/parse.go`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsSize {
    /// As it was written, which is safe to write into a configuration.
    pub text: String,
    /// In bytes; -1 means no limit.
    pub bytes: i64,
}

impl NatsSize {
    /// Reads a size; `None` where NATS would not.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits_end =
            text.char_indices().find(|(at, c)| !(c.is_ascii_digit() || (*at == 0 && *c == '-'))).map_or(text.len(), |(at, _)| at);
        let (number, suffix) = text.split_at(digits_end);
        let number: i64 = number.parse().ok()?;
        let factor = match suffix.to_ascii_lowercase().as_str() {
            "" => 1,
            "k" => 1000,
            "kb" | "ki" | "kib" => 1 << 10,
            "m" => 1_000_000,
            "mb" | "mi" | "mib" => 1 << 20,
            "g" => 1_000_000_000,
            "gb" | "gi" | "gib" => 1 << 30,
            "t" => 1_000_000_000_000,
            "tb" | "ti" | "tib" => 1_i64 << 40,
            _ => return None,
        };
        Some(Self { text: text.to_owned(), bytes: number.checked_mul(factor)? })
    }
}

/// A Kubernetes quantity of bytes (`20Gi`, `1500M`, `1e3`), rounded up to whole bytes; `None` where Kubernetes would refuse it.
pub fn quantity_bytes(text: &str) -> Option<u64> {
    whole(quantity(text)?)
}

/// A Kubernetes quantity in thousandths, rounded up; the finest that CPU knows. `None` where Kubernetes would refuse it.
pub fn quantity_thousandths(text: &str) -> Option<u64> {
    whole(quantity(text)? * 1000.0)
}

fn whole(value: f64) -> Option<u64> {
    let value = value.ceil();
    // Exact up to 2^53 (8 Pi bytes), far beyond any volume; negative and infinite quantities are none.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (value.is_finite() && (0.0..1.8e19).contains(&value)).then_some(value as u64)
}

/// Kubernetes' own grammar (apimachinery `resource.ParseQuantity`): a sign, digits with at most one point, and then either a suffix or an exponent.
fn quantity(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number_end = unsigned.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(number_end);
    let magnitude: f64 = number.parse().ok()?;
    let number = if text.starts_with('-') { -magnitude } else { magnitude };
    if let Some(exponent) = suffix.strip_prefix(['e', 'E']).filter(|exponent| !exponent.is_empty()) {
        return exponent.parse().ok().map(|exponent| number * 10_f64.powi(exponent));
    }
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        "Ei" => 1_152_921_504_606_846_976.0,
        _ => return None,
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_nats_does() {
        let bytes = |text| NatsSize::parse(text).map(|size| size.bytes);
        assert_eq!(bytes("1048576"), Some(1_048_576));
        assert_eq!(bytes("-1"), Some(-1));
        assert_eq!(bytes("20G"), Some(20_000_000_000));
        assert_eq!(bytes("20Gi"), Some(20 << 30));
        assert_eq!(bytes("1TB"), Some(1 << 40));
        for bad in ["", "1X", "1 ; include /etc/passwd", "1e6", "ten", "--1", "9999999999TB"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn quantities_compare_by_value() {
        assert_eq!(quantity_bytes("20Gi"), quantity_bytes("20480Mi"));
        assert_eq!(quantity_bytes("1e3"), Some(1000));
        assert_eq!(quantity_bytes("1E"), Some(1_000_000_000_000_000_000));
        assert_eq!(quantity_bytes("1E3"), Some(1000));
        assert_eq!(quantity_bytes("1e+3"), Some(1000));
        assert_eq!(quantity_bytes("+1Ki"), Some(1024));
        assert_eq!(quantity_bytes("0.5Gi"), Some(1 << 29));
        assert_eq!(quantity_thousandths("20m"), Some(20));
        for bad in
            ["", ".", "Gi", "20GB", "-1Gi", "+-1", "lots", " 20Gi", "20Gi ", "20 Gi", "1e3Gi", "1e3k", "1e", "1e1.5", "1.2.3", "inf", "NaN"]
        {
            assert_eq!(quantity_bytes(bad), None, "{bad}");
        }
    }
}
