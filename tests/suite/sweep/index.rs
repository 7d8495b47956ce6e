//! The index of idle clients: what is in it, in which order a run reads it, and what that costs.

use super::{
    DAY, DELETES, HOUR, OBSERVES, SECOND, create, create_all, due, idle, index, key, record, report, restore, run,
    run_in, run_of, s, seconds, sweep, table_with, take_calls, use_client,
};
use crate::support::{
    Fixture,
    build::{api_client, id},
    endpoint::Endpoint,
    log::Captured,
    now,
    sample::{CLIENT, RFC_CLIENT, TARGET},
    wire::Fault,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    deletion,
    functions::sweep::Report,
    invocation::Invocation,
    model::{Digest, Idle},
    rule::operator,
    settings,
};
use lambda_http::Context;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// An endless sequence of ids of clients in this shard of the index.
pub fn ids_in(shard: char) -> impl Iterator<Item = String> {
    (0..).map(|n| format!("client-{n}")).filter(move |client_id| Digest::of(client_id).to_hex().starts_with(shard))
}

/// The number of the partition that a run in this invocation reads first.
async fn first_partition(fixture: &Fixture, context: Context) -> usize {
    fixture.wire.plan("Query", Fault::error(400, "AccessDeniedException"));
    run_in(context, &sweep(fixture, OBSERVES)).await.unwrap_err();
    let query: Value = serde_json::from_str(&fixture.wire.last_body()).unwrap();
    let partition = query["ExpressionAttributeValues"][":partition"]["S"].as_str().unwrap();
    let (used, shard) = partition.split_once('#').unwrap();
    usize::from_str_radix(shard, 16).unwrap() + if used == "used" { 16 } else { 0 }
}

/// A run that reads this partition first.
pub async fn run_from(partition: usize) -> Context {
    let fixture = Fixture::empty().await;
    loop {
        let context = run_of(HOUR);
        if first_partition(&fixture, context.clone()).await == partition {
            return context;
        }
    }
}

#[tokio::test]
async fn each_partition_is_the_first_of_some_runs() {
    let fixture = Fixture::empty().await;
    let mut first = [0; 32];
    for n in 0..640 {
        let mut context = run_of(HOUR);
        context.request_id = format!("8a1f0b52-3f6c-4a53-9d0e-6c1f2b7a{n:04}");
        first[first_partition(&fixture, context).await] += 1;
    }
    // A perfectly even distribution would have 20 each.
    assert!(first.iter().all(|count| (4..=50).contains(count)), "{first:?}");
}

#[tokio::test]
async fn a_due_client_behind_31_partitions_of_protected_ones_is_reached_by_a_run_with_limit_one() {
    let fixture = Fixture::empty().await;
    let context = run_of(HOUR);
    let last = (first_partition(&fixture, context.clone()).await + 31) % 32;
    let since = now() - 91 * DAY;
    for (n, shard) in "0123456789abcdef".chars().cycle().take(32).enumerate() {
        let client = idle(if n < 16 { Idle::unused(since) } else { Idle::used(since) });
        let ids = ids_in(shard).skip(if n < 16 { 0 } else { 3 });
        let (count, client) = if n == last { (1, client) } else { (3, client.protected()) };
        create_all(&fixture, ids.take(count).map(|client_id| (client_id, client.clone()))).await;
    }
    let report = Report { swept: 1, protected: 93, ..report(94) };
    let sweep = sweep(&fixture, settings::Sweep { limit: 1, ..DELETES });
    assert_eq!(run_in(context, &sweep).await, Ok(report));
}

#[tokio::test]
async fn the_cost_of_a_run_depends_on_the_due_clients_and_not_on_the_table() {
    for others in [0, 2000] {
        let fixture = Fixture::empty().await;
        create_all(&fixture, (0..40).map(|n| (format!("due-{n}"), due()))).await;
        let busy = |n: u32| if n.is_multiple_of(2) { Idle::unused(now()) } else { Idle::used(now() - n * SECOND) };
        create_all(&fixture, (0..others).map(|n| (format!("busy-{n}"), idle(busy(n))))).await;
        for (settings, calls) in [
            (OBSERVES, vec![("BatchGetItem", 40), ("Query", 64)]),
            (DELETES, vec![("BatchGetItem", 40), ("Query", 64), ("UpdateItem", 40)]),
            (DELETES, vec![("Query", 64)]),
        ] {
            take_calls(&fixture);
            run(&sweep(&fixture, settings)).await;
            let expected = calls.into_iter().map(|(operation, count)| (operation.to_owned(), count));
            assert_eq!(take_calls(&fixture), expected.collect(), "{others}");
        }
    }
}

