//! Small parsers: settings, `If-Match`, allow lists.

use super::{anything, cases, is_quotable};
use deregister::{
    model::{AllowList, EntityTags, Realm, Version, VersionConditions},
    settings::{Database, Endpoints, Grants, Setting, Sweep, Variables, WrongSetting},
};
use proptest::{collection::vec, option, prelude::*};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

/// The value of a setting: a number most of the time, or none.
fn setting() -> impl Strategy<Value = Option<String>> {
    option::weighted(
        0.5,
        prop_oneof![1 => anything(), 5 => "[1-9][0-9]{0,3}", 1 => "[0-9]{6}", 2 => "[a-z_.-]{2,8}", 1 => "(client_name|contacts)(,contacts)?", 3 => "(/[a-z.~%]{0,3}){1,3}"],
    )
}

/// Whether the setting accepts this value, in the words of its `must_be`.
fn is_accepted(setting: &Setting, value: &str) -> bool {
    let is_table = |name: &str| {
        (3..=255).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    };
    match setting.name {
        "CLIENTS_TABLE" => is_table(value),
        "GRANTS_TABLE" | "GRANTS_INDEX" => value.is_empty() || is_table(value),
        "GRANTS_KEY_PREFIX" => value.len() <= 255,
        "GRANTS_EXPIRE_AT" => (1..=255).contains(&value.len()),
        "REALM" => is_quotable(value),
        "BASE_PATH" => value.is_empty() || is_path(value),
        "REGISTRATION_PATH" => is_path(value),
        "SWEEP_DELETES" => ["true", "false"].contains(&value),
        "SWEEP_NOTICE_METADATA" => {
            value.is_empty() || value.split(',').all(|name| ["client_name", "contacts"].contains(&name))
        }
        _ => {
            let (_, range) = setting.must_be.split_once(" from ").unwrap();
            let (least, most) = range.split_once(" to ").unwrap();
            let range = least.parse::<u64>().unwrap()..=most.parse().unwrap();
            value.parse().is_ok_and(|number| range.contains(&number))
        }
    }
}

/// Whether the text is a path: a slash before each segment, and segments that mean the same encoded and decoded.
fn is_path(text: &str) -> bool {
    let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let is_segment = |segment: &str| !["", ".", ".."].contains(&segment) && segment.chars().all(unreserved);
    matches!(text.split('/').collect::<Vec<_>>()[..], ["", ref segments @ ..] if !segments.is_empty() && segments.iter().all(|segment| is_segment(segment)))
}

/// The values of the settings in this table, which `set` or the defaults give.
fn values(table: &[Setting], set: &[Option<String>]) -> HashMap<&'static str, String> {
    let values = table.iter().zip(set).map(|(setting, value)| {
        let value = value.clone().filter(|value| !value.is_empty());
        (setting.name, value.unwrap_or_else(|| setting.default.to_owned()))
    });
    values.collect()
}

