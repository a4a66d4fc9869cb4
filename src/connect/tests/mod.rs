mod bench;
mod registering;
mod renewing;

use super::ticket;
use crate::seal::{Sealer, Unsealed};
use crate::vocab::PrincipalKey;

fn person(sub: &str) -> PrincipalKey {
    PrincipalKey { iss: "https://idp.example.com".into(), sub: sub.into() }
}

#[test]
fn a_ticket_is_for_one_person_at_one_upstream_for_a_while() {
    let sealer = Sealer::with_key(&[7; 32]).unwrap();
    let (alice, bob) = (person("alice"), person("bob"));
    let text = ticket::seal(&sealer, &alice, "github", 100).unwrap();
    let ticket = ticket::open(&sealer, &text, "github", 99).unwrap();
    assert!(ticket.is_for(&alice) && !ticket.is_for(&bob));
    assert_eq!(ticket::open(&sealer, &text, "github", 100), Err(Unsealed));
    assert_eq!(ticket::open(&sealer, &text, "gitlab", 99), Err(Unsealed));
    assert_eq!(ticket::open(&Sealer::with_key(&[8; 32]).unwrap(), &text, "github", 99), Err(Unsealed));
    let other = ticket::open(&sealer, &ticket::seal(&sealer, &alice, "github", 100).unwrap(), "github", 99).unwrap();
    assert_ne!(ticket.id, other.id);
}

#[test]
fn twenty_people_cannot_use_each_others_tickets() {
    let sealer = Sealer::with_key(&[7; 32]).unwrap();
    let people: Vec<PrincipalKey> = (0..20).map(|n| person(&format!("user-{n}"))).collect();
    for (at, owner) in people.iter().enumerate() {
        let text = ticket::seal(&sealer, owner, "github", 100).unwrap();
        let ticket = ticket::open(&sealer, &text, "github", 1).unwrap();
        let good: Vec<usize> = people.iter().enumerate().filter(|(_, who)| ticket.is_for(who)).map(|(n, _)| n).collect();
        assert_eq!(good, [at]);
    }
}
