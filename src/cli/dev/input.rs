//! Commands from stdin.

use std::io::BufRead as _;

use tokio::sync::mpsc;

/// Lines read ahead; a pipe that is faster than the queue waits.
const LINES_AHEAD: usize = 64;

/// The lines of stdin, as they come. Ends with stdin.
///
/// Read on a thread that is not joined: tokio's stdin would keep the process from ending until one
/// more line comes.
pub(super) fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            match line {
                Ok(line) => {
                    // The receiver is gone once the process ends.
                    if send.blocking_send(line).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "stdin cannot be read on");
                    return;
                }
            }
        }
    });
    receive
}
