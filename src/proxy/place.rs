//! Whom a request goes to now: the decision, the wait for room or for a session's home, and the seat there.

use std::future::poll_fn;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::exchange::{Exchange, Stop};
use super::respond;
use super::upstream::{Member, Reuse, Seat};
use crate::affinity::Why;
use crate::backend::members::BackendSet;
use crate::pool::choose::{Choice, Decision, Patience, Question};
use crate::pool::policy::Remedy;
use crate::strategy::RequestFacts;

/// While a request waits it looks this often whether its backend was closed or came back.
const LOOK: Duration = Duration::from_millis(250);

/// What was tried for one request, and what may still be.
pub(super) struct Tries {
    /// Members that failed it.
    pub(super) failed: BackendSet,
    /// Which kept connections will do.
    pub(super) reuse: Reuse,
    /// How often it was sent again.
    pub(super) resent: u32,
    /// Whether its session's home was tried.
    pub(super) was_home: bool,
    /// Where in the head the line stands that tells a backend of a session that comes from elsewhere; empty without.
    pub(super) told: Range<usize>,
    patience: Patience,
    /// Until when it may wait for its session's home.
    home_by: Option<Instant>,
}

/// Where a request goes.
pub(super) struct Place {
    pub(super) choice: Choice,
    pub(super) member: Rc<Member>,
    /// Counts it there for as long as it is kept.
    pub(super) seat: Seat,
}

impl Tries {
    /// Nothing tried; the request's head is `head` bytes long.
    pub(super) fn new(is_idempotent: bool, head: usize) -> Self {
        let end = head.saturating_sub(2); // Before the empty line.
        Self {
            told: end..end,
            failed: BackendSet::new(),
            reuse: if is_idempotent { Reuse::Likely } else { Reuse::Sure },
            resent: 0,
            was_home: false,
            patience: Patience { room: true, home: true },
            home_by: None,
        }
    }
}

