use clap::{Parser as _, error::ErrorKind};

use super::*;
use crate::{
    cli::{Cli, Command},
    config::ProcessEnvironment,
    dlq::{DeadLetter, Disposition, Handled, Refusal},
    ports::PortError,
    terminal::{Output, wider_than_80},
};

fn parse(arguments: &[&str]) -> Result<DlqCommand, clap::Error> {
    let arguments = ["inventory-worker", "dlq"].iter().chain(arguments);
    match Cli::try_parse_from(arguments)?.command {
        Command::Dlq(args) => Ok(args.command),
        _ => panic!("no dlq"),
    }
}

fn refusal(arguments: &[&str]) -> ErrorKind {
    match parse(arguments) {
        Ok(_) => panic!("{arguments:?} was taken"),
        Err(error) => error.kind(),
    }
}

#[test]
fn nothing_is_sent_back_or_discarded_that_was_not_named() {
    for command in ["show", "redrive", "discard"] {
        assert_eq!(refusal(&[command]), ErrorKind::MissingRequiredArgument);
    }
    for command in ["redrive", "discard"] {
        assert_eq!(refusal(&[command, "m-1", "--all"]), ErrorKind::ArgumentConflict);
        assert_eq!(
            refusal(&[command, "m-1", "--reason", "POISON"]),
            ErrorKind::ArgumentConflict,
            "a reason picks among all"
        );
        assert_eq!(refusal(&[command, "--reason", "POISON"]), ErrorKind::MissingRequiredArgument);
    }
}

#[test]
fn all_are_discarded_only_by_a_second_word() {
    assert_eq!(refusal(&["discard", "--all"]), ErrorKind::MissingRequiredArgument);
    assert_eq!(
        refusal(&["discard", "--all", "--reason", "POISON"]),
        ErrorKind::MissingRequiredArgument
    );
    let (task, selection) = parse(&["discard", "--all", "--yes"]).unwrap().task();
    assert_eq!((task, selection), (Task::Discard, Selection::all()));
}

#[test]
fn what_is_selected_is_what_was_written() {
    let (task, selection) = parse(&["redrive", "m-1", "m-2"]).unwrap().task();
    let ids = ["m-1".to_owned(), "m-2".to_owned()];
    assert_eq!((task, selection), (Task::Redrive, Selection::of(ids)));
    let (_, selection) = parse(&["redrive", "--all", "--reason", "POISON"]).unwrap().task();
    assert_eq!(selection, Selection::all().because_of("POISON"));
    let (_, selection) = parse(&["list"]).unwrap().task();
    assert_eq!(selection, Selection::all());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    assert_eq!(refusal(&["list", "--queue", "orders-dlq.fifo"]), ErrorKind::ValueValidation);
    assert_eq!(refusal(&["list", "--reason", "POISONED"]), ErrorKind::InvalidValue);
    assert_eq!(refusal(&["list", "--limit", "0"]), ErrorKind::ValueValidation);
    let list = parse(&["list", "--queue", "orders.fifo", "--limit", "50000"]).unwrap();
    assert_eq!(list.place().queue.as_ref().unwrap().name(), "orders.fifo");
}

fn run_of(handled: Vec<Handled>) -> Run {
    let (behind, elsewhere) = (Some(0), Some(0));
    Run { handled, missing: Vec::new(), behind, elsewhere, ended: Ended::Complete, still_leased: 0 }
}

fn seen(reason: &str, source: Option<&str>) -> Handled {
    let at = "2026-11-22T10:00:00Z".parse().unwrap();
    let letter = DeadLetter {
        id: "m-1".to_owned(),
        group: "event#42".to_owned(),
        reason: reason.to_owned(),
        detail: None,
        command_source: source.map(str::to_owned),
        command_id: None,
        command_type: None,
        first_sent_at: at,
        dead_since: at,
        source_queue: None,
        original_message_id: None,
        bytes: 7,
        body: None,
    };
    Handled { letter, fate: Disposition::Seen }
}

