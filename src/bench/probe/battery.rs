//! The battery (T1 to T10, T14, T16): which rows are asked for, in which order, and what each says.

use std::rc::Rc;

use http::Method;
use tokio::task::JoinSet;

use super::ask::{Answer, Ask};
use super::classify::{placing, tiny};
use super::findings::Mark;
use super::identify::Identify;
use super::names;
use super::observed::{Carrier, Field, Held, Node, Trial, modulo};
use super::prober::{Client, Connection, Cookies, From, Path, Prober, Visit};
use super::statistics::{above, below, chi_square, shares};
use super::target::Wrong;
use super::{forged, hooks, login};

/// What is asked, in the order of its weight.
#[derive(Clone, Copy)]
enum Step {
    Addresses,
    Connection,
    Cookies,
    MadeUp,
    Forged,
    Rest,
    Hooks,
    Login,
}

/// See [`Step`].
const STEPS: [Step; 8] = [
    Step::Addresses,
    Step::Connection,
    Step::Cookies,
    Step::MadeUp,
    Step::Forged,
    Step::Rest,
    Step::Hooks,
    Step::Login,
];
/// New clients that are looked at first.
const FIRST: usize = 40;
/// New clients of one address, one behind the other.
const ORDER: usize = 30;
/// New clients whose second request is looked at.
const BIRTHS: usize = 12;
/// Parallel first requests of one client.
const PARALLEL: usize = 8;
/// Keys that a formula is tried on.
const KEYS: usize = 40;

/// Asks everything, as long as there is time.
pub(super) async fn run(prober: &mut Prober<'_>) -> Result<(), Wrong> {
    prober.say("new clients: who is there, and what tells them apart");
    let first = discover(prober).await?;
    if prober.seen.nodes.is_empty() {
        return Ok(());
    }
    let mut born = Vec::new();
    for step in STEPS {
        let before = prober.findings.len();
        match step {
            Step::Addresses => addresses(prober, &first).await,
            Step::Connection => {
                prober.say("one connection, many clients");
                connection(prober).await;
            }
            Step::Cookies => {
                prober.say("one client with its cookies");
                born = births(prober).await;
                jars(prober, &born).await;
            }
            Step::MadeUp => {
                made_up(prober).await;
                other_paths(prober).await;
            }
            Step::Forged => {
                prober.say("cookies lost, altered, exchanged");
                forged::run(prober, &born).await;
            }
            Step::Rest => {
                parallel(prober).await;
                upgrades(prober).await;
            }
            Step::Hooks => hooks::run(prober).await,
            Step::Login => login::run(prober).await,
        }
        prober.read_carriers();
        if prober.left().is_zero() {
            prober.seen.is_cut =
                matches!(step, Step::Addresses | Step::Connection | Step::Cookies | Step::MadeUp);
            // What was asked last has no answers, which says nothing.
            for finding in prober.findings.iter_mut().skip(before) {
                (finding.mark, finding.error_probability) = (Mark::LeftOut, None);
                "the time was up".clone_into(&mut finding.verdict);
            }
            prober.leave_out("T", "what comes behind that", "the time was up: --within gives more");
            break;
        }
    }
    Ok(())
}

