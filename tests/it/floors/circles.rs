//! No two files import each other, directly or through others.
//!
//! A path counts as an import of the file that defines what it names: what a `mod.rs` only re-exports belongs to the file
//! behind it, a module by itself to nobody. Declarations (`mod child;`) are no imports, and neither is what the list of a
//! registry (`ALL`) names: a registry and its entries may know each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::source::{Named, code, paths, tokens};

/// A source file as a module.
struct Module {
    file: String,
    /// From the crate's root, which is empty.
    path: Vec<String>,
    named: Vec<Named>,
    defined: BTreeSet<String>,
    children: BTreeSet<String>,
}

/// The modules of the program by their paths.
struct Crate(BTreeMap<Vec<String>, Module>);

/// What files do against the law; circles inside the folders `excused` are no breach, but a folder without one is.
pub(super) fn breaches(files: &[(String, String)], excused: &[&str]) -> Vec<String> {
    let modules = Crate::of(files);
    let imports = modules.imports();
    let mut found = Vec::new();
    let mut unused: BTreeSet<&str> = excused.iter().copied().collect();
    for circle in circles(&imports) {
        let home = excused.iter().find(|folder| circle.iter().all(|file| file.starts_with(**folder)));
        if let Some(folder) = home {
            unused.remove(folder);
            continue;
        }
        let cycle = shortest(&imports, &circle);
        let lines: Vec<String> = cycle
            .windows(2)
            .map(|pair| format!("{}:{} -> {}", pair[0], imports[pair[0]][pair[1]], pair[1]))
            .collect();
        let members: Vec<&str> = circle.iter().copied().collect();
        let (count, members, lines) = (members.len(), members.join(" "), lines.join(", "));
        found.push(format!("{count} files import each other ({members}); for example {lines}"));
    }
    found.extend(
        unused.iter().map(|folder| format!("{folder}: no circle is left here; drop it from CIRCLES_LEFT")),
    );
    found
}

impl Crate {
    fn of(files: &[(String, String)]) -> Self {
        let module = |(file, text): &(String, String)| {
            let stem = file.trim_end_matches(".rs").trim_end_matches("/mod");
            let path: Vec<String> = stem.split('/').filter(|name| *name != "lib").map(Into::into).collect();
            let tokens = tokens(&code(text));
            let after = |words: &[&str]| -> BTreeSet<String> {
                let pairs = tokens.windows(2).filter(|pair| words.contains(&pair[0].1.as_str()));
                pairs.map(|pair| pair[1].1.clone()).collect()
            };
            let defined = after(&["fn", "struct", "enum", "trait", "type", "const", "static", "union"]);
            let module = Module {
                file: file.clone(),
                named: paths(&tokens),
                defined,
                children: after(&["mod"]),
                path,
            };
            (module.path.clone(), module)
        };
        let mut modules: BTreeMap<_, _> =
            files.iter().filter(|(file, _)| file != "main.rs").map(module).collect();
        // What only a test declares is no part of the program.
        loop {
            let declared = |path: &[String]| {
                path.split_last().is_none_or(|(name, parent)| {
                    modules.get(parent).is_none_or(|parent: &Module| parent.children.contains(name))
                        && (1..path.len()).all(|depth| modules.contains_key(&path[..depth]))
                })
            };
            let Some(test) = modules.keys().find(|path| !declared(path)).cloned() else { break };
            modules.remove(&test);
        }
        Self(modules)
    }

