//! Reads lists of clients, as the vendors' APIs return them or by the names of RFC 7591, and converts each entry to a
//! client.
//!
//! A list is read entry by entry, so that a long list needs little memory. The reason why an entry is wrong contains
//! none of its values, because any value may be a secret.

use crate::{failure::MIN_SECRET_LENGTH, mark::reader_without_mark, options};
use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use deregister::{
    dynamodb::item,
    model::{AllowList, ApiClient, Client, Digest, Id, Idle, Kind, Metadata, OAuthClient, StoredSecret},
};
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value, value::RawValue};
use std::{collections::BTreeMap, fmt, io::Read};

/// Base64url, with padding and without.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The largest item, in bytes. DynamoDB accepts 409,600. The difference is for the record of a deletion.
const MAX_SIZE: usize = 400_000;

/// The form of a list, with the application or service of its clients.
#[derive(Clone)]
pub enum ClientList {
    /// The API clients of this application, as Identity Cloud lists them: an array.
    IdentityCloud(String),
    /// The OAuth clients of this service, as Authlete lists them: an object with the array `clients`.
    Authlete(Id),
    /// The OAuth clients of this service or of none, by the names of RFC 7591: one object after the other.
    Rfc7591(Option<Id>),
}

impl ClientList {
    /// The name of the list, in an error.
    pub fn name(&self) -> &'static str {
        match self {
            Self::IdentityCloud(_) => {
                "a list of clients as Identity Cloud's Configuration API returns it, a JSON array"
            }
            Self::Authlete(_) => "a list of clients as Authlete's API returns it, a JSON object with the array clients",
            Self::Rfc7591(_) => "a list of clients by the names of RFC 7591, one JSON object after the other",
        }
    }

    /// Passes each entry to `sink`, until `sink` returns `false`. The input may hold several lists, one after the
    /// other: the pages of one list.
    pub fn read(&self, input: impl Read, sink: &mut dyn FnMut(Value) -> bool) -> serde_json::Result<()> {
        let mut json =
            serde_json::Deserializer::from_reader(reader_without_mark(input).map_err(serde_json::Error::io)?);
        // An empty input has no list, and nothing to import.
        while json.end().is_err() {
            match self {
                Self::IdentityCloud(_) => Entries(sink).deserialize(&mut json)?,
                Self::Authlete(_) => json.deserialize_map(Page(sink))?,
                Self::Rfc7591(_) => {
                    if !sink(entry(&Box::<RawValue>::deserialize(&mut json)?)) {
                        return Err(serde_json::Error::custom("the sink has enough"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Converts an entry to a client and its id.
    pub fn client(&self, entry: Value) -> Result<(Id, Client), WrongEntry> {
        let members = match entry {
            Value::Object(members) => members,
            Value::Array(_) if matches!(self, Self::Rfc7591(_)) => {
                let why = "it is a JSON array: write one object a line, for example with jq -c '.[]'".to_owned();
                return Err(WrongEntry { id: None, why });
            }
            _ => return Err(WrongEntry { id: None, why: "it is not a JSON object".to_owned() }),
        };
        let id = self.id(&members);
        let mut members = Members(members);
        let converted = match self {
            Self::IdentityCloud(app) => identity_cloud(app, &mut members),
            Self::Authlete(service) => authlete(service, &mut members),
            Self::Rfc7591(service) => rfc7591(service.as_ref(), &mut members),
        };
        let (id, client) = converted.map_err(|why| WrongEntry { id: id.clone(), why })?;
        if item::size(&item::of_client(&id, &client)) <= MAX_SIZE {
            Ok((id, client))
        } else {
            Err(WrongEntry { id: Some(id), why: "it is too large for an item of DynamoDB".to_owned() })
        }
    }

    /// The id by which people find the entry in the list.
    fn id(&self, members: &Map<String, Value>) -> Option<Id> {
        let name = match self {
            Self::IdentityCloud(_) => "_id",
            Self::Authlete(_) => "clientId",
            Self::Rfc7591(_) => "client_id",
        };
        match members.get(name)? {
            Value::String(id) => Id::new(id.as_str()),
            Value::Number(id) if id.is_u64() => Id::new(id.to_string()),
            _ => None,
        }
    }
}

/// An entry that is no client: its id, if it can be read, and what is wrong with the entry.
pub struct WrongEntry {
    pub id: Option<Id>,
    pub why: String,
}

/// The entry. JSON can hold texts that are not Unicode, and a text of a client must be. Such a member becomes an object,
/// which no member of a client is.
fn entry(json: &RawValue) -> Value {
    let value = |json: &RawValue| serde_json::from_str(json.get());
    value(json).unwrap_or_else(|_| {
        let members = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(json.get()).unwrap_or_default();
        let member = |(name, json): (String, Box<RawValue>)| (name, value(&json).unwrap_or_else(|_| Map::new().into()));
        members.into_iter().map(member).collect()
    })
}

/// The array of clients. `null` is none.
struct Entries<'s>(&'s mut dyn FnMut(Value) -> bool);

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of clients")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(json) = entries.next_element::<Box<RawValue>>()? {
            if !(self.0)(entry(&json)) {
                return Err(A::Error::custom("the sink has enough"));
            }
        }
        Ok(())
    }
}

/// The object around the array. A page without the array has no clients.
struct Page<'s>(&'s mut dyn FnMut(Value) -> bool);

impl<'de> Visitor<'de> for Page<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the array clients")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            if name == "clients" {
                members.next_value_seed(Entries(self.0))?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The members of an entry. Unknown members are ignored.
struct Members(Map<String, Value>);

impl Members {
    /// Takes a member's value. `null` counts as absent.
    fn take<T: DeserializeOwned>(&mut self, name: &str, must_be: &str) -> Result<Option<T>, String> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            // The text of serde's error quotes the value.
            Some(value) => serde_json::from_value(value).map(Some).map_err(|_| format!("its {name} is not {must_be}")),
        }
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        self.take(name, "a text")
    }

    fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, String> {
        self.take(name, "a list of texts")
    }
}