/// Reads a struct of settings. Checks that the first value that is not accepted is an error, and that there is no
/// other.
fn read<T, const N: usize>(
    table: [Setting; N],
    set: &[Option<String>],
    read: impl Fn(&Variables) -> Result<T, WrongSetting>,
) -> Result<Option<T>, TestCaseError> {
    let values = values(&table, set);
    let named = table.iter().zip(set).filter_map(|(setting, value)| Some((setting.name, value.as_ref()?)));
    match (read(&named.collect()), table.iter().find(|setting| !is_accepted(setting, &values[setting.name]))) {
        (Ok(settings), None) => Ok(Some(settings)),
        (Err(error), Some(Setting { name, must_be, .. })) => {
            prop_assert!(error.to_string().starts_with(&format!("{name} must be {must_be}, ")), "{error}");
            Ok(None)
        }
        (Ok(_), Some(wrong)) => Err(TestCaseError::fail(format!("{wrong:?} is wrong, and accepted"))),
        (Err(error), None) => Err(TestCaseError::fail(format!("every value is accepted, and reading fails: {error}"))),
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn settings_are_read_as_their_tables_say(set in vec(setting(), 7)) {
        let clients = Database::read(&Variables::default()).unwrap();
        if let Some(settings) = read(Database::TABLE, &set, Database::read)? {
            let values = values(&Database::TABLE, &set);
            prop_assert_eq!(&settings.table, &values["CLIENTS_TABLE"]);
            prop_assert_eq!(Ok(settings.retention.as_secs() / 86_400), values["RETENTION_DAYS"].parse());
            prop_assert_eq!(Ok(settings.attempts), values["DATABASE_ATTEMPTS"].parse());
            let milliseconds = [settings.attempt_timeout, settings.call_timeout].map(|limit| limit.as_millis());
            let names = ["DATABASE_ATTEMPT_TIMEOUT_MS", "DATABASE_CALL_TIMEOUT_MS"];
            prop_assert_eq!(milliseconds, names.map(|name| values[name].parse().unwrap()));
        }
        if let Some(settings) = read(Endpoints::TABLE, &set, Endpoints::read)? {
            let values = values(&Endpoints::TABLE, &set);
            prop_assert_eq!(Some(settings.realm), Realm::new(&values["REALM"]));
            prop_assert_eq!(&settings.base_path, &values["BASE_PATH"]);
            prop_assert_eq!(&settings.registration_path, &values["REGISTRATION_PATH"]);
            prop_assert_eq!(Ok(settings.opening_timeout.as_millis()), values["OPENING_TIMEOUT_MS"].parse());
        }
        if let Some(settings) = read(Grants::TABLE, &set, |variables| Grants::read(variables, &clients))? {
            let values = values(&Grants::TABLE, &set);
            prop_assert_eq!(settings.is_none(), values["GRANTS_TABLE"].is_empty());
            if let Some(settings) = settings {
                prop_assert_eq!(&settings.table, &values["GRANTS_TABLE"]);
                prop_assert_eq!(settings.index.unwrap_or_default(), values["GRANTS_INDEX"].as_str());
                prop_assert_eq!(&settings.key_prefix, &values["GRANTS_KEY_PREFIX"]);
                prop_assert_eq!(Ok(settings.index_lag.as_secs()), values["GRANTS_INDEX_LAG_SECONDS"].parse());
                prop_assert_eq!(&settings.expires_at, &values["GRANTS_EXPIRE_AT"]);
            }
        }
        if let Some(settings) = read(Sweep::TABLE, &set, Sweep::read)? {
            let values = values(&Sweep::TABLE, &set);
            prop_assert_eq!(settings.deletes.to_string(), values["SWEEP_DELETES"].as_str());
            prop_assert_eq!(Ok(settings.policy.unused.as_secs() / 3_600), values["SWEEP_UNUSED_HOURS"].parse());
            prop_assert_eq!(Ok(settings.policy.used.as_secs() / 86_400), values["SWEEP_IDLE_DAYS"].parse());
            let notice = settings.notice.map_or(0, |notice| notice.period.as_secs() / 86_400);
            prop_assert_eq!(Ok(notice), values["SWEEP_NOTICE_DAYS"].parse());
            prop_assert_eq!(Ok(settings.limit), values["SWEEP_LIMIT"].parse());
        }
    }

    #[test]
    fn any_list_of_entity_tags_can_be_read(field in anything(), version in any::<u64>()) {
        let tag = Version(version).to_string();
        let tags = Some(EntityTags::parse(&field));
        let matches = field.trim() == "*" || field.split(',').any(|other| other.trim() == tag);
        let conditions = VersionConditions { if_match: tags.clone(), if_none_match: None };
        prop_assert_eq!(conditions.admit(&Version(version).into()), matches);
        let conditions = VersionConditions { if_match: None, if_none_match: tags };
        prop_assert!(!matches || !conditions.admit(&Version(version).into()));
    }

    /// A version matches in its own spelling only. If-None-Match compares weakly.
    #[test]
    fn a_precondition_matches_the_versions_that_it_spells_out(
        tags in vec(r#"(W/)?"?[+-]?0?[0-3]"?"#, 1..4), version in 0..4_u64
    ) {
        let tag = Version(version).to_string();
        let field = Some(EntityTags::parse(&tags.join(", ")));
        let if_match = VersionConditions { if_match: field.clone(), if_none_match: None };
        prop_assert_eq!(if_match.admit(&Version(version).into()), tags.contains(&tag));
        let if_none_match = VersionConditions { if_match: None, if_none_match: field };
        let is_named = tags.iter().any(|named| named.trim_start_matches("W/") == tag);
        prop_assert_eq!(if_none_match.admit(&Version(version).into()), !is_named);
    }

    #[test]
    fn an_allow_list_is_the_union_of_its_blocks(
        blocks in vec((any::<u32>(), 0..=32_u8), 1..4), address in any::<u32>(), nearby in option::of(0..32_u32)
    ) {
        // A random address is seldom in a block or near its edge.
        let address = nearby.map_or(address, |bit| blocks[0].0 ^ (1 << bit));
        let prefix = |address: u32, length: u8| address.checked_shr(32 - u32::from(length)).unwrap_or(0);
        let inside = blocks.iter().any(|&(block, length)| prefix(block, length) == prefix(address, length));

        let list = AllowList::new(blocks.iter().map(|&(block, length)| format!("{}/{length}", Ipv4Addr::from(block))));
        let address = Ipv4Addr::from(address);
        prop_assert_eq!(list.admits(Some(IpAddr::V4(address))), inside);
        prop_assert_eq!(list.admits(Some(IpAddr::V6(address.to_ipv6_mapped()))), inside);
    }
}
