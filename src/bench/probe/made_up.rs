//! Values that nobody made: of the cookies that are set, and of usual cookies and fields where nothing else keeps a
//! client (T5b). One that keeps it is hashed, or learnt.

use super::findings::Mark;
use super::names;
use super::observed::{Carrier, Field, Trial, modulo, nginx_hash};
use super::prober::{Client, Connection, Cookies, From, Prober};

/// Keys that a formula is tried on.
const KEYS: usize = 40;

/// Made-up values: of cookies that are set, and, where nothing keeps a client yet, of usual cookies and fields.
pub(super) async fn run(prober: &mut Prober<'_>) {
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
    let found = modulo(&placed, prober.seen.nodes.len(), nginx_hash).filter(|p| *p < 1e-6);
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