    /// Of every file, the files that it imports, each with a line.
    fn imports(&self) -> BTreeMap<&str, BTreeMap<&str, usize>> {
        let of = |module: &'_ Module| {
            let mut found = BTreeMap::new();
            for named in module.named.iter().filter(|named| !named.registered) {
                let glob = named.alias.as_deref() == Some("*");
                if let Some(target) = self.target(module, &named.segments, glob, 0)
                    && target.file != module.file
                {
                    found.entry(target.file.as_str()).or_insert(named.line);
                }
            }
            found
        };
        self.0.values().map(|module| (module.file.as_str(), of(module))).collect()
    }

    /// The module whose file defines what a path names in `from`; none for other crates and for modules themselves.
    fn target(&self, from: &Module, segments: &[String], glob: bool, depth: usize) -> Option<&Module> {
        let (first, rest) = segments.split_first()?;
        if depth > 20 {
            return None;
        }
        let mut at = from.path.clone();
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()),
            name if self.0.contains_key(&[&at[..], &[name.to_string()]].concat()) => at.push(name.into()),
            name => {
                let alias = from.named.iter().find(|named| named.alias.as_deref() == Some(name))?;
                let imported = (alias.segments != segments).then(|| [&alias.segments, rest].concat())?;
                return self.target(from, &imported, glob, depth + 1);
            }
        }
        for (i, name) in rest.iter().enumerate() {
            if name == "super" {
                at.pop();
                continue;
            }
            at.push(name.clone());
            if !self.0.contains_key(&at) {
                at.pop();
                return self.definer(self.0.get(&at)?, &rest[i..], depth + 1);
            }
        }
        if glob { self.0.get(&at) } else { None }
    }

    /// Where the first of `names`, which `module` has or re-exports, is defined.
    fn definer(&self, module: &Module, names: &[String], depth: usize) -> Option<&Module> {
        let is = |named: &&Named, alias: &str| named.alias.as_deref() == Some(alias);
        if let Some(alias) = module.named.iter().find(|named| is(named, &names[0])) {
            return self.target(module, &[&alias.segments, &names[1..]].concat(), false, depth);
        }
        if !module.defined.contains(&names[0]) {
            for glob in module.named.iter().filter(|named| is(named, "*")) {
                let behind = self.target(module, &glob.segments, true, depth);
                if let Some(behind) = behind.filter(|behind| behind.defined.contains(&names[0])) {
                    return Some(behind);
                }
            }
        }
        self.0.get(&module.path)
    }
}

type Imports<'a> = BTreeMap<&'a str, BTreeMap<&'a str, usize>>;

/// The sets of more than one file that import each other, directly or through others.
fn circles<'a>(imports: &Imports<'a>) -> Vec<BTreeSet<&'a str>> {
    let reached = |from: &'a str| {
        let (mut found, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            open.extend(imports[file].keys().copied().filter(|next| found.insert(*next)));
        }
        found
    };
    let reached: BTreeMap<&str, BTreeSet<&'a str>> =
        imports.keys().map(|file| (*file, reached(file))).collect();
    let circle = |file: &&'a str| -> BTreeSet<&'a str> {
        reached[file].iter().copied().filter(|other| reached[other].contains(file)).collect()
    };
    let found: BTreeSet<BTreeSet<&str>> = imports.keys().map(circle).collect();
    found.into_iter().filter(|circle| circle.len() > 1).collect()
}

