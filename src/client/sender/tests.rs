use std::{collections::BTreeMap, time::Duration};

use futures::future::{join, join_all};

use super::*;
use crate::{
    client::tests::{ScriptedQueue, all_taken},
    message::{TRACEPARENT, TraceContext, split_batch},
    ports::queue::{MESSAGE_BYTES_MAX, MessageAttributes},
};

/// How long a call takes.
const CALL: Duration = Duration::from_millis(10);

const ROOM: usize = 10_000;

/// Every message that was sent, with the number of its call and the time of the call's end.
type Sent = Arc<Mutex<Vec<(usize, OutgoingMessage)>>>;

/// A queue that records what it is sent, and the answer to a message.
fn queue(
    answer: impl Fn(&OutgoingMessage) -> Result<String, EntryError> + Send + Sync + 'static,
) -> (Arc<dyn Queue>, Sent) {
    let (sent, calls) = (Sent::default(), Mutex::new(0));
    let record = Arc::clone(&sent);
    let queue = ScriptedQueue(move |messages: &[OutgoingMessage]| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        let messages_of_call = messages.iter().map(|message| (*calls, message.clone()));
        record.lock().unwrap().extend(messages_of_call);
        let bytes: usize = messages.iter().map(|one| one.body.len()).sum();
        assert!(messages.len() <= 10 && bytes <= MESSAGE_BYTES_MAX);
        Ok(messages.iter().map(&answer).collect())
    });
    (Arc::new(queue), sent)
}

fn taken(_: &OutgoingMessage) -> Result<String, EntryError> {
    Ok("id".to_owned())
}

fn sender(queue: Arc<dyn Queue>) -> Sender {
    Sender::new(queue, ROOM, BATCH_COMMANDS_MAX)
}

/// A command of that many bytes at least.
fn command(group: &str, id: usize, bytes: usize) -> OutgoingMessage {
    OutgoingMessage {
        group: group.parse().unwrap(),
        body: format!("{{\"id\":{id},\"text\":\"{}\"}}", "x".repeat(bytes)),
        deduplication_id: None,
        attributes: MessageAttributes::new(),
    }
}

/// The ids of a message's commands.
fn ids(message: &OutgoingMessage) -> Vec<usize> {
    let id = |body: &str| {
        let value: serde_json::Value = serde_json::from_str(body).unwrap();
        usize::try_from(value["id"].as_u64().unwrap()).unwrap()
    };
    match message.body.starts_with('[') {
        true => split_batch(&message.body).unwrap().into_iter().map(id).collect(),
        false => vec![id(&message.body)],
    }
}

fn sent_ids(sent: &Sent) -> Vec<Vec<usize>> {
    sent.lock().unwrap().iter().map(|(_, message)| ids(message)).collect()
}

/// Runs the sender until the work is done.
async fn with<T>(sender: &Sender, work: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        done = work => done,
        () = sender.run() => unreachable!(),
    }
}

