//! The lists of clients that the vendors' APIs return, and what each entry is here.
//!
//! A list is read entry by entry, so that its length costs no memory. What is wrong with an entry is told without its
//! values, any of which may be a secret.

use crate::{
    command::{FIRST_VERSION, SHORTEST_SECRET},
    options,
};
use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use deregister::model::{AllowList, ApiClient, Client, Digest, Id, Kind, Metadata, OAuthClient, StoredSecret};
use serde::{
    Deserialize,
    de::{
        DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
        value::{BytesDeserializer, Error as NoDigest},
    },
};
use serde_json::{Map, Value};
use std::{fmt, io::Read};

/// Base64url as others write it: with padding and without.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// How much JSON a client may be, in bytes. An item of DynamoDB may have 409,600, and is no longer than its JSON.
const LARGEST: usize = 400_000;

/// A vendor's list, and whose clients are in it.
#[derive(Clone)]
pub enum List {
    /// The API clients of this application, as Identity Cloud lists them: an array.
    IdentityCloud(String),
    /// The OAuth clients of this service, as Authlete lists them: an object with the array `clients`.
    Authlete(Id),
}

impl List {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::IdentityCloud(_) => {
                "a list of clients as Identity Cloud's Configuration API returns it, a JSON array"
            }
            Self::Authlete(_) => "a list of clients as Authlete's API returns it, a JSON object with the array clients",
        }
    }

    /// Gives each entry to `sink`, until that has enough and says `false`. Several lists may follow each other, as the
    /// pages of one do.
    pub fn read(&self, input: impl Read, sink: &mut dyn FnMut(Value) -> bool) -> serde_json::Result<()> {
        let mut json = serde_json::Deserializer::from_reader(input);
        loop {
            match self {
                Self::IdentityCloud(_) => Entries(sink).deserialize(&mut json)?,
                Self::Authlete(_) => json.deserialize_map(Page(sink))?,
            }
            if json.end().is_ok() {
                return Ok(());
            }
        }
    }

    /// The client that an entry is, with its id; or what is wrong with it.
    pub fn client(&self, entry: Value) -> Result<(Id, Client), String> {
        let Value::Object(members) = entry else { return Err("it is no JSON object".to_owned()) };
        let mut members = Members(members);
        let (id, kind) = match self {
            Self::IdentityCloud(app) => identity_cloud(app, &mut members)?,
            Self::Authlete(service) => authlete(service, &mut members)?,
        };
        let client = Client { kind, protected: false, version: Some(FIRST_VERSION), idle: None };
        match serde_json::to_vec(&client) {
            Ok(json) if json.len() <= LARGEST => Ok((id, client)),
            _ => Err("it is too large for an item of DynamoDB".to_owned()),
        }
    }
}

/// The array of clients.
struct Entries<'s>(&'s mut dyn FnMut(Value) -> bool);

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of clients")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(entry) = entries.next_element()? {
            if !(self.0)(entry) {
                return Err(A::Error::custom("nobody reads on"));
            }
        }
        Ok(())
    }
}

/// The object around the array.
struct Page<'s>(&'s mut dyn FnMut(Value) -> bool);

impl<'de> Visitor<'de> for Page<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the array clients")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(name) = members.next_key::<String>()? {
            if name == "clients" {
                members.next_value_seed(Entries(self.0))?;
                found = true;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        if found { Ok(()) } else { Err(A::Error::missing_field("clients")) }
    }
}

/// The members of an entry. Those that nobody takes are tolerated.
struct Members(Map<String, Value>);

impl Members {
    /// A member's value; an absent one is as good as `null`.
    fn take<T: DeserializeOwned>(&mut self, name: &str, must_be: &str) -> Result<Option<T>, String> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            // What serde says of a wrong value quotes it.
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

/// An API client in Identity Cloud's words.
fn identity_cloud(app: &str, members: &mut Members) -> Result<(Id, Kind), String> {
    let own = |path: String| path.starts_with(&format!("/config/{app}/clients/"));
    if !members.text("_self")?.is_none_or(own) {
        return Err("its _self is not of this application".to_owned());
    }
    let id = members.text("_id")?.ok_or("it has no _id")?;
    let id = options::api_client_id(&id).map_err(|why| format!("its _id cannot be used: {why}"))?;
    let secret = members.text("_secret")?.ok_or("it has no _secret")?;
    if secret.len() < SHORTEST_SECRET {
        return Err(format!("its _secret has less than {SHORTEST_SECRET} bytes"));
    }
    let ip_allow_list = AllowList::new(members.texts("ipWhitelist")?.unwrap_or_default());
    if ip_allow_list.unreadable().next().is_some() {
        return Err("its ipWhitelist has an entry that is no address and no CIDR block".to_owned());
    }
    let client = ApiClient {
        app_id: app.to_owned(),
        name: members.text("name")?,
        features: members.texts("features")?.unwrap_or_default(),
        ip_allow_list,
        secrets: vec![StoredSecret { digest: Digest::of(secret), expires_at: None }],
    };
    Ok((id, Kind::Api(client)))
}

/// An OAuth client in Authlete's words. Its id is the `client_id` of OAuth calls: the alias, where it has one.
fn authlete(service: &Id, members: &mut Members) -> Result<(Id, Kind), String> {
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
        service_id: service.clone(),
        dynamic,
        registration_token_digest: hash.and_then(|hash| digest(&hash)),
        metadata: Metadata {
            client_name: members.text("clientName")?,
            redirect_uris: members.texts("redirectUris")?,
            response_types: words(members.texts("responseTypes")?, response_type),
            grant_types: words(members.texts("grantTypes")?, grant_type),
            token_endpoint_auth_method: if is_public { Some("none".to_owned()) } else { method },
        },
    };
    Ok((id, Kind::OAuth(client)))
}

/// The digest that a hash is: 32 bytes, in base64url or hexadecimal digits. The vendor does not say which hash it is. If
/// it is not SHA-256, no token fits it: that harms nobody.
fn digest(hash: &str) -> Option<Digest> {
    let bytes = hex::decode(hash).or_else(|_| BASE64_URL.decode(hash).map_err(|_| ())).ok()?;
    Digest::deserialize(BytesDeserializer::<NoDigest>::new(&bytes)).ok()
}

/// The OAuth response type for the vendor's word, such as `code id_token` for `CODE_ID_TOKEN`.
fn response_type(word: &str) -> String {
    word.to_ascii_lowercase().replace('_', " ").replace("id token", "id_token")
}

/// The OAuth grant type for the vendor's word.
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