/// T1: who is there, how they are told apart, and how new clients are shared out.
async fn discover(prober: &mut Prober<'_>) -> Result<Vec<(Visit, Option<Node>)>, Wrong> {
    let mut visits = sample(prober).await?;
    if prober.identify.is_none() {
        let answers: Vec<Answer> = visits.iter().filter_map(|v| v.answer.clone()).collect();
        prober.identify = Identify::guess(&answers);
    }
    if prober.identify.is_none() && prober.asker.target.path == "/" {
        // homing's application tells who it is wherever it answers in JSON.
        let mut me = Client { path: Path::Of("/api/me".to_owned()), ..Client::bare(From::Any) };
        let answer = prober.visit(&mut me).await.answer.unwrap_or_default();
        let by = Identify::Json("/backend".to_owned());
        if by.label(&answer, None).is_some() {
            prober.identify = Some(by);
            if let Some(asker) = Rc::get_mut(&mut prober.asker) {
                asker.target.path = "/api/me".to_owned();
            }
            visits = sample(prober).await?;
        }
    }
    let asked = "new clients without cookies, each over a new connection";
    let nodes: Vec<Option<Node>> =
        visits.iter().map(|v| v.answer.as_ref().and_then(|a| prober.whose(a, ""))).collect();
    prober.seen.spread = Trial { seen: nodes.clone(), fillers: 0 };
    let Some(by) = prober.identify.as_ref().map(Identify::to_text) else {
        let answered = visits.iter().filter(|v| v.answer.is_some()).count();
        let seen = format!("{answered} of {FIRST} answered, and nothing in an answer differs by backend");
        prober.find("T1", Mark::LeftOut, asked, seen, "say by --identify what tells backends apart");
        return Ok(Vec::new());
    };
    let mut counts = prober.seen.spread.counts();
    counts.resize(prober.seen.nodes.len(), 0);
    prober.seen.shares = shares(&counts);
    let (x, degrees) = (chi_square(&counts), counts.len().saturating_sub(1));
    let seen = format!(
        "{} (by {by}); χ² {x:.1}, P(less) {:.3}, P(more) {:.3}",
        prober.seen.spread.to_text(&prober.seen.nodes),
        below(x, degrees),
        above(x, degrees)
    );
    let n = counts.len();
    let addresses = if prober.seen.varies { "from many addresses" } else { "from one address" };
    let verdict = format!(
        "{n} backend{} seen {addresses}; rows of {} tell",
        if n == 1 { "" } else { "s" },
        prober.needed()
    );
    prober.find("T1", Mark::Note, asked, seen, verdict);
    Ok(visits.into_iter().zip(nodes).collect())
}

/// New clients; an error if nobody answers at all.
async fn sample(prober: &mut Prober<'_>) -> Result<Vec<Visit>, Wrong> {
    let mut visits = Vec::new();
    for at in 0..FIRST {
        visits.push(prober.visit(&mut Client::bare(From::Any)).await);
        let is_deaf = at == 4 && visits.iter().all(|v| v.answer.is_none());
        if is_deaf {
            let mut client = Client::bare(From::One(None));
            let answers = prober.visit(&mut client).await.answer.is_some();
            let why = if answers {
                "answers nobody who comes from another address of 127.0.0.0/8: name it by another address"
                    .to_owned()
            } else {
                format!("no answer at {}", prober.asker.address)
            };
            return Err(Wrong::Unreachable(format!("{}: {why}", prober.settings.url)));
        }
        if prober.left().is_zero() {
            break;
        }
    }
    Ok(visits)
}