/// Posts one command, and those of `more` while it is being sent. Returns the answers in order.
async fn post_during_a_send(
    sender: &Sender,
    first: OutgoingMessage,
    more: Vec<OutgoingMessage>,
) -> Vec<Result<Posted, PostError>> {
    let later = async {
        tokio::time::sleep(CALL / 2).await;
        let more = more.into_iter().map(|message| sender.accept(message).unwrap());
        join_all(more.collect::<Vec<_>>().into_iter().map(PendingPost::answer)).await
    };
    let (first, more) = with(sender, join(sender.post(first), later)).await;
    std::iter::once(first).chain(more).collect()
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_group_is_idle_is_sent_at_once_and_as_it_is() {
    let (queue, sent) = queue(taken);
    let sender = sender(queue);
    let begun = Instant::now();
    for id in 0..3 {
        with(&sender, sender.post(command("a", id, 1))).await.unwrap();
    }
    assert_eq!(begun.elapsed(), CALL * 3);
    let messages: Vec<_> = sent.lock().unwrap().iter().map(|(_, one)| one.clone()).collect();
    assert_eq!(messages, [command("a", 0, 1), command("a", 1, 1), command("a", 2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_arrives_during_a_send_of_its_group_shares_the_next_message_in_order() {
    let (queue, sent) = queue(taken);
    let sender = sender(queue);
    let begun = Instant::now();
    let more = (1..=100).map(|id| command("a", id, 1)).collect();
    let answers = post_during_a_send(&sender, command("a", 0, 1), more).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(begun.elapsed(), CALL * 2, "none waits longer than the send before it");
    assert_eq!(sent_ids(&sent), [vec![0], (1..=100).collect()]);
    let sent_at = |answer: &Result<Posted, PostError>| answer.as_ref().unwrap().sent_at;
    assert_eq!(sent_at(&answers[1]).duration_since(sent_at(&answers[0])), CALL);
}

#[tokio::test(start_paused = true)]
async fn no_group_waits_for_another_while_calls_are_free() {
    let (queue, sent) = queue(taken);
    let sender = sender(queue);
    let begun = Instant::now();
    let posts = (0..CALLS).map(async |id| {
        tokio::time::sleep(Duration::from_millis(u64::try_from(id).unwrap())).await;
        sender.post(command(&format!("group-{id}"), id, 1)).await.unwrap();
        begun.elapsed() - Duration::from_millis(u64::try_from(id).unwrap())
    });
    let times = with(&sender, join_all(posts)).await;
    assert_eq!(times, [CALL; CALLS]);
    assert_eq!(sent.lock().unwrap().len(), CALLS);
}

#[tokio::test(start_paused = true)]
async fn a_call_has_messages_of_ten_groups_and_one_of_several_commands_for_each() {
    let (queue, sent) = queue(taken);
    let sender = sender(queue);
    let more = (0..22).map(|id| command(&format!("group-{}", id % 11), id, 1));
    with(&sender, join_all(more.map(|message| sender.post(message)))).await;
    let sent = sent.lock().unwrap();
    let of_call = |number| sent.iter().filter(|(call, _)| *call == number).count();
    assert_eq!((of_call(1), of_call(2)), (10, 1));
    assert!(sent.iter().all(|(_, message)| ids(message).len() == 2));
}

#[tokio::test(start_paused = true)]
async fn a_message_has_a_hundred_commands_at_most() {
    let (queue, sent) = queue(taken);
    let sender = sender(queue);
    let more = (1..=250).map(|id| command("a", id, 1)).collect();
    post_during_a_send(&sender, command("a", 0, 1), more).await;
    let sizes: Vec<_> = sent_ids(&sent).iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 100, 100, 50]);
    assert_eq!(sent_ids(&sent).concat(), (0..=250).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_message_of_several_has_200_kilobytes_at_most_and_what_does_not_fit_is_in_the_next() {
    let (queue, sent) = queue(taken);
    let sender = sender(queue);
    let sizes = [90_000, 90_000, 90_000, 1, 500_000, 600_000, 1];
    let more = sizes.iter().zip(1..).map(|(bytes, id)| command("a", id, *bytes)).collect();
    post_during_a_send(&sender, command("a", 0, 1), more).await;
    assert_eq!(sent_ids(&sent), [vec![0], vec![1, 2], vec![3, 4], vec![5], vec![6], vec![7]]);
    let sent = sent.lock().unwrap();
    assert!(sent.iter().all(|(_, one)| ids(one).len() == 1 || one.body.len() <= 200_000));
}

#[tokio::test(start_paused = true)]
async fn one_command_a_message_is_what_no_gathering_means() {
    let (queue, sent) = queue(taken);
    let sender = Sender::new(queue, ROOM, 1);
    let more: Vec<_> = (1..=25).map(|id| command("a", id, 1)).collect();
    post_during_a_send(&sender, command("a", 0, 1), more.clone()).await;
    let sent = sent.lock().unwrap();
    let messages: Vec<_> = sent.iter().skip(1).map(|(_, one)| one.clone()).collect();
    assert_eq!(messages, more);
    assert_eq!(sent.last().unwrap().0, 4, "they share calls");
}

#[tokio::test(start_paused = true)]
async fn a_failed_send_fails_exactly_the_commands_in_it() {
    let failed = || EntryError::Retryable("not now".to_owned());
    let (queue, sent) = queue(move |message: &OutgoingMessage| match &ids(message)[..] {
        ids if ids.contains(&2) => Err(failed()),
        ids => Ok(format!("{ids:?}")),
    });
    let sender = sender(queue);
    let more = vec![command("a", 1, 1), command("b", 4, 1), command("a", 2, 1), command("b", 5, 1)];
    let first = command("a", 0, 1);
    let answers = post_during_a_send(&sender, first, more).await;
    let after = with(&sender, sender.post(command("a", 3, 1))).await;
    let answers: Vec<_> =
        answers.into_iter().chain([after]).map(|answer| answer.map(|one| one.message_id)).collect();
    let failed = Err(PostError::Entry(failed()));
    let [zero, three, others] = ["[0]", "[3]", "[4, 5]"].map(|id| Ok(id.to_owned()));
    assert_eq!(answers, [zero, failed.clone(), others.clone(), failed, others, three]);
    assert_eq!(sent_ids(&sent), [vec![0], vec![4, 5], vec![1, 2], vec![3]]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_as_a_whole_fails_all_its_commands_and_the_group_goes_on() {
    let throttled = || PortError::Throttled("slow down".to_owned());
    let is_first = Mutex::new(true);
    let queue = ScriptedQueue(move |messages: &[OutgoingMessage]| {
        match std::mem::take(&mut *is_first.lock().unwrap()) {
            true => Err(throttled()),
            false => Ok(all_taken(messages)),
        }
    });
    let sender = sender(Arc::new(queue));
    let posts = [0, 1].map(|id| sender.post(command("a", id, 1)));
    let answers = with(&sender, join_all(posts)).await;
    let failed = Err(PostError::Call(throttled()));
    assert_eq!(answers, [failed.clone(), failed]);
    with(&sender, sender.post(command("a", 2, 1))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_a_message_that_the_queue_refuses_only_the_command_that_is_refused_fails() {
    let refused = || EntryError::Refused("no".to_owned());
    let (queue, sent) = queue(move |message: &OutgoingMessage| match &ids(message)[..] {
        ids if ids.contains(&2) => Err(refused()),
        _ => Ok("id".to_owned()),
    });
    let sender = sender(queue);
    let more = (1..=4).map(|id| command("a", id, 1)).collect();
    let behind = async {
        // While the message of several is being sent.
        tokio::time::sleep(CALL + CALL / 2).await;
        join_all([5, 6].map(|id| sender.post(command("a", id, 1)))).await
    };
    let answers = post_during_a_send(&sender, command("a", 0, 1), more);
    let (answers, behind) = join(answers, with(&sender, behind)).await;
    let failed: Vec<_> = answers.iter().chain(&behind).map(Result::is_err).collect();
    assert_eq!(failed, [false, false, true, false, false, false, false]);
    let expected = [vec![0], vec![1, 2, 3, 4], vec![1], vec![2], vec![3], vec![4], vec![5, 6]];
    assert_eq!(sent_ids(&sent), expected);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_takes_no_command_with_it() {
    let (queue, sent) = queue(taken);
    let sender = sender(queue);
    let staying = sender.accept(command("a", 0, 1)).unwrap();
    drop(sender.accept(command("a", 1, 1)).unwrap());
    let last = sender.accept(command("a", 2, 1)).unwrap();
    let (staying, last) = with(&sender, join(staying.answer(), last.answer())).await;
    assert!(staying.is_ok() && last.is_ok());
    assert_eq!(sent_ids(&sent), [[0, 1, 2]]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_full_refuses_more_and_leaves_room_for_others() {
    let (queue, sent) = queue(taken);
    let sender = sender(queue);
    let full = (0..ROOM).find_map(|id| match sender.accept(command("a", id, 1)) {
        Ok(_) => None,
        Err(error) => Some((id, error)),
    });
    assert_eq!(full, Some((2_000, PostError::Full)));
    let other = sender.accept(command("b", 0, 1)).unwrap();
    with(&sender, async {
        other.answer().await.unwrap();
        sender.flushed().await;
    })
    .await;
    assert_eq!(sent_ids(&sent).concat().len(), 2_001);
    assert!(sender.lock().is_empty(), "no group is kept that has nothing to send");
}

#[tokio::test(start_paused = true)]
async fn no_more_commands_than_there_is_room_for_await_their_answers() {
    let (queue, _) = queue(taken);
    let sender = Sender::new(queue, 3, BATCH_COMMANDS_MAX);
    let accepted: Vec<_> =
        ["a", "b", "c"].iter().map(|group| sender.accept(command(group, 0, 1)).unwrap()).collect();
    assert!(matches!(sender.accept(command("d", 0, 1)), Err(PostError::Full)));
    with(&sender, join_all(accepted.into_iter().map(PendingPost::answer))).await;
    assert!(sender.accept(command("d", 0, 1)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn each_command_of_a_message_takes_its_own_trace_with_it() {
    let (queue, sent) = queue(taken);
    let sender = sender(queue);
    let context = |id: usize| format!("00-{:032x}-{:016x}-01", id + 1, id + 1);
    let traced = |id| {
        let parent = (TRACEPARENT.to_owned(), context(id).into());
        OutgoingMessage { attributes: BTreeMap::from([parent]), ..command("a", id, 1) }
    };
    let more = vec![traced(1), command("a", 2, 1), traced(3)];
    post_during_a_send(&sender, traced(0), more).await;
    let sent = sent.lock().unwrap();
    assert_eq!(sent[0].1, traced(0), "a lone command is sent as it is");
    assert_eq!(sent[1].1.attributes, MessageAttributes::new());
    let of_commands = split_batch(&sent[1].1.body).unwrap().into_iter().map(|body| {
        let value: serde_json::Value = serde_json::from_str(body).unwrap();
        value[TRACEPARENT].as_str().map(str::to_owned)
    });
    let expected = [Some(context(1)), None, Some(context(3))];
    assert_eq!(of_commands.collect::<Vec<_>>(), expected);
    assert!(expected.iter().flatten().all(|one| one.parse::<TraceContext>().is_ok()));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_take_its_attributes_with_it_is_in_a_message_of_its_own() {
    let (queue, sent) = queue(taken);
    let sender = sender(queue);
    let attributes: MessageAttributes = [("other".to_owned(), "1".into())].into();
    let lone = OutgoingMessage { attributes, ..command("a", 2, 1) };
    let more = vec![command("a", 1, 1), lone.clone(), command("a", 3, 1), command("a", 4, 1)];
    post_during_a_send(&sender, command("a", 0, 1), more).await;
    assert_eq!(sent_ids(&sent), [vec![0], vec![1], vec![2], vec![3, 4]]);
    assert_eq!(sent.lock().unwrap()[2].1, lone);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_a_repetition_only_if_all_of_it_is() {
    let with_id = |id, deduplication_id: &str| OutgoingMessage {
        deduplication_id: Some(deduplication_id.to_owned()),
        ..command("a", id, 1)
    };
    let mut ids = Vec::new();
    for more in [
        [with_id(1, "x"), with_id(2, "y")],
        [with_id(1, "x"), with_id(2, "y")],
        [with_id(1, "x"), with_id(2, "z")],
        [with_id(1, "x"), with_id(3, "y")],
        [with_id(1, "x"), command("a", 2, 1)],
    ] {
        let (queue, sent) = queue(taken);
        let sender = sender(queue);
        post_during_a_send(&sender, command("a", 0, 1), more.into()).await;
        let sent = sent.lock().unwrap();
        assert_eq!(sent[0].1.deduplication_id, None);
        ids.push(sent[1].1.deduplication_id.clone().unwrap());
    }
    assert_eq!(ids[0], ids[1]);
    let different: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(different.len(), 4, "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_during_a_call_leaves_its_group_to_the_next() {
    let (queue, sent) = queue(taken);
    let sender = sender(queue);
    let lost = sender.accept(command("a", 0, 1)).unwrap();
    assert!(tokio::time::timeout(CALL / 2, sender.run()).await.is_err());
    assert_eq!(lost.answer().await, Err(PostError::Stopped));
    with(&sender, sender.post(command("a", 1, 1))).await.unwrap();
    assert_eq!(sent_ids(&sent), [[1]]);
}

#[tokio::test(start_paused = true)]
async fn messages_that_the_queue_took_are_measured() {
    #[derive(Default)]
    struct Sizes(Mutex<Vec<usize>>);
    impl PostObserver for Sizes {
        fn posted(&self, commands: usize) {
            self.0.lock().unwrap().push(commands);
        }
    }
    let failing = |message: &OutgoingMessage| match ids(message).contains(&4) {
        true => Err(EntryError::Retryable("not now".to_owned())),
        false => Ok("id".to_owned()),
    };
    let (queue, _) = queue(failing);
    let sizes = Arc::new(Sizes::default());
    let sender = sender(queue).observed(sizes.clone());
    let more = (1..=3).map(|id| command("a", id, 1)).collect();
    post_during_a_send(&sender, command("a", 0, 1), more).await;
    with(&sender, sender.post(command("a", 4, 1))).await.unwrap_err();
    assert_eq!(*sizes.0.lock().unwrap(), [1, 3]);
}
