//! `access`: who can do what, and what another policy changes about it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::out::Out;
use super::source::{PolicyArgs, Source, compile};
use super::tools_file;
use crate::policy::cases::principal;
use crate::policy::{
    Access, Cell, Change, HintsOf, Person, PolicySet, Thing, ThingKind, cell, changes, distinct, people, things,
};

#[derive(Debug, Args)]
pub(super) struct AccessArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Show what changes from the policy at PATH (the old one) to this one (the new one); exit 1 if anything does
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    /// Only these principals: sub=alice,groups=eng, or JSON, or anonymous; may be repeated
    /// [default: those of the cases, and one for each way the rules mean somebody]
    #[arg(long = "as", value_name = "PRINCIPAL")]
    people: Vec<String>,
    /// Tools besides those the policy and its cases name: a JSON list of full names, or a tools/list result
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// Print a Markdown table
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &AccessArgs, out: &mut Out) -> Result<Exit, Failure> {
    let source = args.policy.load()?;
    let old = args.against.as_ref().map(|path| compile(std::slice::from_ref(path), &source.around)).transpose()?;
    let old = old.map(|place| place.set);
    let hints = args.tools.as_deref().map(tools_file::load).transpose()?.unwrap_or_default();
    let sets: Vec<&PolicySet> = [Some(&*source.set), old.as_ref()].into_iter().flatten().collect();
    let cast = source.cast()?;
    let persons = persons(args, &source, &sets, cast.people.into_iter().map(Person::of).collect())?;
    let mut rows = things(&sets);
    let of = |kind: ThingKind| move |name: String| Thing { kind, name };
    rows.extend(cast.tools.into_iter().chain(hints.keys().cloned()).map(of(ThingKind::Tool)));
    rows.extend(cast.resources.into_iter().map(of(ThingKind::Resource)));
    rows.extend(cast.prompts.into_iter().map(of(ThingKind::Prompt)));
    match old {
        Some(old) => compare(args, &old, &source.set, &persons, &rows, &hints, out),
        None => matrix(args, &source.set, &persons, &rows, &hints, out),
    }
}

fn persons(args: &AccessArgs, source: &Source, sets: &[&PolicySet], cast: Vec<Person>) -> Result<Vec<Person>, Failure> {
    let mut all = Vec::new();
    for text in &args.people {
        let who = principal(&source.set, "--as", text).map_err(|problems| Failure::problems(&problems))?;
        all.push(Person::of(who));
    }
    if all.is_empty() {
        all.extend(sets.iter().flat_map(|set| people(set)));
        all.extend(cast);
    }
    Ok(distinct(all))
}

fn matrix(
    args: &AccessArgs,
    set: &PolicySet,
    people: &[Person],
    rows: &BTreeSet<Thing>,
    hints: &HintsOf,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let cells = |thing: &Thing| people.iter().map(|person| cell(set, person, thing, hints)).collect::<Vec<Cell>>();
    let rows: Vec<(&Thing, Vec<Cell>)> = rows.iter().map(|thing| (thing, cells(thing))).collect();
    // A pattern nobody can do anything with says nothing about any tool.
    let tells = |(thing, cells): &&(&Thing, Vec<Cell>)| {
        !thing.is_pattern() || cells.iter().any(|cell| matches!(cell.access, Access::Conditional | Access::Allow))
    };
    let rows: Vec<&(&Thing, Vec<Cell>)> = rows.iter().filter(tells).collect();
    if args.json {
        let cells = rows.iter().flat_map(|(thing, cells)| {
            let cell = |(person, cell): (&Person, &Cell)| json!({ "principal": person.label, "kind": thing.kind, "name": thing.name, "cell": cell });
            people.iter().zip(cells).map(cell).collect::<Vec<Value>>()
        });
        let document = json!({ "policy": &**set.digest(), "cells": cells.collect::<Vec<Value>>() });
        out.line(serde_json::to_string_pretty(&document).map_err(Failure::fault)?);
        return Ok(Exit::Yes);
    }
    let mut table = vec![vec![String::new()]];
    for person in people {
        table.iter_mut().take(1).for_each(|head| head.push(person.label.clone()));
    }
    for (thing, cells) in rows {
        let label =
            if thing.kind == ThingKind::Tool { thing.name.clone() } else { format!("{} {}", thing.kind.as_str(), thing.name) };
        table.push(std::iter::once(label).chain(cells.iter().map(short)).collect());
    }
    if args.markdown {
        print_markdown(&table, out)
    } else {
        print_lists(&table, out)
    }
    Ok(Exit::Yes)
}

