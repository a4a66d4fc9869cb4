//! What a survey promises, held to what decisions do.

use super::*;

#[test]
fn surveys_promise_what_decisions_keep() {
    let (mut random, people, universe) = (seed(), people(), arguments());
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..80 {
        let text = text(&lines(&mut random));
        let set = set(&text);
        for who in &people {
            for (name, _) in NAMES {
                let cell = cell(&set, &Person::of(who.clone()), &Thing::tool(name), &HintsOf::new());
                for _ in 0..60 {
                    let world = World {
                        name,
                        who: who.clone(),
                        hints: Hints::default(),
                        ..World::random(&mut random, &people, &universe)
                    };
                    let decision = world.decide(&set);
                    let reason = decision.reason();
                    let fits = match cell.access {
                        Access::Allow => reason == Reason::Allowed,
                        Access::Hidden => reason == Reason::NotVisible,
                        Access::Deny => reason != Reason::Allowed,
                        Access::Conditional => true,
                    };
                    let told = reason == Reason::Allowed || cell.reasons.contains(&reason);
                    let owed = decision.obligations().iter().all(|word| cell.obligations.contains(word));
                    assert!(fits && told && owed, "{cell:?} {reason:?} {world:?}\n{text}");
                    assert!(cell.access != Access::Conditional || !cell.depends_on.is_empty(), "{cell:?}\n{text}");
                }
                *seen.entry(cell.access.as_str()).or_default() += 1;
            }
        }
    }
    assert!(seen.len() == 4 && seen.values().all(|count| *count >= 5), "{seen:?}");
}