/// T5 and T6: the same address, one /24, one /16.
async fn addresses(prober: &mut Prober<'_>, first: &[(Visit, Option<Node>)]) {
    if prober.seen.nodes.is_empty() {
        return;
    }
    let place = prober.place();
    for _ in 0..ORDER {
        let node = prober.visit(&mut Client::bare(place)).await.node;
        prober.seen.order.seen.push(node);
    }
    refine_shares(prober);
    let row = prober.row(&mut Client::bare(place)).await;
    let held = row.held(&prober.seen.shares);
    let text = row.to_text(&prober.seen.nodes);
    prober.seen.same_address = Some(row);
    let asked = "the same address without cookies, others in between";
    let verdict = match held {
        Held::Always(_) => "the address, or something else that is always the same, is enough".to_owned(),
        Held::Mostly(_) => "mostly the same backend".to_owned(),
        Held::No => "an address is not enough".to_owned(),
        Held::Unknown => "not enough backends or answers to tell".to_owned(),
    };
    let mark = if held == Held::No { Mark::Note } else { Mark::Good };
    prober.find_with("T5", mark, asked, text, verdict, held.chance());
    let asked = "addresses of one /24, and of one /16";
    if !prober.seen.varies {
        prober.leave_out(
            "T6",
            asked,
            "clients come from one address here; --client-header names a field that the balancer trusts",
        );
        return;
    }
    if !held.is_always() {
        prober.leave_out("T6", asked, "an address keeps nobody");
        return;
    }
    let From::One(Some(like)) = prober.place() else { return };
    let mut placed: Vec<(Vec<u8>, Node)> = Vec::new();
    let mut note = |visit: &Visit, node: Option<Node>| {
        if let (Some(ip), Some(node)) = (visit.source, node) {
            placed.push((ip.octets()[..3].to_vec(), node));
        }
    };
    first.iter().for_each(|(visit, node)| note(visit, *node));
    for _ in first.len()..KEYS {
        let visit = prober.visit(&mut Client::bare(From::Any)).await;
        note(&visit, visit.node);
    }
    prober.seen.ip_hash = modulo(&placed, prober.seen.nodes.len(), ip_hash).filter(|p| *p < 1e-6);
    let of_24 = prober.row(&mut Client::bare(From::Like(like, 3))).await;
    let of_16 = prober.row(&mut Client::bare(From::Like(like, 2))).await;
    let (nodes, shares) = (&prober.seen.nodes, &prober.seen.shares);
    let seen = format!("/24: {}; /16: {}", of_24.to_text(nodes), of_16.to_text(nodes));
    let (is_24, is_16) = (of_24.held(shares), of_16.held(shares));
    let verdict = match (is_24.is_always(), is_16.is_always()) {
        (true, true) => "a /16 is one client",
        (true, false) => "a /24 is one client",
        _ => "each address is a client of its own",
    };
    let formula = prober
        .seen
        .ip_hash
        .map_or_else(String::new, |p| format!("; placed by nginx's ip_hash ({})", tiny(p)));
    (prober.seen.same_24, prober.seen.same_16) = (Some(of_24), Some(of_16));
    prober.find_with("T6", Mark::Note, asked, seen, format!("{verdict}{formula}"), is_24.chance());
}

/// More has been seen by now: backends, and how often.
fn refine_shares(prober: &mut Prober<'_>) {
    let seen = &prober.seen;
    let is_constant = |t: &Trial| t.counts().iter().filter(|c| **c > 0).count() < 2;
    // What one address gives says how new clients are shared out only if it is not held.
    let rows = if is_constant(&seen.order) { vec![&seen.spread] } else { vec![&seen.spread, &seen.order] };
    let mut counts = vec![0; seen.nodes.len()];
    for row in rows {
        row.seen.iter().flatten().for_each(|node| counts[*node] += 1);
    }
    prober.seen.shares = shares(&counts);
}

/// nginx's `ip_hash` of the first three octets (its first round).
fn ip_hash(octets: &[u8]) -> u32 {
    octets.iter().fold(89, |hash, byte| (hash * 113 + u32::from(*byte)) % 6271)
}

/// T7: one kept connection, no cookies.
async fn connection(prober: &mut Prober<'_>) {
    let asked = "one kept connection without cookies, others in between";
    let place = prober.place();
    let mut client = Client { connection: Connection::Kept(None, 0), ..Client::bare(place) };
    for _ in 0..ORDER {
        let node = prober.visit(&mut client).await.node;
        prober.seen.one_line.seen.push(node);
    }
    let row = prober.row(&mut client).await;
    let Connection::Kept(_, opened) = client.connection else { return };
    if opened > 1 + row.seen.len() / 4 {
        prober.leave_out("T7", asked, "connections are closed behind an answer");
        return;
    }
    let held = row.held(&prober.seen.shares);
    let is_address = prober.seen.held(prober.seen.same_address.as_ref()).is_always();
    let verdict = match (held, is_address) {
        (Held::Always(_), true) => "nothing new: the address keeps it too".to_owned(),
        (Held::Always(_), false) => "the connection keeps its clients".to_owned(),
        (Held::No, _) => format!(
            "a connection keeps nobody: its requests are placed one by one, {}",
            placing(&prober.seen).0
        ),
        _ => "does not show".to_owned(),
    };
    let text = row.to_text(&prober.seen.nodes);
    prober.find_with("T7", Mark::Note, asked, text, verdict, held.chance());
    prober.seen.connection = Some(row);
}

