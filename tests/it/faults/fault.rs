//! The faults: how each strikes, how it heals, and what it may cost.

use std::time::Duration;

use crate::harness::{Backend, Does, Process, pause};

/// What happens to one backend, or to the program itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The backend's process is gone, and its connections with it.
    Killed,
    /// Nothing listens, and connections end after their next answer, as at an orderly exit.
    Refusing,
    /// Gone, and not even the kernel answers for it.
    Vanished,
    /// Gone and back, again and again.
    Flapping,
    /// The kernel accepts for it, and it does nothing.
    Stopped,
    /// It reads requests and does not answer.
    Hanging,
    /// It answers a byte at a time.
    Dripping,
    /// It resets instead of answering.
    Resetting,
    /// It resets in the middle of a small answer's body.
    ResettingWithinSmall,
    /// It resets in the middle of an answer's body that is too large to be held back until it is whole.
    ResettingWithin,
    /// It closes what it accepts.
    Closing,
    /// It sends half a head and closes.
    HalfAHead,
    /// It answers all with 500.
    Answering500,
    /// It answers all with 503.
    Answering503,
    /// The program is killed and started again.
    Restart,
    /// The program is told 40 times in 4 s to read its configuration again: lists reordered, added to, removed from.
    Reloads,
}

/// What a fault may cost the sessions whose home it strikes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// They move, and next to none of their repeatable requests fails.
    Moves,
    /// They stay, and their requests fail while it lasts.
    Fails,
    /// They stay, and nothing fails.
    Nothing,
}

/// Every fault but a restart, in the order of a soak.
pub(super) const OF_BACKENDS: [Fault; 14] = [
    Fault::Killed,
    Fault::HalfAHead,
    Fault::Resetting,
    Fault::Answering500,
    Fault::Closing,
    Fault::Refusing,
    Fault::Hanging,
    Fault::Flapping,
    Fault::ResettingWithin,
    Fault::Vanished,
    Fault::Dripping,
    Fault::ResettingWithinSmall,
    Fault::Answering503,
    Fault::Stopped,
];

/// How often a flapping backend goes and comes back, and how long each takes.
const FLAPS: u32 = 5;
const FLAP: Duration = Duration::from_millis(150);
/// Before each byte of one that drips: slow, and within the time that an answer may take.
const DRIP: Duration = Duration::from_millis(5);

/// How often the configuration is read again, and what is waited in between.
const RELOADS: usize = 40;
const RELOAD: Duration = Duration::from_millis(80);

impl Fault {
    /// Whether it strikes the program and no backend.
    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Restart | Self::Reloads)
    }

    pub(super) fn costs(self) -> Cost {
        match self {
            Self::Killed
            | Self::Refusing
            | Self::Vanished
            | Self::Flapping
            | Self::Resetting
            | Self::ResettingWithinSmall
            | Self::Closing
            | Self::HalfAHead => Cost::Moves,
            Self::Stopped
            | Self::Hanging
            | Self::ResettingWithin
            | Self::Answering500
            | Self::Answering503
            | Self::Restart => Cost::Fails,
            Self::Dripping | Self::Reloads => Cost::Nothing,
        }
    }

    /// Strikes, lasts a while, and heals.
    pub(super) fn strike(self, backend: &mut Backend, homing: &mut Process) {
        let lasts = Duration::from_millis(1_200);
        let during = |backend: &Backend, does: Does, lasts: Duration| {
            backend.does(does);
            pause(lasts);
            backend.does(Does::Serve);
        };
        match self {
            Self::Killed => {
                backend.crash();
                pause(lasts);
                backend.revive();
            }
            Self::Refusing => {
                backend.refuse();
                during(backend, Does::AnswerThenClose, lasts);
                backend.revive();
            }
            // Connecting is given up twice before a session moves.
            Self::Vanished => {
                backend.vanish();
                pause(lasts * 2);
                backend.revive();
            }
            Self::Flapping => {
                for _ in 0..FLAPS {
                    backend.crash();
                    pause(FLAP);
                    backend.revive();
                    pause(FLAP);
                }
            }
            // As long as a head may take, and somewhat more, so that its end is seen.
            Self::Stopped => during(backend, Does::Stop, lasts * 2),
            Self::Hanging => during(backend, Does::Hold, lasts * 2),
            Self::Dripping => during(backend, Does::Drip(DRIP), lasts),
            Self::Resetting => during(backend, Does::BytesThenReset(Vec::new()), lasts),
            Self::ResettingWithinSmall => during(backend, Does::BytesThenReset(beginning(1_000)), lasts),
            Self::ResettingWithin => during(backend, Does::BytesThenReset(beginning(100_000)), lasts),
            Self::Closing => during(backend, Does::CloseOnAccept, lasts),
            Self::HalfAHead => {
                during(backend, Does::BytesThenClose(b"HTTP/1.1 200 OK\r\nX-Ha".to_vec()), lasts)
            }
            Self::Answering500 => during(backend, status("500 Internal Server Error"), lasts),
            Self::Answering503 => during(backend, status("503 Service Unavailable"), lasts),
            Self::Restart => {
                homing.kill();
                homing.start_again();
            }
            Self::Reloads => {
                let text = homing.config();
                for n in 1..=RELOADS {
                    assert_eq!(homing.reload(&edited(&text, n)), (n as u64, 0));
                    pause(RELOAD);
                }
                homing.reload(&text);
            }
        }
    }
}

/// A configuration with its backends in another order, now and then without one of them or with one more, and with a
/// listener that comes and goes.
fn edited(text: &str, n: usize) -> String {
    let list = text.lines().find_map(|l| l.strip_prefix("backends = [")?.strip_suffix(']')).unwrap();
    let mut backends: Vec<String> =
        list.split("}, ").map(|b| format!("{}}}", b.trim_end_matches('}'))).collect();
    let count = backends.len();
    backends.rotate_left(n % count);
    match n % 4 {
        1 => drop(backends.pop()),
        2 => backends.insert(n % count, backends[0].replace("name = \"", "name = \"also-")),
        _ => {}
    }
    let listener = ["", "[[listener]]\nname = \"more\"\nlisten = \"127.0.0.1:0\"\n"][n % 2];
    text.replace(list, &backends.join(", ")).replacen("[[listener]]", &format!("{listener}[[listener]]"), 1)
}

/// The beginning of an answer of this length.
fn beginning(length: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nand so it begins").into_bytes()
}

fn status(line: &str) -> Does {
    Does::Bytes(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes())
}
