//! Input: an address, and in each further line an entry of an allow list.
//!
//! Plain 128-bit arithmetic admits the same addresses, also at the edges of every block.
#![no_main]

use deregister::model::AllowList;
use fuzz::reference::Block;
use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, Ipv6Addr};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let address: Option<IpAddr> = lines.next().and_then(|address| address.parse().ok());
    let entries: Vec<&str> = lines.collect();
    let blocks: Vec<Option<Block>> = entries.iter().map(|entry| Block::of(entry)).collect();
    let list = AllowList::new(entries.iter().copied());

    let unreadable: Vec<&str> =
        entries.iter().zip(&blocks).filter(|(_, block)| block.is_none()).map(|(entry, _)| *entry).collect();
    assert_eq!(list.unreadable().collect::<Vec<_>>(), unreadable);

    // The edges of the blocks are where a wrong comparison shows.
    let edges = blocks.iter().flatten().flat_map(|block| match *block {
        Block::Any => [0, 1, u128::MAX, 0],
        Block::V4 { first, last } | Block::V6 { first, last } => {
            [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
        }
    });
    let edges = edges.map(|number| Some(IpAddr::V6(Ipv6Addr::from_bits(number))));
    for address in edges.chain([address, None]) {
        let admitted = entries.is_empty() || blocks.iter().flatten().any(|block| block.admits(address));
        assert_eq!(list.admits(address), admitted, "{address:?} by {entries:?}");
        let canonical = address.map(|address| address.to_canonical());
        assert_eq!(list.admits(canonical), admitted, "{canonical:?} by {entries:?}");
    }
});