/// What is printed of runs over two queues, after the blank line.
fn ending(task: Task, asked: Asked, runs: Vec<Run>, missing: &[&str]) -> String {
    let done: Vec<Done> =
        runs.into_iter().map(|run| Done { queue: "orders.fifo".to_owned(), run }).collect();
    let missing: Vec<String> = missing.iter().map(|id| (*id).to_owned()).collect();
    let (out, kept) = Output::captured();
    let (errors, _) = Output::captured();
    let context = CliContext { environment: Box::new(ProcessEnvironment), out, errors };
    let report = Report { task, asked, queues: 2, done: &done, missing: &missing };
    report.print(&context).unwrap();
    let text = kept.text();
    assert_eq!(wider_than_80(&text), Vec::<&str>::new());
    let (_, ending) = text.rsplit_once("\n\n").unwrap_or(("", text.trim_start()));
    ending.trim_end().to_owned()
}

fn listed(runs: Vec<Run>) -> String {
    ending(Task::List, Asked::All, runs, &[])
}

#[test]
fn that_there_are_no_dead_letters_is_said_only_where_all_were_looked_at() {
    let none = || run_of(Vec::new());
    assert_eq!(listed(vec![none(), none()]), "no dead letters");
    let elsewhere = Run { elsewhere: Some(3), ..none() };
    assert_eq!(listed(vec![none(), elsewhere]), "no dead letters seen, about 3 not looked at");
    let behind = Run { behind: Some(2), ..none() };
    assert_eq!(listed(vec![behind, none()]), "no dead letters seen, about 2 not looked at");
    let unreachable = "no dead letters seen, not all queues looked through";
    assert_eq!(listed(vec![none()]), unreachable, "the second queue is not there");
    let error = PortError::Unavailable("no answer".to_owned());
    for ended in [Ended::Failed(error), Ended::Stopped, Ended::Time] {
        assert_eq!(listed(vec![none(), Run { ended, ..none() }]), unreachable);
    }
    assert_eq!(listed(vec![none(), Run { behind: None, ..none() }]), unreachable);
}

#[test]
fn of_a_reason_or_of_ids_it_is_said_that_none_of_these_is_there() {
    let runs = || vec![run_of(Vec::new()), run_of(Vec::new())];
    let of_reason = ending(Task::List, Asked::OfReason, runs(), &[]);
    assert_eq!(of_reason, "no dead letters of this reason");
    let by_ids = ending(Task::Show, Asked::ByIds, runs(), &["m-9"]);
    assert_eq!(by_ids, "no dead letters of these ids");
}

#[test]
fn a_list_ends_with_its_counts_by_reason_and_by_source_and_what_it_did_not_see() {
    let handled = vec![
        seen("POISON", Some("/services/booking")),
        seen("INVALID_MESSAGE", None),
        seen("POISON", Some("/services/booking")),
    ];
    let run = Run { behind: Some(15), ..run_of(handled) };
    assert_eq!(
        listed(vec![run, run_of(Vec::new())]),
        "3 dead letters: 1 INVALID_MESSAGE, 2 POISON\n\
         from: 2 /services/booking, 1 of no known source\n\
         about 15 not looked at"
    );
}

#[test]
fn the_last_line_says_what_was_done_and_what_was_not() {
    let fate = |fate| Handled { fate, ..seen("POISON", None) };
    let redriven = || fate(Disposition::Redriven { message_id: "m-2".to_owned() });
    let refused = fate(Disposition::Refused { why: Refusal::OlderThanLedger });
    let run = Run { behind: Some(4), elsewhere: Some(1), ..run_of(vec![redriven(), refused]) };
    let last = ending(Task::Redrive, Asked::All, vec![run, run_of(Vec::new())], &[]);
    assert_eq!(last, "1 dead letter sent back, 1 refused, about 5 not looked at");
    // The run ends where all that were named are found.
    let last = ending(Task::Redrive, Asked::ByIds, vec![run_of(vec![redriven()])], &[]);
    assert_eq!(last, "1 dead letter sent back");
    let stopped = Run { ended: Ended::Stopped, ..run_of(vec![fate(Disposition::Discarded)]) };
    let last = ending(Task::Discard, Asked::All, vec![stopped], &[]);
    assert_eq!(last, "1 dead letter discarded, not all queues looked through");
}
