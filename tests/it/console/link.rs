//! The link that is printed at the start where there is no identity provider.

use crate::authserver::{field, form};
use crate::cookies::Jar;
use crate::gate::{Gate, Run, soon};
use crate::wire::{Req, Resp};

struct Door {
    gate: Gate,
    cookies: Jar,
}

impl Door {
    async fn send(&self, request: Req) -> Resp {
        let host = self.gate.admin.addr.to_string();
        let got = self.gate.admin.send(&self.cookies.onto(request.add("Host", &host))).await;
        self.cookies.keep(&got, |_| &["HttpOnly; SameSite=Strict"]);
        got
    }

    fn redeem(&self, key: &str) -> Req {
        Req::new("POST", "/console/link")
            .add("Content-Type", "application/x-www-form-urlencoded")
            .add("Origin", &format!("http://{}", self.gate.admin.addr))
            .body(form(&[("key", key)]))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_works_once_and_makes_an_operator() {
    let gate = Gate::start().await;
    let Run::Here(running) = &gate.run else { panic!("in process") };
    let link = running.console_link().unwrap();
    let target = link.strip_prefix(&format!("http://{}", gate.admin.addr)).unwrap().to_owned();
    let mut door = Door { gate, cookies: Jar::default() };
    assert_eq!(door.send(Req::new("GET", "/console/approvals")).await.status, 401);

    // Looking at it, as mail filters do, uses nothing up.
    for _ in 0..2 {
        assert_eq!(door.send(Req::new("GET", &target)).await.status, 200);
    }
    let key = field(&door.send(Req::new("GET", &target)).await, "key");
    let elsewhere = door.redeem(&key).set("Origin", "https://evil.example");
    assert_eq!(door.send(elsewhere).await.status, 403);
    assert_eq!(door.send(door.redeem("AAAA")).await.status, 403);
    assert!(door.cookies.lock().is_empty());
    let welcome = door.send(door.redeem(&key)).await;
    assert_eq!(welcome.status, 200, "{}", welcome.whole());
    let page = door.send(Req::new("GET", "/console/approvals")).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("operator"), "{}", page.text());
    let mine = std::mem::take(&mut door.cookies);
    assert_eq!(door.send(door.redeem(&key)).await.status, 403, "once");
    assert_eq!(door.send(Req::new("GET", "/console/approvals")).await.status, 401);
    door.cookies = mine;

    let csrf = field(&page, "csrf");
    let out = Req::new("POST", "/console/signout")
        .add("Content-Type", "application/x-www-form-urlencoded")
        .add("Origin", &format!("http://{}", door.gate.admin.addr))
        .body(form(&[("csrf", &csrf)]));
    assert_eq!(door.send(out).await.status, 200);
    assert_eq!(door.send(Req::new("GET", "/console/approvals")).await.status, 401);
    soon("the records", || door.gate.audit_text().contains("console/link")).await;
    let log = door.gate.audit_text();
    assert!(!log.contains(&key), "the secret of the link is in no record");
    assert!(log.contains("console/link") && log.contains("portcullis:console"), "{log}");
}

/// Standard error that is no terminal ends in journals, which more people read than may sign in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_leaves_the_link_where_only_who_started_it_looks() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut gate = Gate::program(|_| {}).await;
    let file = gate.dir.path().join("data/run/console.link");
    let link = std::fs::read_to_string(&file).unwrap();
    let key = link.strip_prefix(&format!("http://{}/console/link?key=", gate.admin.addr)).unwrap().trim_end();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let opened = gate.admin(link.trim_end().split_once(&gate.admin.addr.to_string()).unwrap().1).await;
    assert_eq!(opened.status, 200, "{}", opened.whole());
    assert_eq!(gate.terminate().await, Some(0));
    assert!(!file.exists());
    let log = gate.log();
    assert!(log.contains("data/run/console.link") && !log.contains(key) && !log.contains("key="), "{log}");
}
