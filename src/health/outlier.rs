//! Passive ejection: failures of real requests within a window (nginx: max_fails, fail_timeout).