#[tokio::test]
async fn a_partition_of_two_pages_is_read_to_its_end_while_it_shrinks() {
    let fixture = Fixture::empty().await;
    create_all(&fixture, ids_in('7').take(510).map(|client_id| (client_id, due()))).await;
    let log = Captured::at("INFO");
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 510, ..report(510) });
    assert_eq!(take_calls(&fixture)["Query"], 65);
    assert!(index(&fixture).await.is_empty());
    assert_eq!(record(&log)["database_calls"], 65 + 2 * 510);
}

#[tokio::test]
async fn the_client_that_is_idle_longest_is_the_first_of_its_partition() {
    let fixture = Fixture::empty().await;
    let ids: Vec<_> = ids_in('7').take(3).collect();
    for (client_id, hours) in ids.iter().zip([2, 3, 1]) {
        create(&fixture, client_id, idle(Idle::unused(now() - DAY - hours * HOUR))).await;
    }
    run(&sweep(&fixture, settings::Sweep { limit: 1, ..DELETES })).await;
    let lives = [fixture.lives(&ids[0]).await, fixture.lives(&ids[1]).await, fixture.lives(&ids[2]).await];
    assert_eq!(lives, [true, false, true]);
}

#[tokio::test]
async fn a_deletion_at_any_endpoint_takes_the_client_out_of_the_index() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::with_samples().await;
        for client_id in [TARGET, RFC_CLIENT.0, CLIENT.0] {
            // No endpoint reads these attributes.
            let update = fixture.sdk.update_item().table_name(&fixture.table).key("pk", key(client_id));
            let update = update.update_expression("SET idle = :partition, idle_since = :since");
            let update = update.expression_attribute_values(":partition", s("unused#0"));
            update.expression_attribute_values(":since", AttributeValue::N("0".to_owned())).send().await.unwrap();
        }
        assert!(fixture.invoke(&endpoint.event()).await.status().is_success(), "{endpoint:?}");
        let left = index(&fixture).await;
        for client_id in [TARGET, RFC_CLIENT.0, CLIENT.0] {
            assert_eq!(left.contains_key(client_id), client_id != endpoint.client(), "{client_id} at {endpoint:?}");
        }
    }
}

#[tokio::test]
async fn an_operators_deletion_takes_the_client_out_of_the_index_and_a_restoration_puts_it_back_as_used() {
    let fixture = table_with([("a", due()), ("api", api_client())]).await;
    for client_id in ["a", "api"] {
        let request = operator::Request { operator: "operator#jane".to_owned(), target: id(client_id), blocks: false };
        let invocation = Invocation {
            request_id: "this".to_owned(),
            now: now(),
            deadline: Instant::now() + Duration::from_secs(10),
            source_ip: None,
        };
        deletion::delete(&fixture.clients, request, &invocation).await.result.unwrap();
    }
    assert!(index(&fixture).await.is_empty());
    restore(&fixture, "a").await;
    restore(&fixture, "api").await;
    // SHA-256 of "a" begins with c.
    let entry = ("used#c".to_owned(), seconds(now()));
    assert_eq!(index(&fixture).await, BTreeMap::from([("a".to_owned(), entry)]));
}

#[tokio::test]
async fn a_registration_and_a_use_are_in_the_partition_of_the_digest_of_the_id() {
    let fixture = table_with([("a", due()), ("b", due())]).await;
    use_client(&fixture, "b").await;
    // SHA-256 of "b" begins with 3.
    let expected = [("a", "unused#c", now() - DAY - HOUR), ("b", "used#3", now())];
    let entry =
        |(client_id, partition, since): (&str, &str, _)| (client_id.to_owned(), (partition.to_owned(), seconds(since)));
    assert_eq!(index(&fixture).await, expected.map(entry).into());
}
