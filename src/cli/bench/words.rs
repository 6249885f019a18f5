//! How a run goes, in a line.

use std::fmt::Write as _;

use crate::bench::Progress;
use crate::cli::progress::rough;

/// Characters of a line that is written over.
const WIDTH: usize = 99;

/// How a run goes.
pub(super) fn progress(progress: &Progress) -> String {
    let mut line = format!("[{}/{}] {}: {}", progress.run, progress.runs, progress.label, progress.stage);
    if progress.rate > 0.0 {
        let _ = write!(line, "; {:.0}/s", progress.rate);
    }
    if let Some(p99) = progress.p99_ms {
        let _ = write!(line, ", p99 {p99:.1} ms");
    }
    let _ = write!(line, ", {} lost, {} failed", progress.lost, progress.errors);
    if let Some(left) = progress.left {
        let _ = write!(line, "; {} left", rough(left.as_secs()));
    }
    line.chars().take(WIDTH).collect()
}
