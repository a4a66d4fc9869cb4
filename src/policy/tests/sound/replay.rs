//! What a replay says, held to what the decision would be.

use super::*;

/// What a record could keep of the arguments.
fn pieces(args: &Value, random: &mut Random) -> Vec<Piece> {
    let pointers = ["", "/a", "/b", "/o", "/o/k", "/l", "/l/0", "/k"];
    let odds = random.below(3);
    let kept = pointers.into_iter().filter(|pointer| random.below(if pointer.is_empty() { 12 } else { 1 + odds }) == 0);
    kept.filter_map(|pointer| Piece::new(pointer, &args.pointer(pointer)?.to_string())).collect()
}

#[test]
fn replays_tell_nothing_but_the_truth() {
    let (mut random, people, universe) = (seed(), people(), arguments());
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..300 {
        let old_lines = lines(&mut random);
        // Now another policy, now the same with one rule more or less, now the same.
        let new_lines = match random.below(4) {
            0 => lines(&mut random),
            1 => old_lines.iter().skip(1).cloned().collect(),
            2 => old_lines.iter().cloned().chain([line(&mut random, 99)]).collect(),
            _ => old_lines.clone(),
        };
        let new_text = text(&new_lines);
        let (old, new) = (set(&text(&old_lines)), set(&new_text));
        for _ in 0..12 {
            let world = World::random(&mut random, &people, &universe);
            let (was, truth) = (world.decide(&old), world.decide(&new));
            if world.args.as_ref().is_some_and(collides) && was.reason() != Reason::Indeterminate {
                continue;
            }
            let pieces = world.args.as_ref().map(|args| pieces(args, &mut random));
            let obligations: Vec<String> = was.obligations().into_iter().map(str::to_owned).collect();
            let (groups, scopes) = (random.below(4) > 0, random.below(4) > 0);
            let mut kept = world.who.clone();
            let whole = kept.anonymous || random.below(4) == 0;
            if !whole {
                kept.claims.retain(|name, _| groups && name == "groups");
                kept.scopes.retain(|_| scopes);
            }
            let past = Past {
                who: &kept,
                claims: if whole { Claims::All } else { Claims::Recorded { groups, scopes } },
                named: Named::Tool,
                name: world.name,
                class: Some(was.class()),
                hints: (random.below(2) == 0).then_some(world.hints),
                arguments: pieces.as_deref(),
                now_unix_ms: (random.below(3) > 0).then_some(world.now_unix_ms),
                route: (random.below(3) > 0).then_some(world.route),
                reason: was.reason(),
                obligations: &obligations,
            };
            let same = (truth.reason(), truth.obligations()) == (was.reason(), was.obligations());
            let is = |ruling: &Ruling| (ruling.reason, &ruling.obligations) == (truth.reason(), &truth.obligations());
            let again = replay(&new, &past);
            let context = || format!("{again:?}\n{:?} {:?}\n{past:?}\n{world:?}\n{new_text}", was.reason(), truth.reason());
            let said = match &again {
                Again::Unchanged => {
                    assert!(same, "{}", context());
                    "unchanged"
                }
                Again::Changed { now, .. } => {
                    assert!(!same && now.iter().any(is), "{}", context());
                    "changed"
                }
                Again::Undecidable { missing, could } => {
                    assert!(!missing.is_empty() && could.iter().any(is), "{}", context());
                    "undecidable"
                }
            };
            *seen.entry(said).or_default() += 1;
            // With everything recorded, everything is decidable.
            let all = world.args.as_ref().map(|args| [Piece::new("", &args.to_string()).unwrap()]);
            let all = Past {
                who: &world.who,
                claims: Claims::All,
                hints: Some(world.hints),
                arguments: all.as_ref().map(<[Piece; 1]>::as_slice),
                now_unix_ms: Some(world.now_unix_ms),
                route: Some(world.route),
                ..past.clone()
            };
            match replay(&new, &all) {
                Again::Unchanged => assert!(same, "{}", context()),
                Again::Changed { .. } => assert!(!same, "{}", context()),
                Again::Undecidable { .. } => panic!("{}", context()),
            }
        }
    }
    assert!(seen.len() == 3 && seen.values().all(|count| *count >= 100), "{seen:?}");
}
