use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    time::Duration,
};

use super::{
    wire::{SOCKETS_MAX, Word, hear, receive_sockets, say, send_sockets},
    *,
};
use crate::edge::Listeners;

const SOON: Duration = Duration::from_secs(2);

#[test]
fn a_socket_that_was_handed_over_takes_up_connections_that_wait() {
    let (old, new) = UnixStream::pair().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let waits = TcpStream::connect(address).unwrap();
    send_sockets(&old, &[listener.as_fd()]).unwrap();
    drop(listener);
    let sockets = receive_sockets(&new, 1).unwrap();
    let listeners = Listeners::of([address].into_iter().zip(sockets)).unwrap();
    let copy = listeners.copy(address, "face a").unwrap();
    let (_, peer) = copy.accept().unwrap();
    assert_eq!(peer, waits.local_addr().unwrap());
}

#[test]
fn another_number_of_sockets_than_was_said_is_refused() {
    for count in [0, 2] {
        let (old, new) = UnixStream::pair().unwrap();
        send_sockets(&old, &[old.as_fd()]).unwrap();
        assert!(receive_sockets(&new, count).is_err(), "{count}");
    }
    let (old, _new) = UnixStream::pair().unwrap();
    assert!(send_sockets(&old, &vec![old.as_fd(); SOCKETS_MAX + 1]).is_err());
}

#[test]
fn what_does_not_listen_where_it_was_said_to_is_not_taken() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let other = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let of = |address, socket: OwnedFd| Listeners::of([(address, socket)]);
    assert!(of(other, listener.try_clone().unwrap().into()).is_err());
    // A connection has a local address too.
    let connection = TcpStream::connect(address).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    assert_eq!(accepted.local_addr().unwrap(), address);
    assert!(of(address, accepted.into()).is_err());
    drop(connection);
    assert!(of(address, listener.into()).is_ok());
}

#[test]
fn a_word_that_is_too_long_or_unknown_is_not_heard() {
    use std::io::Write;
    for bytes in [
        [&0xffff_ffff_u32.to_be_bytes()[..], b"x"].concat(),
        [&7_u32.to_be_bytes()[..], br#""Other""#].concat(),
        [&9_u32.to_be_bytes()[..], br#""Go""#].concat(),
    ] {
        let (mut old, mut new) = UnixStream::pair().unwrap();
        old.write_all(&bytes).unwrap();
        drop(old);
        assert!(hear(&mut new, SOON).is_err());
    }
    let (mut old, mut new) = UnixStream::pair().unwrap();
    say(&mut old, &Word::Go).unwrap();
    assert_eq!(hear(&mut new, SOON).unwrap(), Word::Go);
}

#[test]
fn only_the_same_user_is_answered() {
    assert!(admits(1000, 1000));
    for stranger in [0, 999, 1001] {
        assert!(!admits(stranger, 1000), "{stranger}");
    }
    let (ours, _) = UnixStream::pair().unwrap();
    assert_eq!(same_user(&ours).unwrap(), std::process::id());
}

#[tokio::test]
async fn the_door_is_for_its_owner_and_for_its_own_gateway_alone() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than a Unix socket's address may be.
    let deep = folder.path().join("x".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let door = Door::open(&deep, "misp", &Listeners::default(), SOON).unwrap();
    let mode = std::fs::metadata(deep.join(NAME)).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let knock = |version, gateway: &str| {
        let at = Folder::open(&deep).unwrap();
        let mut stream = UnixStream::connect(at.name(NAME)).unwrap();
        let gateway = gateway.to_owned();
        say(&mut stream, &Word::Ask { version, gateway }).unwrap();
        (hear(&mut stream, SOON).unwrap(), stream)
    };
    for (version, gateway) in [(VERSION + 1, "misp"), (VERSION, "crvs")] {
        let (word, _) = knock(version, gateway);
        assert!(matches!(word, Word::Refused { .. }), "{word:?}");
    }
    let (word, mut stream) = knock(VERSION, "misp");
    assert!(matches!(word, Word::Offer { .. }), "{word:?}");
    say(&mut stream, &Word::Go).unwrap();
    assert_eq!(door.asked().await.pid(), std::process::id());
    door.close();
    assert!(!deep.join(NAME).exists());
}
