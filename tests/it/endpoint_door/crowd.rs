//! Too many, too slow, too late: everybody gets an end in bounded time, and whoever
//! does nothing wrong is served meanwhile.

use std::io::{ErrorKind, Write as _};
use std::time::{Duration, Instant};

use strongroom::server::Limits;

use super::house::{House, Plan, Response, connect, until_closed};

const SHORT: Duration = Duration::from_millis(400);

fn impatient(connections: usize) -> House {
    House::build(Plan {
        limits: Limits {
            connections,
            head: SHORT,
            body: SHORT,
            grace: Duration::from_secs(5),
            ..Limits::default()
        },
        ..Plan::default()
    })
}

#[test]
fn a_head_that_never_ends_is_hung_up_on_while_others_are_served() {
    let house = impatient(64);
    for door in [house.front, house.agent] {
        let mut silent = connect(door);
        let mut slow = connect(door);
        slow.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\nx-a: ")
            .unwrap();
        let since = Instant::now();
        // A byte now and then does not buy more time.
        let mut alive = 0;
        while since.elapsed() < Duration::from_secs(10) {
            assert_eq!(house.request().signed().send().status, 200);
            if slow.write_all(b"x").is_err() {
                break;
            }
            alive += 1;
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(alive > 0);
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "{:?}",
            since.elapsed()
        );
        assert!(until_closed(&mut silent) < Duration::from_secs(5));
    }
}

#[test]
fn a_body_that_never_ends_is_hung_up_on_while_others_are_served() {
    let house = impatient(64);
    let whole = house.request().signed().bytes();
    let mut slow = connect(house.front);
    slow.write_all(&whole[..whole.len() - 1]).unwrap();
    assert_eq!(house.request().signed().send().status, 200);
    let since = Instant::now();
    let answer = Response::read(&mut slow).unwrap();
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (408, "RequestTimeoutException")
    );
    until_closed(&mut slow);
    assert!(since.elapsed() < Duration::from_secs(5));
    assert_eq!(house.reached(), 1);
}

/// It has a key, asks and asks, and reads nothing.
#[test]
#[cfg(target_os = "linux")]
fn a_client_that_reads_no_answers_is_hung_up_on_while_others_are_served() {
    let house = House::build(Plan {
        limits: Limits {
            unread: SHORT,
            ..Limits::default()
        },
        ..Plan::default()
    });
    let mut deaf = connect(house.front);
    rustix::net::sockopt::set_socket_recv_buffer_size(&deaf, 4096).unwrap();
    deaf.set_write_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let requests = house.request().signed().bytes().repeat(64);
    let begun = Instant::now();
    let mut was_stuck = false;
    let end = loop {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "never hung up on"
        );
        match deaf.write(&requests) {
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // The kernel's own end of the connection says the same at last.
                match deaf.take_error().unwrap() {
                    Some(error) => break error,
                    None => was_stuck = true,
                }
                assert_eq!(house.request().signed().send().status, 200);
            }
            Err(error) => break error,
        }
    };
    assert!(
        was_stuck,
        "it was hung up on before it was in anybody's way: {end}"
    );
}

/// Ten thousand connections that say nothing, some hundreds at a time: they push each
/// other out, and a client with a key comes through.
#[test]
fn ten_thousand_connections_are_bounded_and_the_others_served() {
    const SEATS: usize = 32;
    const HELD: usize = 300;
    let house = House::build(Plan {
        limits: Limits {
            connections: SEATS,
            ..Limits::default()
        },
        ..Plan::default()
    });
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut keeper = connect(house.front);
    assert_eq!(house.request().signed().send_on(&mut keeper).status, 200);
    let before = open();
    let mut held = std::collections::VecDeque::new();
    let mut most = 0;
    for n in 0..10_000 {
        held.push_back(connect(house.front));
        if held.len() > HELD {
            held.pop_front();
        }
        if n % 500 == 0 {
            most = most.max(open());
            assert_eq!(
                house.request().signed().send_on(&mut keeper).status,
                200,
                "after {n}"
            );
            assert_eq!(house.request().signed().send().status, 200, "after {n}");
        }
    }
    // Ours, their seats, what waits to be accepted or closed, and the other tests'.
    let bound = before + HELD + SEATS + 600;
    assert!(most < bound, "{most} descriptors, {bound} at most");
}

#[test]
fn when_all_seats_are_taken_by_clients_with_keys_a_further_one_is_told_so() {
    let house = House::build(Plan {
        limits: Limits {
            connections: 2,
            ..Limits::default()
        },
        ..Plan::default()
    });
    let mut seated = [connect(house.front), connect(house.front)];
    for stream in &mut seated {
        assert_eq!(house.request().signed().send_on(stream).status, 200);
    }
    let answer = house.request().signed().send();
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (503, "ServiceUnavailable")
    );
    assert_eq!(house.request().signed().send_on(&mut seated[0]).status, 200);
}

#[test]
fn a_door_that_closes_finishes_what_it_began() {
    let mut house = House::open();
    let mut idle = connect(house.front);
    assert_eq!(house.request().signed().send_on(&mut idle).status, 200);
    let request = house
        .request()
        .with("x-amz-target", "secretsmanager.PutSecretValue");
    let mut busy = connect(house.front);
    busy.write_all(&request.signed().bytes()).unwrap();
    while house.reached() < 2 {
        std::thread::yield_now();
    }
    house.close();
    assert_eq!(
        Response::read(&mut busy)
            .expect("the answer under way")
            .status,
        200
    );
    assert!(Response::read(&mut idle).is_none());
    assert!(std::net::TcpStream::connect(house.front).is_err());
}
