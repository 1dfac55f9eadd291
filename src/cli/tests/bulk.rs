//! `import`, as far as it goes without servers.

use super::{ExitCode, run};

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_posted() {
    let file = file("seat_number,section\nA-1,stalls\nA-2,stalls\n");
    let path = file.path().to_str().unwrap();
    let ended = run(&["import", "--pool", "event#42", path, "--dry-run"]).await;
    let expected = format!("{path}: 2 seats: 1 command, none posted\n");
    assert_eq!((ended.code, ended.out), (ExitCode::Done, expected), "{}", ended.errors);
    let json = run(&["import", "--pool", "event#42", path, "--dry-run", "--json"]).await.out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["rows"]["seats"], &json["commands"]), (&2.into(), &1.into()));
}

#[tokio::test]
async fn every_wrong_row_is_named_and_the_first_twenty_are_shown() {
    let rows = (0..30).map(|_| "42,A-1,free\n").collect::<String>();
    let file = file(&format!("event_id,seat_number,price\n{rows}"));
    let path = file.path().to_str().unwrap();
    let ended = run(&["import", path, "--dry-run"]).await;
    assert_eq!(ended.code, ExitCode::Usage, "{}", ended.errors);
    let errors = ended.errors;
    assert!(errors.starts_with(&format!("error: {path}: nothing was posted\n")), "{errors}");
    assert!(errors.contains("\n  line 2: price: expected a decimal text"), "{errors}");
    assert!(errors.ends_with("\n  and 10 more\n") && !errors.contains("free"), "{errors}");
}

#[tokio::test]
async fn a_file_that_is_none_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.csv");
    for path in [folder.path(), &missing] {
        let path = path.to_str().unwrap();
        let ended = run(&["import", path]).await;
        assert_eq!(ended.code, ExitCode::Usage, "{}", ended.errors);
        assert!(ended.errors.starts_with(&format!("error: {path}: ")), "{}", ended.errors);
    }
    let header = file("event_id,colour\n42,red\n");
    let ended = run(&["import", header.path().to_str().unwrap()]).await;
    assert_eq!(ended.code, ExitCode::Usage);
    assert!(ended.errors.contains("no fields but event_id, store_id"), "{}", ended.errors);
}