/// A client with the cookies of its first answer.
pub(super) struct Born {
    /// Where its cookies lead.
    pub(super) home: Node,
    pub(super) jar: super::jar::Jar,
    pub(super) from: From,
    pub(super) answer: Answer,
}

/// New clients as browsers, their first answers and their second ones.
async fn births(prober: &mut Prober<'_>) -> Vec<Born> {
    let mut born = Vec::new();
    let (mut kept, mut of, mut values) = (0, 0, Vec::new());
    for _ in 0..BIRTHS {
        let from = prober.place();
        let (visit, jar) = prober.birth(from).await;
        let (Some(node), Some(answer)) = (visit.node, visit.answer) else { continue };
        prober.fill().await;
        let mut home = node;
        if !jar.0.is_empty() {
            let again = if prober.seen.varies { From::Any } else { from };
            let second = prober.visit(&mut Client::with_text(again, jar.text())).await;
            if let Some(second) = second.node {
                of += 1;
                kept += usize::from(second == node);
                home = second;
            }
        }
        values.extend(jar.0.iter().map(|(name, value)| (name.clone(), node, value.clone())));
        born.push(Born { home, jar, from, answer });
    }
    let mut names: Vec<String> = born.iter().flat_map(|b| b.jar.0.keys().cloned()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of_name = values.iter().filter(|(n, ..)| *n == name);
        let values = of_name.map(|(_, node, value)| (*node, value.clone())).collect();
        let carrier = Carrier { name, is_set: true, kept_birth: (kept, of), values, ..Carrier::default() };
        prober.seen.carriers.push(carrier);
    }
    born
}

/// T2, T3, T4: one client with its cookies; and each cookie alone.
async fn jars(prober: &mut Prober<'_>, born: &[Born]) {
    let Some(one) = born.iter().find(|b| !b.jar.0.is_empty()) else {
        for (id, asked) in
            [("T2", "the same cookies, one connection"), ("T3", "the same cookies, a new connection each")]
        {
            prober.leave_out(id, asked, "no answer sets a cookie");
        }
        return;
    };
    let mut client = Client::browser(one.from, one.jar.clone());
    client.connection = Connection::Kept(None, 0);
    let row = prober.row(&mut client).await;
    tell_row(prober, "T2", "the same cookies, one connection", &row);
    let row = prober.row(&mut Client::browser(one.from, one.jar.clone())).await;
    tell_row(prober, "T3", "the same cookies, a new connection each", &row);
    prober.seen.jar = Some(row);
    let asked = "the same cookies, another address each time";
    if prober.seen.varies {
        let row = prober.row(&mut Client::browser(From::Any, one.jar.clone())).await;
        tell_row(prober, "T4", asked, &row);
        prober.seen.jar_moved = Some(row);
    } else {
        prober.leave_out(
            "T4",
            asked,
            "clients come from one address here; --client-header names a field that the balancer trusts",
        );
    }
    let jar = prober.seen.jar_moved.as_ref().or(prober.seen.jar.as_ref());
    if !prober.seen.held(jar).is_always() {
        return;
    }
    let anywhere = set_anywhere(prober).await;
    for at in 0..prober.seen.carriers.len() {
        let name = prober.seen.carriers[at].name.clone();
        let Some(value) = one.jar.0.get(&name) else { continue };
        let jar = prober.seen.jar_moved.as_ref().or(prober.seen.jar.as_ref());
        let row = match jar.filter(|_| one.jar.0.len() == 1) {
            Some(row) => row.clone(),
            None => {
                let from = if prober.seen.varies { From::Any } else { one.from };
                prober.row(&mut Client::with_text(from, format!("{name}={value}"))).await
            }
        };
        let direct = direct_sets(prober, &name).await;
        let carrier = &mut prober.seen.carriers[at];
        carrier.alone = Some(row);
        carrier.is_set_anywhere = anywhere.as_ref().map(|sets| sets.contains(&name));
        carrier.is_the_applications = direct;
    }
}

