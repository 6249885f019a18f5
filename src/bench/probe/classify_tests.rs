use super::super::observed::Login;
use super::super::statistics::equal_shares;
use super::*;

/// Three backends, clients from any address, in turn unless said otherwise.
fn seen() -> Observed {
    let turns = |len: usize| trial(&(0..len).map(|i| i % 3).collect::<Vec<_>>());
    Observed {
        nodes: ["a", "b", "c"].map(str::to_owned).to_vec(),
        shares: equal_shares(3),
        varies: true,
        spread: turns(40),
        order: turns(30),
        same_address: Some(any()),
        connection: Some(any()),
        ..Observed::default()
    }
}

fn trial(seen: &[usize]) -> Trial {
    Trial { seen: seen.iter().map(|n| Some(*n)).collect(), fillers: 0 }
}

fn one() -> Trial {
    trial(&[1; 14])
}

fn any() -> Trial {
    trial(&[0, 2, 1, 1, 0])
}

fn kind(seen: &Observed) -> Kind {
    let readings: Vec<Reading> =
        seen.carriers.iter().map(|c| super::super::names::read(c, &seen.nodes, &[])).collect();
    let verdict = classify(seen, &readings);
    assert!(verdict.kind == Kind::Unknown || verdict.certainty > 0.4, "{verdict:?}");
    verdict.kind
}

/// A cookie `name` that is set, with a value per client.
fn carrier(name: &str) -> Carrier {
    let values = (0..12).map(|i| (i % 3, format!("v{i}"))).collect();
    Carrier {
        name: name.to_owned(),
        is_set: true,
        alone: Some(one()),
        made_up: Some(any()),
        kept_birth: (12, 12),
        values,
        is_set_anywhere: Some(true),
        ..Carrier::default()
    }
}

#[test]
fn nothing_that_keeps_is_no_affinity() {
    assert_eq!(kind(&seen()), Kind::None);
    assert!(placing(&seen()).0.starts_with("in turn"));
    let random = Observed { order: trial(&[0, 0, 2, 1, 2, 2, 0, 1, 1, 0, 2, 1, 0, 0, 1]), ..seen() };
    assert_eq!(placing(&random).0, "as if at random");
    let uneven = trial(&[vec![0; 26], vec![1, 2, 1, 0]].concat());
    assert_eq!(placing(&Observed { order: uneven, ..seen() }).0, "unevenly, by weights or by load");
    let two_counters =
        trial(&(0..45).map(|i| [0, 0, 1, 2, 2, 1][i * 5 % 6]).chain([0, 1, 2]).collect::<Vec<_>>());
    assert!(placing(&Observed { order: two_counters, ..seen() }).1 < 1.0);
}

#[test]
fn addresses_keep_by_as_much_of_them_as_holds() {
    let by = |same_24: Trial, same_16: Trial| Observed {
        order: one(),
        same_address: Some(one()),
        same_24: Some(same_24),
        same_16: Some(same_16),
        connection: Some(one()),
        jar: Some(one()),
        jar_moved: Some(any()),
        ..seen()
    };
    assert_eq!(kind(&by(any(), any())), Kind::SourceIp);
    assert_eq!(kind(&by(one(), any())), Kind::Source24);
    assert_eq!(kind(&by(one(), one())), Kind::Source16);
}

#[test]
fn a_connection_keeps_where_an_address_does_not() {
    assert_eq!(kind(&Observed { connection: Some(one()), ..seen() }), Kind::Connection);
}

#[test]
fn cookies_are_told_by_what_made_up_values_and_births_do() {
    let with = |carrier: Carrier| Observed {
        jar: Some(one()),
        jar_moved: Some(one()),
        carriers: vec![carrier],
        ..seen()
    };
    let of = |carrier: Carrier| kind(&with(carrier));
    assert_eq!(of(carrier("srv")), Kind::LbCookie);
    assert_eq!(of(carrier("JSESSIONID")), Kind::AppCookieTable);
    assert_eq!(of(Carrier { is_the_applications: Some(true), ..carrier("srv") }), Kind::AppCookieTable);
    let unclear = with(carrier("strange"));
    assert!(!classify(&unclear, &[Reading::default()]).doubts.is_empty());
    let hashed = Carrier { made_up: Some(one()), kept_birth: (4, 12), ..carrier("JSESSIONID") };
    assert_eq!(of(hashed.clone()), Kind::AppCookieHash);
    assert_eq!(
        of(Carrier { kept_birth: (12, 12), ..hashed.clone() }),
        Kind::AppCookieTable,
        "it knows who made it"
    );
    let tried = Carrier { is_set: false, alone: None, kept_birth: (0, 0), values: Vec::new(), ..hashed };
    assert_eq!(of(tried), Kind::AppCookieHash);
    assert_eq!(of(Carrier { alone: Some(any()), ..carrier("srv") }), Kind::Mixed, "only together");
    let two = Observed { carriers: vec![carrier("AWSALB"), carrier("AWSALBCORS")], ..with(carrier("srv")) };
    assert_eq!(kind(&two), Kind::LbCookie);
}

