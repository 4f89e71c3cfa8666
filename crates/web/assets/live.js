// The live parts of a page. Everything works without this file; it only saves loading the page again.
(() => {
  const $ = (q, root = document) => [...root.querySelectorAll(q)];
  let busy = false, again = false, source, timer, skew = 0;

  // Puts the parts marked data-live of a freshly rendered page in place of ours.
  const swap = (html, ours) => {
    const next = new DOMParser().parseFromString(html, "text/html");
    for (const now of $("[data-live]")) {
      const then = next.getElementById(now.id);
      if (!then) continue;
      for (const d of $("details[id]", now)) {
        const e = next.getElementById(d.id);
        if (e) e.open = d.open;
      }
      if (now.outerHTML === then.outerHTML) continue;
      if (!ours && $("textarea", now).some((t) => t.value)) continue;
      const held = now.contains(document.activeElement) && document.activeElement.id;
      now.replaceWith(document.adoptNode(then));
      if (held) document.getElementById(held)?.focus();
    }
    document.title = next.title;
    const icon = next.getElementById("icon");
    if (icon) document.getElementById("icon").href = icon.getAttribute("href");
    dress();
  };

  const load = async () => {
    if (busy) return void (again = true);
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      clock(answer);
      if (answer.status === 404 || answer.redirected) return void location.assign("/dashboard");
      if (answer.ok) swap(await answer.text());
    } catch {
      // Berth is away for a moment; the next try will tell.
    } finally {
      busy = false;
      if (again) { again = false; soon(); }
    }
  };
  let waiting;
  const soon = (ms = 120) => { clearTimeout(waiting); waiting = setTimeout(load, ms); };
  const clock = (answer) => {
    const date = Date.parse(answer.headers.get("date"));
    if (date) skew = Math.round((date + 500 - Date.now()) / 1000) * 1000;
  };

  // Times in the reader's own zone, and how long a running step has taken so far.
  const two = (n) => String(n).padStart(2, "0");
  const dress = () => {
    for (const t of $("time")) {
      const d = new Date(t.dateTime);
      if (t.dataset.done || isNaN(d)) continue;
      t.dataset.done = 1;
      t.title = d.toLocaleString(undefined, { dateStyle: "long", timeStyle: "long" });
      const today = d.toDateString() === new Date().toDateString();
      t.textContent = today ? two(d.getHours()) + ":" + two(d.getMinutes()) + ":" + two(d.getSeconds())
        : d.toLocaleString(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
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
    const head = document.querySelector("[data-events]");
    if (head && !source && window.EventSource) {
      source = new EventSource(head.dataset.events);
      for (const name of ["asked", "wanted", "step_started", "step_ended", "step_retried", "seen", "proof", "exchanged"])
        source.addEventListener(name, () => soon());
      source.addEventListener("gone", () => { source.close(); location.assign("/dashboard"); });
      source.onopen = () => soon(0);
    }
    clearTimeout(timer);
    const poll = document.querySelector("[data-poll]");
    const seconds = poll ? +poll.dataset.poll : source && source.readyState !== 1 ? 5 : 0;
    if (seconds) timer = setTimeout(() => (document.hidden ? follow() : load()), seconds * 1000);
  };

  // Forms that stay on the page.
  addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("[data-stay]")) return;
    event.preventDefault();
    if (form.classList.contains("busy")) return;
    form.classList.add("busy");
    const body = new URLSearchParams(new FormData(form));
    body.set("live", "1");
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { accept: "text/html" } });
      if (answer.url.includes("?logs=")) history.replaceState(null, "", answer.url);
      if (answer.ok && form.matches("[data-clear]")) form.reset();
      swap(await answer.text(), 1);
    } catch {
      form.submit();
    } finally {
      form.classList.remove("busy");
    }
  });
  addEventListener("keydown", (event) => {
    const field = event.target;
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && field.id === "text") {
      event.preventDefault();
      field.form.requestSubmit();
    }
  });

  setInterval(tick, 1000);
  document.querySelector("[aria-invalid]")?.focus();
  dress();
})();
