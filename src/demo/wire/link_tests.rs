//! A link and a store that is slow, rude or away.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use super::*;
use crate::demo::wire::resp;

async fn link() -> (Link, TcpListener, Rc<Tally>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap().to_string());
    let tally = Rc::new(Tally::default());
    (Link::new(endpoint, resp::parse, Rc::clone(&tally)), listener, tally)
}

async fn read(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    stream.read_exact(&mut read).await.unwrap();
    read
}

#[tokio::test]
async fn requests_follow_each_other_without_waiting_and_answers_find_them() {
    LocalSet::new()
        .run_until(async {
            let (link, listener, tally) = link().await;
            let asked = [b'a', b'b', b'c'].map(|byte| {
                let link = link.clone();
                tokio::task::spawn_local(async move { link.ask(vec![byte]).await })
            });
            let (mut store, _) = listener.accept().await.unwrap();
            // All three are here before any was answered.
            assert_eq!(read(&mut store, 3).await, b"abc");
            store.write_all(b":1\r\n:2\r\n-NO\r\n").await.unwrap();
            let mut answers = Vec::new();
            for asked in asked {
                answers.push(asked.await.unwrap());
            }
            assert_eq!(
                answers,
                [Ok(Reply::Number(1)), Ok(Reply::Number(2)), Err(Fault::Refused("NO".into()))]
            );
            assert_eq!((tally.trips.get(), tally.faults.get()), (3, 1));
        })
        .await;
}

#[tokio::test]
async fn a_broken_connection_fails_what_was_under_way_and_the_next_request_makes_another() {
    LocalSet::new()
        .run_until(async {
            let (link, listener, _) = link().await;
            let first = tokio::task::spawn_local({
                let link = link.clone();
                async move { link.ask(vec![b'a']).await }
            });
            let (mut store, _) = listener.accept().await.unwrap();
            read(&mut store, 1).await;
            drop(store);
            assert_eq!(first.await.unwrap(), Err(Fault::Closed));
            let again = tokio::task::spawn_local(async move {
                loop {
                    match link.ask(vec![b'b']).await {
                        Err(Fault::Connect) => tokio::task::yield_now().await,
                        other => return other,
                    }
                }
            });
            let (mut store, _) = listener.accept().await.unwrap();
            assert_eq!(read(&mut store, 1).await, b"b");
            store.write_all(b"+OK\r\n").await.unwrap();
            assert_eq!(again.await.unwrap(), Ok(Reply::Word("OK".into())));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_not_waited_for() {
    LocalSet::new()
        .run_until(async {
            let (link, _listener, _) = link().await;
            assert_eq!(link.ask(vec![b'a']).await, Err(Fault::Timeout));
        })
        .await;
}

#[tokio::test]
async fn a_store_that_is_away_or_talks_nonsense_is_an_error() {
    LocalSet::new()
        .run_until(async {
            let (link, listener, _) = link().await;
            let asked = tokio::task::spawn_local(async move { link.ask(vec![b'a']).await });
            let (mut store, _) = listener.accept().await.unwrap();
            store.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.unwrap();
            assert_eq!(asked.await.unwrap(), Err(Fault::Protocol));
            drop(listener);
            let away = Link::new(Endpoint::Unix("/nonexistent".into()), resp::parse, Rc::default());
            assert_eq!(away.ask(vec![b'a']).await, Err(Fault::Connect));
        })
        .await;
}
