//! The events in `events/` that are invoked by hand.

use super::cases;

/// Each endpoint's file, its case and its payload version.
const FILES: [(&str, &str, u8); 20] = [
    ("configuration/deleted", "configuration-deleted", 2),
    ("configuration/deleted-rest-api", "configuration-deleted", 1),
    ("configuration/deleted-function-url", "configuration-deleted-function-url", 2),
    ("configuration/wrong-secret", "configuration-wrong-secret", 2),
    ("configuration/not-owner", "configuration-not-owner", 2),
    ("configuration/unknown-client", "configuration-unknown-client", 2),
    ("configuration/protected", "configuration-protected", 2),
    ("registration/deleted", "registration-deleted", 2),
    ("registration/deleted-rest-api", "registration-deleted", 1),
    ("registration/deleted-function-url", "registration-deleted-function-url", 2),
    ("registration/no-credentials", "registration-no-credentials", 2),
    ("registration/wrong-token", "registration-wrong-token", 2),
    ("registration/protected", "registration-protected", 2),
    ("authlete/deleted", "authlete-deleted", 2),
    ("authlete/deleted-rest-api", "authlete-deleted", 1),
    ("authlete/deleted-function-url", "authlete-deleted-function-url", 2),
    ("authlete/deleted-form", "authlete-deleted-form", 2),
    ("authlete/unknown-client", "authlete-unknown-client", 2),
    ("authlete/wrong-token", "authlete-wrong-token", 2),
    ("authlete/no-credentials", "authlete-no-credentials", 2),
];

/// Every file, with its text.
pub fn files() -> Vec<(String, String)> {
    let events = cases::events();
    let text = |(file, case, payload)| {
        let (event, _) = &events[&format!("{case}.{payload}.0")];
        (format!("{file}.json"), serde_json::to_string_pretty(event).unwrap() + "\n")
    };
    FILES.into_iter().map(text).collect()
}