#[test]
fn a_cookie_over_an_address_is_both() {
    let both = Observed {
        same_address: Some(one()),
        order: one(),
        same_24: Some(any()),
        jar: Some(one()),
        jar_moved: Some(one()),
        carriers: vec![carrier("srv")],
        ..seen()
    };
    assert_eq!(kind(&both), Kind::Mixed);
    let fixed = Observed { varies: false, spread: one(), ..both };
    assert_ne!(kind(&fixed), Kind::LbCookie, "whether it is the cookie or the address does not show");
}

#[test]
fn a_table_that_learns_is_told_from_a_hash_by_turns() {
    let turns = trial(&(0..40).map(|i| i % 3).collect::<Vec<_>>());
    let tried = Carrier { is_set: false, made_up: Some(one()), new_keys: turns.clone(), ..carrier("sid") };
    assert_eq!(kind(&Observed { carriers: vec![tried], ..seen() }), Kind::AppCookieTable);
    assert_eq!(
        kind(&Observed { headers: vec![Field { new_keys: turns, ..field() }], ..seen() }),
        Kind::HeaderTable
    );
}

fn field() -> Field {
    Field { name: "X-User-Id".to_owned(), made_up: one(), ..Field::default() }
}

#[test]
fn fields_and_urls_keep_too() {
    assert_eq!(kind(&Observed { headers: vec![field()], ..seen() }), Kind::HeaderHash);
    let url = Observed {
        spread: one(),
        order: one(),
        same_address: Some(one()),
        other_paths: Some(any()),
        ..seen()
    };
    assert_eq!(kind(&url), Kind::UrlHash);
}

#[test]
fn what_does_not_show_is_not_told() {
    let fewer = |n: usize| Observed { nodes: seen().nodes[..n].to_vec(), ..seen() };
    assert_eq!(kind(&fewer(0)), Kind::Unknown);
    assert_eq!(kind(&fewer(1)), Kind::Unknown);
    assert_eq!(kind(&Observed { is_cut: true, ..seen() }), Kind::Unknown);
    let silent = Observed { order: Trial::default(), same_address: None, connection: None, ..seen() };
    assert_eq!(kind(&silent), Kind::Unknown);
    let mut almost = [1; 30];
    almost[3] = 0;
    assert_eq!(kind(&Observed { jar: Some(trial(&almost)), ..seen() }), Kind::Mixed);
}

#[test]
fn consistency_is_what_happens_to_the_others() {
    let text = |collateral| consistency(&Observed { collateral, ..seen() }, None);
    assert!(text(Some((0, 40))).contains("consistent, or"));
    assert!(
        text(Some((22, 40))).contains("22 of 40 keys") && text(Some((22, 40))).contains("not consistent")
    );
    assert!(text(None).contains("--kill-hook"));
    assert!(consistency(&seen(), Some(1e-15)).contains("below 1e-12"));
}

#[test]
fn a_login_tells_what_no_affinity_costs() {
    let says = |known, places, is_signed| {
        let login = Some(Login { known, of: 20, places, is_signed });
        classify(&Observed { login, ..seen() }, &[]).sentence
    };
    assert!(says(20, 3, false).contains("the backends share their sessions"));
    assert!(says(20, 3, true).contains("can verify its signed token"));
    assert!(says(7, 3, false).contains("7 of 20 requests behind it knew the user"));
    let login = Some(Login { known: 0, of: 20, places: 1, is_signed: false });
    let hashed = Carrier { made_up: Some(one()), kept_birth: (4, 12), ..carrier("JSESSIONID") };
    let lost = Observed { login, jar: Some(one()), carriers: vec![hashed], ..seen() };
    let doubts = classify(&lost, &[Reading::default()]).doubts;
    assert!(doubts.iter().any(|d| d.contains("a login does not last all the same")), "{doubts:?}");
}

#[test]
fn what_a_client_says_of_itself_is_no_evidence() {
    let told_by = |made_up: Trial| {
        let carrier = Carrier { made_up: Some(made_up), ..carrier("srv") };
        let told_by = Some("srv".to_owned());
        let seen = Observed { told_by, jar: Some(one()), carriers: vec![carrier], ..seen() };
        classify(&seen, &[Reading { is_one_per_backend: true, ..Reading::default() }])
    };
    let silent = told_by(Trial { seen: vec![None; 4], fillers: 0 });
    assert!(silent.certainty <= 0.5 && silent.doubts[0].contains("nothing shows that anybody reads it"));
    let checked = told_by(any());
    assert!(checked.certainty > 0.99 && checked.doubts.is_empty(), "{checked:?}");
}

#[test]
fn a_name_in_the_applications_value_is_the_balancers() {
    let values = ["a~4F2A", "b~77B1", "a~91C0"].iter().zip([0, 1, 0]);
    let values = values.map(|(value, node)| (node, (*value).to_owned())).collect();
    let carrier = Carrier { values, is_the_applications: Some(true), ..carrier("JSESSIONID") };
    let verdict = |seen: &Observed| {
        let reading = super::super::names::read(&seen.carriers[0], &seen.nodes, &[]);
        classify(seen, &[reading])
    };
    let verdict = verdict(&Observed { jar: Some(one()), carriers: vec![carrier], ..seen() });
    assert_eq!(verdict.kind, Kind::LbCookie);
    assert!(verdict.sentence.contains("the backend's name in the application's cookie"), "{verdict:?}");
}
