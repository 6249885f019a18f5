//! The certificate that all proxies of a run present: one, made for the run, with a key on P-256.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The name that the load asks for.
pub(crate) const NAME: &str = "bench.test";

/// A certificate and its key, in PEM.
pub(crate) struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    pub(crate) fn make() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).context("make a certificate")?;
        Ok(Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() })
    }

    /// Writes both, each by itself and, as HAProxy wants them, in one file.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let certificate = folder.join("certificate.pem");
        fs::write(&certificate, &self.certificate)
            .with_context(|| format!("write {}", certificate.display()))?;
        for (name, parts) in
            [("key.pem", [self.key.as_str(), ""]), ("both.pem", [self.certificate.as_str(), &self.key])]
        {
            let path = folder.join(name);
            let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
            file.and_then(|mut file| file.write_all(parts.concat().as_bytes()))
                .with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }
}
