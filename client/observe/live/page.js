"use strict";
// The page asks for data.json, keeps two minutes of it, and draws the differences.
const every = 500, keep = 240, gap = 5; // gap: seconds without an answer after which a line is not drawn on
const here = location.pathname.endsWith("/") ? "" : location.pathname.split("/").pop() + "/";
const $ = id => document.getElementById(id);
const esc = s => String(s).replace(/[&<>"']/g, c => "&#" + c.charCodeAt(0) + ";");
const colours = ["#2e7de9", "#1a9a5b", "#d98a00", "#7a5af8", "#0aa2c0", "#d6409f", "#8a6d3b", "#5c6b7f", "#65a30d", "#c2410c"];
const num = v => v >= 1e6 ? (v / 1e6).toFixed(v < 1e7 ? 2 : 1) + " M" : v >= 1e4 ? (v / 1e3).toFixed(v < 1e5 ? 1 : 0) + " k" : v >= 100 || v === Math.round(v) ? Math.round(v).toLocaleString("en") : v.toFixed(1);
const pct = v => isFinite(v) ? (100 * v).toFixed(v > .9995 || v < .0005 ? 0 : 1) + " %" : "–";
const bytes = v => v >= 1 << 20 ? (v / (1 << 20)).toFixed(1) + " MiB" : v >= 1024 ? (v / 1024).toFixed(0) + " KiB" : v + " B";
const us = v => v >= 1e6 ? (v / 1e6).toFixed(1) + " s" : v >= 1000 ? (v / 1000).toFixed(v < 1e4 ? 1 : 0) + " ms" : v + " µs";
const put = (id, html) => { const e = $(id); if (e.last !== html) e.innerHTML = e.last = html; };
const hist = [];

async function poll() {
  const asked = Date.now();
  try {
    const answer = await fetch(here + "data.json", {cache: "no-store"});
    if (!answer.ok) throw new Error("status " + answer.status);
    const d = await answer.json();
    d.t = Date.parse(d.at) / 1000;
    if (hist.length && d.started !== hist[0].started) hist.length = 0;
    hist.push(d);
    while (hist.length > keep || hist.length > 1 && d.t - hist[0].t > 1.25 * keep * every / 1000) hist.shift();
    draw();
    $("status").className = "";
    $("status").textContent = "live · " + new Date(d.at).toLocaleTimeString();
  } catch (e) {
    $("status").className = "bad";
    $("status").textContent = "no answer: what is below is old";
  }
  setTimeout(poll, Math.max(100, every - (Date.now() - asked)));
}

// rate of what get reads, a second, over the last n samples up to index i.
function rate(get, i = hist.length - 1, n = 4) {
  const a = hist[Math.max(0, i - n)], b = hist[i];
  const x = get(a), y = get(b);
  return b.t > a.t && x != null && y != null ? Math.max(0, (y - x) / (b.t - a.t)) : 0;
}
const node = q => d => (d.nodes.find(n => n.name === q.name && n.addr === q.addr) || {}).requests;
const reads = d => d.reads.near_hit + d.reads.node_hit + d.reads.miss + d.reads.failed;

function draw() {
  const d = hist[hist.length - 1];
  tiles(d); ring(d); nodes(d); load(d); hits(); latency(); hot(d); near(d); events(); loaders(d);
}

function tiles(d) {
  const all = rate(reads), hit = rate(d => d.reads.near_hit) + rate(d => d.reads.node_hit);
  const bad = d.nodes.filter(n => n.state !== "up").length, debt = d.nodes.reduce((s, n) => s + n.debt, 0), errors = rate(d => d.errors);
  const tile = (v, label, cls = "") => `<div class="tile ${cls}"><b>${v}</b><span>${label}</span></div>`;
  const q = quantiles();
  put("tiles", tile(num(all), "reads a second") + tile(num(rate(d => d.writes.set + d.writes.delete + d.writes.fill)), "writes a second") +
    tile(all ? pct(hit / all) : "–", "hit ratio") + tile(q ? us(q[2]) : "–", "99th percentile" + (q ? ", " + q[0].replace("_", " ") : "")) +
    tile(d.nodes.length - bad + " / " + d.nodes.length, "nodes up", bad ? "bad" : "") + tile(num(debt), "keys owed", debt ? "warn" : "") + tile(num(errors), "errors a second", errors ? "bad" : ""));
}

// labels are names without what all of them end with (a port, a domain), and, where one is long nevertheless, without what
// all begin with: what is left tells them apart.
function labels(names) {
  const cut = (list, at) => list.length > 1 && list.every(n => at(n) && at(n) === at(list[0])) ? at(list[0]) : "";
  let out = names;
  for (let end; (end = cut(out, n => (/.+?(:[^.:]*|\.[^.:]*[a-z][^.:]*)$/i.exec(n) || [])[1]));) out = out.map(n => n.slice(0, -end.length));
  for (let head; out.some(n => n.length > 12) && (head = cut(out, n => (/^(…?[^-._:/…]*[-._:/])./.exec(n) || [])[1]));) out = out.map(n => "…" + n.slice(head.length));
  return out.map(n => n.length > 14 ? n.slice(0, 13) + "…" : n);
}

function ring(d) {
  let a = -Math.PI / 2, out = "";
  const c = 110, r = 78, shares = d.nodes.filter(n => n.share > 0), names = labels(shares.map(n => n.name));
  for (const [i, n] of shares.entries()) {
    const b = a + 2 * Math.PI * Math.min(n.share, .99999), gap = shares.length > 1 ? .012 : 0;
    const at = (w, q) => (c + q * Math.cos(w)).toFixed(1) + " " + (c + q * Math.sin(w)).toFixed(1);
    out += `<path d="M${at(a + gap, r)} A${r} ${r} 0 ${b - a > Math.PI ? 1 : 0} 1 ${at(b - gap, r)}" fill="none" stroke="var(--${n.state})" stroke-width="22" data-node="${esc(n.name)}" data-state="${n.state}"><title>${esc(n.name)}: ${pct(n.share)}, ${n.state}</title></path>`;
    if (n.share > .025) out += `<text x="${(c + (r + 19) * Math.cos((a + b) / 2)).toFixed(0)}" y="${(c + 4 + (r + 19) * Math.sin((a + b) / 2)).toFixed(0)}" text-anchor="${Math.cos((a + b) / 2) < -.2 ? "end" : Math.cos((a + b) / 2) > .2 ? "start" : "middle"}">${esc(names[i])}</text>`;
    a = b;
  }
  out += `<text x="${c}" y="${c - 2}" text-anchor="middle" style="font-size:22px;font-weight:650;fill:var(--ink)">${d.nodes.length}</text><text x="${c}" y="${c + 15}" text-anchor="middle">nodes, ${d.copies} cop${d.copies === 1 ? "y" : "ies"}</text>`;
  put("ring", `<svg viewBox="-70 0 360 220" style="max-height:260px" role="img" aria-label="shares of the nodes">${out}</svg>`);
}

function nodes(d) {
  const top = Math.max(1, ...d.nodes.map(n => rate(node(n))));
  put("nodes", `<table><tr><th>node</th><th>state</th><th class="narrow">share</th><th>requests/s</th><th class="narrow"></th><th class="narrow">in flight</th><th>failures</th><th>owed</th><th class="narrow">server</th></tr>` + d.nodes.map((n, i) => {
    const v = rate(node(n)), notes = [n.slow && "slow", n.joining && "joining", n.leaving && "leaving", n.gutter && "gutter", n.debt_overflow && "debt overflow", n.placement_differs && "placement differs", n.quarantined && "quarantined"].filter(Boolean).join(", ");
    return `<tr class="${n.state}" data-node="${esc(n.name)}" data-state="${n.state}"><td><span class="swatch" style="background:${colours[i % colours.length]}"></span>${esc(n.name)}</td><td><span class="badge ${n.state}">${n.state}</span> ${notes}</td><td class="narrow">${pct(n.share)}</td><td>${num(v)}</td><td class="narrow" style="text-align:left"><span class="bar" style="width:${(80 * v / top).toFixed(0)}px"></span></td><td class="narrow">${n.in_flight}</td><td>${num(n.failures)}</td><td>${num(n.debt)}</td><td class="narrow">${esc(n.version || "–")}</td></tr>`;
  }).join("") + "</table>");
}

// width is what the drawing in a place has, so that its letters are as large as all others.
const width = id => Math.max(240, $(id).clientWidth);

// chart draws series of points over the samples kept; stacked if so said.
function chart(id, series, fmt, stacked) {
  const W = width(id), H = 210, L = 46, B = 18, n = hist.length;
  if (n < 3) return put(id, `<p class="none">reading …</p>`);
  // The first sample has none before it to tell a rate by.
  const span = Math.max(20, hist[n - 1].t - hist[1].t), from = hist[n - 1].t - span, x = i => L + (W - L) * (hist[i].t - from) / span;
  const base = new Array(n).fill(0);
  let max = 0;
  for (let i = 1; i < n; i++) max = Math.max(max, stacked ? series.reduce((s, q) => s + q.v[i], 0) : Math.max(...series.map(q => q.v[i])));
  const nice = [1, 2, 2.5, 5, 10].map(m => m * 10 ** Math.floor(Math.log10(max || 1))).find(m => m >= max) || 1;
  const y = v => H - B - (H - B - 6) * v / nice;
  let out = "";
  for (const f of [0, .5, 1]) out += `<line x1="${L}" x2="${W}" y1="${y(f * nice)}" y2="${y(f * nice)}" stroke="var(--line)"/><text x="${L - 6}" y="${y(f * nice) + 4}" text-anchor="end">${fmt(f * nice)}</text>`;
  out += `<text x="${L}" y="${H - 2}">${Math.round(span)} s ago</text><text x="${W}" y="${H - 2}" text-anchor="end">now</text>`;
  const parts = []; // of the samples, without gaps
  for (let i = 1; i < n; i++) i > 1 && hist[i].t - hist[i - 1].t <= gap ? parts[parts.length - 1].push(i) : parts.push([i]);
  for (const q of series) {
    for (const p of parts) {
      const at = v => p.map(i => x(i).toFixed(1) + "," + y(v(i)).toFixed(1));
      const up = at(i => base[i] + q.v[i]);
      if (stacked) out += `<polygon points="${up.concat(at(i => base[i]).reverse()).join(" ")}" fill="${q.c}" fill-opacity=".8"/>`;
      else out += `<polyline points="${up.join(" ")}" fill="none" stroke="${q.c}" stroke-width="1.8" stroke-linejoin="round"/>`;
    }
    if (stacked) q.v.forEach((v, i) => base[i] += v);
  }
  put(id, `<svg viewBox="0 0 ${W} ${H}" role="img">${out}</svg><div class="legend">${series.map(q => `<span><span class="swatch" style="background:${q.c}"></span>${esc(q.n)} ${fmt(q.v[n - 1])}</span>`).join("")}</div>`);
}

// More lines than this nobody can tell apart.
const lines = 20;

function load(d) {
  let busy = d.nodes.map((n, i) => ({n: n.name, of: node(n), c: colours[i % colours.length]}));
  if (busy.length > lines)
    busy = busy.map(q => ({...q, r: rate(q.of, hist.length - 1, keep)})).sort((a, b) => b.r - a.r).slice(0, lines);
  $("load-note").textContent = busy.length < d.nodes.length ? `: the ${lines} busiest of ${d.nodes.length}` : "";
  chart("load", busy.map(q => ({...q, v: hist.map((_, j) => rate(q.of, j))})), num);
}

function hits() {
  const of = k => hist.map((_, i) => rate(d => d.reads[k], i));
  chart("hits", [{n: "near-cache", c: "var(--near)", v: of("near_hit")}, {n: "nodes", c: "var(--node)", v: of("node_hit")}, {n: "misses", c: "var(--miss)", v: of("miss")}, {n: "failed", c: "var(--failed)", v: of("failed")}], num, true);
}

// recent is how many calls of op each bucket got in the last ten seconds.
function recent(op) {
  const b = hist[hist.length - 1].latency[op], a = (hist[Math.max(0, hist.length - 21)].latency || {})[op];
  return b && b.map((v, i) => [v[0], v[1] - (a ? a[i][1] : 0)]);
}

// quantiles of the busiest call: its name, median, 99th and 99.9th percentile in microseconds.
function quantiles() {
  let best, most = 0;
  for (const op in hist[hist.length - 1].latency) {
    const h = recent(op), sum = h.reduce((s, v) => s + v[1], 0);
    if (sum > most) { most = sum; best = op; }
  }
  if (!best) return null;
  const h = recent(best);
  return [best].concat([.5, .99, .999].map(q => {
    let seen = 0;
    for (const [upper, n] of h) if ((seen += n) > q * most) return upper;
    return h[h.length - 1][0];
  }));
}

function latency() {
  const q = quantiles();
  if (!q) return put("latency", `<p class="none">${Object.keys(hist[hist.length - 1].latency).length ? "No call that was timed in the last ten seconds." : "Nothing is timed: give Source.Timing a timing.Client."}</p>`);
  const h = recent(q[0]);
  let first = h.findIndex(v => v[1]), last = h.length - 1;
  while (last > first && !h[last][1]) last--;
  first = Math.max(0, first - 1); last = Math.min(h.length - 1, Math.max(last + 1, first + 12));
  const part = h.slice(first, last + 1), max = Math.max(...part.map(v => v[1])), W = width("latency"), H = 232, w = W / part.length;
  let out = "";
  part.forEach(([upper, n], i) => {
    const tall = n ? Math.max(2, 195 * Math.sqrt(n / max)) : 0;
    out += `<rect x="${(i * w + 1).toFixed(1)}" y="${(205 - tall).toFixed(1)}" width="${Math.max(1, w - 2).toFixed(1)}" height="${tall.toFixed(1)}" rx="2" fill="${upper > q[2] ? "var(--miss)" : "var(--node)"}"><title>up to ${us(upper)}: ${num(n)}</title></rect>`;
    if (i % Math.ceil(part.length / (W / 70)) === 0) out += `<text x="${((i + .5) * w).toFixed(0)}" y="222" text-anchor="middle">${us(upper)}</text>`;
  });
  put("latency", `<svg viewBox="0 0 ${W} ${H}" role="img">${out}</svg><div class="legend"><span>${esc(q[0].replace("_", " "))}: median ${us(q[1])}</span><span>99 % ${us(q[2])} (<span class="swatch" style="background:var(--miss);margin:0"></span> slower)</span><span>99.9 % ${us(q[3])}</span><span>heights by the square root</span></div>`);
}

function hot(d) {
  if (!d.hot.length) return put("hot", `<p class="none">None yet.</p>`);
  const top = d.hot[0].share;
  put("hot", `<table><tr><th>key</th><th></th><th>of all</th><th>a second</th><th class="narrow">level</th></tr>` + d.hot.map(k => `<tr><td class="key">${esc(k.key)}</td><td style="text-align:left"><span class="bar" style="width:${(90 * k.share / top).toFixed(0)}px;background:var(--${k.level === "hottest" ? "near" : "node"})"></span></td><td>${pct(k.share)}</td><td>${num(k.per_second)}</td><td class="narrow">${k.level}</td></tr>`).join("") + "</table>");
}

const rows = list => `<table>${list.map(([n, v]) => `<tr><td>${n}</td><td>${v}</td></tr>`).join("")}</table>`;

function near(d) {
  put("near", rows([["values held", num(d.near.entries)], ["memory", bytes(d.near.bytes)], ["hits a second", num(rate(d => d.reads.near_hit))], ["of all reads", pct(rate(d => d.reads.near_hit) / rate(reads))], ["found expired, a second", num(rate(d => d.near.expired))], ["evicted, a second", num(rate(d => d.near.evicted))], ["refused, a second", num(rate(d => d.near.refused))]]));
}

function events() {
  const of = (n, k) => [n, num(rate(d => d.events[k]))];
  put("events", rows([of("reads that changed to the next copy", "failovers"), of("reads around a slow node", "steered"), of("second requests", "hedged"), of("copies booked as debt", "owed"), of("copies restored", "restored"), of("leases won", "leases_won"), of("leases lost to a write", "leases_lost")]));
}

function loaders(d) {
  const names = Object.keys(d.loaders).sort();
  if (!names.length) return put("loaders", `<p class="none">None given.</p>`);
  const show = ["near_hits", "node_hits", "negative_hits", "misses", "loads", "load_errors", "waits", "shed", "puts", "refreshes", "fail_open"];
  put("loaders", `<table><tr><th></th>${names.map(n => `<th>${esc(n)}</th>`).join("")}</tr>` + show.map(f => `<tr><td>${f.replace("_", " ")}</td>${names.map(n => `<td>${num(rate(d => (d.loaders[n] || {})[f]))}</td>`).join("")}</tr>`).join("") + "</table>");
}

addEventListener("resize", () => hist.length && draw());
// What is there is painted first; a tab that is not looked at paints nothing.
let begun = false;
const begin = () => { if (!begun) { begun = true; poll(); } };
requestAnimationFrame(() => setTimeout(begin));
setTimeout(begin, 250);
