// The live parts of a page. Everything works without this file; it only saves loading the page again.
(() => {
  const $ = (q, root = document) => [...root.querySelectorAll(q)];
  const one = (q) => document.querySelector(q);
  const page = one("[data-page]")?.dataset.page;
  const list = page?.startsWith("/admin") ? "/admin" : "/dashboard";
  let busy, again, source, poll, soon, skew = 0;

  // Puts the parts marked data-live of a freshly rendered page in place of ours.
  const swap = (html, ours) => {
    const next = new DOMParser().parseFromString(html, "text/html");
    for (const now of $("[data-live]")) {
      const then = next.getElementById(now.id), html = then?.outerHTML;
      if (!then || now.was === html || (!ours && $("textarea", now).some((t) => t.value))) continue;
      for (const d of $("details[id]", now)) {
        const e = next.getElementById(d.id);
        if (e) e.open = d.open;
      }
      const held = now.contains(document.activeElement) && document.activeElement.id;
      now.replaceChildren(...then.childNodes);
      now.toggleAttribute("disabled", then.matches("[disabled]"));
      if (then.dataset.poll) now.dataset.poll = then.dataset.poll;
      now.was = html;
      if (held) document.getElementById(held)?.focus();
    }
    document.title = next.title;
    one("#icon").href = next.getElementById("icon").getAttribute("href");
    if (ours) one("[aria-invalid]")?.focus();
    dress();
  };

  const load = async () => {
    if (busy) return void (again = true);
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const date = Date.parse(answer.headers.get("date"));
      if (date) skew = Math.round((date + 500 - Date.now()) / 1000) * 1000;
      if (answer.status === 404 || answer.redirected) return void location.assign(list);
      if (answer.ok) swap(await answer.text());
    } catch {
      // Berth is away for a moment; the next try will tell.
    } finally {
      busy = false;
      if (again) refresh();
      again = false;
    }
  };
  const refresh = () => {
    clearTimeout(soon);
    soon = setTimeout(load, 120);
  };

  // Times in the reader's own zone, and how long a running step has taken so far.
  const dress = () => {
    const today = new Date().toDateString();
    for (const t of $("time:not([data-done])")) {
      const d = new Date(t.dateTime);
      t.dataset.done = 1;
      t.title = d.toLocaleString([], { dateStyle: "long", timeStyle: "long" });
      t.textContent = d.toDateString() === today
        ? d.toLocaleTimeString([], { hourCycle: "h23" })
        : d.toLocaleString([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    }
    follow();
  };
  const tick = () => {
    for (const s of $("[data-since]")) {
      const ms = Math.max(0, Date.now() + skew - Date.parse(s.dataset.since)), sec = Math.floor(ms / 1000);
      s.textContent = sec < 60 ? sec + " s" : Math.floor(sec / 60) + " min " + (sec % 60) + " s";
      const bar = s.closest("tr")?.querySelector("progress");
      if (bar) bar.value = ms;
    }
  };

  // Follows an agent's events; a list is read again now and then.
  const follow = () => {
    const head = one("[data-events]");
    if (head && !source) {
      source = new EventSource(head.dataset.events);
      for (const name of head.dataset.names.split(" ")) source.addEventListener(name, refresh);
      source.addEventListener("gone", () => location.assign("/dashboard"));
      source.onopen = refresh;
    }
    clearTimeout(poll);
    const seconds = one("[data-poll]")?.dataset.poll || (source && source.readyState !== 1 && 5);
    if (seconds) poll = setTimeout(() => (document.hidden ? follow() : load()), seconds * 1000);
  };

  // Forms that stay on the page.
  addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("[data-stay]")) return;
    event.preventDefault();
    if (form.matches(".busy")) return;
    form.classList.add("busy");
    try {
      const body = new URLSearchParams(new FormData(form));
      body.set("live", 1);
      const answer = await fetch(form.action, { method: "POST", body, headers: { accept: "text/html" } });
      if (answer.url.includes("?logs=")) history.replaceState(null, "", answer.url);
      if (answer.ok && form.matches("[data-clear]")) form.reset();
      swap(await answer.text(), true);
    } catch {
      form.submit();
    }
    form.classList.remove("busy");
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.id === "text") {
      event.preventDefault();
      event.target.form.requestSubmit();
    }
  });

  for (const e of $("[data-live]")) e.was = e.outerHTML;
  if (page && location.pathname !== page) history.replaceState(null, "", page);
  setInterval(tick, 1000);
  dress();
})();
