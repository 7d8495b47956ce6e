//! Generates ids, secrets and tokens from the randomness that is passed in.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use getrandom::Error;
use secrecy::SecretString;

/// Fills a buffer with random bytes.
pub type Randomness = fn(&mut [u8]) -> Result<(), Error>;

/// The vendor's alphabet, without characters that look alike.
const ALPHABET: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";
/// The length of the vendor's ids and secrets: 32 characters of 31 carry 158 bits.
const LENGTH: usize = 32;

/// The id of an API client.
pub fn api_client_id(randomness: Randomness) -> Result<String, Error> {
    let mut word = String::with_capacity(LENGTH);
    while word.len() < LENGTH {
        let mut bytes = [0; LENGTH];
        randomness(&mut bytes)?;
        // Five bits select one of 32 values, and the alphabet has 31 characters. The last value is ignored, so all
        // characters are equally likely.
        let characters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 31)));
        word.extend(characters.map(|&character| char::from(character)).take(LENGTH - word.len()));
    }
    Ok(word)
}

/// The secret of an API client.
pub fn api_client_secret(randomness: Randomness) -> Result<SecretString, Error> {
    api_client_id(randomness).map(SecretString::from)
}

/// The id of an OAuth client: a decimal number from 1 to 2^53 - 1.
///
/// The Authlete API sends client ids as JSON integers, and many JSON parsers hold integers exactly only up to that
/// number. An id is not a secret: 53 bits make a collision rare, and the conditional write refuses one.
pub fn oauth_client_id(randomness: Randomness) -> Result<String, Error> {
    loop {
        let mut bytes = [0; 8];
        randomness(&mut bytes)?;
        let number = u64::from_le_bytes(bytes) >> 11;
        if number > 0 {
            return Ok(number.to_string());
        }
    }
}

/// A registration access token, or an access token of the Authlete API: 256 bits.
pub fn token(randomness: Randomness) -> Result<SecretString, Error> {
    let mut bytes = [0; 32];
    randomness(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    /// The bytes 0, 1, 2 and so on.
    #[expect(clippy::unnecessary_wraps, reason = "the signature of a source of randomness, which can fail")]
    fn counting(bytes: &mut [u8]) -> Result<(), Error> {
        for (byte, n) in bytes.iter_mut().zip(0..) {
            *byte = n;
        }
        Ok(())
    }

    #[test]
    fn an_api_client_id_uses_every_character_equally() {
        assert_eq!(api_client_id(counting).unwrap(), "23456789abcdefghjkmnpqrstuvwxyz2");
    }

    #[test]
    fn a_secret_is_not_in_debug_output() {
        let secret = api_client_secret(counting).unwrap();
        assert_eq!(secret.expose_secret(), "23456789abcdefghjkmnpqrstuvwxyz2");
        assert!(!format!("{secret:?}").contains("23456789"));
    }

    #[test]
    fn the_greatest_oauth_client_id_is_the_greatest_integer_that_every_json_parser_holds() {
        let ones = |bytes: &mut [u8]| {
            bytes.fill(0xFF);
            Ok(())
        };
        assert_eq!(oauth_client_id(ones).unwrap(), "9007199254740991");
    }

    #[test]
    fn a_token_is_the_32_bytes_in_base64url() {
        assert_eq!(token(counting).unwrap().expose_secret(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    }

    #[test]
    fn without_randomness_every_generator_fails() {
        let none = |_: &mut [u8]| Err(Error::UNSUPPORTED);
        assert!(api_client_id(none).is_err());
        assert!(api_client_secret(none).is_err());
        assert!(oauth_client_id(none).is_err());
        assert!(token(none).is_err());
    }
}
