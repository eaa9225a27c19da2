/// A size as NATS reads it: a number, or a number with a suffix (`k`, `m`, `g`, `t`, `p`, `e` are powers of 1000; `kb`, `ki`, `kib` and so on powers of
/// 1024). Every listed release reads all of them, and the same (nats-server `conf/parse.go`, the case `itemInteger`, in v2.8.1, v2.9.0, v2.10.29 and
/// v2.12.7), so that a size is written as its user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsSize {
    /// As it was written, which is safe to write into a configuration.
    pub text: String,
    /// In bytes; -1 means no limit.
    pub bytes: i64,
}

/// Why a text is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSize {
    /// NATS would not read it as a number.
    #[error("is not a size; write bytes, or a number with K, M, G or T, such as 20G")]
    Form,
    /// NATS counts in 64 bits with a sign, and what goes beyond becomes another number without a word.
    #[error("is more than NATS can count; write at most {} bytes", i64::MAX)]
    TooLarge,
}

impl NatsSize {
    /// Reads a size as NATS does.
    pub fn parse(text: &str) -> Result<Self, NoSize> {
        let text = text.trim();
        let digits_end =
            text.char_indices().find(|(at, c)| !(c.is_ascii_digit() || (*at == 0 && *c == '-'))).map_or(text.len(), |(at, _)| at);
        let (number, suffix) = text.split_at(digits_end);
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
            "p" => 1_000_000_000_000_000,
            "pb" | "pi" | "pib" => 1 << 50,
            "e" => 1_000_000_000_000_000_000,
            "eb" | "ei" | "eib" => 1 << 60,
            _ => return Err(NoSize::Form),
        };
        if !number.ends_with(|c: char| c.is_ascii_digit()) {
            return Err(NoSize::Form);
        }
        let bytes = number.parse::<i64>().ok().and_then(|number| number.checked_mul(factor)).ok_or(NoSize::TooLarge)?;
        Ok(Self { text: text.to_owned(), bytes })
    }

    /// The size that a configuration of the servers gives a setting; `None` where it does not, or in a way that we do not write.
    pub fn configured(config: &str, setting: &str) -> Option<Self> {
        config.lines().find_map(|line| Self::parse(line.trim().strip_prefix(setting)?.trim_start().strip_prefix([':', '='])?).ok())
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

    /// The table of nats-server v2.12.7, `conf/parse.go`, the case `itemInteger`.
    #[test]
    fn sizes_are_read_as_nats_does() {
        let bytes = |text: &str| NatsSize::parse(text).map(|size| size.bytes);
        for (power, suffix) in (1..).zip(["k", "m", "g", "t", "p", "e"]) {
            assert_eq!(bytes(&format!("3{suffix}")), Ok(3 * 1000_i64.pow(power)), "{suffix}");
            for more in ["b", "i", "ib"] {
                assert_eq!(bytes(&format!("3{suffix}{more}")), Ok(3 * 1024_i64.pow(power)), "{suffix}{more}");
                assert_eq!(bytes(&format!("3{suffix}{more}").to_uppercase()), Ok(3 * 1024_i64.pow(power)), "{suffix}{more}");
            }
        }
        for (text, read) in [("1048576", 1_048_576), ("-1", -1), ("0", 0), ("007", 7), ("1TB", 1 << 40), ("9223372036854775807", i64::MAX)]
        {
            assert_eq!(bytes(text), Ok(read), "{text}");
            assert_eq!(NatsSize::parse(text).expect("a size").text, text, "as it was written");
        }
        for bad in ["", "-", "TB", "1X", "1kbi", "1 TB", "1 ; include /etc/passwd", "1e6", "ten", "--1", "+1", "1.5G"] {
            assert_eq!(bytes(bad), Err(NoSize::Form), "{bad}");
        }
        // What NATS itself would count as another number.
        for large in ["9223372036854775808", "9999999999TB", "8EiB", "10e", "-9eb"] {
            assert_eq!(bytes(large), Err(NoSize::TooLarge), "{large}");
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
