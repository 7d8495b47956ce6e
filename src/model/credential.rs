//! Secrets and tokens: their digests, and how two digests are compared.
//!
//! The table holds SHA-256 digests. Every secret and token has at least 128 bits, so a slow hash would add cost and no
//! strength (`docs/adr/0003-digests-without-a-slow-hash.md`). The digest of a presented secret is computed when its
//! header or body is parsed; no later step sees the secret itself.

use sha2::{Digest as _, Sha256};
use std::{fmt, time::SystemTime};
use subtle::{Choice, ConstantTimeEq};

/// The SHA-256 digest of a secret or token. Two digests are compared in constant time.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Compared if no digest is stored, so that the comparison takes the same time.
    const DUMMY: Self = Self([0; 32]);

    /// The digest of this secret or token.
    #[must_use]
    pub fn of(secret: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// The 64 hexadecimal digits of the digest, lower case.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The digest's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

impl TryFrom<&[u8]> for Digest {
    type Error = std::array::TryFromSliceError;

    /// The digest with these 32 bytes.
    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self)
    }
}

/// A secret as the table holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSecret {
    /// The digest of the secret.
    pub digest: Digest,
    /// The time from which the secret is refused. `None`: the secret does not expire.
    pub expires_at: Option<SystemTime>,
}

/// Whether `presented` equals `stored`. If nothing is stored, a dummy is compared, so that the time taken does not show
/// it.
#[must_use]
pub fn matches(presented: &Digest, stored: Option<&Digest>) -> bool {
    let same = presented.0.ct_eq(&stored.unwrap_or(&Digest::DUMMY).0);
    bool::from(same) && stored.is_some()
}

/// Why a presented secret is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The client has no such secret.
    Wrong,
    /// The client had this secret, and the secret has expired.
    Expired,
}

/// Accepts `presented` if it equals one of `stored` that has not expired at `now`.
///
/// Every stored secret is compared, even after a match, and a dummy if there is none. So the time taken does not show
/// which secret matched, or whether there is a secret.
///
/// # Errors
/// [`Mismatch`], for the log. The caller must not learn which.
pub fn verify(presented: &Digest, stored: &[StoredSecret], now: SystemTime) -> Result<(), Mismatch> {
    const DUMMIES: &[StoredSecret] =
        &[StoredSecret { digest: Digest::DUMMY, expires_at: Some(SystemTime::UNIX_EPOCH) }];
    let (mut accepted, mut expired) = (Choice::from(0), Choice::from(0));
    for secret in if stored.is_empty() { DUMMIES } else { stored } {
        let matches = presented.0.ct_eq(&secret.digest.0);
        let live = Choice::from(u8::from(secret.expires_at.is_none_or(|end| now < end)));
        accepted |= matches & live;
        expired |= matches & !live;
    }
    match (accepted.into(), expired.into()) {
        (true, _) => Ok(()),
        (false, true) => Err(Mismatch::Expired),
        (false, false) => Err(Mismatch::Wrong),
    }
}
