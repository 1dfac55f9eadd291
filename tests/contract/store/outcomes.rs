//! When an outcome is replaced.

use inventory_worker::ports::{
    CommitError, LedgerKey, LedgerRecord, LoadRequest, OutcomeEditor, Transaction,
};

use super::{StoreHarness, samples::*};

async fn with(
    harness: &dyn StoreHarness,
    record: LedgerRecord,
) -> std::sync::Arc<dyn OutcomeEditor> {
    let editor = harness.editor().await;
    let writes = vec![write_ledger("1", record)];
    editor.commit(&Transaction { writes, checks: Vec::new() }, token()).await.unwrap();
    editor
}

async fn kept(editor: &dyn OutcomeEditor) -> Option<LedgerRecord> {
    let key = LedgerKey::Command(command_key("/test", "1"));
    let wanted = LoadRequest { ledger: [key.clone()].into(), ..LoadRequest::default() };
    editor.load(&wanted).await.unwrap().ledger.remove(&key).unwrap()
}

fn assert_kept(replaced: &Result<(), CommitError>) {
    assert!(matches!(replaced, Err(CommitError::Conflict(_))), "{replaced:?}");
}

pub async fn an_outcome_is_replaced_by_another_of_the_same_command(harness: &dyn StoreHarness) {
    let editor = with(harness, rejected(1, "first")).await;
    let key = command_key("/test", "1");
    for message in ["second", "third", "third"] {
        editor.replace_outcome(&key, &rejected(1, message)).await.unwrap();
        assert_eq!(kept(&*editor).await, Some(rejected(1, message)));
    }
}

pub async fn what_is_not_that_outcome_is_not_replaced(harness: &dyn StoreHarness) {
    let editor = with(harness, rejected(1, "first")).await;
    let key = command_key("/test", "1");
    assert_kept(&editor.replace_outcome(&key, &rejected(2, "other content")).await);
    let mut later = rejected(1, "another time");
    if let LedgerRecord::Outcome { decided_at, .. } = &mut later {
        *decided_at = at("2026-11-22T10:00:00.124Z");
    }
    assert_kept(&editor.replace_outcome(&key, &later).await);
    let absent = command_key("/test", "2");
    assert_kept(&editor.replace_outcome(&absent, &rejected(1, "absent")).await);
    assert_eq!(kept(&*editor).await, Some(rejected(1, "first")));
}

pub async fn an_intent_is_no_outcome_to_be_replaced(harness: &dyn StoreHarness) {
    let editor = with(harness, intent(1)).await;
    let key = command_key("/test", "1");
    assert_kept(&editor.replace_outcome(&key, &rejected(1, "too soon")).await);
    assert_eq!(kept(&*editor).await, Some(intent(1)));
}

pub async fn an_outcome_is_replaced_by_nothing_else(harness: &dyn StoreHarness) {
    let editor = with(harness, rejected(1, "first")).await;
    let replaced = editor.replace_outcome(&command_key("/test", "1"), &intent(1)).await;
    assert!(matches!(replaced, Err(CommitError::Invalid(_))), "{replaced:?}");
    assert_eq!(kept(&*editor).await, Some(rejected(1, "first")));
}
