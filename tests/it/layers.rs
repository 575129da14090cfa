//! The rules of the code's shape that a machine can check: which crate knows which, that imports inside a crate
//! and inside a module point one way, and how long files and functions are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which crates a crate may know.
const CRATES: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("client-core", &["tidewire-protocol"]),
    ("native-client", &["tidewire-client-core", "tidewire-protocol"]),
    ("wasm-client", &["tidewire-client-core", "tidewire-protocol"]),
    ("hub-core", &["tidewire-protocol"]),
    // The client belongs to the command line alone; see below.
    ("hub", &["tidewire-hub-core", "tidewire-protocol", "tidewire-client"]),
];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn crates_know_only_those_below_them() {
    let mut wrong = Vec::new();
    for (name, allowed) in CRATES {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        for dependency in dependencies(&manifest) {
            if dependency.starts_with("tidewire") && !allowed.contains(&dependency) {
                wrong.push(format!("{name} depends on {dependency}"));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn modules_use_only_modules_listed_below_them() {
    let mut wrong = Vec::new();
    for (name, _) in CRATES {
        let source = root().join(name).join("src");
        let order = modules(&source.join("lib.rs"));
        let place: BTreeMap<&str, usize> = order.iter().map(String::as_str).zip(0..).collect();
        for (at, module) in order.iter().enumerate() {
            for file in files_of(&source, module) {
                for (line, used) in paths_below("crate::", &own_code(&file)) {
                    match place.get(used.as_str()) {
                        Some(other) if *other >= at => {}
                        Some(_) => {
                            wrong.push(format!("{}:{line} uses {used}, which is above it", short(&file)))
                        }
                        None => {
                            wrong.push(format!("{}:{line} uses {used} of the crate's root", short(&file)))
                        }
                    }
                }
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn files_use_only_siblings_listed_below_them() {
    let mut wrong = Vec::new();
    let mut parents = 0;
    for (name, _) in CRATES {
        let source = root().join(name).join("src");
        for parent in rust_files(&source) {
            let folder = parent.with_extension("");
            let order = modules(&parent);
            let Some(prefix) = prefix_of(&source, &folder).filter(|_| order.len() > 1) else { continue };
            parents += 1;
            for (at, module) in order.iter().enumerate() {
                for file in files_of(&folder, module) {
                    let used = paths_below(&prefix, &own_code(&file)).into_iter();
                    // What is no child is the parent's own.
                    let above = used.filter(|(_, used)| order[..at].contains(used));
                    wrong.extend(above.map(|(line, used)| {
                        format!("{}:{line} uses {prefix}{used}, which is above it", short(&file))
                    }));
                }
            }
        }
    }
    assert!(parents > 10, "modules with files of their own are not found");
    assert_none(&wrong);
}

#[test]
fn nobody_reaches_a_sibling_through_its_parent() {
    let mut wrong = Vec::new();
    for file in all_sources() {
        let mut inside_inline_module = false;
        for (line, text) in own_code(&file) {
            if text.trim_start() == text && text.contains("mod ") && text.ends_with('{') {
                inside_inline_module = true;
            } else if text == "}" {
                inside_inline_module = false;
            } else if text.contains(&["super", "::"].concat()) && !inside_inline_module {
                wrong.push(format!("{}:{line} reaches for its parent", short(&file)));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_hubs_library_knows_no_client() {
    let source = root().join("hub/src");
    let mut files = vec![source.join("lib.rs")];
    for module in modules(&source.join("lib.rs")) {
        files.extend(files_of(&source, &module));
    }
    assert!(files.len() > 5, "the library's files are not found");
    let knows = |file: &PathBuf| own_code(file).iter().any(|(_, text)| text.contains("tidewire_client"));
    let wrong: Vec<_> = files.iter().filter(|file| knows(file)).map(|file| short(file)).collect();
    assert_none(&wrong);
}

#[test]
fn files_and_functions_are_short() {
    let mut wrong = Vec::new();
    for file in all_sources() {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().take_while(|line| !opens_tests(line)).collect();
        if lines.len() > FILE_LINES_MAX {
            wrong.push(format!("{} has {} lines", short(&file), lines.len()));
        }
        for (at, name, length) in functions(&lines) {
            if length > FUNCTION_LINES_MAX {
                wrong.push(format!("{}:{at} {name} has {length} lines", short(&file)));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_checks_see_what_they_look_for() {
    let code = [(1, "use crate::a::B;".to_owned()), (2, "x(crate::c::d, $crate::e)".to_owned())];
    assert_eq!(paths_below("crate::", &code), [(1, "a".to_owned()), (2, "c".to_owned())]);
    let grouped = [(1, "use crate::{a, b::C};".to_owned()), (2, "use crate::a::{b::C, d};".to_owned())];
    let used = |prefix| paths_below(prefix, &grouped).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(used("crate::"), ["a", "b", "a"]);
    assert_eq!(used("crate::a::"), ["b", "d"]);
    let long = ["use crate::a::{", "    b::C,", "    d,", "};"];
    let long: Vec<_> = (1..).zip(long.map(str::to_owned)).collect();
    assert_eq!(paths_below("crate::a::", &long), [(1, "b".to_owned()), (1, "d".to_owned())]);
    let folder = Path::new("src/a/b");
    assert_eq!(prefix_of(Path::new("src"), folder).as_deref(), Some("crate::a::b::"));
    assert_eq!(functions(&["    pub(crate) async fn f() {", "        x", "    }"]), [(1, "f".to_owned(), 3)]);
    let manifest = "[dependencies]\na.workspace = true\nb = { x }\n[dev-dependencies]\nc = 1";
    assert_eq!(dependencies(manifest), ["a", "b"]);
}

#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn short(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

/// Names under `[dependencies]`, not those for tests.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-dependencies");
        } else if inside && let Some((name, _)) = line.split_once('=') {
            names.push(name.trim().trim_end_matches(".workspace"));
        }
    }
    names
}

/// The modules that a file declares, in its order.
fn modules(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let declared = text.lines().filter_map(|line| {
        let name = line.strip_suffix(';')?.split_once("mod ")?;
        (name.0.is_empty() || name.0.starts_with("pub")).then(|| name.1.to_owned())
    });
    declared.collect()
}

/// The files of a module: its own, and those in its folder.
fn files_of(source: &Path, module: &str) -> Vec<PathBuf> {
    let mut files = rust_files(&source.join(module));
    files.push(source.join(format!("{module}.rs")));
    files
}

fn all_sources() -> Vec<PathBuf> {
    let own = ["tests/it", "tests/simulation/src", "bench/src"].map(|folder| root().join(folder));
    let crates = CRATES.iter().map(|(name, _)| root().join(name).join("src"));
    crates.chain(own).flat_map(|folder| rust_files(&folder)).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Numbered lines before the tests, without comments.
fn own_code(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.lines().take_while(|line| !opens_tests(line));
    let without_comments = code.map(|line| line.split("//").next().unwrap_or_default().trim_end().to_owned());
    (1..).zip(without_comments).collect()
}

/// How paths begin that lead below the module of this folder; `None` for the crate's root.
fn prefix_of(source: &Path, folder: &Path) -> Option<String> {
    let path = folder.strip_prefix(source).ok()?.to_str()?.replace('/', "::");
    (!["lib", "main"].contains(&path.as_str())).then(|| format!("crate::{path}::"))
}

/// The names that follow a prefix, alone or in braces, with the lines where the prefix stands.
fn paths_below(prefix: &str, code: &[(usize, String)]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, (line, text)) in code.iter().enumerate() {
        for (at, start) in text.match_indices(prefix) {
            if text[..at].ends_with('$') {
                continue;
            }
            let rest = &text[at + start.len()..];
            let Some(group) = rest.strip_prefix('{') else {
                found.push((*line, first_name(rest)));
                continue;
            };
            let mut group = group.to_owned();
            let further = code[index + 1..].iter().take_while(|_| !text.ends_with(';'));
            for (_, text) in further {
                group.push_str(text.trim_start());
                group.push(' ');
                if text.ends_with(';') {
                    break;
                }
            }
            found.extend(outermost(&group).into_iter().map(|name| (*line, name)));
        }
    }
    found
}

/// The first names of a group's paths, up to the brace that closes it.
fn outermost(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            c if depth == 0 => names.last_mut().into_iter().for_each(|name| name.push(c)),
            _ => {}
        }
    }
    names.iter().map(|name| first_name(name.trim())).filter(|name| !name.is_empty()).collect()
}

fn first_name(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Functions with the line they begin at and their length; formatted code closes them at their own depth.
fn functions(lines: &[&str]) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let words: Vec<&str> = code.split_whitespace().collect();
        let Some(keyword) = words.iter().position(|word| *word == "fn") else { continue };
        let is_signature = words[..keyword].iter().all(|word| {
            word.starts_with("pub") || ["const", "async", "unsafe", "in", "self)"].contains(word)
        });
        if !is_signature {
            continue;
        }
        let close = format!("{}}}", " ".repeat(line.len() - code.len()));
        let end = lines[at..]
            .iter()
            .position(|line| *line == close || line.ends_with(';') && !line.starts_with("  "));
        let one_line = line.ends_with('}') || line.ends_with(';');
        if let (Some(end), false) = (end, one_line) {
            let name = words.get(keyword + 1).map(|name| first_name(name)).unwrap_or_default();
            found.push((at + 1, name, end + 1));
        }
    }
    found
}

/// From here on a file holds tests: unit tests, or a model that `loom` explores.
fn opens_tests(line: &str) -> bool {
    line.starts_with("#[cfg(test") || line.starts_with("#[cfg(all(test")
}
