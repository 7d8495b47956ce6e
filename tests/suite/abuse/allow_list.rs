//! Addresses and allow lists at their edges.

use crate::support::{
    Fixture, basic, event,
    sample::{APPLICATION, OWNER_ELSEWHERE, TARGET},
};
use deregister::model::AllowList;
use serde_json::Value;

#[test]
fn an_entry_admits_its_block_to_the_last_bit() {
    for (entry, admitted, refused) in [
        (
            "203.0.113.7/32",
            vec!["203.0.113.7", "::ffff:203.0.113.7"],
            vec!["203.0.113.6", "203.0.113.8", "::203.0.113.7"],
        ),
        ("203.0.113.6/31", vec!["203.0.113.6", "203.0.113.7"], vec!["203.0.113.5", "203.0.113.8"]),
        ("128.0.0.0/1", vec!["128.0.0.0", "255.255.255.255"], vec!["127.255.255.255", "8000::"]),
        ("203.0.113.7/0", vec!["0.0.0.0", "255.255.255.255", "::"], vec![]),
        ("2001:db8::1/128", vec!["2001:db8::1"], vec!["2001:db8::", "2001:db8::2"]),
        ("2001:DB8:0:0::/127", vec!["2001:db8::", "2001:db8::1"], vec!["2001:db8::2"]),
        ("8000::/1", vec!["8000::", "ffff::"], vec!["7fff::", "128.0.0.1"]),
        ("::ffff:203.0.113.0/128", vec!["203.0.113.0"], vec!["203.0.113.1"]),
        ("::ffff:0:0/95", vec!["::fffe:0:1"], vec!["203.0.113.7", "::ffff:203.0.113.7"]),
        ("::/0", vec!["::", "ffff::"], vec!["0.0.0.0", "::ffff:0.0.0.0"]),
    ] {
        let list = AllowList::new([entry]);
        for (addresses, expected) in [(admitted, true), (refused, false)] {
            for address in addresses {
                assert_eq!(list.admits(Some(address.parse().unwrap())), expected, "{address} by {entry}");
            }
        }
    }
}

/// Only `0.0.0.0/0` admits more than its block, as documented.
#[test]
fn the_block_of_all_mapped_addresses_admits_ipv4_only() {
    let list = AllowList::new(["::ffff:0:0/96"]);
    assert!(list.admits("203.0.113.7".parse().ok()));
    assert!(!list.admits("2001:db8::1".parse().ok()));
    assert!(!list.admits(None));
}

#[test]
fn a_malformed_entry_admits_no_address() {
    for entry in [
        " 203.0.113.0/24",
        "203.0.113.0/24 ",
        "203.0.113.0 /24",
        "203.0.113.0/ 24",
        "203.0.113.0/24\n",
        "203.0.113.0/+24",
        "203.0.113.0/-1",
        "203.0.113.0/",
        "/24",
        "203.0.113/24",
        "203.0.113.0/024",
        "203.0.113.0/04",
        "2001:db8::/010",
        "203.0.113.0/255.255.255.0",
        "203.0.113.0-203.0.113.255",
        "203.0.113.0/24,198.51.100.0/24",
        "*",
        "203.0.113.*",
        "203.0.113.7:443",
        "[2001:db8::1]",
        "fe80::1%eth0",
        "fe80::%1/10",
        "0xcb.0.113.7",
        "3405803783",
        "0xcb007107",
        "\u{ff12}03.0.113.7",
        "2001:db8::1::",
        "2001:db8::/129",
        "203.0.113.0/256",
        "203.0.113.0/4294967320",
        "localhost",
    ] {
        let list = AllowList::new([entry]);
        assert_eq!(list.unreadable().collect::<Vec<_>>(), [entry]);
        for address in ["203.0.113.7", "2001:db8::1", "fe80::1", "0.0.0.0"] {
            assert!(!list.admits(address.parse().ok()), "{address} by {entry:?}");
        }
        assert!(!list.admits(None), "{entry:?}");
    }
}

/// Some parsers read `010` as ten, others as eight.
#[test]
fn an_address_in_a_block_is_parsed_as_strictly_as_an_address_alone() {
    for (entry, addresses) in [
        ("010.0.0.1", ["8.0.0.1", "10.0.0.1"]),
        ("010.0.0.0/8", ["8.0.0.1", "10.0.0.1"]),
        ("10.0.0.00/8", ["8.0.0.1", "10.0.0.1"]),
        ("::ffff:010.0.0.0/104", ["8.0.0.1", "10.0.0.1"]),
        ("::1:1:1:1:1:1:1:1/128", ["1:1:1:1:1:1:1:1", "0:1:1:1:1:1:1:1"]),
    ] {
        let list = AllowList::new([entry]);
        assert_eq!(list.unreadable().collect::<Vec<_>>(), [entry]);
        for address in addresses {
            assert!(!list.admits(address.parse().ok()), "{address} by {entry}");
        }
    }
}

#[tokio::test]
async fn a_malformed_source_address_counts_as_unknown() {
    let fixture = Fixture::with_samples().await;
    let path = format!("/config/{APPLICATION}/clients/{TARGET}");
    let request = event("DELETE", &path, "", &[("authorization", &basic(OWNER_ELSEWHERE))], "");
    let from = |address: &str| {
        let mut event: Value = serde_json::from_str(&request).unwrap();
        event["requestContext"]["http"]["sourceIp"] = address.into();
        event.to_string()
    };
    for address in [
        "",
        " 198.51.100.7",
        "198.51.100.7 ",
        "198.51.100.7:443",
        "198.51.100.7%eth0",
        "198.51.100.7/32",
        "198.51.100.007",
        "198.51.100.7, 203.0.113.7",
        "::198.51.100.7",
        "::ffff:198.51.100.7%1",
        "[::ffff:198.51.100.7]",
        "unknown",
    ] {
        assert_eq!(fixture.invoke(&from(address)).await.status(), 403, "{address:?}");
    }
    assert_eq!(fixture.invoke(&from("::ffff:198.51.100.7")).await.status(), 204);
}
