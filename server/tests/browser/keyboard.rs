//! By keyboard alone: no click, and no script that moves the focus. Whatever gets the focus shows that it has it.

use serde_json::{Value, json};
use xtask_testbed::browser::until;

use crate::in_a_browser;
use crate::tab::Tab;
use crate::world::{IMAGE, PASSWORD};

const TAB: char = '\u{e004}';
const ENTER: &str = "\u{e007}";
const DOWN: &str = "\u{e015}";
const SPACE: &str = " ";

/// More stops than a page has.
const STOPS: usize = 80;

/// What has the focus, as people call it.
const NAME: &str = "(() => {
    const node = document.activeElement;
    return (node.ariaLabel || node.labels?.[0]?.textContent || node.textContent).trim();
})()";

/// Whether one can see what has the focus: it has a ring, it is in the window, and nothing lies over it.
const SHOWN: &str = "(() => {
    const node = document.activeElement;
    const style = getComputedStyle(node);
    const box = node.getBoundingClientRect();
    const [x, y] = [box.left + Math.min(box.width / 2, 20), box.top + box.height / 2];
    const hit = document.elementFromPoint(x, y);
    return node !== document.body && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
        && box.width > 0 && box.height > 0 && Boolean(hit) && node.contains(hit);
})()";

/// Which way Tab goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    On,
    Back,
}

/// Presses Tab until what is called `name` has the focus. On the way everything shows that it has it.
async fn reach(tab: &Tab, way: Way, name: &str) {
    let mut passed = Vec::new();
    for _ in 0..STOPS {
        tab.key(TAB, way == Way::Back).await;
        let at = tab.value(NAME).await;
        if tab.value("document.activeElement === document.body").await == json!(true) {
            // The end of the page: the next stop is at its other end.
            continue;
        }
        tab.until(&format!("one sees that {at} has the focus"), SHOWN).await;
        if at == name {
            return;
        }
        passed.push(at);
    }
    panic!("`{name}` is not reached; there were {passed:?}");
}

async fn on_to(tab: &Tab, name: &str) {
    reach(tab, Way::On, name).await;
}

/// Presses the arrow down until the choice that has the focus is `value`.
async fn choose(tab: &Tab, value: &str) {
    for _ in 0..STOPS {
        if tab.value("document.activeElement.value").await == value {
            return;
        }
        tab.keys(DOWN).await;
    }
    panic!("`{value}` is not chosen by the arrows");
}

/// Comes in.
async fn come_in(tab: &Tab) {
    tab.until("the password is what one types first", "document.activeElement.id === 'login-password'").await;
    reach(tab, Way::Back, "User").await;
    on_to(tab, "Password").await;
    tab.keys(PASSWORD).await;
    tab.keys(ENTER).await;
    lands(tab, "Overview").await;
}

/// Sees that one is on a page, with the focus on its title.
async fn lands(tab: &Tab, title: &str) {
    tab.see("#page h1", title).await;
    tab.until("the page's title has the focus", "document.activeElement.matches('#page h1')").await;
    tab.until("one sees that it has", SHOWN).await;
}

/// Goes to a page by the menu.
async fn visit(tab: &Tab, way: Way, title: &str) {
    reach(tab, way, title).await;
    tab.keys(ENTER).await;
    lands(tab, title).await;
}

/// What is shown of a setting.
fn form(key: &str) -> String {
    format!("form[data-setting='{key}']")
}

/// On Global Config: goes to a setting, and hears when a change takes effect: that is read out with its field.
async fn go_to_setting(tab: &Tab, key: &str, takes_effect: &str) {
    on_to(tab, key).await;
    let hint = "document.getElementById(document.activeElement.getAttribute('aria-describedby')).textContent";
    let hint = tab.value(hint).await;
    let said = format!("A change takes effect {takes_effect}.");
    assert!(hint.as_str().unwrap().contains(&said), "{key}: `{said}` is not in {hint}");
}