/// Converts an API client of Identity Cloud.
fn identity_cloud(app: &str, members: &mut Members) -> Result<(Id, Client), String> {
    let own = |path: String| path.starts_with(&format!("/config/{app}/clients/"));
    if !members.text("_self")?.is_none_or(own) {
        return Err("its _self is not of this application".to_owned());
    }
    let id = members.text("_id")?.ok_or("it has no _id")?;
    let id = options::api_client_id(&id).map_err(|why| format!("its _id cannot be used: {why}"))?;
    let secret = members.text("_secret")?.ok_or("it has no _secret")?;
    if secret.len() < MIN_SECRET_LENGTH {
        return Err(format!("its _secret has fewer than {MIN_SECRET_LENGTH} bytes"));
    }
    let ip_allow_list = AllowList::new(members.texts("ipWhitelist")?.unwrap_or_default());
    if ip_allow_list.unreadable().next().is_some() {
        return Err("its ipWhitelist has an entry that is neither an address nor a CIDR block".to_owned());
    }
    let client = ApiClient {
        app_id: app.to_owned(),
        name: members.text("name")?,
        features: members.texts("features")?.unwrap_or_default(),
        ip_allow_list,
        secrets: vec![StoredSecret { digest: Digest::of(secret), expires_at: None }],
    };
    Ok((id, Client::new(Kind::Api(client))))
}

/// Converts an OAuth client of Authlete. Its id is the `client_id` of OAuth calls: the alias, if it has one.
fn authlete(service: &Id, members: &mut Members) -> Result<(Id, Client), String> {
    let aliased = members.take("clientIdAliasEnabled", "true or false")?.unwrap_or(true);
    let alias = members.text("clientIdAlias")?.filter(|alias| aliased && !alias.is_empty());
    let id = match (alias, members.0.remove("clientId")) {
        (Some(alias), _) => alias,
        (None, Some(Value::String(id))) => id,
        (None, Some(Value::Number(id))) if id.is_u64() => id.to_string(),
        (None, None) => return Err("it has no clientId".to_owned()),
        (None, Some(_)) => return Err("its clientId is not a text or a whole number".to_owned()),
    };
    let id = Id::try_from(id).map_err(|why| format!("its clientId cannot be used: {why}"))?;
    let dynamic = members.take("dynamicallyRegistered", "true or false")?.unwrap_or(false);
    let hash = members.text("registrationAccessTokenHash")?.filter(|_| dynamic);
    let words = |words: Option<Vec<String>>, word: fn(&str) -> String| {
        words.map(|words| words.iter().map(|known| word(known)).collect())
    };
    let is_public = members.text("clientType")?.is_some_and(|client_type| client_type == "PUBLIC");
    let method = members.text("tokenAuthMethod")?.map(|method| method.to_ascii_lowercase());
    let client = OAuthClient {
        service_id: Some(service.clone()),
        dynamic,
        registration_token_digest: hash.and_then(|hash| digest(&hash)),
        metadata: Metadata {
            client_name: members.text("clientName")?,
            contacts: members.texts("contacts")?,
            redirect_uris: members.texts("redirectUris")?,
            response_types: words(members.texts("responseTypes")?, response_type),
            grant_types: words(members.texts("grantTypes")?, grant_type),
            token_endpoint_auth_method: if is_public { Some("none".to_owned()) } else { method },
        },
    };
    Ok((id, Client::new(Kind::OAuth(client))))
}

