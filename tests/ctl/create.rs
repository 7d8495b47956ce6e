//! `client create`, and ids that are taken.

use crate::{
    run::text,
    support::{Fixture, basic, build::api_client},
};

const APPLICATION: &str = "htb8fuhxnf8e38jrzub3c7pfrr";
const OWN_SECRET: &str = "a secret, of the operator's own";

#[tokio::test]
async fn a_created_owner_deletes_a_created_client() {
    let fixture = Fixture::empty().await;
    let owner =
        fixture.object(&format!("client create --app {APPLICATION} --feature owner --allow 203.0.113.0/24")).await;
    let target = fixture.object(&format!("client create --app {APPLICATION} --feature login_client")).await;

    let path = format!("/config/{APPLICATION}/clients/{}", text(&target, "client_id"));
    let credentials = basic((text(&owner, "client_id"), text(&owner, "client_secret")));
    assert_eq!(fixture.send("DELETE", &path, Some(&credentials), "").await.status(), 204);
    assert!(!fixture.lives(text(&target, "client_id")).await);
}

#[tokio::test]
async fn random_ids_and_secrets_are_32_characters_of_the_vendors_alphabet() {
    let fixture = Fixture::empty().await;
    let created = fixture.object("client create --app an-application").await;
    for name in ["client_id", "client_secret"] {
        let word = text(&created, name);
        assert_eq!(word.len(), 32, "{name}");
        assert!(word.chars().all(|character| "23456789abcdefghjkmnpqrstuvwxyz".contains(character)), "{name}");
    }
    assert_ne!(created["client_id"], created["client_secret"]);
    assert_eq!(created.as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn every_option_is_stored() {
    let fixture = Fixture::empty().await;
    let line = "client create --app app --id me --name Jane --feature owner --feature direct_access \
                --allow 198.51.100.0/24 --allow 2001:db8::1 --protected --secret-from-stdin";
    let created = fixture.ctl(line).with_stdin(&format!("\u{FEFF}{OWN_SECRET}\r\n")).run().await.done();

    assert!(created.contains("me") && !created.contains(OWN_SECRET), "{created}");
    let expected = api_client().application("app").name("Jane").owner().feature("direct_access");
    let expected = expected.allow_list(&["198.51.100.0/24", "2001:db8::1"]).secret(OWN_SECRET).protected();
    assert_eq!(fixture.live("me").await, expected.version(1).build());
}

#[tokio::test]
async fn a_short_secret_is_refused() {
    let fixture = Fixture::empty().await;
    for (secret, bytes) in [("", 0), ("\n", 0), ("fifteen bytes !\n", 15), ("\nsixteen bytes !!\n", 0)] {
        let ran = fixture.ctl("client create --app app --id me --secret-from-stdin").with_stdin(secret).run().await;
        assert!(ran.refused().ends_with(&format!("has {bytes}")), "{secret:?}");
    }
    let run = fixture.ctl("client create --app app --id me --secret-from-stdin").with_stdin("sixteen bytes !!");
    run.run().await.done();
    assert!(fixture.lives("me").await);
}

#[tokio::test]
async fn a_taken_id_is_refused_and_its_item_is_not_changed() {
    let fixture = Fixture::empty().await;
    let lines = ["service create 1", "client create --app app --id one", "client register --service 1 --id 2 --static"];
    for line in lines {
        fixture.object(line).await;
    }
    let before = fixture.clients_by_key().await;
    for line in lines.into_iter().chain(["client register --service 1 --id one", "client create --app app --id 2"]) {
        fixture.ctl(line).run().await.refused();
    }
    assert_eq!(fixture.clients_by_key().await, before);
    assert_eq!(before.len(), 3);
}

#[tokio::test]
async fn the_id_of_a_deleted_client_is_refused() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let token = fixture.register("7").await;
    assert_eq!(fixture.delete_itself("7", &token).await, 204);

    assert!(fixture.ctl("client register --service 1 --id 7").run().await.refused().contains("deleted"));
    assert!(!fixture.lives("7").await);
}

/// An HTTP API decodes the path, and cuts it at a question mark.
#[tokio::test]
async fn an_id_that_no_path_can_name_is_created_with_a_warning() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let warning = |what: &str, character: &str| {
        format!(
            "deregisterctl: warning: behind an HTTP API no path can name the {what}, because its id holds a {character}: \
             use a REST API or a function URL\n"
        )
    };
    for (line, expected) in [
        ("client create --app app --id a?b", warning("client a?b", "?")),
        ("client create --app app --id a/b", warning("client a/b", "/")),
        ("client create --app app --id a%2Fb", String::new()),
        ("client create --app a?b --id x?y", warning("application a?b", "?")),
        ("client create --app a/b", warning("application a/b", "/")),
        ("client register --service 1 --id https://api.example.com/mcp", String::new()),
        (
            "client register --service 1 --id https://api.example.com/?a=b",
            warning("client https://api.example.com/?a=b", "?"),
        ),
        ("client register --service 1 --id s?t --static", warning("client s?t", "?")),
        ("service create a?b", warning("service a?b", "?")),
        ("service create a/b", warning("service a/b", "/")),
    ] {
        let ran = fixture.ctl(line).run().await;
        assert_eq!((ran.code, ran.stderr), (Some(0), expected), "{line}");
        assert!(ran.stdout.starts_with("Created ") || ran.stdout.starts_with("Registered "), "{}", ran.stdout);
        let again = fixture.ctl(line).run().await;
        assert!(again.code == Some(0) || !again.stderr.contains("warning"), "{line}: nothing is created");
    }
}