/// A shortest way from a file of a circle back to it.
fn shortest<'a>(imports: &Imports<'a>, circle: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let from = |start: &'a str| {
        let mut open = VecDeque::from([vec![start]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = open.pop_front() {
            for next in imports[way[way.len() - 1]].keys().copied().filter(|next| circle.contains(next)) {
                let longer = [&way[..], &[next]].concat();
                if next == start {
                    return longer;
                }
                if seen.insert(next) {
                    open.push_back(longer);
                }
            }
        }
        vec![start]
    };
    circle.iter().map(|start| from(start)).min_by_key(Vec::len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::breaches;

    fn found(files: &[(&str, &str)], excused: &[&str]) -> Vec<String> {
        let files: Vec<(String, String)> =
            files.iter().map(|(file, text)| ((*file).into(), (*text).into())).collect();
        breaches(&files, excused)
    }

    const LIB: (&str, &str) = ("lib.rs", "pub mod m;\n");

    #[test]
    fn planted_circles_are_found() {
        for (files, cycle) in [
            // directly
            (
                &[
                    ("m/mod.rs", "mod a;\nmod b;\n"),
                    ("m/a.rs", "use super::b::B;\n"),
                    ("m/b.rs", "\nuse super::a::{self, A};\n"),
                ][..],
                "m/a.rs:1 -> m/b.rs, m/b.rs:2 -> m/a.rs",
            ),
            // through a third, by a path in an expression, and by a module's alias
            (
                &[
                    ("m/mod.rs", "mod a; mod b; mod c;"),
                    ("m/a.rs", "fn f() { crate::m::b::g() }"),
                    ("m/b.rs", "use super::c;\nfn g() { c::h() }"),
                    ("m/c.rs", "use super::a::f;"),
                ],
                "m/a.rs:1 -> m/b.rs, m/b.rs:2 -> m/c.rs, m/c.rs:1 -> m/a.rs",
            ),
            // a name that the parent only re-exports, by name or by `*`
            (
                &[
                    ("m/mod.rs", "mod a; mod b;\npub use b::B;"),
                    ("m/a.rs", "pub struct A;\nuse super::B;"),
                    ("m/b.rs", "use super::a::A;"),
                ],
                "m/a.rs:2 -> m/b.rs, m/b.rs:1 -> m/a.rs",
            ),
            (
                &[
                    ("m/mod.rs", "mod a; mod b;\npub use b::*;"),
                    ("m/a.rs", "pub struct A;\nuse super::B;"),
                    ("m/b.rs", "use super::a::A;\npub struct B;"),
                ],
                "m/a.rs:2 -> m/b.rs, m/b.rs:1 -> m/a.rs",
            ),
            // a parent that defines what its child uses, and uses the child
            (
                &[
                    ("m/mod.rs", "mod a;\npub struct M;\nfn f() { a::g() }"),
                    ("m/a.rs", "use super::M;\npub fn g() {}"),
                ],
                "m/a.rs:1 -> m/mod.rs, m/mod.rs:3 -> m/a.rs",
            ),
        ] {
            let found = found(&[&[LIB], files].concat(), &[]);
            assert!(
                found.len() == 1 && found[0].ends_with(&format!("for example {cycle}")),
                "{cycle}: {found:?}"
            );
        }
    }

    #[test]
    fn what_is_no_circle_passes() {
        for files in [
            // declarations, comments, tests; a module's alias alone
            &[
                ("m/mod.rs", "mod a;\n#[cfg(test)]\nmod planted;\npub use a::A;"),
                (
                    "m/a.rs",
                    "use crate::m;\n// m::f\n#[cfg(test)]\nmod tests { use super::super::planted::P; }",
                ),
                ("m/planted.rs", "use super::A;"),
            ][..],
            // a module with braces
            &[
                ("m/mod.rs", "mod a;\npub struct M;\npub use a::A;"),
                ("m/a.rs", "struct B;\nmod inner { use super::B; }\npub struct A;"),
            ],
            // a registry and its entries
            &[
                ("m/mod.rs", "mod a;\npub struct Kind;\npub const ALL: &[&Kind; 1] = &[&a::KIND];"),
                ("m/a.rs", "use super::{ALL, Kind};\npub const KIND: Kind = Kind;"),
            ],
        ] {
            assert_eq!(found(&[&[LIB], files].concat(), &[]), Vec::<String>::new());
        }
    }

    #[test]
    fn what_is_excused_must_still_be_there() {
        let circle = [
            LIB,
            ("m/mod.rs", "mod a; mod b;"),
            ("m/a.rs", "use super::b::B;"),
            ("m/b.rs", "use super::a::A;"),
        ];
        assert!(found(&circle, &["m/"]).is_empty());
        let found = found(&circle[..2], &["m/"]);
        assert!(found[0].contains("no circle is left"), "{found:?}");
    }
}