/// Has the setting that one is at saved, sees that it is, and resets it.
async fn save_and_reset(tab: &Tab, key: &str, value: &str, default: &str) {
    save(tab, key, value).await;
    reset(tab, key, default).await;
}

/// Has the setting that one is at saved, and sees that it is.
async fn save(tab: &Tab, key: &str, value: &str) {
    let form = form(key);
    on_to(tab, "Save").await;
    tab.keys(ENTER).await;
    tab.see(&format!("{form} .now"), value).await;
    tab.see(&format!("{form} .badge"), "changed").await;
    let stored = tab.ask("GET", &format!("config/{key}"), Value::Null).await;
    assert_eq!(stored["value"], value);
}

/// Resets a setting, and sees that it is.
async fn reset(tab: &Tab, key: &str, default: &str) {
    let form = form(key);
    // What is brought up to date leaves the focus where it is.
    on_to(tab, &format!("Reset {key}")).await;
    tab.picture(&format!("changed-{key}")).await;
    tab.keys(ENTER).await;
    tab.see(&format!("{form} .now"), default).await;
    tab.see(&format!("{form} .badge"), "default").await;
    tab.until("the focus stays", &format!("{NAME} === 'Reset {key}'")).await;
    let stored = tab.ask("GET", &format!("config/{key}"), Value::Null).await;
    assert_eq!((&stored["value"], &stored["is_default"]), (&json!(default), &json!(true)));
}

#[test]
fn a_keyboard_is_enough_to_make_a_machine_and_to_change_a_setting() {
    in_a_browser("a_keyboard_is_enough_to_make_a_machine_and_to_change_a_setting", async |_, tab| {
        come_in(tab).await;
        // What the machine is made of is there already.
        tab.ask("POST", "storages", json!({"name": "disks", "path": "/srv/cairn"})).await;
        tab.ask("POST", "images", json!({"name": "debian", "source": IMAGE})).await;
        until("the image is ready", async || {
            tab.ask("GET", "images/debian", Value::Null).await["phase"] == "ready"
        })
        .await;

        visit(tab, Way::On, "Virtual machines").await;
        on_to(tab, "Create a virtual machine").await;
        tab.keys(ENTER).await;
        lands(tab, "Create a virtual machine").await;
        on_to(tab, "Name").await;
        tab.keys("web").await;
        on_to(tab, "Memory").await;
        tab.keys("512").await;
        on_to(tab, "Unit").await;
        choose(tab, "MiB").await;
        on_to(tab, "Made from").await;
        tab.keys("debian").await;
        on_to(tab, "Add a network card").await;
        tab.keys(ENTER).await;
        reach(tab, Way::Back, "Bridge").await;
        tab.keys("br0").await;
        on_to(tab, "More").await;
        tab.keys(ENTER).await;
        on_to(tab, "Accelerator").await;
        choose(tab, "tcg").await;
        on_to(tab, "Start it at once").await;
        let ticked = "document.activeElement.checked";
        tab.keys(SPACE).await;
        tab.until("the space bar takes the tick away", &format!("!{ticked}")).await;
        tab.keys(SPACE).await;
        tab.until("the space bar sets the tick", ticked).await;
        tab.picture("form").await;
        on_to(tab, "Create").await;
        tab.keys(ENTER).await;
        lands(tab, "web").await;
        tab.picture("landed").await;
        tab.see("#page [data-state]", "running").await;
        let vm = tab.ask("GET", "vms/web", Value::Null).await;
        assert_eq!(
            (&vm["state"], &vm["memory_bytes"], &vm["accel"], &vm["nics"][0]["bridge"]),
            (&json!("running"), &json!(512 << 20), &json!("tcg"), &json!("br0"))
        );
        assert!(!vm["disks"][0]["cache"].is_null(), "{vm}");
        tab.see("#page .reason", "vm.cacheMode is auto").await;
        on_to(tab, "Shut down").await;
        tab.picture("machine").await;
        // The button goes away with what it did; the focus does not go with it.
        tab.keys(ENTER).await;
        tab.see("#page [data-state]", "off").await;
        tab.see_no("#page .buttons", "Shut down").await;
        tab.see("#page .reason", "vm.cacheMode is auto").await;
        tab.see_no("#page .cache small", "O_DIRECT").await;
        let kept = "document.querySelector('#page').contains(document.activeElement)";
        tab.until("something on the page has the focus", kept).await;
        tab.until("one sees what has it", SHOWN).await;

        visit(tab, Way::Back, "Global Config").await;
        let key = "vm.cacheMode";
        let when = "when a virtual machine is started or rebooted; at once for a volume that is attached";
        go_to_setting(tab, key, when).await;
        choose(tab, "writethrough").await;
        save(tab, key, "writethrough").await;
        // The machine says that it is not meant yet.
        visit(tab, Way::Back, "Virtual machines").await;
        on_to(tab, "web").await;
        tab.keys(ENTER).await;
        lands(tab, "web").await;
        tab.see("#page .reason", "vm.cacheMode is writethrough now, which holds from the next start; ").await;
        let now = tab.ask("GET", "vms/web", Value::Null).await["disks"][0]["cache"].clone();
        assert_eq!(now["mode"], vm["disks"][0]["cache"]["mode"]);
        tab.picture("not-yet").await;
        visit(tab, Way::Back, "Global Config").await;
        reset(tab, key, "auto").await;

        let key = "vm.shutdownPatience";
        go_to_setting(tab, key, "with the next shutdown or reboot").await;
        tab.keys("47m").await;
        save_and_reset(tab, key, "47m", "90s").await;
    });
}

