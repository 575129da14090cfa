//! The recipes of `docs/RECIPES.md`, run as they stand but for addresses. The one with a page is among the browser's tests,
//! those with proxies among the proxies'.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::support::http::Http;
use crate::support::hub::Hub;
use crate::support::page::{Folder, block_of, printed};
use crate::support::port::Port;

const PAGE: &str = include_str!("../../docs/RECIPES.md");

/// A program that ends with its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder with all that the page has made there.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.run("sh", &["-e", "-c", block_of(PAGE, "sh")]);
    folder.write("hub.toml", block_of(PAGE, "toml"));
    folder.write("backend.mjs", block_of(PAGE, "js"));
    folder.write("reader.py", block_of(PAGE, "python"));
    folder
}

fn start(folder: &Folder, port: &Port) -> Hub {
    let (config, listen) = (folder.0.join("hub.toml"), port.address().to_string());
    Hub::start(&["--config", config.to_str().unwrap(), "--listen", &listen], &[])
}

#[test]
fn a_back_end_publishes_once_the_hub_is_there_and_signs_for_its_users() {
    let (folder, port) = (folder(), Port::keep());
    let script = "import('./backend.mjs').then(async ({ publish, tokenFor }) => {
        const published = await publish('orders.ada.1', { paid: true });
        const refused = await publish('$system', 1).catch((error) => JSON.parse(error.message));
        console.log(JSON.stringify({ published, refused, token: tokenFor('ada') }));
    })";
    let mut node = folder.command("node", &["-e", script]);
    node.env("HUB", format!("http://{}", port.address())).stdout(Stdio::piped()).stderr(Stdio::piped());
    let node = node.spawn().unwrap();
    let hub = start(&folder, &port);
    let said: Value = serde_json::from_str(&printed(&node.wait_with_output().unwrap())).unwrap();
    assert_eq!((&said["published"]["offset"], &said["refused"]["code"]), (&json!(1), &json!("forbidden")));
    let bearer = format!("Bearer {}", said["token"].as_str().unwrap());
    let headers = [("authorization", &*bearer)];
    let mut http = Http::to(hub.address);
    let page = http.ask("GET", "/v1/topics/orders.ada.1/messages", &headers, b"").ok();
    let message = &page["messages"][0];
    assert_eq!((&message["sender"], &message["data"]), (&json!("back-end"), &json!({"paid": true})));
    assert_eq!(http.ask("GET", "/v1/topics/orders.bob.1/messages", &headers, b"").problem().0, 403);
}

#[test]
fn a_program_in_python_reads_what_is_kept_and_what_comes() {
    let (folder, port) = (folder(), Port::keep());
    if folder.command("python3", &["--version"]).output().is_err() {
        eprintln!("python3 is not installed: its recipe is not tried");
        return;
    }
    let hub = start(&folder, &port);
    let url = format!("http://{}", hub.address);
    let publish = |n: u64| {
        let script = format!("import('./backend.mjs').then(({{ publish }}) => publish('prices.gold', {n}))");
        printed(&folder.command("node", &["-e", &script]).env("HUB", &url).output().unwrap());
    };
    publish(7);
    // Whoever has no token reads what everybody may, if programs may come at all.
    let sign = "import('./backend.mjs').then(({ tokenFor }) => process.stdout.write(tokenFor('ada')))";
    let token = folder.run("node", &["-e", sign]);
    let mut python = folder.command("python3", &["reader.py"]);
    python.envs([("HUB", &*url), ("TOKEN", &token), ("TOPIC", "prices.gold")]).stdout(Stdio::piped());
    let mut python = Program(python.spawn().unwrap());
    let mut lines = BufReader::new(python.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("1 7"));
    publish(8);
    assert_eq!(lines.next().as_deref(), Some("2 8"));
}
