//! The command line: help, completions, exit codes.

use crate::support::Fixture;

#[tokio::test]
async fn every_shell_has_completions_without_settings() {
    let fixture = Fixture::empty().await;
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let line = format!("completions {shell}");
        let script = fixture.ctl(&line).with_env("DATABASE_ATTEMPTS", "never").run().await.done();
        assert!(script.contains("unprotect") && script.contains("deleted"), "{shell}");
    }
}

#[tokio::test]
async fn there_is_no_colour_without_a_terminal() {
    let fixture = Fixture::empty().await;
    for line in ["--help", "client list --limit 0", "client show missing"] {
        let ran = fixture.ctl(line).with_env("TERM", "xterm-256color").run().await;
        assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{line}");
    }
}

#[tokio::test]
async fn the_first_session_of_the_help_works_on_an_empty_table() {
    let fixture = Fixture::empty().await;
    let help = fixture.ctl("--help").run().await.done();
    let session: Vec<_> = help.lines().filter_map(|line| line.strip_prefix("  deregisterctl ")).collect();
    assert_eq!(session.len(), 7, "{help}");
    for line in session {
        fixture.ctl(line).run().await.done();
    }
}

#[tokio::test]
async fn every_command_has_help() {
    let fixture = Fixture::empty().await;
    for command in [
        "table create",
        "table check",
        "service create",
        "token issue",
        "client create",
        "client register",
        "client show",
        "client list",
        "client protect",
        "client unprotect",
        "client track",
        "client delete",
        "client restore",
        "client revoke",
        "client block",
        "client unblock",
        "deletion show",
        "deletion list",
        "import",
        "completions",
    ] {
        let help = fixture.ctl(&format!("{command} --help")).run().await.done();
        assert!(help.contains(&format!("Usage: deregisterctl {command}")), "{help}");
        assert!(help.contains("--json") && help.contains("--table <NAME>"), "{help}");
    }
    for (command, part) in [
        ("client delete", "--grants-table <NAME>"),
        ("client delete", "--grants-index <NAME>"),
        ("client restore", "--by <NAME>"),
        ("client revoke", "--by <NAME>"),
        ("client block", "stored or not"),
        ("deletion list", "--via <CHANNEL>"),
        ("deletion list", "reads the whole table"),
        ("table check", "reads the whole table"),
        ("table check", "nearly full:"),
        ("table check", "misplaced:"),
    ] {
        let help = fixture.ctl(&format!("{command} --help")).run().await.done();
        assert!(help.contains(part), "{help}");
    }
}

#[tokio::test]
async fn a_wrong_command_line_exits_with_2_and_writes_nothing() {
    let fixture = Fixture::empty().await;
    let long = "x".repeat(2041);
    for line in [
        "",
        "client",
        "client delete",
        "client delete me",
        "client delete a --from -",
        "client delete a --concurrency 0 --yes",
        "client delete a --yes --grants-table grants",
        "client delete a --yes --count-up-to 5",
        "--table= client show a",
        "client delete a --dry-run --grants-table=",
        "client delete a --dry-run --count-up-to few",
        "client restore",
        "client revoke",
        "client block",
        "client unblock a --from -",
        "client list --blocked --deleted",
        "client list --blocked --app app",
        "deletion list --app app --via window",
        "deletion list --app app --since soon",
        "client create",
        "client create --app app --id a:b",
        "client create --app app --allow 203.0.113.0/33",
        "client create --app app --allow anywhere",
        &format!("client create --app app --id {long}"),
        "client register --service 1 --id 7 --count 2",
        "client register --service 1 --count 0",
        "client register",
        "client list --app app --service 1",
        "client list --app app --limit 0",
        "client protect",
        "client track --app app",
        "import --app app",
        "import list.json",
        "completions dos",
        "token issue",
        "token issue --service 1 --organization org",
        "token issue --organization org --expires-in soon",
        "token issue --organization org --expires-in 36501d",
    ] {
        let ran = fixture.ctl(line).run().await;
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line}");
        assert!(!ran.stderr.is_empty(), "{line}");
    }
    assert!(fixture.items("clients").await.is_empty());
}

#[tokio::test]
async fn an_id_can_begin_with_a_hyphen_and_a_wrong_option_is_no_id() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id=-x7").await;
    fixture.object("client create --app app --id=--odd").await;
    for line in [
        "show -x7",
        "protect -x7",
        "unprotect -x7",
        "delete -x7 --yes",
        "restore -x7 --by jane",
        "show -x7 --json",
        "revoke -x7",
        "block -x7 -x8 --by jane",
        "unblock -x7 -x8",
    ] {
        let ran = fixture.ctl(&format!("client {line}")).run().await;
        assert_eq!(ran.code, Some(0), "{line}: {}", ran.stderr);
    }
    fixture.object("deletion show -x7").await;
    for line in
        ["show --odd", "delete -x7 --yes --dry-rnu", "delete --odd --yes", "restore -x7 --form list", "protect --odd"]
    {
        let ran = fixture.ctl(&format!("client {line}")).run().await;
        assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{line}");
        assert!(ran.stderr.contains("unexpected argument '--"), "{line}: {}", ran.stderr);
    }
    assert!(fixture.lives("-x7").await && fixture.lives("--odd").await);
    let ran = fixture.ctl("--json client delete --yes -- -x7 --odd").run().await;
    assert_eq!((ran.code, ran.objects().len()), (Some(0), 2), "{}", ran.stderr);
}

#[cfg(unix)]
#[tokio::test]
async fn a_reader_that_has_enough_is_no_complaint() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    fixture.objects("client register --service 1 --count 200").await;
    for line in ["client list --service 1", "deletion list", "table check", "completions bash"] {
        let mut run = fixture.ctl(line);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        run.command.stdout(writer);
        let ran = run.run().await;
        // Without a row, nothing is written.
        let code = if line == "deletion list" { Some(0) } else { Some(1) };
        assert_eq!(ran.stderr, "", "{line}");
        assert!(ran.code == code || ran.code == Some(1), "{line}");
    }
}

/// What the output had is lost, and the table has it all the same.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_lost_credential_is_reported() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    fixture.object("client register --service 1 --id 7").await;
    for (line, expected) in [
        ("client create --app app", "the client may be there, with a secret that is not known"),
        ("client register --service 1", "clients may be registered that were not printed"),
        ("client rotate 7", "may have a new credential that is not known: run client rotate again"),
        ("token issue --service 1", "a token may be issued that is not known: find it with token list"),
    ] {
        let mut run = fixture.ctl(line);
        run.command.stdout(std::fs::File::create("/dev/full").unwrap());
        let ran = run.run().await;
        assert!(ran.code == Some(1) && ran.stderr.contains(expected), "{line}: {}", ran.stderr);
    }
}
