//! The metrics that a result may have: their names, in the order in which they are shown.

use super::words::Words;

/// A metric by its name in JSON.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) name: &'static str,
    /// The heading of its column in the terminal and in Markdown.
    pub(crate) short: &'static str,
    pub(crate) words: Words,
    pub(crate) better: Better,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Lower,
    /// It only says how much there was.
    Neither,
}

const fn low(name: &'static str, short: &'static str, en: &'static str, ko: &'static str) -> Known {
    Known { name, short, words: Words::of(en, ko), better: Better::Lower }
}

const fn said(name: &'static str, short: &'static str, en: &'static str, ko: &'static str) -> Known {
    Known { name, short, words: Words::of(en, ko), better: Better::Neither }
}

/// Every metric that this room has words for.
pub(crate) static METRICS: [Known; 44] = [
    low("lost_per_live", "lost", "lost per session", "세션당 손실"),
    low("lost", "lost n", "sessions lost", "잃은 세션"),
    low("stale_per_live", "stale", "old state per session", "세션당 옛 상태"),
    low("stale", "stale n", "old state seen", "옛 상태 노출"),
    low("duplicates", "dup", "doubled writes", "중복 쓰기"),
    low("unforced_moves", "unforced", "moves without need", "불필요한 이동"),
    said("forced_moves", "forced", "forced moves", "불가피한 이동"),
    said("policy_moves", "policy", "moves by policy", "정책에 따른 이동"),
    said("failback_moves", "failback", "moves back home", "복귀 이동"),
    said("drift_moves", "drift", "moves between events", "사건 밖의 이동"),
    low("birth_races", "races", "birth races", "첫 요청 경합"),
    low("disruption", "D", "moved against the least possible", "최소 대비 이동"),
    low("peak_to_average", "peak/avg", "peak to average (sessions)", "최대/평균 (세션)"),
    low("cv", "CV", "unevenness CV (sessions)", "불균형 CV (세션)"),
    low("gini", "Gini", "Gini (sessions)", "지니 계수 (세션)"),
    said("jain", "Jain", "Jain index (sessions)", "제인 지수 (세션)"),
    low("peak_to_average_requests", "peak/avg rq", "peak to average (requests)", "최대/평균 (요청)"),
    low("cv_requests", "CV rq", "unevenness CV (requests)", "불균형 CV (요청)"),
    low("gini_requests", "Gini rq", "Gini (requests)", "지니 계수 (요청)"),
    low("p50_ms", "p50 ms", "median answer, ms", "응답 중앙값, ms"),
    low("p90_ms", "p90 ms", "p90 answer, ms", "응답 p90, ms"),
    low("p99_ms", "p99 ms", "p99 answer, ms", "응답 p99, ms"),
    low("p999_ms", "p99.9 ms", "p99.9 answer, ms", "응답 p99.9, ms"),
    low("errors", "err", "failed requests", "실패한 요청"),
    low("error_rate", "err share", "share of failed requests", "실패한 요청 비율"),
    low("detect_s", "TTD s", "time to detect, s", "감지 시간, 초"),
    low("recover_s", "TTR s", "time to recover, s", "복구 시간, 초"),
    low("trips_per_request", "RT/req", "store trips per request", "요청당 저장소 왕복"),
    low("cpu_us_balancer", "CPU lb", "CPU balancer, µs per request", "CPU 로드밸런서, µs/요청"),
    low("cpu_us_application", "CPU app", "CPU application, µs per request", "CPU 애플리케이션, µs/요청"),
    low("cpu_us_store", "CPU store", "CPU store, µs per request", "CPU 저장소, µs/요청"),
    low("cookie_bytes", "cookie B", "cookie bytes per request", "요청당 쿠키 바이트"),
    low("affinity_cookie_bytes", "aff. B", "of these affinity", "그중 고정 쿠키"),
    low("session_cookie_bytes", "sess. B", "of these session", "그중 세션 쿠키"),
    low("revocation_s", "revoke s", "time until a logout holds, s", "로그아웃이 통하기까지, 초"),
    low("revocation_p99_s", "revoke p99 s", "the same, p99", "같은 값의 p99"),
    low("accepted_after_revoke", "after revoke", "accepted after a logout", "로그아웃 뒤 받아들인 요청"),
    low("bytes_per_session", "B/sess", "memory per session, bytes", "세션당 메모리, 바이트"),
    low("residue", "residue", "left at the end of a drain", "드레인 뒤 남은 비율"),
    low("avr", "AVR", "moves per request", "요청당 이동"),
    said("requests", "requests", "requests", "요청"),
    said("sessions", "sessions", "sessions", "세션"),
    low("steered", "steered", "steered by the client", "클라이언트가 고른 배정"),
    low("late_ms", "late ms", "lateness of the generator, ms", "부하 발생기의 지연, ms"),
];

/// The figures that an event may have.
pub(crate) const OF_EVENTS: [&str; 16] = [
    "live",
    "lost",
    "stale",
    "duplicates",
    "forced",
    "policy",
    "failback",
    "unforced",
    "least",
    "disruption",
    "detect_s",
    "recover_s",
    "residue",
    "refused",
    "relogins",
    "errors",
];

/// The columns of the table of combinations, in groups.
pub(crate) static COLUMNS: [(Words, &[&str]); 4] = [
    (
        Words::of("What is lost", "잃는 것"),
        &[
            "lost_per_live",
            "stale_per_live",
            "duplicates",
            "unforced_moves",
            "disruption",
            "errors",
            "recover_s",
        ],
    ),
    (Words::of("Balance", "균형"), &["peak_to_average", "cv"]),
    (Words::of("Speed", "속도"), &["p50_ms", "p99_ms"]),
    (
        Words::of("Cost", "비용"),
        &[
            "trips_per_request",
            "cpu_us_balancer",
            "cpu_us_application",
            "cpu_us_store",
            "cookie_bytes",
            "bytes_per_session",
            "revocation_s",
        ],
    ),
];

/// Where a metric comes among others: known ones in their order, then by name.
pub(crate) fn place(name: &str) -> (usize, String) {
    (METRICS.iter().position(|m| m.name == name).unwrap_or(METRICS.len()), name.to_owned())
}

pub(crate) fn find(name: &str) -> Option<&'static Known> {
    METRICS.iter().find(|m| m.name == name)
}

/// What a metric is called.
pub(crate) fn words(name: &str) -> Words {
    find(name).map_or_else(|| Words::same(name), |known| known.words.clone())
}
