//! Who was granted a lock, as the row has it: JSON that a person can read with `psql`.

use std::fmt::Write;
use std::sync::LazyLock;

use rootlock::Mode;
use rootlock_protocol::holder::Process;

use crate::terms::{Terms, millis};

/// Names this process, and no other one ever.
pub(crate) static PROCESS: LazyLock<String> = LazyLock::new(|| {
    let Process { pid, start, boot, namespace, .. } = Process::this();
    format!("{boot}/{namespace}/{pid}/{start}")
});

/// Text that a server keeps for us is cut to this, so that nobody's command line fills a disk.
const MOST: usize = 1000;

/// The record of a grant to this process, whose session ends when it is silent, or does not; the server adds its own time
/// and its session.
pub(crate) fn of_grant(mode: Mode, terms: &Terms, ends: bool) -> String {
    let Process { pid, hostname, command, .. } = Process::this();
    let mode = match mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
    };
    let mut json = String::from("{");
    for (name, value) in
        [("host", hostname.as_str()), ("command", command), ("process", &PROCESS), ("mode", mode)]
    {
        let _ = write!(json, "{}:{},", quoted(name), quoted(value));
    }
    let _ =
        write!(json, "\"pid\":{pid},\"ends\":{ends},\"heartbeat\":{}}}", millis(terms.heartbeat));
    json
}

/// A JSON string. The server's `jsonb` takes no zero, and neither does anybody need one.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars().filter(|letter| *letter != '\0').take(MOST) {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_command_line_stays_inside_its_string() {
        assert_eq!(quoted("a\"b\\c\n\0ü"), r#""a\"b\\c\u000aü""#);
        assert_eq!(quoted(&"x".repeat(5000)).len(), MOST + 2);
    }
}