/// Stands between the page and its server: to the settings of this server it adds one that no page has heard of, and keeps
/// its value itself.
const ANOTHER_SETTING: &str = "
    const setting = {
        key: 'moon.phase', category: 'tides', type: 'choice', choices: ['new', 'half', 'full'], allowed: '`new`, `half`, `full`',
        value: 'half', default: 'half', is_default: true, description: 'what the `tide` follows', takes_effect: 'with the next tide',
    };
    const changes = [];
    const set = (value) => {
        if (value !== setting.value) changes.unshift({ at_ms: 0, who: 'admin', from: setting.value, to: value });
        Object.assign(setting, { value, is_default: value === setting.default });
    };
    const real = window.fetch;
    const answer = (body) => new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json' } });
    window.fetch = async (path, options = {}) => {
        const own = '/api/v1/config/moon.phase';
        if (path === '/api/v1/config' && options.method === 'GET') {
            const reply = await (await real(path, options)).json();
            return answer({ settings: [...reply.settings, setting] });
        }
        if (path === `${own}/history`) return answer({ changes });
        if (path !== own) return real(path, options);
        if (options.method === 'PUT') set(JSON.parse(options.body).value);
        if (options.method === 'DELETE') set(setting.default);
        return answer(setting);
    };
";

#[test]
fn a_choice_that_only_the_server_knows_is_made_by_keyboard() {
    in_a_browser("a_choice_that_only_the_server_knows_is_made_by_keyboard", async |_, tab| {
        come_in(tab).await;
        tab.run(ANOTHER_SETTING).await;
        visit(tab, Way::On, "Global Config").await;
        let key = "moon.phase";
        tab.see("#page h2", "tides").await;
        tab.see(&form(key), "What the tide follows.").await;
        go_to_setting(tab, key, "with the next tide").await;
        assert_eq!(tab.value("document.activeElement.tagName").await, "SELECT");
        let offered = "[...document.activeElement.options].map(option => option.textContent)";
        assert_eq!(tab.value(offered).await, json!(["new", "half", "full"]));
        choose(tab, "full").await;
        save_and_reset(tab, key, "full", "half").await;
        on_to(tab, "History").await;
        tab.keys(ENTER).await;
        tab.see(&format!("{} tbody", form(key)), "full").await;
        tab.picture("history").await;
        // Back to the top, past everything: what sticks there hides nothing that has the focus.
        visit(tab, Way::Back, "Virtual machines").await;
    });
}