/// Converts an OAuth client of any authorization server (RFC 7591, sections 2 and 3.2.1).
fn rfc7591(service: Option<&Id>, members: &mut Members) -> Result<(Id, Client), String> {
    let id = members.text("client_id")?.ok_or("it has no client_id")?;
    let id = Id::try_from(id).map_err(|why| format!("its client_id cannot be used: {why}"))?;
    let token = members.text("registration_access_token")?;
    let hash = members.text("registration_access_token_sha256")?;
    let registration_token_digest = match (token, hash) {
        (Some(_), Some(_)) => {
            return Err("it has both a registration_access_token and a registration_access_token_sha256".to_owned());
        }
        (Some(token), None) if token.len() < MIN_SECRET_LENGTH => {
            return Err(format!("its registration_access_token has fewer than {MIN_SECRET_LENGTH} bytes"));
        }
        (Some(token), None) => Some(Digest::of(token)),
        (None, Some(hash)) => Some(digest(&hash).ok_or("its registration_access_token_sha256 is not 32 bytes")?),
        (None, None) => None,
    };
    let dynamic = members.take("dynamic", "true or false")?.unwrap_or(true);
    if !dynamic && registration_token_digest.is_some() {
        return Err("it is not dynamic, and has a registration access token".to_owned());
    }
    let client = OAuthClient {
        service_id: service.cloned(),
        dynamic,
        registration_token_digest,
        metadata: Metadata {
            client_name: members.text("client_name")?,
            contacts: members.texts("contacts")?,
            redirect_uris: members.texts("redirect_uris")?,
            response_types: members.texts("response_types")?,
            grant_types: members.texts("grant_types")?,
            token_endpoint_auth_method: members.text("token_endpoint_auth_method")?,
        },
    };
    let idle = match members.take("last_used_at", "a number of seconds since 1970")? {
        Some(seconds) => Some(Idle::used_at(seconds).ok_or("its last_used_at is after the year 9999")?),
        None => None,
    };
    Ok((id, Client { idle, ..Client::new(Kind::OAuth(client)) }))
}

/// Reads the hash of a token as a digest: 32 bytes, in base64url or hexadecimal digits. Authlete does not document its
/// hash function. If it is not SHA-256, no token matches the digest, and the client cannot delete itself.
fn digest(hash: &str) -> Option<Digest> {
    let bytes = hex::decode(hash).or_else(|_| BASE64_URL.decode(hash).map_err(|_| ())).ok()?;
    bytes.as_slice().try_into().ok()
}

/// Converts a response type, such as `CODE_ID_TOKEN` to `code id_token`.
fn response_type(word: &str) -> String {
    word.to_ascii_lowercase().replace('_', " ").replace("id token", "id_token")
}

/// Converts a grant type.
fn grant_type(word: &str) -> String {
    match word {
        "CIBA" => "urn:openid:params:grant-type:ciba".to_owned(),
        "DEVICE_CODE" => "urn:ietf:params:oauth:grant-type:device_code".to_owned(),
        "TOKEN_EXCHANGE" => "urn:ietf:params:oauth:grant-type:token-exchange".to_owned(),
        "JWT_BEARER" => "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned(),
        "PRE_AUTHORIZED_CODE" => "urn:ietf:params:oauth:grant-type:pre-authorized_code".to_owned(),
        word => word.to_ascii_lowercase(),
    }
}
