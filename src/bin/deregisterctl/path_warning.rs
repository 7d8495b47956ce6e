//! Warns of ids that no path can name behind an HTTP API, in one line each.
//!
//! An HTTP API decodes the path and cuts it at `?`. If the path of an endpoint continues after an
//! id, a decoded `/` divides the id. The client configuration endpoint takes all that follows its prefix.

use crate::report;
use deregister::model::Id;

/// Warns if the path of the Configuration API cannot have this id of an API client.
pub fn of_api_client(id: &Id) {
    warn("client", id.as_str(), &['?', '/']);
}

/// Warns if the path of the client configuration endpoint cannot have this id of an OAuth client.
pub fn of_oauth_client(id: &Id) {
    warn("client", id.as_str(), &['?']);
}

/// Warns if the path of the Configuration API cannot have this id of an application.
///
/// Returns whether it warned. If it did, no path names a client of the application.
pub fn of_application(id: &str) -> bool {
    warn("application", id, &['?', '/'])
}

/// Warns if the path of the Authlete API cannot have this id of a service.
pub fn of_service(id: &Id) {
    warn("service", id.as_str(), &['?', '/']);
}

fn warn(what: &str, id: &str, unnameable: &[char]) -> bool {
    let found = id.chars().find(|character| unnameable.contains(character));
    if let Some(character) = found {
        report::complain(&format!(
            "warning: behind an HTTP API no path can name the {what} {id}, because its id holds a {character}: use a REST \
             API or a function URL"
        ));
    }
    found.is_some()
}
