//! What all pages have in common: they fit, in light and dark, on a desk and on a phone, and everything on them has a name.

use serde_json::{Value, json};

use crate::in_a_browser;
use crate::resources::{add_storage, import};
use crate::tab::Tab;
use crate::world::{IMAGE, ISO};

const PAGES: [(&str, &str); 11] = [
    ("overview", "Overview"),
    ("vms", "Virtual machines"),
    ("new-vm", "Create a virtual machine"),
    ("volumes", "Volumes"),
    ("images", "Images"),
    ("storages", "Storages"),
    ("hosts", "Hosts"),
    ("tasks", "Tasks"),
    ("config", "Global Config"),
    ("tokens", "API tokens"),
    ("audit", "Audit log"),
];

/// Elements of the page that lack what people need who do not see it, or who see it only.
const NAMELESS: &str = "(() => {
    const named = node => node.ariaLabel || node.labels?.length || node.textContent.trim();
    const ids = [...document.querySelectorAll('[id]')].map(node => node.id);
    return [
        ...[...document.querySelectorAll('input, select, button, a, progress, meter')]
            .filter(node => node.checkVisibility() && !named(node)).map(node => node.outerHTML),
        ...[...document.querySelectorAll('[aria-describedby]')]
            .filter(node => !document.getElementById(node.getAttribute('aria-describedby'))).map(node => node.outerHTML),
        ...ids.filter((id, at) => ids.indexOf(id) !== at),
        ...(document.querySelectorAll('h1').length > 2 ? ['more than one h1'] : []),
    ];
})()";

/// Text whose contrast with its ground is below 4.5 to 1.
const PALE: &str = "(() => {
    const colour = text => (text.match(/[\\d.]+/g) ?? []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(part => part / 255)
        .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
    const ground = node => {
        for (; node; node = node.parentElement) {
            const found = colour(getComputedStyle(node).backgroundColor);
            if (found.length === 3 || found[3] === 1) return found;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll('body *')].filter(node =>
        node.checkVisibility() && !node.closest('[aria-disabled=true]')
        && [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim())
    ).flatMap(node => {
        const [one, other] = [light(colour(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
        const contrast = (one + 0.05) / (other + 0.05);
        return contrast < 4.5 ? [`${contrast.toFixed(2)}: ${node.outerHTML.slice(0, 120)}`] : [];
    });
})()";

async fn fits(tab: &Tab, page: &str) {
    for (what, script) in [("have no name", NAMELESS), ("are pale", PALE)] {
        let found = tab.value(script).await;
        assert_eq!(found, json!([]), "on `{page}` these {what}");
    }
    let over = tab.value("document.documentElement.scrollWidth - document.documentElement.clientWidth").await;
    assert_eq!(over, 0, "`{page}` is wider than the window");
    let cut = "[...document.querySelectorAll('.scroll')].filter(found => found.scrollWidth > found.clientWidth).length";
    assert_eq!(tab.value(cut).await, 0, "a table on `{page}` is wider than its place");
}

#[test]
fn every_page_fits_in_light_and_dark_on_a_desk_and_on_a_phone() {
    in_a_browser("every_page_fits_in_light_and_dark_on_a_desk_and_on_a_phone", async |_, tab| {
        tab.picture("login").await;
        fits(tab, "login").await;
        tab.log_in().await;
        for (page, title) in PAGES {
            tab.go(&format!("#/{page}"), title).await;
            fits(tab, page).await;
        }
        add_storage(tab, "disks", "/srv/cairn").await;
        import(tab, "debian-12", IMAGE).await;
        import(tab, "tools", ISO).await;
        for name in ["web", "database"] {
            let order = json!({
                "name": name, "memory_bytes": 2u64 << 30, "vcpus": 2, "root": {"image": "debian-12"},
                "data": [{"size_bytes": 10u64 << 30}], "nics": [{"bridge": "br0"}], "cdrom": "tools", "start": name == "web",
            });
            tab.ask("POST", "vms", order).await;
        }
        tab.ask("POST", "tokens", json!({"name": "backup"})).await;
        tab.go("#/vms", "Virtual machines").await;
        tab.see("#page [data-state]", "running").await;
        tab.see("#tasks-now", "No task is running").await;
        let vm = tab.ask("GET", "vms/web", Value::Null).await;
        let volume = format!("volume/{}", vm["disks"][0]["volume"].as_str().unwrap());
        let vm = format!("vm/{}", vm["id"].as_str().unwrap());
        let storage = tab.ask("GET", "storages/disks", Value::Null).await;
        let storage = format!("storage/{}", storage["id"].as_str().unwrap());
        let ones = [(vm.as_str(), "web"), (volume.as_str(), "web-root"), (storage.as_str(), "disks")];
        let pages = PAGES.into_iter().chain(ones);

        for (dress, scheme, width) in
            [("light", "light", 1280), ("dark", "dark", 1280), ("phone", "light", 390)]
        {
            let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            tab.tell("Emulation.setEmulatedMedia", media).await;
            let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 800});
            tab.tell("Emulation.setDeviceMetricsOverride", size).await;
            for (page, title) in pages.clone() {
                tab.go(&format!("#/{page}"), title).await;
                fits(tab, &format!("{page}, {dress}")).await;
                tab.picture(&format!("{dress}-{}", page.split('/').next().unwrap_or_default())).await;
            }
        }
        tab.click(".bar", "Menu").await;
        tab.picture("phone-menu").await;
        tab.click("#menu", "Storages").await;
        tab.see("#page h1", "Storages").await;
        tab.click("#page", "Add a storage").await;
        fits(tab, "a dialog").await;
        tab.picture("phone-dialog").await;
    });
}