fn tell_row(prober: &mut Prober<'_>, id: &'static str, asked: &str, row: &Trial) {
    let held = row.held(&prober.seen.shares);
    let (mark, verdict) = match held {
        Held::Always(_) => (Mark::Good, "it stays"),
        Held::Mostly(_) => (Mark::Bad, "it stays most of the time only"),
        Held::No => (Mark::Bad, "it does not stay"),
        Held::Unknown => (Mark::Note, "does not show"),
    };
    let text = row.to_text(&prober.seen.nodes);
    prober.find_with(id, mark, asked, text, verdict, held.chance());
}

/// The cookies that an answer to a path that nobody serves sets.
async fn set_anywhere(prober: &mut Prober<'_>) -> Option<Vec<String>> {
    let path = format!("/no-such-page-{:x}", prober.random.u64(..));
    let mut client = Client::browser(From::Any, super::jar::Jar::default());
    client.path = Path::Of(path);
    let answer = prober.visit(&mut client).await.answer?;
    let Cookies::Kept(jar) = client.cookies else { return None };
    (400..500).contains(&answer.status).then(|| jar.0.into_keys().collect())
}

/// Whether a backend that is asked without the balancer sets this cookie.
async fn direct_sets(prober: &Prober<'_>, name: &str) -> Option<bool> {
    let target = super::target::Target::parse(prober.settings.direct.as_deref()?).ok()?;
    let path = if target.path == "/" { prober.asker.target.path.clone() } else { target.path.clone() };
    let asker = super::prober::asker(prober.settings, target, super::target::Vary::Never).await.ok()?;
    let login = prober.settings.login.clone();
    let ask = Ask {
        method: if login.is_some() { Method::POST } else { Method::GET },
        path: if login.is_some() { "/api/login".to_owned() } else { path },
        fields: Vec::new(),
        cookies: String::new(),
        source: None,
        body: login.unwrap_or_default(),
    };
    let answer = asker.once(&ask).await.ok()?;
    Some(super::identify::set_by(&answer, name).is_some())
}

/// Made-up values: of cookies that are set, and, where nothing keeps a client yet, of usual cookies and fields.
async fn made_up(prober: &mut Prober<'_>) {
    let stays = prober.seen.held(prober.seen.same_address.as_ref()).is_always();
    if stays && !prober.seen.varies {
        return;
    }
    for at in 0..prober.seen.carriers.len() {
        let name = prober.seen.carriers[at].name.clone();
        let value = invented(&mut prober.random);
        let row = prober.row(&mut Client::with_text(From::Any, format!("{name}={value}"))).await;
        prober.seen.carriers[at].made_up = Some(row);
        carriers_keys(prober, at).await;
    }
    let is_kept = prober.seen.carriers.iter().any(|c| {
        prober.seen.held(c.alone.as_ref()).is_always() || prober.seen.held(c.made_up.as_ref()).is_always()
    });
    if is_kept {
        return;
    }
    prober.say("made-up cookies and fields");
    let of_person = prober.settings.try_cookies.iter().cloned();
    let mut cookies: Vec<String> = of_person.chain(names::TRIED.map(str::to_owned)).collect();
    cookies.retain(|name| !prober.seen.carriers.iter().any(|c| c.name == *name));
    let of_person = prober.settings.try_fields.iter().cloned();
    let fields: Vec<String> = of_person.chain(names::TRIED_FIELDS.map(str::to_owned)).collect();
    let value = invented(&mut prober.random);
    let asked = "usual cookies and fields with a made-up value that stays the same";
    let (cookies, fields) = narrowed(prober, cookies, fields, &value).await;
    for name in cookies {
        let row = prober.row(&mut with(&[&name], &[], &value)).await;
        let carrier = Carrier { name, made_up: Some(row), ..Carrier::default() };
        prober.seen.carriers.push(carrier);
        carriers_keys(prober, prober.seen.carriers.len() - 1).await;
    }
    for name in fields {
        let row = prober.row(&mut with(&[], &[&name], &value)).await;
        let (new_keys, modulo) = new_keys(prober, None, Some(&name)).await;
        prober.seen.headers.push(Field { name, made_up: row, new_keys, modulo });
    }
    let held: Vec<String> =
        prober.seen.carriers.iter().filter(|c| !c.is_set).map(|c| format!("cookie {}", c.name)).collect();
    let held = held
        .into_iter()
        .chain(prober.seen.headers.iter().map(|f| format!("field {}", f.name)))
        .collect::<Vec<_>>();
    let verdict = if held.is_empty() {
        "none of them keeps a client".to_owned()
    } else {
        format!("kept by: {}", held.join(", "))
    };
    prober.find(
        "T5b",
        Mark::Note,
        asked,
        format!(
            "{} names tried",
            names::TRIED.len()
                + names::TRIED_FIELDS.len()
                + prober.settings.try_cookies.len()
                + prober.settings.try_fields.len()
        ),
        verdict,
    );
}