impl Exchange<'_> {
    /// Decides, waits if that is decided, and takes a seat.
    pub(super) async fn place(&mut self, tries: &mut Tries) -> Result<Place, Stop> {
        loop {
            let decision = self.decide(tries);
            let (choice, seat) = match decision {
                Decision::Go(choice) => (choice, None),
                Decision::Queue(choice) => (choice, self.queue(choice, tries).await?),
                Decision::Await(choice) => {
                    self.wait_for_home(choice, tries).await?;
                    continue;
                }
                Decision::Refuse(why) => return Err(self.refuse(why)),
                Decision::Nobody => return Err(self.nobody()),
            };
            let pool = Rc::clone(&self.request.pool);
            let Some(member) = pool.members.get(choice.backend.index()) else {
                return Err(Stop::Answer(respond::NO_BACKEND));
            };
            let seat = match decision {
                Decision::Queue(_) => seat,
                // Another request may have been faster: then the next decision sees a full backend.
                _ => Seat::take(&member.backend),
            };
            if let Some(seat) = seat {
                self.story.why = choice.why;
                return Ok(Place { choice, member: Rc::clone(member), seat });
            }
        }
    }

    fn decide(&self, tries: &Tries) -> Decision {
        let request = &self.request;
        let pool = &request.pool;
        let is_first = self.client.served == 0;
        let follow = if request.visit != 0 && request.key.is_none() {
            self.worker.visits.follow(request.visit, is_first.then_some(self.client.opened))
        } else {
            None
        };
        let ask = Question {
            pool: &pool.pool,
            standing: &pool.standing,
            session: request.session.as_ref(),
            tried: &tries.failed,
            follow,
            patience: tries.patience,
        };
        let facts = RequestFacts {
            client: request.client,
            key: request.key.as_deref(),
            hash: request.hash,
            attempt: u8::try_from(tries.failed.len()).unwrap_or(u8::MAX),
            now: self.worker.unix_now(),
        };
        pool.pickers.borrow_mut().choose(&ask, &facts)
    }

    /// What a session is told that does not move.
    fn refuse(&mut self, why: Why) -> Stop {
        self.story.why = Why::Strict;
        match self.request.pool.pool.policy.on_lost.of(why) {
            Remedy::Redirect(to) => Stop::Redirect(Box::new((respond::lost_home(why, 302), Arc::clone(to)))),
            Remedy::Refuse(status) => Stop::Answer(respond::lost_home(why, *status)),
            Remedy::Rebind | Remedy::Borrow | Remedy::Wait(_) => Stop::Answer(respond::NO_BACKEND),
        }
    }

    /// Why there is nobody.
    fn nobody(&mut self) -> Stop {
        self.story.why = Why::NoBackend;
        let pool = &self.request.pool;
        let is_full =
            pool.pool.members.iter().any(|(ix, b)| pool.standing.open.contains(ix) && !b.has_room());
        Stop::Answer(match self.story.lost {
            _ if is_full => respond::FULL,
            Some(own) => own,
            None => respond::NO_BACKEND,
        })
    }

    /// Waits for room, once. Nothing is returned if there was none in time, if as many wait already as may, or if the
    /// backend was closed meanwhile.
    async fn queue(&mut self, choice: Choice, tries: &mut Tries) -> Result<Option<Seat>, Stop> {
        tries.patience.room = false;
        let queue = self.request.pool.pool.policy.queue;
        let backend = Arc::clone(self.request.pool.pool.members.get(choice.backend));
        let Some(mut waiting) = backend.load.wait(backend.max_conns, queue.size) else { return Ok(None) };
        self.request.pool.shard.queued();
        let by = Instant::now() + queue.timeout;
        loop {
            let left = by.saturating_duration_since(Instant::now());
            let seat =
                self.pause(left.min(LOOK), |cx| waiting.poll(cx)).await?.map(|()| Seat::granted(&backend));
            self.refresh();
            let standing = &self.request.pool.standing;
            let keeps = if choice.why == Why::Pinned { &standing.serving } else { &standing.open };
            if !keeps.contains(choice.backend) {
                return Ok(None);
            }
            if seat.is_some() || left.is_zero() {
                return Ok(seat);
            }
        }
    }

    /// Waits a little for a session's home that was lost, and lets it be tried again; when the time for that is over,
    /// says so in `tries`.
    async fn wait_for_home(&mut self, choice: Choice, tries: &mut Tries) -> Result<(), Stop> {
        let Remedy::Wait(limit) = *self.request.pool.pool.policy.on_lost.of(choice.why) else {
            tries.patience.home = false;
            return Ok(());
        };
        let by = *tries.home_by.get_or_insert_with(|| Instant::now() + limit);
        let left = by.saturating_duration_since(Instant::now());
        if left.is_zero() {
            tries.patience.home = false;
            return Ok(());
        }
        self.story.why = choice.why;
        self.pause(left.min(LOOK), |_| Poll::Pending).await?;
        self.refresh();
        tries.failed.remove(choice.backend);
        Ok(())
    }

    /// Waits until `ready`, for `time` at most, and no longer than the client does.
    async fn pause(
        &mut self,
        time: Duration,
        mut ready: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Result<Option<()>, Stop> {
        let began = Instant::now();
        let delivers = self.delivers();
        let client = &mut *self.client;
        client.deadline.set(time);
        let came = poll_fn(|cx| {
            if ready(cx).is_ready() {
                return Poll::Ready(Ok(Some(())));
            }
            if client.poll_gone(cx, delivers).is_ready() {
                return Poll::Ready(Err(Stop::Gone("client.request")));
            }
            client.deadline.poll().map(|()| Ok(None))
        })
        .await;
        self.story.waited += began.elapsed();
        came
    }

    /// Sees the pool as it is now. After a reload that changed it a request ends by what it began with: its members may
    /// be in other places now.
    pub(super) fn refresh(&mut self) {
        let view = self.worker.view();
        if let Some(pool) = view.pools.iter().find(|pool| Arc::ptr_eq(&pool.pool, &self.request.pool.pool)) {
            self.request.pool = Rc::clone(pool);
        }
    }
}
