//! axe-core (npm) looks at every page in every state, as it would for somebody who does not see it; on a telephone,
//! no page is wider than that.
//!
//! The pages are the gallery's: `web::pages::samples`. Needs no daemon and no
//! database, but a browser and what `npm ci` puts below `crates/web/tests/peers`.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    browser::{Browser, Screen, Shade},
    setting::{chromedriver, say},
};

/// What keeps somebody from using a page, or makes it hard.
const GRAVE: [&str; 2] = ["serious", "critical"];

#[tokio::test]
#[ignore = "needs a browser and axe-core: scripts/test e2e installs them first"]
async fn axe_finds_nothing_grave_on_any_page() {
    let gallery = gallery();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/tests/peers/node_modules/axe-core/axe.min.js");
    let axe = fs::read_to_string(root).expect("scripts/test e2e runs `npm ci` in crates/web/tests/peers first");
    let mut found = Vec::new();
    for screen in [Screen::Desk, Screen::Telephone] {
        for shade in [Shade::Light, Shade::Dark] {
            let page = Browser::open_in(&chromedriver(), screen, shade).await;
            page.go(&format!("file://{}/{PLANTED}", gallery.path().display())).await;
            let planted = look(&page, &axe).await.1.join(" ");
            assert!(planted.contains("image-alt") && planted.contains("color-contrast"), "axe is blind: {planted}");
            let mut looked = 0;
            for (name, _) in web::pages::samples::all() {
                page.go(&format!("file://{}/{name}.html", gallery.path().display())).await;
                let is_dark = page.run("return matchMedia('(prefers-color-scheme: dark)').matches").await;
                assert_eq!(is_dark, Value::Bool(shade == Shade::Dark), "the browser does not do {shade:?}");
                if matches!(screen, Screen::Telephone) {
                    page.assert_fits(360).await;
                }
                let (passes, violations) = look(&page, &axe).await;
                assert!(passes > 10, "{name}: axe looked at {passes} rules only");
                found.extend(violations.into_iter().map(|one| format!("{name} ({screen:?}, {shade:?}): {one}")));
                looked += 1;
            }
            page.close().await;
            assert!(looked >= 80, "only {looked} pages");
            say(&format!("axe-core looked at {looked} pages: {screen:?}, {shade:?}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// How many rules the page passes, and each grave violation with where it is.
async fn look(page: &Browser, axe: &str) -> (u64, Vec<String>) {
    tokio::time::timeout(Duration::from_mins(1), async {
        page.run(axe).await;
        let script = "return axe.run(document).then(seen => ({
            passes: seen.passes.length,
            violations: seen.violations.map(one => ({
                id: one.id, impact: one.impact, help: one.help,
                where: one.nodes.map(node => [node.target.join(' '), node.failureSummary]).slice(0, 4),
            })),
        }))";
        let seen = page.run(script).await;
        let violations = seen["violations"].as_array().unwrap().iter();
        let grave = violations.filter(|one| GRAVE.contains(&one["impact"].as_str().unwrap_or_default()));
        (seen["passes"].as_u64().unwrap(), grave.map(ToString::to_string).collect())
    })
    .await
    .expect("axe comes to an end")
}

/// A page with two faults that axe must see.
const PLANTED: &str = "planted-faults.html";

/// Every page in every state, with the assets beside them.
fn gallery() -> TempDir {
    let folder = TempDir::new().unwrap();
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/assets");
    fs::create_dir(folder.path().join("assets")).unwrap();
    for asset in fs::read_dir(assets).unwrap() {
        let asset = asset.unwrap();
        fs::copy(asset.path(), folder.path().join("assets").join(asset.file_name())).unwrap();
    }
    for (name, html) in web::pages::samples::all() {
        let html = html.unwrap().replace("\"/assets/", "\"assets/");
        fs::write(folder.path().join(format!("{name}.html")), html).unwrap();
    }
    let planted = "<!doctype html><html lang=en><title>x</title><main><h1>x</h1><img src=x><p style='color:#999;background:#aaa'>Hard to read</p>";
    fs::write(folder.path().join(PLANTED), planted).unwrap();
    folder
}
