//! B11: requests to a backend that is gone while nobody has noticed, by the proxy's own choice; and what only a live run
//! shows.

use super::Book;
use super::tables::{members, names};
use crate::backend::BackendIx;
use crate::backend::members::BackendSet;
use crate::base::hash::combine;
use crate::base::time::UnixSeconds;
use crate::pool::choose::{Patience, Pickers, Question};
use crate::pool::policy::Policy;
use crate::pool::standing::Standing;
use crate::simulate::draw::as_unit;
use crate::simulate::{Way, fleet};
use crate::strategy::RequestFacts;

pub(super) const PARTS: &[fn(&mut Book)] = &[unnoticed, left_out];

/// Requests in a second, to all backends.
const RATE: f64 = 20.0;
/// Seconds from one health check to the next.
const INTERVAL: f64 = 2.0;
/// Failed checks after which a backend is down.
const FALL: f64 = 3.0;

/// Of the requests in so many seconds those that come to the backend that is gone: as they are, and where a refused
/// connection is tried elsewhere.
fn failed(n: usize, family: u64, seconds: f64) -> Option<[f64; 2]> {
    let way = Way::parse("rendezvous", None).ok()?;
    let pool = fleet::pool(&way, members(&names(family, n)), Policy::default());
    let (standing, gone) = (Standing::initial(&pool.members), BackendIx(1));
    let (none, after): (_, BackendSet) = (BackendSet::new(), [gone].into_iter().collect());
    let mut pickers = Pickers::new(&pool, family);
    let mut goes = |hash: u64, tried: &BackendSet, attempt: u8| {
        let (standing, patience) = (&standing, Patience::NONE);
        let ask = Question { pool: &pool, standing, session: None, tried, follow: None, patience };
        let facts = RequestFacts { client: None, key: Some(b"k"), hash, attempt, now: UnixSeconds(0) };
        pickers.choose(&ask, &facts).choice().map(|choice| choice.backend)
    };
    let (mut plain, mut redispatched, mut t) = (0.0, 0.0, 0.0);
    for i in 0_u64.. {
        t -= as_unit(combine(combine(family, 1), i)).ln() / RATE;
        if t > seconds {
            break;
        }
        let hash = combine(combine(family, 2), i);
        if goes(hash, &none, 0) == Some(gone) {
            plain += 1.0;
            let again = goes(hash, &after, 1);
            redispatched += f64::from(u8::from(again.is_none_or(|ix| ix == gone)));
        }
    }
    Some([plain, redispatched])
}

fn unnoticed(book: &mut Book) {
    for n in [3, 10] {
        let crashes = 0..book.size(300, 5000) as u64;
        let counts: Vec<[f64; 2]> = crashes
            .filter_map(|i| {
                let family = combine(book.seed, i);
                // Checks begin at any time before the crash.
                failed(n, family, INTERVAL * (as_unit(family) + FALL - 1.0))
            })
            .collect();
        let [plain, redispatched] = [0, 1].map(|of| counts.iter().map(|c| c[of]).collect::<Vec<_>>());
        let expected = RATE / n as f64 * (FALL - 0.5) * INTERVAL;
        book.mean(
            "B11",
            format!("one of {n} crashes, no retries: failed until it is noticed"),
            expected,
            &plain,
        );
        let elsewhere = redispatched.iter().sum();
        book.exact(
            "B11",
            format!("one of {n} crashes, refused connections are tried elsewhere"),
            0.0,
            elsewhere,
        );
    }
}

fn left_out(book: &mut Book) {
    book.without(
        "B16",
        "round trips to a store: there is no store here; homing bench counts them at the store",
    );
    book.without("B19", "live against simulated: needs a live run; see homing bench");
}