/// Those of these names that keep a client by a value: found by halves, since all together tell whether any does.
async fn narrowed(
    prober: &mut Prober<'_>,
    cookies: Vec<String>,
    fields: Vec<String>,
    value: &str,
) -> (Vec<String>, Vec<String>) {
    let mut open: Vec<Vec<(bool, String)>> =
        vec![cookies.into_iter().map(|c| (true, c)).chain(fields.into_iter().map(|f| (false, f))).collect()];
    let (mut cookies, mut fields) = (Vec::new(), Vec::new());
    while let Some(mut group) = open.pop() {
        let pick =
            |is: bool| group.iter().filter(|(c, _)| *c == is).map(|(_, n)| n.as_str()).collect::<Vec<_>>();
        let row = prober.row(&mut with(&pick(true), &pick(false), value)).await;
        if !prober.seen.held(Some(&row)).is_always() {
            continue;
        }
        if group.len() == 1 {
            group.into_iter().for_each(|(is, name)| if is { cookies.push(name) } else { fields.push(name) });
            continue;
        }
        let half = group.split_off(group.len() / 2);
        open.extend([group, half]);
    }
    (cookies, fields)
}

/// A client from anywhere with these cookies and fields, all of this value.
fn with(cookies: &[&str], fields: &[&str], value: &str) -> Client {
    let text: Vec<String> = cookies.iter().map(|name| format!("{name}={value}")).collect();
    let mut client = Client::with_text(From::Any, text.join("; "));
    client.fields = fields.iter().map(|name| ((*name).to_owned(), value.to_owned())).collect();
    client
}

/// A value that nobody made, and that names no backend by chance.
pub(super) fn invented(random: &mut fastrand::Rng) -> String {
    format!("probe{:016x}", random.u64(..))
}

/// Where values lead that are new each time, and whether nginx's `hash` would send them there.
async fn new_keys(
    prober: &mut Prober<'_>,
    cookie: Option<&str>,
    field: Option<&str>,
) -> (Trial, Option<f64>) {
    let (mut placed, mut row) = (Vec::new(), Trial::default());
    let place = prober.place();
    let mut client = Client { connection: Connection::Kept(None, 0), ..Client::bare(place) };
    for _ in 0..KEYS {
        let value = format!("{:012x}", prober.random.u64(..1 << 48));
        client.cookies = cookie.map_or(Cookies::None, |name| Cookies::Text(format!("{name}={value}")));
        client.fields = field.map(|name| (name.to_owned(), value.clone())).into_iter().collect();
        let visit = prober.visit(&mut client).await;
        row.seen.push(visit.node);
        placed.extend(visit.node.map(|node| (value.into_bytes(), node)));
    }
    let hash = |key: &[u8]| crc32fast::hash(key) >> 16 & 0x7fff;
    let found = modulo(&placed, prober.seen.nodes.len(), hash).filter(|p| *p < 1e-6);
    (row, found)
}

