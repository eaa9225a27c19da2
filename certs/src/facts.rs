use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

/// Why a certificate could not be read. It never holds the text itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no PEM block `CERTIFICATE`.
    #[error("holds no PEM block CERTIFICATE")]
    NoCertificate,
    /// The block is there, and is no X.509 certificate.
    #[error("holds a PEM block CERTIFICATE that is no X.509 certificate")]
    Malformed,
}

/// What a certificate says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Valid from this moment.
    pub not_before: Timestamp,
    /// Valid until this moment.
    pub not_after: Timestamp,
    /// DNS names that it stands for.
    pub dns_names: Vec<String>,
    /// Serial number in hexadecimal with colons, to tell one certificate from the next.
    pub serial: String,
}

impl Facts {
    /// Reads the first certificate of a PEM text: the leaf, where a chain follows.
    pub fn read(pem: &[u8]) -> Result<Self, ReadError> {
        let first = certificates(pem).next().ok_or(ReadError::NoCertificate)?;
        let (_, certificate) = X509Certificate::from_der(&first.contents).map_err(|_| ReadError::Malformed)?;
        Self::of(&certificate)
    }

    /// Reads them from the binary form.
    pub fn read_der(der: &[u8]) -> Result<Self, ReadError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| ReadError::Malformed)?;
        Self::of(&certificate)
    }

    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Result<Self, ReadError> {
        let moment = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).map_err(|_| ReadError::Malformed);
        let dns_names = match certificate.subject_alternative_name() {
            Ok(Some(names)) => names
                .value
                .general_names
                .iter()
                .filter_map(|name| if let GeneralName::DNSName(name) = name { Some((*name).to_owned()) } else { None })
                .collect(),
            Ok(None) => Vec::new(),
            Err(_) => return Err(ReadError::Malformed),
        };
        Ok(Self {
            not_before: moment(certificate.validity().not_before)?,
            not_after: moment(certificate.validity().not_after)?,
            dns_names,
            serial: certificate.raw_serial_as_string(),
        })
    }

    /// Whether a client would take it at this moment.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// Whole days until it ends; negative once it has ended.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.not_after.as_second() - now.as_second()).div_euclid(24 * 60 * 60)
    }
}

/// The PEM blocks `CERTIFICATE` of a text, in its order. What cannot be read as PEM ends the list.
pub(crate) fn certificates(pem: &[u8]) -> impl Iterator<Item = Pem> + '_ {
    Pem::iter_from_buffer(pem).map_while(Result::ok).filter(|block| block.label == "CERTIFICATE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_named_without_its_text() {
        assert_eq!(Facts::read(b"secret words"), Err(ReadError::NoCertificate));
        assert_eq!(Facts::read(b""), Err(ReadError::NoCertificate));
        assert_eq!(Facts::read(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), Err(ReadError::Malformed));
        assert_eq!(Facts::read(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), Err(ReadError::NoCertificate));
    }

    #[test]
    fn days_left_turn_negative_when_it_ends() {
        let facts = Facts {
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::from_second(864_000).unwrap(),
            dns_names: vec![],
            serial: String::new(),
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(facts.days_left(at(0)), 10);
        assert_eq!(facts.days_left(at(863_999)), 0);
        assert_eq!(facts.days_left(at(864_001)), -1);
        assert!(facts.is_valid(at(0)) && facts.is_valid(at(863_999)));
        assert!(!facts.is_valid(at(-1)) && !facts.is_valid(at(864_000)));
    }
}
