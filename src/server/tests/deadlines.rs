use super::*;

fn hasty() -> DoorSettings {
    DoorSettings {
        header_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(400),
        write_timeout: Duration::from_millis(200),
        ..DoorSettings::default()
    }
}

#[tokio::test]
async fn slow_heads_are_reaped() {
    let running = start(hasty(), None, SOON);
    for opening in ["", "GET", "GET / HTTP/1.1\r\nHost: local", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = connect(&running).await;
        stream.write_all(opening.as_bytes()).await.unwrap();
        drop(rest(&mut stream).await);
    }
    assert!(running.stats.cut() >= 4, "{}", running.stats.cut());
    finish(running).await;
}

#[tokio::test]
async fn dripping_does_not_extend_the_deadline_of_a_head() {
    let running = start(hasty(), None, SOON);
    let (mut read, mut write) = connect(&running).await.into_split();
    write.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
    let drip = async {
        while write.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut seen = Vec::new();
    tokio::select! {
        () = drip => {}
        _ = soon("reaped", read.read_to_end(&mut seen)) => {}
    }
    assert_eq!(running.stats.cut(), 1);
    assert!(seen.is_empty(), "a head that never ended was answered");
    finish(running).await;
}

#[tokio::test]
async fn a_slow_body_is_answered_408_and_closed() {
    let running = start(DoorSettings::default(), None, SOON);
    let answer = exchange(&running, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc").await;
    assert_eq!(status(&answer), 408, "{answer}");
    finish(running).await;
}

#[tokio::test]
async fn idle_connections_end_and_open_streams_do_not() {
    let running = start(hasty(), None, Duration::ZERO);
    let mut idle = connect(&running).await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut streaming = connect(&running).await;
    streaming.write_all(b"GET /silent HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 15];
    streaming.read_exact(&mut first).await.unwrap();
    assert_eq!(status(&rest(&mut idle).await), 200);
    // Far longer than every deadline: the silence is ours, not the peer's.
    let mut head = Vec::new();
    let quiet = tokio::time::timeout(Duration::from_millis(1_500), streaming.read_to_end(&mut head)).await;
    assert!(quiet.is_err(), "an idle stream was closed");
    assert_eq!(running.stats.cut(), 0);
    finish(running).await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut() {
    let running = start(hasty(), None, SOON);
    let mut stream = connect(&running).await;
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.unwrap();
    soon("the connection is cut", async {
        while running.stats.open() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(running.stats.cut(), 1);
    finish(running).await;
}

/// Answers that are complete for us may still lie in our buffers.
#[tokio::test]
async fn a_peer_that_only_sends_is_cut() {
    let settings = DoorSettings { write_timeout: Duration::from_millis(200), ..DoorSettings::default() };
    let running = start(settings, None, SOON);
    let mut stream = connect(&running).await;
    let request = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n{}", "x".repeat(50_000));
    let cut = soon("the connection is cut", async {
        loop {
            if stream.write_all(request.as_bytes()).await.is_err() {
                return;
            }
        }
    });
    cut.await;
    assert_eq!(running.stats.cut(), 1);
    finish(running).await;
}

#[tokio::test]
async fn a_peer_that_reads_slowly_is_served() {
    let running = start(hasty(), None, SOON);
    let mut stream = connect(&running).await;
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let (mut total, mut piece) = (0, vec![0; 4 * 1024 * 1024]);
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        match soon("bytes", stream.read(&mut piece)).await.unwrap() {
            0 => break,
            n => total += n,
        }
    }
    assert!(total > 64 * 1024 * 1024, "{total}");
    finish(running).await;
}

#[tokio::test]
async fn connections_are_capped_in_all_and_per_address() {
    for settings in
        [DoorSettings { connections: 2, ..DoorSettings::default() }, DoorSettings { per_ip: 2, ..DoorSettings::default() }]
    {
        let running = start(settings, None, SOON);
        let get = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let (mut one, mut two) = (connect(&running).await, connect(&running).await);
        for stream in [&mut one, &mut two] {
            stream.write_all(get).await.unwrap();
            assert_eq!(status(&one_answer(stream).await), 200);
        }
        let mut three = connect(&running).await;
        let mut nothing = Vec::new();
        drop(soon("refusal", three.read_to_end(&mut nothing)).await);
        assert!(nothing.is_empty());
        assert_eq!(running.stats.refused(), 1);
        drop(one);
        soon("room again", async {
            while running.stats.open() > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let mut four = connect(&running).await;
        four.write_all(get).await.unwrap();
        assert_eq!(status(&one_answer(&mut four).await), 200);
        drop((two, four));
        finish(running).await;
    }
}

#[tokio::test]
async fn a_drain_finishes_what_is_under_way() {
    let running = start(DoorSettings::default(), None, SOON);
    let mut busy = connect(&running).await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    soon("the request", running.came.notified()).await;
    running.stop.begin();
    soon("the listener closes", async {
        while TcpStream::connect(running.addr).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(!running.task.is_finished());
    running.go.notify_one();
    let answer = rest(&mut busy).await;
    assert!(status(&answer) == 200 && answer.ends_with("waited"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    finish(running).await;
}

/// A kept connection may already have its next request on the way when the drain begins.
#[tokio::test]
async fn a_drain_answers_one_more_request_of_a_kept_connection() {
    let running = start(DoorSettings::default(), None, SOON);
    let mut kept = connect(&running).await;
    let get = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    kept.write_all(get).await.unwrap();
    assert_eq!(status(&one_answer(&mut kept).await), 200);
    running.stop.begin();
    kept.write_all(get).await.unwrap();
    let answer = rest(&mut kept).await;
    assert!(status(&answer) == 200 && answer.contains("connection: close"), "{answer}");
    finish(running).await;
}

#[tokio::test]
async fn a_drain_cuts_what_outlives_its_grace() {
    let running = start(DoorSettings::default(), None, Duration::from_millis(100));
    let mut stuck = connect(&running).await;
    stuck.write_all(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    soon("the request", running.came.notified()).await;
    finish(running).await;
    let mut nothing = Vec::new();
    drop(stuck.read_to_end(&mut nothing).await);
    assert!(nothing.is_empty());
}

#[tokio::test]
async fn old_connections_are_asked_to_end() {
    let settings = DoorSettings { age_max: Duration::from_millis(300), ..DoorSettings::default() };
    let running = start(settings, None, SOON);
    let mut stream = connect(&running).await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    soon("the request", running.came.notified()).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    running.go.notify_one();
    let answer = rest(&mut stream).await;
    assert!(status(&answer) == 200 && answer.ends_with("waited"), "{answer}");
    finish(running).await;
}
