//! Commands from stdin.

use std::io::{self, BufRead, Read as _};

use tokio::sync::mpsc;

use crate::ports::queue::MESSAGE_BYTES_MAX;

/// Lines read ahead; a pipe that is faster than the queue waits.
const LINES_AHEAD: usize = 64;

/// A line without its end, or why it is not taken.
pub(super) type Line = Result<String, String>;

/// The lines of stdin, as they come. Ends with stdin.
///
/// Read on a thread that is not joined: tokio's stdin would keep the process from ending until one
/// more line comes.
pub(super) fn lines_of_stdin() -> mpsc::Receiver<Line> {
    let (send, receive) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            match next_line(&mut input) {
                Ok(Some(line)) => {
                    // The receiver is gone once the process ends.
                    if send.blocking_send(line).is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "stdin cannot be read on");
                    return;
                }
            }
        }
    });
    receive
}

/// Reads a line; `None` at the end. Of one that is longer than a message may be nothing is kept.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    // Room for the line's end.
    let bytes_max = u64::try_from(MESSAGE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(2);
    if input.by_ref().take(bytes_max).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let is_whole = line.ends_with(b"\n");
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    if line.len() > MESSAGE_BYTES_MAX {
        if !is_whole {
            input.skip_until(b'\n')?;
        }
        return Ok(Some(Err(format!("expected at most {MESSAGE_BYTES_MAX} bytes"))));
    }
    Ok(Some(String::from_utf8(line).map_err(|_| "expected UTF-8".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut input: &[u8]) -> Vec<Line> {
        std::iter::from_fn(|| next_line(&mut input).unwrap()).collect()
    }

    #[test]
    fn lines_come_without_their_ends_and_the_last_needs_none() {
        assert_eq!(read(b"a\r\n\nb"), ["a", "", "b"].map(|line| Ok(line.to_owned())));
        assert_eq!(read(b""), []);
    }

    #[test]
    fn what_is_no_text_or_too_long_is_named_and_the_next_line_is_read() {
        let longest = "a".repeat(MESSAGE_BYTES_MAX);
        for end in ["\n", "\r\n"] {
            assert_eq!(
                read(format!("{longest}{end}b").as_bytes()),
                [longest.as_str(), "b"].map(|line| Ok(line.to_owned())),
                "{end:?}"
            );
        }
        let too_long = Err("expected at most 1048576 bytes".to_owned());
        for more in ["a", "aa", "aaa", "aaa\n", &longest] {
            let read = read(format!("{longest}{more}\nb").as_bytes());
            assert_eq!(read.first(), Some(&too_long), "{} more", more.len());
            assert_eq!(read.last(), Some(&Ok("b".to_owned())), "{} more", more.len());
        }
        let lines = read(b"\xff\nb");
        assert_eq!(lines, [Err("expected UTF-8".to_owned()), Ok("b".to_owned())]);
    }
}
