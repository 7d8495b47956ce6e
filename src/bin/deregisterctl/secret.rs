//! Secrets and tokens: from the standard input, or random, and their digests.

use crate::{
    failure::{Failure, MIN_SECRET_LENGTH},
    generate,
    mark::without_mark,
    tool::Tool,
};
use deregister::model::Digest;
use secrecy::{ExposeSecret, SecretString};
use std::io::{self, BufRead};

impl Tool {
    /// The secret of an API client: the first line of the standard input, or a random one.
    pub fn api_client_secret(&self, from_stdin: bool) -> Result<SecretString, Failure> {
        if !from_stdin {
            return Ok(generate::api_client_secret(self.randomness)?);
        }
        let secret = first_line(io::stdin().lock())?;
        match secret.expose_secret().len() {
            MIN_SECRET_LENGTH.. => Ok(secret),
            short => Err(Failure::ShortSecret(short)),
        }
    }
}

/// The first line, without its end and without a byte order mark.
pub fn first_line(mut input: impl BufRead) -> Result<SecretString, Failure> {
    let mut line = String::new();
    input.read_line(&mut line).map_err(Failure::UnreadableSecret)?;
    Ok(without_mark(&line).trim_end_matches(['\r', '\n']).to_owned().into())
}

pub fn digest(secret: &SecretString) -> Digest {
    Digest::of(secret.expose_secret())
}
