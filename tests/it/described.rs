//! What the hub says of its own HTTP API is what it does: each address describes all that is there and nothing else, and the
//! examples of the pages are of the shapes that it tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::http::Http;
use crate::support::hub::Hub;

fn hub() -> Hub {
    Hub::start(&["--dev"], &[("TIDEWIRE_ADMIN_LISTEN", "127.0.0.1:0"), ("TIDEWIRE_PUBLIC_METRICS", "false")])
}

/// The descriptions for everybody and for operators.
fn described(hub: &Hub) -> [(Http, Value); 2] {
    let (mut public, mut operator) = (Http::to(hub.address), Http::to(hub.admin()));
    operator.host = "localhost";
    let of = |http: &mut Http| http.get("/v1/openapi.json").ok();
    let (for_all, for_operators) = (of(&mut public), of(&mut operator));
    [(public, for_all), (operator, for_operators)]
}

fn paths(api: &Value) -> BTreeSet<String> {
    api["paths"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn what_is_described_is_there() {
    let hub = hub();
    for (mut http, api) in described(&hub) {
        assert_eq!(api["openapi"], "3.1.0");
        for (path, methods) in api["paths"].as_object().unwrap() {
            let asked = path.replace("{topic}", "a").replace("{id}", "0-9-9");
            for method in methods.as_object().unwrap().keys().filter(|key| METHODS.contains(&&***key)) {
                let answer = http.ask(&method.to_uppercase(), &asked, &[], b"");
                let is_nowhere =
                    answer.status == 405 || answer.status == 404 && answer.text().contains("not_found");
                assert!(!is_nowhere, "{method} {path}: {}", answer.text());
            }
            let others = METHODS.iter().filter(|method| methods.get(method).is_none());
            for method in others.filter(|method| path.starts_with("/v1/") && **method != "options") {
                let answer = http.ask(&method.to_uppercase(), &asked, &[("content-length", "0")], b"");
                assert_eq!(answer.status, 405, "{method} {path}");
            }
        }
    }
}

#[test]
fn what_is_there_is_described() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("hub/src");
    let (mut tied, mut loose) = (BTreeSet::new(), BTreeSet::new());
    for file in files(&source) {
        let text = fs::read_to_string(file).unwrap();
        let first = |rest: &str| rest.split(',').next().unwrap().trim().trim_matches('"').to_owned();
        tied.extend(
            text.split("path = \"/").skip(1).map(|rest| format!("/{}", rest.split('"').next().unwrap())),
        );
        loose.extend(text.split(".route(").skip(1).map(first));
    }
    // Neither a call nor of use to a program: a WebSocket, this description itself and the page that shows it, and what is nowhere.
    let undescribed =
        ["PATH", "/v1/openapi.json", "/v1/docs", "/v1/docs/{file}", "/v1/{*path}"].map(str::to_owned);
    assert_eq!(loose, BTreeSet::from(undescribed), "routes are to be tied to what describes them");
    let hub = hub();
    let [(_, for_all), (_, for_operators)] = described(&hub);
    assert_eq!(tied, paths(&for_all).union(&paths(&for_operators)).cloned().collect());
    let of_operators =
        ["/v1/connections", "/v1/connections/{id}", "/v1/revocations", "/v1/stats", "/metrics"];
    assert!(of_operators.iter().all(|path| !paths(&for_all).contains(*path)), "nothing of it is public");
}

#[test]
fn the_examples_of_the_page_are_of_the_shapes_that_are_described() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/HTTP.md"))
            .unwrap();
    let (blocks, text): (Vec<_>, Vec<_>) = page.split("```").enumerate().partition(|(at, _)| at % 2 == 1);
    let blocks = blocks.into_iter().filter_map(|(_, block)| block.strip_prefix("json\n"));
    let text: String = text.into_iter().map(|(_, text)| text).collect();
    let spans = text.split('`').skip(1).step_by(2).filter(|span| span.starts_with("{\""));
    let examples: Vec<Value> =
        blocks.chain(spans).filter_map(|text| serde_json::from_str(text).ok()).collect();
    let hub = hub();
    let mut shapes = BTreeMap::new();
    for (_, api) in described(&hub) {
        for (name, schema) in api["components"]["schemas"].as_object().unwrap() {
            shapes.insert(name.clone(), schema.clone());
        }
    }
    // A slip in a name is none of a shape that allows no others.
    shapes.values_mut().filter(|shape| shape["properties"].is_object()).for_each(|shape| {
        shape["additionalProperties"] = json!(false);
    });
    let expected = [
        "Published",
        "Several",
        "Page",
        "Topics",
        "Connections",
        "Problem",
        "Standing",
        "Ticket",
        "Revoke",
        "Revoked",
        "Revocations",
    ];
    assert_eq!(examples.len(), expected.len() + 1, "{examples:#?}");
    for (example, name) in examples.iter().zip(expected) {
        let schema =
            json!({"$ref": format!("#/components/schemas/{name}"), "components": {"schemas": shapes}});
        let validator = jsonschema::validator_for(&schema).unwrap();
        let wrong: Vec<_> = validator.iter_errors(example).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?} in {example}");
        for other in ["Ticket", "Published"].iter().filter(|other| **other != name) {
            let schema =
                json!({"$ref": format!("#/components/schemas/{other}"), "components": {"schemas": shapes}});
            assert!(!jsonschema::is_valid(&schema, example), "{name} is no {other}");
        }
    }
    // The last is of what has no shape but names and numbers.
    let stats = described(&hub)[1].0.get("/v1/stats").ok();
    for (name, value) in examples.last().unwrap().as_object().unwrap() {
        assert_eq!(value.is_object(), stats[name].is_object(), "{name}");
        assert!(!stats[name].is_null(), "{name}");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

const METHODS: [&str; 6] = ["get", "put", "post", "delete", "patch", "options"];