/// The same for the carrier at this place, if its made-up values keep a client.
async fn carriers_keys(prober: &mut Prober<'_>, at: usize) {
    if prober.seen.held(prober.seen.carriers[at].made_up.as_ref()).is_always() {
        let name = prober.seen.carriers[at].name.clone();
        let (row, found) = new_keys(prober, Some(&name), None).await;
        (prober.seen.carriers[at].new_keys, prober.seen.carriers[at].modulo) = (row, found);
    }
}

/// One address and another URL each time, where the address or the URL keeps a client.
async fn other_paths(prober: &mut Prober<'_>) {
    if !prober.seen.held(prober.seen.same_address.as_ref()).is_always() && prober.seen.nodes.len() > 1 {
        return;
    }
    let place = prober.place();
    let mut client = Client { path: Path::Any, ..Client::bare(place) };
    let row = prober.row(&mut client).await;
    // With one backend until now, a row cannot be held: what counts is whether others were seen.
    let spreads = row.counts().iter().filter(|c| **c > 0).count() > 1;
    if spreads && prober.seen.shares.len() < prober.seen.nodes.len() {
        prober.seen.shares = super::statistics::equal_shares(prober.seen.nodes.len());
        let again = prober.row(&mut Client::bare(place)).await;
        prober.seen.same_address = Some(again);
    }
    let verdict = if spreads { "the URL decides" } else { "the URL does not matter" };
    let text = row.to_text(&prober.seen.nodes);
    prober.find("T5c", Mark::Note, "one address, another query each time", text, verdict);
    prober.seen.other_paths = Some(row);
}

/// T8: what a browser does with a page that has many parts, before it has a cookie.
async fn parallel(prober: &mut Prober<'_>) {
    let asked = "eight first requests of one client at once";
    let From::One(source) = prober.place() else { return };
    let mut all = JoinSet::new();
    for _ in 0..PARALLEL {
        let (asker, path) = (Rc::clone(&prober.asker), prober.asker.target.path.clone());
        let ask = Ask::get(path, source);
        prober.requests += 1;
        all.spawn_local(async move { asker.once(&ask).await });
    }
    let mut seen = Trial::default();
    while let Some(done) = all.join_next().await {
        let answer = done.ok().and_then(Result::ok);
        seen.seen.push(answer.and_then(|a| prober.whose(&a, "")));
    }
    let several = seen.counts().iter().filter(|c| **c > 0).count();
    let verdict = if several > 1 {
        format!(
            "they come to {several} backends: a session may be begun several times, and one of them stays"
        )
    } else {
        "they come to one backend".to_owned()
    };
    let mark = if several > 1 { Mark::Note } else { Mark::Good };
    let text = seen.to_text(&prober.seen.nodes);
    prober.find("T8", mark, asked, text, verdict);
}

/// T14: a WebSocket, and a stream of events.
async fn upgrades(prober: &mut Prober<'_>) {
    let mut seen = Vec::new();
    for (what, fields) in [
        (
            "WebSocket",
            vec![
                ("Connection", "Upgrade"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ],
        ),
        ("events", vec![("Accept", "text/event-stream")]),
    ] {
        let mut client = Client { connection: Connection::Kept(None, 0), ..Client::bare(From::Any) };
        client.fields = fields.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let answer = prober.visit(&mut client).await.answer;
        let status = answer.map_or_else(|| "no answer".to_owned(), |a| a.status.to_string());
        seen.push(format!("{what}: {status}"));
    }
    let verdict = if seen.iter().any(|s| s == "WebSocket: 101") {
        "upgrades pass"
    } else {
        "this path takes no upgrade"
    };
    prober.find("T14", Mark::Note, "an upgrade to WebSocket, a stream of events", seen.join(", "), verdict);
}
