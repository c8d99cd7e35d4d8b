//! Answers that lie about their end, over real sockets: what is given to the reader, and whether the connection is kept.

use super::{Failed, Pool};
use crate::{
    config::HttpVersion,
    upstream::{Outgoing, RequestBody, connector::Connector},
};
use bytes::Bytes;
use http::{HeaderMap, Method};
use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::sleep,
};

/// A server that answers every request with these pieces, a moment apart, then closes if it should; it counts connections.
async fn server(pieces: &'static [&'static str], closes: bool) -> (Arc<Pool>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut read = [0; 4096];
                while let Ok(1..) = stream.read(&mut read).await {
                    for piece in pieces {
                        stream.write_all(piece.as_bytes()).await.unwrap();
                        sleep(Duration::from_millis(10)).await;
                    }
                    if closes {
                        return;
                    }
                }
            });
        }
    });
    let connector = Connector::new(None, HttpVersion::Http11, Duration::from_secs(5));
    let authority = authority.parse().unwrap();
    let pool = Pool::new(connector, "http", &authority, 4, Duration::from_secs(60)).unwrap();
    (Arc::new(pool), count)
}

fn outgoing(method: Method) -> Outgoing {
    Outgoing {
        method,
        path_and_query: "/a".to_owned(),
        headers: HeaderMap::new(),
    }
}

async fn ask(pool: &Arc<Pool>, method: Method) -> Result<(u16, Result<Vec<u8>, String>), Failed> {
    let body = RequestBody::whole(Bytes::new());
    let (status, mut lease) = pool.send(&outgoing(method), body).await?;
    let mut whole = Vec::new();
    loop {
        match poll_fn(|cx| lease.poll_data(cx)).await {
            None => return Ok((status.as_u16(), Ok(whole))),
            Some(Ok(data)) => whole.extend_from_slice(&data),
            Some(Err(error)) => return Ok((status.as_u16(), Err(error.to_string()))),
        }
    }
}

async fn twice(pieces: &'static [&'static str]) -> (String, usize) {
    let (pool, connections) = server(pieces, false).await;
    let mut read = String::new();
    for _ in 0..2 {
        let (_, body) = ask(&pool, Method::GET).await.unwrap();
        read = String::from_utf8(body.unwrap()).unwrap();
        // What lies behind the answer may still be on its way.
        sleep(Duration::from_millis(30)).await;
    }
    (read, connections.load(Ordering::SeqCst))
}

#[tokio::test]
async fn whole_answers_are_read_and_their_connection_kept() {
    for pieces in [
        &["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"] as &[&str],
        &["HTTP/1.1 200 OK\r\nConte", "nt-Length: 5\r\n\r\nhe", "llo"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"],
        &[
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
            "\r\n0\r",
            "\n\r\n",
        ],
        &[
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        ],
    ] {
        assert_eq!(twice(pieces).await, ("hello".to_owned(), 1), "{pieces:?}");
    }
}

#[tokio::test]
async fn a_connection_with_a_byte_behind_the_answer_is_never_used_again() {
    for pieces in [
        &["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloX"] as &[&str],
        &["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "X"],
        &[
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ],
        &["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"],
        &["HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
    ] {
        assert_eq!(twice(pieces).await, ("hello".to_owned(), 2), "{pieces:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_short_is_an_error_and_never_a_shorter_one() {
    for pieces in [
        &["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"] as &[&str],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\n\r\n"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"],
    ] {
        let (pool, _) = server(pieces, true).await;
        let (_, body) = ask(&pool, Method::GET).await.unwrap();
        assert!(body.is_err(), "{pieces:?}");
    }
    // Only an answer that says nothing of its end ends with the connection.
    let (pool, _) = server(&["HTTP/1.1 200 OK\r\n\r\nhello"], true).await;
    let (_, body) = ask(&pool, Method::GET).await.unwrap();
    assert_eq!(body.unwrap(), b"hello");
}

#[tokio::test]
async fn no_answer_is_an_error_and_the_request_is_not_sent_again() {
    for pieces in [
        &[] as &[&str],
        &["HTTP/1.1 200 OK\r\nContent-Len"],
        &["HTTP/1.1 100 Continue\r\n\r\n"],
    ] {
        let (pool, connections) = server(pieces, true).await;
        let error = ask(&pool, Method::GET).await.unwrap_err();
        assert!(matches!(error, Failed::Broken(_)), "{pieces:?}: {error}");
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn informational_answers_without_end_are_given_up() {
    let (pool, _) = server(&["HTTP/1.1 100 Continue\r\n\r\n"; 9], false).await;
    let error = ask(&pool, Method::GET).await.unwrap_err();
    assert!(matches!(error, Failed::Unbelievable(_)), "{error}");
}

#[tokio::test]
async fn an_answer_to_head_ends_with_its_head() {
    let (pool, connections) =
        server(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"], false).await;
    for _ in 0..2 {
        let (status, body) = ask(&pool, Method::HEAD).await.unwrap();
        assert_eq!((status, body.unwrap().len()), (200, 0));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_target_that_is_not_in_origin_form_is_not_sent() {
    let (pool, connections) = server(&[], false).await;
    for path in ["", "a", "/a b", "/a\r\nX: y", "http://x/", "/\u{e9}"] {
        let mut outgoing = outgoing(Method::GET);
        path.clone_into(&mut outgoing.path_and_query);
        let body = RequestBody::whole(Bytes::new());
        let failed = pool.send(&outgoing, body).await.err();
        assert!(matches!(failed, Some(Failed::Target)), "{path:?}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

const WHOLE: &[&str] = &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"];

/// One exchange on a runtime of its own, which lives until the sender is dropped.
fn elsewhere(pool: &Arc<Pool>) -> std::sync::mpsc::Sender<()> {
    let (pool, (live, end)) = (Arc::clone(pool), std::sync::mpsc::channel());
    let (done, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (status, _) = runtime.block_on(async { ask(&pool, Method::GET).await.unwrap() });
        assert_eq!(status, 200);
        done.send(()).unwrap();
        let _: Result<(), _> = end.recv();
    });
    asked.recv().unwrap();
    live
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_is_used_by_the_runtime_alone_that_hears_of_it() {
    let (pool, connections) = server(WHOLE, false).await;
    let _live = tokio::task::spawn_blocking({
        let pool = Arc::clone(&pool);
        move || elsewhere(&pool)
    })
    .await
    .unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    for _ in 0..3 {
        ask(&pool, Method::GET).await.unwrap().1.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn in_a_full_pool_the_one_that_rested_longest_gives_way() {
    let (pool, connections) = server(WHOLE, false).await;
    let mut live = Vec::new();
    // The pool keeps four.
    for _ in 0..4 {
        let pool = Arc::clone(&pool);
        let one = tokio::task::spawn_blocking(move || elsewhere(&pool));
        live.push(one.await.unwrap());
    }
    for _ in 0..3 {
        ask(&pool, Method::GET).await.unwrap().1.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 5);
}