/// A cell in a few words.
fn short(cell: &Cell) -> String {
    let mut text = cell.access.as_str().to_owned();
    if !cell.depends_on.is_empty() {
        let on: Vec<String> = cell.depends_on.iter().map(ToString::to_string).collect();
        text.push_str(&format!(" on {}", on.join(", ")));
    }
    if cell.access == Access::Deny {
        let reasons: Vec<&str> = cell.reasons.iter().map(|reason| reason.as_str()).collect();
        text.push_str(&format!(" ({})", reasons.join(", ")));
    }
    if !cell.obligations.is_empty() {
        text.push_str(&format!(" + {}", cell.obligations.join(", ")));
    }
    text
}

/// One block per principal: a table of many principals fits no terminal.
fn print_lists(table: &[Vec<String>], out: &mut Out) {
    let Some((head, rows)) = table.split_first() else { return };
    let width = rows.iter().filter_map(|row| row.first()).map(|name| name.chars().count()).max().unwrap_or(0);
    for (at, person) in head.iter().enumerate().skip(1) {
        out.line(format_args!("{person}"));
        let cells = rows.iter().filter_map(|row| Some((row.first()?, row.get(at)?)));
        let shown: Vec<_> = cells.filter(|(_, cell)| *cell != Access::Hidden.as_str()).collect();
        for (name, cell) in &shown {
            out.line(format_args!("  {name:width$}  {cell}"));
        }
        match rows.len() - shown.len() {
            0 => {}
            hidden if shown.is_empty() => out.line(format_args!("  nothing ({hidden} hidden)")),
            hidden => out.line(format_args!("  {hidden} hidden")),
        }
    }
}

fn print_markdown(table: &[Vec<String>], out: &mut Out) {
    let escaped = |cell: &String| cell.replace('\\', "\\\\").replace('|', "\\|").replace('*', "\\*").replace('_', "\\_");
    for (at, row) in table.iter().enumerate() {
        let cells: Vec<String> = row.iter().map(escaped).collect();
        out.line(format_args!("| {} |", cells.join(" | ")));
        if at == 0 {
            out.line(format_args!("|{}", " --- |".repeat(row.len())));
        }
    }
}

fn compare(
    args: &AccessArgs,
    old: &PolicySet,
    new: &PolicySet,
    people: &[Person],
    rows: &BTreeSet<Thing>,
    hints: &HintsOf,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let found = changes(old, new, people, rows, hints);
    if args.json {
        let document = json!({
            "old": &**old.digest(), "new": &**new.digest(),
            "changes": found.iter().map(|change| json!({
                "principal": change.person, "kind": change.thing.kind, "name": change.thing.name, "change": change.kind,
                "old": change.old, "new": change.new,
            })).collect::<Vec<Value>>(),
        });
        out.line(serde_json::to_string_pretty(&document).map_err(Failure::fault)?);
    } else if args.markdown {
        let mut table = vec![["change", "principal", "what", "old", "new"].map(str::to_owned).to_vec()];
        table.extend(found.iter().map(|change| {
            let sides = [&change.old, &change.new].map(short);
            let [old, new] = sides;
            vec![change.kind.as_str().to_owned(), change.person.clone(), label(&change.thing), old, new]
        }));
        print_markdown(&table, out);
    } else {
        found.iter().for_each(|change| print_change(change, out));
        match found.len() {
            0 if old.digest() == new.digest() => out.line("no change: the two policies mean the same"),
            0 => out.line("no change for these principals and names, though the policies are not the same"),
            1 => out.line("1 change"),
            many => out.line(format_args!("{many} changes")),
        }
    }
    Ok(if found.is_empty() { Exit::Yes } else { Exit::No })
}

fn label(thing: &Thing) -> String {
    format!("{} {}", thing.kind.as_str(), thing.name)
}

fn print_change(change: &Change, out: &mut Out) {
    let Change { person, thing, kind, old, new } = change;
    out.line(format_args!("{}: {person}: {}: {} -> {}", kind.as_str(), label(thing), short(old), short(new)));
    for (side, own, other) in [("old", old, new), ("new", new, old)] {
        for condition in own.conditions.difference(&other.conditions) {
            out.line(format_args!("  {side}: {condition}"));
        }
    }
}
