//! Secrets and tokens: what the caller presents, what the table holds, and how the two are compared.
//!
//! The table holds SHA-256 digests. Every secret and token is generated with at least 128 bits, so a slow hash would
//! add cost and no strength (`docs/adr/0003-digests-without-a-slow-hash.md`).

use crate::client::StoredSecret;
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use std::{fmt, time::SystemTime};
use subtle::{Choice, ConstantTimeEq};

/// A secret or token as its holder presents it. It cannot be printed, and is wiped from memory when dropped.
#[derive(Clone, Debug)]
pub struct Secret(SecretSlice<u8>);

impl Secret {
    /// Takes the bytes into safe keeping.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into().into())
    }

    /// What the table holds of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.expose_secret())
    }
}

/// The SHA-256 digest of a secret or token. Two digests are compared in constant time.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// What is compared where there is nothing to compare with, so that this takes no less time.
    const DUMMY: Self = Self([0; 32]);

    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
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

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl de::Visitor<'_> for Bytes {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the 32 bytes of a SHA-256 digest")
            }

            /// A text may be the secret itself, stored in the wrong place: the error must not quote it.
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Digest, E> {
                Err(E::custom("a digest is 32 bytes, and this is a text"))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Digest, E> {
                bytes.try_into().map(Digest).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

/// Whether `presented` is the token of which `stored` is the digest. Where nothing is stored, a dummy is compared, so
/// that the time taken does not tell.
#[must_use]
pub fn matches(presented: &Digest, stored: Option<&Digest>) -> bool {
    let same = presented.0.ct_eq(&stored.unwrap_or(&Digest::DUMMY).0);
    bool::from(same) && stored.is_some()
}

/// Why a presented secret is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// It is none of the client's secrets.
    Wrong,
    /// It was one of the client's secrets, and has expired.
    Expired,
}

/// Accepts `presented` if it is one of `stored` that has not expired at `now`.
///
/// Each stored secret is compared, whether or not an earlier one matched, and a dummy where there is none: the time
/// taken does not tell which one matched, or that there is none.
///
/// # Errors
/// [`Mismatch`], for the log alone: a caller must not be told which.
pub fn verify(presented: &Digest, stored: &[StoredSecret], now: SystemTime) -> Result<(), Mismatch> {
    const NOBODYS: &[StoredSecret] =
        &[StoredSecret { digest: Digest::DUMMY, expires_at: Some(SystemTime::UNIX_EPOCH) }];
    let (mut accepted, mut expired) = (Choice::from(0), Choice::from(0));
    for secret in if stored.is_empty() { NOBODYS } else { stored } {
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
